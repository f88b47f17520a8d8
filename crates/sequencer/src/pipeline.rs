//! The page that reads as the pipeline: take, weigh, push, hand over, settle.

mod breach;
mod held;
mod initiative;
mod keys;
mod outcomes;
mod record;
#[cfg(test)]
mod tests;
mod trial;
mod unknown;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::commit::{Job, Pending};
use super::derive::Change;
use super::desk::CommitNow;
use super::handle::{Shared, View};
use super::heads::{Came, EVICT_AT_ONCE, Heads, Memory};
use super::inbox::{Done, Inbox, Reply, Request, Work};
use super::mend::{Failure, Mended};
use super::{Outcome, Refusal, Trace, Verified, retry};
use swoosh_facts::FactsNow;
use swoosh_journal::{Durability, RecoveredHead};
use swoosh_machine::facts::FactSet;
use swoosh_machine::head::Head;
use swoosh_machine::judge::{self, Accepted, Docket, Key, Refused};
use swoosh_machine::reduce::Stamp;
use swoosh_machine::state::TopPhase;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::names::CouncilState;
use swoosh_types::record::Linked;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

use keys::{InFlight, KeyPlace, KeyUse};
use record::record;
use trial::{Forecast, after_trial};

const LOG_FAILED: &str = "the log cannot be written; GET /health/ready says why";

/// An answer that rests on a batch which is not durable yet.
struct Deferred {
    batch: u64,
    reply: Reply,
    outcome: Outcome,
}

/// Result of weighing a proposal.
enum Verdict {
    Accepted(Box<Accepted>),
    Refused(Box<Refused>),
    /// The key is bound to this very proposal; the receipt is known.
    Repeat(Vec<u8>),
    /// The same, but the record is not durable yet.
    RepeatInFlight,
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Verdict {
        Verdict::Refused(Box::new(rejection.into()))
    }
}

/// A proposal in the light of its project's speculative head. [`Pipeline::push`] consumes it, because its index and
/// its stamp are good for one record.
struct Scene {
    head: Arc<Head>,
    facts: Arc<FactsNow>,
    stamp: Stamp,
}

/// The sequencer thread's own state.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    jobs: SyncSender<Job>,
    commit_now: CommitNow,
    heads: Heads,
    keys: BTreeMap<KeyPlace, InFlight>,
    breaches: breach::Breaches,
    deferred: Vec<Deferred>,
    early: Vec<held::Early>,
    forecasts: Vec<Forecast>,
    /// Whether the request at hand is a dry run: it takes the way of every request, and changes nothing.
    trying: bool,
    open: Vec<Pending>,
    open_number: u64,
    /// The keys of the batch that the committer has, in its order.
    committing: Option<Vec<KeyPlace>>,
    durable_batch: u64,
    next_index: u64,
    chain: Hash,
    stamped: Hlc,
    failed: bool,
    /// Whether heads may still have to leave memory.
    tidying: bool,
    /// Whether a batch is to be committed even if it is empty, because a side write failed and the journal takes
    /// nothing more: the batch fails, and everything that follows from that happens in its order.
    probing: bool,
}

impl Pipeline {
    pub fn new(
        shared: Arc<Shared>,
        inbox: Arc<Inbox>,
        (jobs, commit_now): (SyncSender<Job>, CommitNow),
        heads: Heads,
        last: (u64, Hash, Hlc),
    ) -> Pipeline {
        Pipeline {
            shared,
            inbox,
            jobs,
            commit_now,
            heads,
            keys: BTreeMap::new(),
            breaches: breach::Breaches::new(),
            deferred: Vec::new(),
            early: Vec::new(),
            forecasts: Vec::new(),
            trying: false,
            open: Vec::new(),
            open_number: 1,
            committing: None,
            durable_batch: 0,
            next_index: last.0 + 1,
            chain: last.1,
            stamped: last.2,
            failed: false,
            tidying: false,
            probing: false,
        }
    }

    /// Runs until it is stopped and everything taken is answered.
    pub fn run(mut self) {
        loop {
            let work = self.inbox.take(self.room(), self.is_idle());
            if self.turn(work) {
                return;
            }
        }
    }

    /// One turn, where there is something to do; whether there was.
    pub fn try_turn(&mut self) -> bool {
        let work = self.inbox.try_take(self.room(), self.is_idle());
        work.map(|work| self.turn(work)).is_some()
    }

