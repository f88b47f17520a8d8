//! The node: the sequencer and the journal that the daemon runs, over the simulated clock and disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::disk::{Disk, Mounted};
use super::faults::{Fault, Tally};
use super::outside::{Outside, schedule};
use super::planted::{Bug, CarelessLog};
use swoosh_decisions as decisions;
use swoosh_facts::{Bundles, FactTable, Trust};
use swoosh_journal::{
    Durability, Journal, JournalOptions, OpenError, RecoverError, Recovered, SnapshotWarning, StoreLimits,
};
use swoosh_platform::clock::{Clock, Reading, Safety, TimeSource};
use swoosh_sequencer::{self as sequencer, Describe, Memory, Observer, Options, Ports, Single};
use swoosh_types::decision::Wording;
use swoosh_types::fact::{Fact, FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::names::{EffectName, Transition, WindowClass};
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::Rejection;
use swoosh_types::text::{ClusterId, ProjectName};

/// Both clocks of the node's machine.
#[derive(Debug, Default)]
pub struct Clocks {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicU64,
    skew_ms: AtomicI64,
    /// After how many readings of the wall clock it steps, and by how much.
    step: Mutex<Option<(u64, i64)>>,
}

impl Clocks {
    /// Clocks that show a time.
    pub fn at(wall_ms: u64) -> Clocks {
        Clocks { wall_ms: AtomicU64::new(wall_ms), ..Clocks::default() }
    }

    pub fn pass(&self, milliseconds: u64) {
        self.monotonic_ms.fetch_add(milliseconds, Ordering::Relaxed);
        self.wall_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// The true time, without clock faults.
    pub fn true_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    /// The wall clock is off by so much from here on.
    pub fn set_skew(&self, milliseconds: i64) {
        self.skew_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// The wall clock is right, and steps no more.
    pub fn steady(&self) {
        self.step_no_more();
        self.set_skew(0);
    }

    /// The wall clock goes on as it does now.
    pub fn step_no_more(&self) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the wall clock is to step.
    pub fn step_is_ahead(&self) -> bool {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// How far the wall clock is off.
    pub fn skew(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// The wall clock steps after so many readings.
    pub fn step_after(&self, readings: u64, milliseconds: i64) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some((readings, milliseconds));
    }

    /// Reads the wall clock.
    fn read(&self) -> u64 {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        match *step {
            Some((0, by)) => {
                self.set_skew(by);
                *step = None;
            }
            Some((readings, by)) => *step = Some((readings - 1, by)),
            None => {}
        }
        self.true_ms().saturating_add_signed(self.skew())
    }
}

/// Cache of compiled bundles for all worlds: the same few, after every start.
static BUNDLES: LazyLock<Arc<Bundles>> = LazyLock::new(|| Arc::new(Bundles::remembering(256)));

struct Source(Arc<Clocks>);

impl TimeSource for Source {
    fn read(&self) -> Reading {
        Reading { wall_ms: self.0.read(), monotonic_ms: self.0.monotonic_ms.load(Ordering::Relaxed) }
    }
}

struct ClockPort(Arc<Clock>);

impl sequencer::Clock for ClockPort {
    fn now_ms(&self) -> Result<u64, String> {
        let now = self.0.now();
        match now.safety {
            Safety::Safe => Ok(now.wall_ms),
            Safety::Unsafe { drift_ms } => Err(format!("the wall clock jumped by {drift_ms} ms")),
        }
    }
}

struct DecisionPort;

impl Describe for DecisionPort {
    fn describe(&self, record: &Record, inputs: &Json) -> Wording {
        decisions::wording(record, inputs)
    }
}

/// Events that the node reported to its observer.
#[derive(Debug, Default)]
pub struct Observed {
    /// Records that were answered for.
    pub accepted: Vec<Record>,
    /// Everything else, counted.
    pub tally: Tally,
    /// Proposals of the node's own that it could not build.
    pub own_failed: Vec<String>,
    /// Why the log could not be written.
    pub log_failed: Vec<String>,
    /// Effects whose held outcomes were dropped.
    pub dropped: Vec<EffectId>,
}

#[derive(Default)]
struct Watch(Mutex<Observed>);

impl Watch {
    fn note(&self, note: impl FnOnce(&mut Observed)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Watch {
    fn accepted(&self, record: &Record, _took: Duration) {
        self.note(|seen| seen.accepted.push(record.clone()));
    }
    fn refused(&self, _proposal: &Proposal, rejection: &Rejection) {
        self.note(|seen| seen.tally.refused(rejection.code));
    }
    fn repeated(&self, _transition: Transition) {
        self.note(|seen| seen.tally.count("repeats"));
    }
    fn committed(&self, records: usize, _took: Duration, _last_index: u64) {
        let what = if records > 1 { "batches of several" } else { "batches of one" };
        self.note(|seen| seen.tally.count(what));
    }
    fn own_failed(&self, project: &ProjectName, transition: Transition, reason: &str) {
        self.note(|seen| seen.own_failed.push(format!("{transition} of {project}: {reason}")));
    }
    fn held_dropped(&self, id: &EffectId, _brought_by: &PublicKey, _reason: &str) {
        self.note(|seen| {
            seen.tally.count("held outcomes dropped");
            seen.dropped.push(id.clone());
        });
    }
    fn project_damaged(&self, _project: &ProjectName, _reason: &str) {
        self.note(|seen| seen.tally.count("projects found damaged"));
    }
    fn snapshot_passed_over(&self, _warning: &SnapshotWarning) {
        self.note(|seen| seen.tally.count("snapshots passed over"));
    }
    fn evicted(&self, heads: usize) {
        self.note(|seen| (0..heads).for_each(|_| seen.tally.count("heads evicted")));
    }
    fn log_failed(&self, reason: &str) {
        self.note(|seen| {
            seen.tally.count("logs failed");
            seen.log_failed.push(reason.to_owned());
        });
    }
    fn log_mended(&self, _last_index: u64) {
        self.note(|seen| seen.tally.count("logs mended"));
    }
}

/// The environment of a node.
pub struct Site {
    pub cluster: ClusterId,
    pub key: SecretKey,
    pub disk: Arc<Disk>,
    pub clocks: Arc<Clocks>,
    pub bug: Option<Bug>,
    /// Heads that it keeps in memory.
    pub heads: usize,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not recover.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// A node that runs.
pub struct Node {
    pub single: Single<CarelessLog>,
    pub table: Arc<FactTable>,
    pub clock: Arc<Clock>,
    watch: Arc<Watch>,
}

impl Site {
    /// How the journal is opened.
    pub fn journal(&self) -> JournalOptions {
        JournalOptions {
            path: PathBuf::from("/simulated/journal"),
            node: self.key.public(),
            cluster: self.cluster.clone(),
            snapshot_every: 12,
            durability: Durability::Sync,
            store: StoreLimits::default(),
            medium: Some(Arc::new(Mounted(self.disk.clone()))),
        }
    }

    /// Starts a node; with `every_head`, as tools do, all heads are recovered at once. Also gives what it found.
    pub fn start(&self, outside: &Outside, every_head: bool) -> Result<(Node, Found), StartError> {
        let journal = Journal::open(self.journal())?;
        let mut recovered = if every_head { journal.recover()? } else { journal.recover_tail()? };
        let found = Found::of(&recovered);
        if self.bug == Some(Bug::ForgetsTime) {
            recovered.last_timestamp = Hlc::default();
        }
        let clock = Arc::new(Clock::new(Box::new(Source(self.clocks.clone())), 5_000));
        let trust =
            Trust { cluster: self.cluster.clone(), node: self.key.public(), sources: [].into(), max_ahead_ms: 5_000 };
        let table = Arc::new(FactTable::sharing(trust, clock.clone(), BUNDLES.clone()));
        let watch = Arc::new(Watch::default());
        let ports = Ports {
            clock: Arc::new(ClockPort(clock.clone())),
            facts: table.clone(),
            describe: Arc::new(DecisionPort),
            observer: watch.clone(),
        };
        let log = CarelessLog::new(journal.clone(), self.bug);
        let single = Single::new(self.options(), ports, journal, recovered, log);
        let node = Node { single, table, clock, watch };
        FactKind::ALL.iter().for_each(|kind| self.tell(&node, outside, *kind));
        Ok((node, found))
    }

    /// Sends a fact of a kind to a node, which ignores it if it does not believe it.
    pub fn tell(&self, node: &Node, outside: &Outside, kind: FactKind) {
        let Some(fact) = outside.fact(kind) else { return };
        drop(node.table.insert(self.distorted(fact, kind)));
    }

    /// A fact as distorted by a planted bug.
    fn distorted(&self, fact: Fact, kind: FactKind) -> Fact {
        let body = match (self.bug, kind) {
            (Some(Bug::OpensWindows), FactKind::Windows) => schedule(|_: WindowClass| (0, super::outside::CYCLE_BEATS)),
            (Some(Bug::BelievesInLicenses), FactKind::License) => json!({"id": "license-1", "scopes": ["swoosh"]}),
            (Some(Bug::PermitsEverything), FactKind::Policy) => {
                json!({"serial": 1, "policies": "@id(\"all\") permit (principal, action, resource);"})
            }
            _ => return fact,
        };
        let observed_ms = fact.claim.observed_at.physical_ms();
        let for_ever = super::well_formed::reading(observed_ms + super::outside::LASTS_MS * 700);
        let body = super::well_formed::strict(&body);
        FactClaim { body, valid_until: for_ever, ..fact.claim }.sign(&self.cluster, &self.key)
    }

    fn options(&self) -> Options {
        Options {
            cluster: self.cluster.clone(),
            node_key: self.key.clone(),
            queue: 64,
            project_queue: 8,
            batch_max: 16,
            memory: Memory { projects: self.heads, bytes: 64 << 20, idle_rounds: 4 },
            sweep_every: 200,
            durability: Durability::Sync,
            patience: Default::default(),
            // The node runs the builder's effect; workers bring all others.
            external: EffectName::ALL.iter().copied().filter(|effect| *effect != EffectName::Provision).collect(),
        }
    }
}

impl Node {
    /// The events since the last call.
    pub fn take_observed(&self) -> Observed {
        std::mem::take(&mut *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether its clock is not believed.
    pub fn doubts_its_clock(&self) -> bool {
        !self.clock.now().is_safe()
    }
}

#[derive(Debug)]
pub struct Found {
    /// Index and chain value of the last record.
    pub last: (u64, Hash),
    /// Heads, where all were recovered.
    pub heads: Vec<(ProjectName, Hash, u64)>,
}

impl Found {
    fn of(recovered: &Recovered) -> Found {
        let heads = recovered.heads.iter().map(|(name, head)| (name.clone(), head.head.hash(), head.index));
        Found { last: (recovered.last_index, recovered.last_chain), heads: heads.collect() }
    }
}

/// The fault that a trap of the disk is.
pub fn fault_of(trap: super::disk::Trap) -> Fault {
    use super::disk::Trap;
    match trap {
        Trap::PowerLoss => Fault::PowerLoss,
        Trap::Kill => Fault::Kill,
        Trap::FailWrite => Fault::WriteFails,
        Trap::FailSync => Fault::SyncFails,
        Trap::FailRead => Fault::ReadFails,
        Trap::Full => Fault::DiskFull,
    }
}
