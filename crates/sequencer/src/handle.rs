//! The sequencer from outside: propose, try without doing, read durable heads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use super::commit::{Committer, Job, MAX_INTERVAL};
use super::damage::Damage;
use super::desk::Desk;
use super::fair::Full;
use super::inbox::{Done, Inbox, OwnRequest, Request};
use super::key_tables::KeyTables;
use super::pipeline::{Pipeline, durable, is_watched};
use super::pulse::Pulse;
use super::queued::Queued;
use super::rejections::{RejectionEntry, Rejections};
use super::thread::spawn;
use super::{Mode, Options, Outcome, Ports, Refusal, StartError, Trace, Verified, retry};
use swoosh_facts::FactsNow;
use swoosh_journal::{Durability, FoldError, Journal, Log, Recovered, RecoveredHead};
use swoosh_machine::beats::Beats;
use swoosh_machine::chart::Inputs;
use swoosh_machine::head::Head;
use swoosh_machine::upgrade;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::proposal::Proposal;
use swoosh_types::record::GuardOutcome;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;
use swoosh_types::verify::{Headers, verify_by_tables};

/// Projects that are loaded at once off the sequencer's way; the sequencer loads the others itself.
const LOADED_AT_ONCE: usize = 4;

/// A durable head.
#[derive(Clone, Debug)]
pub struct View {
    pub head: Arc<Head>,
    /// Index of the project's last record; 0 for a project that does not exist.
    pub index: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether it takes proposals.
    pub mode: Mode,
    /// Proposals that wait.
    pub queue: usize,
    /// Index of the last durable record.
    pub last_index: u64,
    /// Records that are accepted and not durable yet.
    pub wal_lag: u64,
    /// Age of the oldest of them, or of the work that the sequencer is at.
    pub busy: Duration,
    /// Why the node counts as stalled, while it does.
    pub stalled: Option<String>,
    /// Whether the node that is followed does not answer; never of a node that follows none.
    pub cut_off: bool,
    /// When the last snapshot was taken.
    pub last_snapshot: Option<Hlc>,
    /// Why the clock cannot be trusted, while that is so.
    pub clock_unsafe: Option<String>,
    /// The damage to the journal that is known.
    #[serde(skip)]
    pub damage: Damage,
    /// Projects in memory.
    pub heads: usize,
    /// Bytes that they take, about.
    pub heads_bytes: usize,
}

/// Result of a dry run.
#[derive(Clone, Debug)]
pub enum DryRun {
    /// It would be accepted.
    Accepted {
        state_post_hash: Hash,
        /// How the guards judge.
        outcomes: Vec<GuardOutcome>,
    },
    /// Its key is bound to it already; this is the receipt.
    Repeat(Vec<u8>),
    /// It would be refused.
    Refused(Box<Refusal>),
}

impl From<Outcome> for DryRun {
    fn from(outcome: Outcome) -> DryRun {
        match outcome {
            Outcome::Accepted { receipt, .. } => DryRun::Repeat(receipt.to_vec()),
            Outcome::Refused(refusal) => DryRun::Refused(refusal),
        }
    }
}

/// State shared by both threads and every handle.
pub(super) struct Shared {
    pub options: Options,
    pub ports: Ports,
    /// Another one after it was opened again.
    journal: RwLock<Journal>,
    views: RwLock<BTreeMap<ProjectName, Arc<View>>>,
    rejections: Mutex<Rejections>,
    mode: Mutex<Mode>,
    draining: AtomicBool,
    last_index: AtomicU64,
    judged_index: AtomicU64,
    last_snapshot: Mutex<Option<Hlc>>,
    /// The stamp of the last record judged.
    stamped: Mutex<Hlc>,
    damage: Mutex<Damage>,
    pub pulse: Pulse,
    pub key_tables: KeyTables,
    /// Whether the node that is followed does not answer.
    pub cut_off: AtomicBool,
    heads: AtomicUsize,
    heads_bytes: AtomicUsize,
    /// Whether the way of proposals is noted.
    pub tracing: bool,
    /// Projects that may be loaded at once off the sequencer's way.
    loading: Arc<Semaphore>,
}