    /// Proposals that the open batch can still take.
    fn room(&self) -> usize {
        self.shared.options.batch_max.saturating_sub(self.open.len())
    }

    /// Whether no record is on its way to the disk.
    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.committing.is_none()
    }

    /// Does what came in; whether it was the last.
    fn turn(&mut self, work: Work) -> bool {
        self.shared.pulse.turn_begins();
        let last = self.do_turn(work);
        self.shared.pulse.turn_ends();
        last
    }

    fn do_turn(&mut self, work: Work) -> bool {
        // The receiver may be gone.
        for asking in work.asking {
            let _ = asking.send(());
        }
        for done in work.done {
            self.settle(done);
        }
        if let Some(mended) = work.mended {
            self.go_on(*mended);
        }
        work.loaded.into_iter().for_each(|(project, loaded)| self.offer(&project, loaded));
        work.nudged.iter().for_each(|project| self.follow_liveness(project));
        work.own.into_iter().for_each(|own| self.weigh_outcome(own));
        for request in work.requests {
            self.weigh_and_act(request);
        }
        self.probing |= work.stopped;
        if work.tidy {
            self.heads.next_round();
            self.tidying = true;
        }
        self.hand_over();
        let (heads, bytes) = self.heads.size();
        self.shared.note_memory(heads, bytes);
        work.stopping && self.is_idle()
    }

    /// Judges one proposal and does what follows; of a dry run, reports it.
    fn weigh_and_act(&mut self, request: Request) {
        self.trying = request.trial.is_some();
        self.judge_request(request);
        self.trying = false;
    }

    fn judge_request(&mut self, mut request: Request) {
        let project = request.verified.proposal().project();
        if let Some(loaded) = request.loaded.take() {
            self.offer(&project, *loaded);
        }
        // Before anything that may refuse it: whatever holds now, the receipt of what was accepted is its signer's.
        let key_use = match self.key_use(&request.verified) {
            Ok(KeyUse::Repeat(receipt)) => return self.repeat(request, receipt),
            Ok(KeyUse::RepeatInFlight) => return self.wait_for_key(request),
            Ok(key_use) => key_use,
            Err(rejection) => return self.refuse_unread(request, rejection),
        };
        let scene = match self.scene(&project) {
            Ok(scene) if judge::knows_signer(&self.docket(&scene, &request.verified)) => Ok(scene),
            Ok(scene) => return self.refuse_unknown(request, &scene),
            Err(rejection) => return self.refuse_unread(request, rejection),
        };
        let scene = scene.and_then(|scene| self.upgraded(&project, scene));
        let transition = request.verified.proposal().transition;
        let scene = match scene.and_then(|scene| self.behind_breach(&project, scene, transition)) {
            Ok(scene) => scene,
            Err(rejection) => return self.refuse_now(request, rejection),
        };
        if let Some(trace) = &mut request.trace {
            trace.step();
        }
        let mut verdict = self.weigh_key(&scene, &request.verified, &key_use);
        let (scene, changed) = self.change_license(&project, scene, &request.verified, &verdict);
        if changed {
            verdict = self.weigh_key(&scene, &request.verified, &key_use);
        }
        self.act(&project, scene, request, verdict);
    }

    /// Reads the clock, once for everything that one request leads to: see [`Pipeline::push`].
    fn scene(&mut self, project: &ProjectName) -> Result<Scene, Rejection> {
        if self.failed {
            return Err(Rejection::new(Code::NotDurable, LOG_FAILED));
        }
        let facts = self.shared.ports.facts.facts();
        let at = self.shared.next_stamp(facts.set(), Some(project), self.stamped);
        let at = at.map_err(|why| Rejection::new(Code::ClockUnsafe, why.reason))?;
        let (head, _) = self.head(project)?;
        let stamp = Stamp { index: self.next_index, at };
        Ok(Scene { head, facts, stamp })
    }

    /// A project's speculative head and the batch that it waits for; loaded where it is not in memory.
    fn head(&mut self, project: &ProjectName) -> Result<(Arc<Head>, u64), Rejection> {
        let journal = self.shared.journal();
        let found = self.heads.find(&journal, project).map_err(|error| self.shared.unreadable(project, &error))?;
        if let Some(came) = found.came {
            self.show(project, came);
        }
        Ok((found.head, found.batch))
    }

    /// Takes a head that another thread loaded.
    fn offer(&mut self, project: &ProjectName, loaded: RecoveredHead) {
        let came = self.heads.offer(&self.shared.journal(), project, loaded);
        if let Some(came) = came {
            self.show(project, came);
        }
    }

    /// A head came into memory: it is durable, so readers may see it.
    fn show(&self, project: &ProjectName, came: Came) {
        came.warnings.iter().for_each(|warning| self.shared.ports.observer.snapshot_passed_over(warning));
        let view = View { head: came.head, index: came.index };
        self.shared.views_mut().insert(project.clone(), Arc::new(view));
        self.shared.head_loads(project);
    }

    /// Looks the key up, then judges. A repeat gets its receipt also where its signer may propose nothing any more: the
    /// proposal itself may have revoked or rotated its signer's key.
    fn weigh(&self, scene: &Scene, verified: &Verified) -> Verdict {
        match self.key_use(verified) {
            Ok(key_use) => self.weigh_key(scene, verified, &key_use),
            Err(rejection) => rejection.into(),
        }
    }

    /// Judges a proposal whose key was looked up.
    fn weigh_key(&self, scene: &Scene, verified: &Verified, key_use: &KeyUse) -> Verdict {
        let floor = || {
            let project = verified.proposal().project();
            let floor = self.shared.journal().key_floor(&project);
            floor.map_err(|error| self.shared.unreadable_key(&project, &error))
        };
        let key = match key_use {
            KeyUse::Repeat(receipt) => return Verdict::Repeat(receipt.clone()),
            KeyUse::RepeatInFlight => return Verdict::RepeatInFlight,
            KeyUse::Taken => Key::Taken,
            KeyUse::Free => Key::Free { floor: &floor },
        };
        match judge::judge(&self.docket(scene, verified), &key) {
            Ok(accepted) => Verdict::Accepted(Box::new(accepted)),
            Err(refused) => Verdict::Refused(Box::new(refused)),
        }
    }

    fn docket<'a>(&'a self, scene: &'a Scene, verified: &'a Verified) -> Docket<'a> {
        Docket {
            cluster: &self.shared.options.cluster,
            head: &scene.head,
            facts: scene.facts.set(),
            proposal: verified.proposal(),
            inputs: verified.inputs(),
            stamp: scene.stamp,
        }
    }

    fn act(&mut self, project: &ProjectName, scene: Scene, request: Request, verdict: Verdict) {
        match verdict {
            Verdict::Accepted(accepted) if self.trying => self.forecast(project, request, *accepted),
            Verdict::Accepted(accepted) => {
                let Request { verified, trace, reply, arrived, .. } = request;
                self.push(project, scene, (verified, trace), *accepted, Some(reply), arrived);
            }
            Verdict::Repeat(receipt) => self.repeat(request, receipt),
            Verdict::RepeatInFlight => self.wait_for_key(request),
            Verdict::Refused(refused) => self.refuse(project, scene, request, *refused),
        }
    }

    /// Puts an accepted proposal into the open batch and moves the speculative head. Returns the scene after it, on
    /// the same facts and the same reading of the clock: a second reading could fail after the record was pushed.
    fn push(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        (verified, mut trace): (Verified, Option<Box<Trace>>),
        accepted: Accepted,
        reply: Option<Reply>,
        arrived: Instant,
    ) -> Scene {
        if self.trying {
            return after_trial(scene, accepted);
        }
        if let Some(trace) = &mut trace {
            trace.judged();
        }
        let record = record(project, scene.stamp, &verified, accepted.outcomes, accepted.next.hash());
        let linked = Arc::new(Linked::of(self.chain, record.encode()));
        let head = Arc::new(accepted.next);
        let change = Change::between(record.transition, &scene.head, &head);
        self.heads.put(project.clone(), head.clone(), record.index, self.open_number);
        let in_flight = InFlight { fingerprint: verified.fingerprint(), waiting: Vec::new() };
        self.keys.insert((project.clone(), record.idem_key.clone()), in_flight);
        self.shared.note_judged(self.next_index, scene.stamp.at);
        self.next_index += 1;
        self.chain = linked.chain();
        self.stamped = scene.stamp.at;
        let after = Scene {
            head: head.clone(),
            facts: scene.facts.clone(),
            stamp: following(Stamp { index: self.next_index, ..scene.stamp }),
        };
        if self.open.is_empty() {
            self.shared.pulse.batch_begins(self.open_number);
        }
        self.open.push(Pending { record, linked, verified, facts: scene.facts, head, change, reply, arrived, trace });
        after
    }

    /// Refuses, once the head that the judgement rests on is durable; a breach quarantines first.
    fn refuse(&mut self, project: &ProjectName, scene: Scene, request: Request, mut refused: Refused) {
        if refused.rejection.code == Code::Blocked {
            if let Some(batch) = self.is_early(project, &scene, &request) {
                return self.wait_to_hold(batch, request);
            }
            self.hold(project, &scene, &request.verified, &mut refused.rejection);
        }
        let (transition, at) = (request.verified.proposal().transition, scene.stamp.at);
        self.note_refusal(request.verified.proposal(), &refused.rejection, at);
        let retry_after_ms = retry::after_ms(refused.rejection.code, transition, scene.facts.set(), project, at);
        if let Some(breach) = refused.breach.filter(|_| !self.trying) {
            drop(self.quarantine(project, scene, *breach));
        }
        let (head, batch) = match self.head(project) {
            Ok(found) => found,
            Err(rejection) => return self.refuse_now(request, rejection),
        };
        let hlc_last = head.state().hlc_last.as_ref().as_ref().map(|last| last.hlc);
        // A key that was barred learns no more of the project than one that was never known.
        let is_known = refused.rejection.code != Code::IdentityRevoked;
        let refusal = Refusal {
            rejection: refused.rejection,
            project: project.clone(),
            head: is_known.then(|| head.hash()),
            hlc_last: hlc_last.filter(|_| is_known),
            retry_after_ms,
        };
        let outcome = Outcome::Refused(Box::new(refusal));
        if batch <= self.durable_batch {
            return answer(request.reply, outcome);
        }
        self.deferred.push(Deferred { batch, reply: request.reply, outcome });
    }

    /// Refuses what was never judged.
    pub(super) fn refuse_now(&self, request: Request, rejection: Rejection) {
        let project = request.verified.proposal().project();
        if !self.trying {
            self.shared.ports.observer.refused(request.verified.proposal(), &rejection);
        }
        let retry_after_ms = Some(self.shared.unjudged_wait_ms(rejection.code));
        let refusal = Refusal { rejection, project, head: None, hlc_last: None, retry_after_ms };
        answer(request.reply, Outcome::Refused(Box::new(refusal)));
    }

    /// Gives the open batch to the committer, unless it is busy or there is nothing to commit. A round of
    /// tidying is a batch too, when heads leave.
    fn hand_over(&mut self) {
        let tidy = self.tidying || self.heads.are_too_many();
        if self.committing.is_some() || self.failed || (self.open.is_empty() && !tidy && !self.probing) {
            return;
        }
        let facts = self.shared.ports.facts.facts();
        let evicted = self.heads.evict(self.durable_batch, |head| is_watched(head, facts.set()));
        self.tidying = evicted.len() == EVICT_AT_ONCE;
        if self.open.is_empty() && evicted.is_empty() && !self.probing {
            return;
        }
        self.probing = false;
        let records = std::mem::take(&mut self.open);
        self.committing = Some(records.iter().map(|p| (p.record.project.clone(), p.record.idem_key.clone())).collect());
        let job = Job { number: self.open_number, records, evicted };
        self.open_number += 1;
        if !self.is_lone(&job) {
            return self.send(job);
        }
        match (self.commit_now)(job) {
            Ok(done) => {
                self.settle(done);
                if !self.open.is_empty() {
                    self.hand_over();
                }
            }
            Err(job) => self.send(*job),
        }
    }

    fn send(&mut self, job: Job) {
        if self.jobs.send(job).is_err() {
            self.fail(&Failure::for_good("the committer is gone"));
        }
    }

    /// Whether a batch is one caller's and nothing waits to be judged while it syncs.
    fn is_lone(&self, job: &Job) -> bool {
        self.shared.options.durability == Durability::Sync && job.records.len() == 1 && self.inbox.depth() == 0
    }

    /// A batch is durable, or failed: answers its callers.
    fn settle(&mut self, done: Done) {
        let places = self.committing.take().unwrap_or_default();
        let receipts = match done.result {
            Ok(receipts) => receipts,
            Err(failure) => return self.fail(&failure),
        };
        self.durable_batch = done.number;
        self.breaches_settled(done.number);
        for (place, receipt) in places.iter().zip(receipts) {
            let waiting = self.keys.remove(place).map(|in_flight| in_flight.waiting).unwrap_or_default();
            for reply in waiting {
                answer(reply, Outcome::Accepted { receipt: receipt.clone(), replayed: true });
            }
        }
        let ready: Vec<_> = self.deferred.extract_if(.., |deferred| deferred.batch <= done.number).collect();
        ready.into_iter().for_each(|deferred| answer(deferred.reply, deferred.outcome));
        self.report_forecasts(done.number);
        self.hold_early(done.number);
    }

    /// The log cannot be written: whatever is not durable is refused, and nothing is taken any more.
    fn fail(&mut self, failure: &Failure) {
        self.failed = true;
        self.shared.pulse.no_batches();
        self.breaches_lost();
        let reason = failure.to_string();
        self.shared.ports.observer.log_failed(&reason);
        let open = std::mem::take(&mut self.open).into_iter().filter_map(|pending| pending.reply);
        let waiting = std::mem::take(&mut self.keys).into_values().flat_map(|in_flight| in_flight.waiting);
        let deferred = std::mem::take(&mut self.deferred).into_iter().map(|deferred| deferred.reply);
        let forecasts = std::mem::take(&mut self.forecasts).into_iter().map(|forecast| forecast.reply);
        let early = std::mem::take(&mut self.early).into_iter().map(held::Early::reply);
        for reply in open.chain(waiting).chain(deferred).chain(forecasts).chain(early) {
            answer(reply, not_durable(&reason));
        }
        self.shared.set_mode(failure.mode());
    }

    /// The journal was opened again: goes on from what it holds, as after a start. Records that it adopts were never
    /// announced, because the batch that wrote them failed; they are announced here.
    fn go_on(&mut self, Mended { recovered, adopted }: Mended) {
        let last_index = recovered.last_index;
        self.next_index = last_index + 1;
        self.chain = recovered.next_link;
        // Stamped time never goes back, also not behind what was stamped and lost.
        self.stamped = self.stamped.max(recovered.last_timestamp);
        self.durable_batch = self.open_number - 1;
        let (heads, views) = durable(recovered.heads, self.shared.options.memory);
        self.heads = heads;
        *self.shared.views_mut() = views;
        self.shared.note_durable(last_index);
        self.shared.note_judged(last_index, self.stamped);
        self.failed = false;
        let observer = &self.shared.ports.observer;
        observer.log_mended(last_index);
        adopted.iter().for_each(|record| observer.accepted(record, Duration::ZERO));
        if !adopted.is_empty() {
            observer.committed(adopted.len(), Duration::ZERO, last_index);
        }
        self.shared.accept_again();
    }
}

