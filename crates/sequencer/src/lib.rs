//! The pipeline: order, judge, reduce, commit (docs/design.md#group-commit).
//!
//! ```text
//!  Handle ── inbox ──▶ sequencer thread ── batch ──▶ committer thread ──▶ answer
//!             ▲        judges on its own              seals, appends,
//!             │        speculative heads              publishes durable heads
//!             └───────────────── done ───────────────────────┘
//! ```
//! One thread owns all heads. It judges waiting requests into a batch while the previous one is made durable; no
//! timer delays a lone caller. An answer leaves only when the state that it depends on is durable: a rejection that
//! was judged on a speculative head waits for that head too.
//!
//! **Architecture invariant.** Nothing here knows HTTP, metrics or files. The clock, the facts, the log and the
//! observer come in through [`Ports`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod alive;
mod clock;
mod commit;
mod damage;
mod derive;
mod desk;
mod fair;
mod follow;
mod handle;
mod heads;
mod inbox;
mod key_tables;
mod mend;
mod own;
mod pipeline;
mod pulse;
pub mod queries;
mod queued;
mod reads;
mod rejections;
mod retry;
mod single;
mod thread;
mod trace;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use damage::{Damage, DamagedProject};
pub use derive::{Change, Derived, Moved, derive, due_snapshots};
pub use handle::{DryRun, Handle, Status, View};
pub use heads::Memory;
pub use own::OwnOutcome;
pub use pulse::Patience;
pub use queued::Queued;
pub use rejections::RejectionEntry;
use serde::Serialize;
pub use single::Single;
pub use trace::{Step, Trace, Traced};

use swoosh_facts::FactTable;
use swoosh_journal::{Durability, SnapshotWarning};
use swoosh_machine::chart::Inputs;
use swoosh_types::decision::Wording;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::Rejection;
use swoosh_types::text::{ClusterId, ProjectName};

/// A proposal with typed inputs whose signature was checked.
pub type Verified = swoosh_types::verify::VerifiedProposal<Inputs>;

/// How the sequencer works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster, part of every signed message.
    pub cluster: ClusterId,
    /// The node's key: signs its own proposals and the batches.
    pub node_key: SecretKey,
    /// Proposals that may wait; one more is answered 503.
    pub queue: usize,
    /// How many of them may be of one project; one more is answered 429.
    pub project_queue: usize,
    /// Records in one batch.
    pub batch_max: usize,
    /// How much of the heads is kept in memory.
    pub memory: Memory,
    /// Records behind the last one at which a project without a fresh snapshot gets one, so that a start
    /// has little to replay.
    pub sweep_every: u64,
    /// When answers are given.
    pub durability: Durability,
    /// From which age of the work at hand on the node reports a stall.
    pub patience: Patience,
    /// Effects whose outcomes callers bring: one that comes while its project is blocked is kept.
    pub external: BTreeSet<EffectName>,
}

/// The wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub trait Clock: Send + Sync {
    /// The wall clock; the reason while it cannot be trusted.
    fn now_ms(&self) -> Result<u64, String>;

    /// The time for reads: the wall clock, or, while it cannot be trusted, the last trusted time plus the monotonic
    /// time since.
    fn counted_ms(&self) -> u64 {
        self.now_ms().unwrap_or_default()
    }

    /// The wall clock, trusted or not.
    fn shown_ms(&self) -> u64 {
        self.now_ms().unwrap_or_default()
    }
}

/// Writes the decision record of an accepted transition.
pub trait Describe: Send + Sync {
    /// The part of the decision that is not in its record.
    fn describe(&self, record: &Record, inputs: &Json) -> Wording;
}

/// An observer: metrics, logs, spans. Called outside of the callers' path; must not block.
pub trait Observer: Send + Sync {
    /// A transition is durable. `took` is from its arrival.
    fn accepted(&self, record: &Record, took: Duration);
    /// Whether [`Observer::traced`] shall be called; asked once.
    fn traces(&self) -> bool {
        false
    }
    /// A transition is durable, and this was its way.
    fn traced(&self, _traced: Traced) {}
    /// A proposal was refused. Its signature is the signer's.
    fn refused(&self, proposal: &Proposal, rejection: &Rejection);
    /// An outcome of an effect of a blocked project was kept.
    fn held(&self, _project: &ProjectName) {}
    /// An outcome that was kept is dropped, because who brought it may no longer do so. The effect stays open.
    fn held_dropped(&self, _id: &EffectId, _brought_by: &PublicKey, _reason: &str) {}
    /// A known key came again.
    fn repeated(&self, transition: Transition);
    fn committed(&self, records: usize, took: Duration, last_index: u64);
    /// The writes of a batch were written and synced.
    fn synced(&self, _took: Duration) {}
    /// A proposal of the node's own could not be built.
    fn own_failed(&self, project: &ProjectName, transition: Transition, reason: &str);
    /// A policy breach could not be recorded: the project's proposals are refused until it is.
    fn quarantine_failed(&self, _project: &ProjectName, _reason: &str) {}
    /// So many projects have a breach that could not be recorded.
    fn breaches_unrecorded(&self, _count: usize) {}
    /// A project goes over to a newer statechart.
    fn upgraded(&self, _project: &ProjectName, _from_version: u64, _to_version: u64) {}
    /// A project's records do not lead where they say, or cannot be read: it is refused, the others go on.
    fn project_damaged(&self, _project: &ProjectName, _reason: &str) {}
    /// A table holds damage that is of no known project.
    fn table_damaged(&self, _table: &str, _reason: &str) {}
    /// A snapshot was passed over for an older one.
    fn snapshot_passed_over(&self, _warning: &SnapshotWarning) {}
    /// Heads left memory.
    fn evicted(&self, _heads: usize) {}
    /// The log could not be written; nothing is accepted any more.
    fn log_failed(&self, reason: &str);
    /// The log was reopened for writing; it ends at this record.
    fn log_mended(&self, _last_index: u64) {}
    /// The sequencer or the committer panicked. The process is aborted as soon as this returns.
    fn thread_panicked(&self, _thread: &'static str) {}
}

/// The sequencer's ports to the outside.
#[derive(Clone)]
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    pub facts: Arc<FactTable>,
    pub describe: Arc<dyn Describe>,
    pub observer: Arc<dyn Observer>,
}

/// Answer to a caller.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Accepted and durable.
    Accepted {
        /// The receipt, as canonical JSON.
        receipt: Arc<[u8]>,
        /// Whether the key was known already.
        replayed: bool,
    },
    Refused(Box<Refusal>),
}

/// A rejection, and what a caller needs to try again.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub rejection: Rejection,
    pub project: ProjectName,
    pub head: Option<Hash>,
    /// The last clock reading it accepted.
    pub hlc_last: Option<Hlc>,
    /// How long to wait, scaled by the tidal pressure.
    pub retry_after_ms: Option<u64>,
}

/// Why the sequencer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gives no thread.
    #[error("cannot start the {0} thread: {1}")]
    Thread(&'static str, std::io::Error),
}

/// Whether the sequencer takes proposals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "mode", content = "reason")]
pub enum Mode {
    /// It does.
    #[default]
    Accepting,
    /// It finishes what waits and takes nothing new.
    Draining,
    /// The log failed for want of room, and it goes on by itself once there is some; the reason says how.
    Refusing(String),
    /// The log failed, and only a restart helps; the reason says how.
    ReadOnly(String),
    /// It holds the log of another node and takes nothing itself; the words say whose, and how far it is.
    Following(String),
}