impl Shared {
    /// The shared state over a journal that ends at this record, with its newest snapshot's clock.
    pub fn of(
        options: Options,
        ports: Ports,
        journal: Journal,
        (last_index, stamped, snapshot): (u64, Hlc, Option<Hlc>),
    ) -> Arc<Shared> {
        let tracing = ports.observer.traces();
        Arc::new(Shared {
            options,
            ports,
            journal: RwLock::new(journal),
            views: RwLock::default(),
            rejections: Mutex::default(),
            mode: Mutex::default(),
            draining: AtomicBool::new(false),
            last_index: AtomicU64::new(last_index),
            judged_index: AtomicU64::new(last_index),
            last_snapshot: Mutex::new(snapshot),
            stamped: Mutex::new(stamped),
            damage: Mutex::default(),
            pulse: Pulse::default(),
            key_tables: KeyTables::default(),
            cut_off: AtomicBool::new(false),
            heads: AtomicUsize::new(0),
            heads_bytes: AtomicUsize::new(0),
            tracing,
            loading: Arc::new(Semaphore::new(LOADED_AT_ONCE)),
        })
    }

    /// The open journal. Do not keep it: the journal cannot be reopened while a handle is held.
    pub fn journal(&self) -> Journal {
        self.journal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_journal(&self, journal: Journal) -> Journal {
        std::mem::replace(&mut *self.journal.write().unwrap_or_else(PoisonError::into_inner), journal)
    }

    /// Accepts again, unless the node is shutting down.
    pub fn accept_again(&self) {
        let mut mode = self.mode();
        *mode = if self.draining.load(Ordering::Acquire) { Mode::Draining } else { Mode::Accepting };
    }

    pub fn views_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<ProjectName, Arc<View>>> {
        self.views.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cached_view(&self, project: &ProjectName) -> Option<Arc<View>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(project).cloned()
    }

    pub fn note_durable(&self, index: u64) {
        self.last_index.store(index, Ordering::Release);
    }

    pub fn note_judged(&self, index: u64, stamped: Hlc) {
        self.judged_index.store(index, Ordering::Release);
        let mut last = self.stamped_mut();
        *last = stamped.max(*last);
    }

    pub fn note_snapshot(&self, at: Hlc) {
        *self.last_snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    pub fn note_memory(&self, heads: usize, bytes: usize) {
        self.heads.store(heads, Ordering::Relaxed);
        self.heads_bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn damage_mut(&self) -> MutexGuard<'_, Damage> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stamped_mut(&self) -> MutexGuard<'_, Hlc> {
        self.stamped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether proposals are taken.
    pub fn is_accepting(&self) -> bool {
        matches!(*self.mode(), Mode::Accepting)
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.mode() = mode;
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note_refusal(&self, proposal: &Proposal, rejection: &Rejection, at: Hlc) {
        self.ports.observer.refused(proposal, rejection);
        let mut remembered = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.note(&proposal.project(), proposal.transition, rejection, at);
    }
}

/// The way to the sequencer. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Handle {
    /// Starts both threads on what was recovered.
    pub fn start(options: Options, ports: Ports, journal: Journal, recovered: Recovered) -> Result<Handle, StartError> {
        let log = journal.clone();
        let Assembled { handle, pipeline, desk, jobs } =
            assemble(options, ports, journal, recovered, log, |desk, job| desk.commit_now(job));
        let observer = || handle.shared.ports.observer.clone();
        let threads = vec![
            spawn("sequencer", observer(), move || pipeline.run())?,
            spawn("committer", observer(), move || desk.run(&jobs))?,
        ];
        handle.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
        Ok(handle)
    }

    /// Verifies a request's body and headers. Costs a signature check: call it off the sequencer's way.
    pub fn verify(&self, body: &[u8], headers: &Headers) -> Result<Verified, Rejection> {
        let tables = |signer: &_| self.shared.key_tables.get(signer);
        verify_by_tables(body, headers, &self.shared.options.cluster, Inputs::decode, tables)
    }

    /// Proposes, and waits for an answer that is durable.
    pub async fn propose(&self, verified: Verified) -> Outcome {
        self.propose_traced(verified, self.trace(|| None)).await
    }

    /// The same, of a proposal whose way is noted since [`Handle::trace`].
    pub async fn propose_traced(&self, verified: Verified, trace: Option<Box<Trace>>) -> Outcome {
        match self.queue(verified, trace).await {
            Ok(queued) => queued.outcome().await,
            Err(refused) => refused,
        }
    }

    /// Puts a proposal into the queue, or refuses it. Proposals of one project are judged in the order in which these calls end.
    pub async fn queue(&self, verified: Verified, trace: Option<Box<Trace>>) -> Result<Queued, Outcome> {
        let arrived = Instant::now();
        let (project, transition) = (verified.proposal().project(), verified.proposal().transition);
        if let Err(refused) = self.is_open(&project, transition) {
            if let Outcome::Refused(refusal) = &refused {
                self.shared.ports.observer.refused(verified.proposal(), &refusal.rejection);
            }
            return Err(refused);
        }
        let loaded = self.preload(&project).await;
        let signer = verified.proposal().signer;
        let answer = self.enter((verified, trace), arrived, loaded, None)?;
        Ok(Queued { answer, handle: self.clone(), project, transition, signer })
    }

    /// Puts a proposal into the queue; where its answer comes.
    pub(super) fn enter(
        &self,
        (verified, trace): (Verified, Option<Box<Trace>>),
        arrived: Instant,
        loaded: Option<Box<RecoveredHead>>,
        trial: Option<oneshot::Sender<DryRun>>,
    ) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        let (project, transition) = (verified.proposal().project(), verified.proposal().transition);
        let (reply, answer) = oneshot::channel();
        let pushed = self.inbox.push(Request { verified, reply, arrived, trace, loaded, trial });
        pushed.map_err(|full| {
            let (code, reason) = no_room(full, &project);
            self.refuse(&project, transition, code, &reason)
        })?;
        Ok(answer)
    }

    /// Whether proposals are taken.
    pub(super) fn is_open(&self, project: &ProjectName, transition: Transition) -> Result<(), Outcome> {
        match self.shut() {
            None => Ok(()),
            Some((code, reason)) => Err(self.refuse(project, transition, code, &reason)),
        }
    }

    /// Why the node takes no proposal, while that is so.
    fn shut(&self) -> Option<(Code, String)> {
        Some(match &*self.shared.mode() {
            Mode::Accepting => return None,
            Mode::Draining => (Code::Draining, "the node is shutting down; try another or wait".to_owned()),
            Mode::Refusing(reason) => (Code::NotDurable, reason.clone()),
            Mode::ReadOnly(reason) => (Code::ReadOnly, reason.clone()),
            Mode::Following(reason) => (Code::Follower, format!("this node {reason}; propose to that one")),
        })
    }

    /// Why no proposal can be accepted now, whichever it is.
    pub(super) fn closed(&self) -> Option<Rejection> {
        let shut = self.shut().map(|(code, reason)| Rejection::new(code, reason));
        shut.or_else(|| self.status().clock_unsafe.map(|why| Rejection::new(Code::ClockUnsafe, why)))
    }

    pub(super) fn refuse(&self, project: &ProjectName, transition: Transition, code: Code, reason: &str) -> Outcome {
        let rejection = Rejection::new(code, reason);
        let facts = self.shared.ports.facts.facts();
        let retry_after_ms = retry::after_ms(code, transition, facts.set(), project, self.log_time());
        let refusal = Refusal { rejection, project: project.clone(), head: None, hlc_last: None, retry_after_ms };
        Outcome::Refused(Box::new(refusal))
    }

    /// Proposes the outcome of an effect that the node ran, on the project's own head and ahead of queued requests,
    /// and waits for an answer that is durable. Its key follows from the effect, so it applies once.
    pub async fn propose_outcome(&self, outcome: super::OwnOutcome) -> Outcome {
        let project = outcome.effect.project.clone();
        let refuse = |code, reason: &str| {
            let rejection = Rejection::new(code, reason);
            let (project, head, hlc_last) = (project.clone(), None, None);
            Outcome::Refused(Box::new(Refusal { rejection, project, head, hlc_last, retry_after_ms: None }))
        };
        match &*self.shared.mode() {
            Mode::Accepting => {}
            Mode::Draining => return refuse(Code::Draining, "the node is shutting down"),
            Mode::Refusing(reason) => return refuse(Code::NotDurable, reason),
            Mode::ReadOnly(reason) => return refuse(Code::ReadOnly, reason),
            Mode::Following(reason) => return refuse(Code::Follower, reason),
        }
        let arrived = Instant::now();
        let loaded = self.preload(&project).await;
        let answer = self.enter_own(outcome, arrived, loaded);
        answer.await.unwrap_or_else(|_| refuse(Code::Draining, "the node shut down before it could answer"))
    }

    /// Puts an outcome ahead of queued requests; returns the receiver of its answer.
    pub(super) fn enter_own(
        &self,
        outcome: super::OwnOutcome,
        arrived: Instant,
        loaded: Option<Box<RecoveredHead>>,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.inbox.push_own(OwnRequest { outcome, reply, arrived, loaded });
        answer
    }

    /// The beat that a project has reached at a time; `None` where that is unknown. A key that names a later one stays: a floor above
    /// the beats that callers name would refuse them, and each round of pruning would raise it further.
    pub fn reached_beat(&self, project: &ProjectName, at: Hlc) -> Option<u64> {
        let facts = self.facts();
        let floor = self.journal().key_floor(project).ok()?;
        Some(Beats::known(facts.set(), project, facts.set().outside(project, at), floor).latest())
    }

    /// Loads a project that is not in memory outside of the sequencer's thread, unless too many are being loaded.
    /// Failures are reported by the sequencer's own load.
    async fn preload(&self, project: &ProjectName) -> Option<Box<RecoveredHead>> {
        if self.shared.cached_view(project).is_some() {
            return None;
        }
        let permit = self.shared.loading.clone().try_acquire_owned().ok()?;
        let (shared, project) = (self.shared.clone(), project.clone());
        let load = move || {
            let _while_it_loads = permit;
            shared.journal().latest_head(&project).ok().flatten().map(Box::new)
        };
        tokio::task::spawn_blocking(load).await.ok().flatten()
    }

    /// Says what would become of a proposal now, and changes nothing. It takes the way of every proposal, so that the
    /// mode of the node, its queue, its clock and what the node would propose first count as they do for that.
    pub async fn dry_run(&self, verified: Verified) -> DryRun {
        let (project, transition) = (verified.proposal().project(), verified.proposal().transition);
        if let Err(refused) = self.is_open(&project, transition) {
            return refused.into();
        }
        let loaded = self.preload(&project).await;
        let (trial, mut accepted) = oneshot::channel();
        let answer = match self.enter((verified, None), Instant::now(), loaded, Some(trial)) {
            Ok(answer) => answer.await,
            Err(refused) => return refused.into(),
        };
        let gone = "the node shut down before it could answer";
        // An acceptance leaves the answer of a proposal unsent.
        answer
            .map(DryRun::from)
            .or_else(|_| accepted.try_recv())
            .unwrap_or_else(|_| self.refuse(&project, transition, Code::Draining, gone).into())
    }

    pub fn facts(&self) -> Arc<FactsNow> {
        self.shared.ports.facts.facts()
    }

    /// The open journal, for reading. Ask again for each use: while a handle is held, the journal cannot be reopened
    /// after a disk failure.
    pub fn journal(&self) -> Journal {
        self.shared.journal()
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The node's time, for reads. While the wall clock cannot be trusted, it goes on by the monotonic clock.
    pub fn now(&self) -> Hlc {
        Hlc::new(self.shared.ports.clock.counted_ms(), 0).unwrap_or_default()
    }

    /// The wall clock, trusted or not.
    pub fn wall(&self) -> Hlc {
        Hlc::new(self.shared.ports.clock.shown_ms(), 0).unwrap_or_default()
    }

    /// Projects in memory, and their durable heads.
    pub fn views(&self) -> BTreeMap<ProjectName, Arc<View>> {
        self.shared.views.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a project's head is in memory.
    pub fn is_in_memory(&self, project: &ProjectName) -> bool {
        self.shared.cached_view(project).is_some()
    }

    /// The last rejections, newest first.
    pub fn rejections(&self, project: Option<&ProjectName>, limit: usize) -> Vec<RejectionEntry> {
        self.shared.rejections.lock().unwrap_or_else(PoisonError::into_inner).newest(project, limit)
    }

    /// Index of the last durable record.
    pub fn last_index(&self) -> u64 {
        self.shared.last_index.load(Ordering::Acquire)
    }

    /// Whether records may be added: by this node, or by the node that it follows.
    pub fn may_grow(&self) -> bool {
        matches!(*self.shared.mode(), Mode::Accepting | Mode::Following(_))
    }

    /// Lists a request that was refused before its signature was found good.
    pub fn note_unverified(&self, guard: GuardName, rejection: &Rejection) {
        let at = self.now();
        self.shared.rejections.lock().unwrap_or_else(PoisonError::into_inner).note_unverified(guard, rejection, at);
    }

    pub fn status(&self) -> Status {
        let last_index = self.shared.last_index.load(Ordering::Acquire);
        Status {
            mode: self.shared.mode().clone(),
            queue: self.inbox.depth(),
            last_index,
            wal_lag: self.shared.judged_index.load(Ordering::Acquire).saturating_sub(last_index),
            busy: self.shared.pulse.busy(),
            stalled: self.stalled(),
            cut_off: self.shared.cut_off.load(Ordering::Acquire),
            last_snapshot: *self.shared.last_snapshot.lock().unwrap_or_else(PoisonError::into_inner),
            clock_unsafe: self.shared.next_stamp_now().err().map(|why| why.reason),
            damage: self.shared.damage_mut().clone(),
            heads: self.shared.heads.load(Ordering::Relaxed),
            heads_bytes: self.shared.heads_bytes.load(Ordering::Relaxed),
        }
    }

    /// Brings a project into memory that may have to be acted on without a caller; others stay where they are. One of
    /// an older statechart goes over to this program's.
    /// Whether its head can be loaded, with every check.
    pub fn watch(&self, project: &ProjectName) -> Result<(), FoldError> {
        let loaded = self.shared.journal().latest_head(project);
        let Some(loaded) = loaded.inspect_err(|error| self.shared.damaged_head(project, error))? else {
            return Ok(());
        };
        self.shared.head_loads(project);
        if upgrade::barrier(loaded.head.state()).is_some() {
            self.inbox.nudge(project.clone());
        }
        let (memory, facts) = (self.shared.options.memory, self.facts());
        let has_room = self.shared.heads.load(Ordering::Relaxed) < memory.projects
            && self.shared.heads_bytes.load(Ordering::Relaxed) < memory.bytes;
        if has_room && is_watched(&loaded.head, facts.set()) {
            self.inbox.push_loaded(project.clone(), loaded);
        }
        Ok(())
    }

    /// Lets heads go that were not used for [`crate::Memory::idle_rounds`] calls.
    pub fn tidy(&self) {
        self.inbox.push_tidy();
    }

    /// Looks at a project of the node's own accord: proposes Control_QuorumLost or Control_Recovered where the pulses
    /// of its elected set call for it. Costs nothing where they do not.
    pub fn nudge(&self, project: ProjectName) {
        self.inbox.nudge(project);
    }

    /// Takes nothing new from here on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        let mut mode = self.shared.mode();
        if matches!(*mode, Mode::Accepting | Mode::Following(_)) {
            *mode = Mode::Draining;
        }
    }

    /// Finishes what waits, and returns when both threads are done.
    pub fn stop(&self) {
        self.drain();
        self.inbox.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// A sequencer whose threads are not started yet.
pub(super) struct Assembled<L> {
    pub handle: Handle,
    pub pipeline: Pipeline,
    pub desk: Arc<Desk<L>>,
    pub jobs: Receiver<Job>,
}

/// Connects the parts on what was recovered. `at_once` commits for the sequencer where a lone caller waits.
pub(super) fn assemble<L: Log + 'static>(
    mut options: Options,
    ports: Ports,
    journal: Journal,
    recovered: Recovered,
    log: L,
    at_once: impl Fn(&Desk<L>, Job) -> Result<Done, Box<Job>> + Send + 'static,
) -> Assembled<L> {
    if let Durability::Interval(interval) = &mut options.durability {
        *interval = (*interval).min(MAX_INTERVAL);
    }
    let last = (recovered.last_index, recovered.next_link, recovered.last_timestamp);
    let acknowledged = (recovered.last_index, recovered.last_chain);
    let (heads, views) = durable(recovered.heads, options.memory);
    let inbox = Arc::new(Inbox::new(options.queue, options.project_queue));
    let ends = (recovered.last_index, recovered.last_timestamp, recovered.last_snapshot_hlc);
    let shared = Shared::of(options, ports, journal, ends);
    *shared.views_mut() = views;
    let (count, bytes) = heads.size();
    shared.note_memory(count, bytes);
    let (sender, jobs) = sync_channel(1);
    let committer = Committer::new(shared.clone(), inbox.clone(), log, acknowledged);
    let desk = Arc::new(Desk::new(committer));
    let own = desk.clone();
    let commit_now = Box::new(move |job| at_once(&own, job));
    let pipeline = Pipeline::new(shared.clone(), inbox.clone(), (sender, commit_now), heads, last);
    Assembled { handle: Handle { shared, inbox, threads: Arc::default() }, pipeline, desk, jobs }
}

/// The rejection of a proposal that finds no room.
fn no_room(full: Full, project: &ProjectName) -> (Code, String) {
    match full {
        Full::Queue => (Code::Overloaded, "too many proposals wait; slow down".to_owned()),
        Full::Project(most) => {
            let reason = format!("{most} proposals of project {project} wait already; wait for their answers");
            (Code::TooManyRequests, reason)
        }
        Full::Signer(most) => {
            (Code::TooManyRequests, format!("{most} proposals of this signer wait already; wait for their answers"))
        }
    }
}