/// Whether something must be done for a project without a caller: its elected set is watched, or its tools are probed
/// before its council is ready. It stays in memory as long as there is room.
pub(super) fn is_watched(head: &Head, facts: &FactSet) -> bool {
    let state = head.state();
    let is_probed = state.council.phase == CouncilState::ToolingSync && !state.council.tool_pins.is_empty();
    let has_pulses = || facts.has(FactKind::Liveness);
    is_probed || (state.phase() == TopPhase::Execution && has_pulses())
}

/// The stamp after one. In the last millisecond of the year 9999 there is none later.
fn following(stamp: Stamp) -> Stamp {
    Stamp { at: stamp.at.successor().unwrap_or(stamp.at), ..stamp }
}

/// Heads and views of what is durable.
pub(super) fn durable(
    found: BTreeMap<ProjectName, RecoveredHead>,
    memory: Memory,
) -> (Heads, BTreeMap<ProjectName, Arc<View>>) {
    let mut heads = Heads::new(memory);
    let mut views = BTreeMap::new();
    for (project, found) in found {
        let head = Arc::new(found.head);
        views.insert(project.clone(), Arc::new(View { head: head.clone(), index: found.index }));
        heads.put(project, head, found.index, 0);
    }
    (heads, views)
}

/// The answer to callers whose proposals could not be made durable.
pub(super) fn not_durable(reason: &str) -> Outcome {
    let reason =
        format!("it could not be made durable: {reason}. Send the same proposal again to learn whether it was applied");
    let rejection = Rejection::new(Code::NotDurable, reason);
    let project = swoosh_types::proposal::default_project();
    Outcome::Refused(Box::new(Refusal { rejection, project, head: None, hlc_last: None, retry_after_ms: Some(500) }))
}

/// A caller that is gone needs no answer.
pub(super) fn answer(reply: Reply, outcome: Outcome) {
    drop(reply.send(outcome));
}
