//! The journal: the hash-chained WAL and everything that is written with it, in RocksDB.
//!
//! ```text
//! committer ── Batch { entries, writes } ──► append ──► one WriteBatch, synced ──► watermark, synced
//! start     ── recover ──► newest good snapshots + replay ──► heads
//! readers   ── record, object, decision, bound_key, receipt, head_at
//! tools     ── open_read_only ──► verify, replay
//! ```
//!
//! **Architecture invariant.** The only module that knows RocksDB. It knows nothing of guards, of callers
//! and of the order in which proposals are judged; it neither signs nor reads a clock. It never skips a
//! record that it cannot read or that does not lead where it says, and never repairs one. It never opens
//! with less than the watermark promises. Readers see no record that is not on disk and promised: with
//! `durability: interval` a record is in the log before it is either.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod accept;
mod barriers;
mod base;
mod batch;
mod blocked;
mod chart;
mod checkpoint;
mod checks;
mod cut;
#[cfg(test)]
mod damage;
mod decision;
mod effects;
mod error;
mod exporters;
mod fold;
mod frame;
#[cfg(test)]
mod growth_tests;
mod hands;
mod held;
mod history;
#[cfg(test)]
mod incarnation_tests;
mod incarnations;
#[cfg(test)]
mod key_tests;
mod layout;
mod member;
mod objects;
mod open;
mod options;
mod parallel;
mod policies;
mod promise;
mod prune;
mod prune_wal;
mod read;
#[cfg(test)]
mod receipt_tests;
mod receipts;
mod recover;
pub mod replay;
mod room;
mod sealers;
mod sides;
mod snapshot;
mod statistics;
mod stop;
mod store;
mod sweep;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod thin;
mod unsnapshotted;
pub mod verify;
mod watermark;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use accept::{AcceptError, Acceptance, Loss};
pub use barriers::{Barrier, VersionChange};
pub use base::PrunePoint;
pub use batch::{Batch, Log, LogEntry, SWEEP_AT_ONCE, Write};
pub use chart::{ChartError, Written};
pub use checkpoint::CheckpointError;
pub use checks::CheckError;
pub use effects::{EffectRowError, OpenRow};
pub use error::{AppendError, FoldError, OpenError, ReadError, RecoverError, StorageError};
pub use exporters::{ExportError, ExportPosition};
pub use frame::StoredRecord;
pub use held::HeldOutcome;
pub use incarnations::{IncarnationError, NextIncarnation, Origin};
pub use layout::{FORMAT, MEMBER_FORMAT, OLDEST_FORMAT};
pub use member::{FoundError, Founding, LogDone, LogThread, MemberIdentity, MemberLog};
pub use objects::{CollectReport, ObjectsPin};
pub use parallel::stay_in_this_thread;
pub use policies::JudgedBy;
pub use prune::{PruneError, PruneReport};
pub use prune_wal::{Retention, WalPruneReport};
pub use receipts::{BoundKey, ReceiptSum};
pub use recover::{Recovered, RecoveredHead, SnapshotWarning};
pub use room::{RoomError, find_room};
pub use sides::{Sides, SidesLost};
pub use snapshot::{LiveKey, Snapshot, SnapshotDocument};
pub use statistics::FamilyBytes;
pub use stop::Stop;
pub use store::{Backend, Change, Medium, Place, Step, StoredRow};
pub use sweep::{SweepError, SweepReport};
pub use swoosh_types::proposal::fingerprint;
pub use thin::GENERATIONS;
pub use unsnapshotted::SweepCandidate;
pub use watermark::{Mark, Nonce, Pledge, WatermarkError};

use layout::Family;
use member::Member;
use promise::Keeper;
use store::{Column, Store};
use unsnapshotted::Unsnapshotted;

use swoosh_types::hash::Hash;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

/// How often [`Journal::close`] looks.
const CLOSE_INTERVAL: Duration = Duration::from_millis(5);

/// When a batch is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before [`Journal::append`] returns.
    Sync,
    /// When [`Journal::sync`] returns, which the appender calls this often, before it acknowledges.
    Interval(Duration),
}

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The data directory; created where it is missing.
    pub path: PathBuf,
    /// The node, which the directory must belong to.
    pub node: PublicKey,
    /// The cluster, which the directory must belong to.
    pub cluster: ClusterId,
    /// Records of one project between its snapshots, at least 1.
    pub snapshot_every: u64,
    /// When a batch is on disk.
    pub durability: Durability,
    pub store: StoreLimits,
    /// A disk in the place of the directory, which the path then only names: the simulation's.
    pub medium: Option<Arc<dyn Medium>>,
}

/// Resource limits of RocksDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Its block cache, in bytes.
    pub cache_bytes: usize,
    /// Its write buffers together, in bytes.
    pub write_buffer_bytes: usize,
    /// Tables that it holds open.
    pub open_files: i32,
    /// Whether it compacts tables by itself. A compaction that reads a damaged block ends all writes.
    pub compacts: bool,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits { cache_bytes: 64 << 20, write_buffer_bytes: 128 << 20, open_files: 1_024, compacts: true }
    }
}

/// A data directory, open. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    db: Store,
    place: Place,
    identity: JournalIdentity,
    mode: Mode,
    /// The options of opening; `None` for a read-only journal.
    options: Option<JournalOptions>,
    /// How the incarnations after the first one began.
    incarnations: Vec<Incarnation>,
    /// Name of the node that it follows.
    follows: Option<String>,
    /// The member of a cluster; `None` for a node that runs alone.
    member: Option<Member>,
    /// The keys of members that may seal besides this node's.
    roster: Mutex<sealers::Roster>,
    /// The watermark's keeper. Lock order: `tail` is never taken while this is held.
    keeper: Keeper,
    /// The last side write. Held while one is written; taken before the watermark.
    sides: Mutex<Sides>,
    /// Beat below which keys of every project may be gone, as programs before per-project floors left it.
    prune_floor: u64,
    /// Held while keys are pruned, or their receipts stored in another form.
    ageing: Mutex<()>,
    /// Readers see records up to this index: on disk and covered by the watermark. Without a writer, all of them.
    shown: AtomicU64,
    /// Where the log begins, where it was pruned.
    point: Mutex<Option<PrunePoint>>,
    /// The same, for who only asks whether a record is there.
    first_index: AtomicU64,
    /// Held while objects are relied upon or collected; the number of collections.
    objects: Mutex<u64>,
    /// Projects that are held up, see `blocked.rs`.
    blocked: Mutex<blocked::Blocked>,
    /// Held while a batch is appended: there is one writer, whatever callers do. Taken before `tail`.
    appending: Mutex<()>,
    /// Held for moments only, never while the disk is waited for.
    tail: Mutex<Tail>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalIdentity {
    pub node: PublicKey,
    pub cluster: ClusterId,
    /// The incarnation, from 1; a restore begins the next one.
    pub incarnation: u64,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    ReadOnly,
    ReadWrite { durability: Durability },
}

/// Where the WAL ends.
#[derive(Debug)]
struct Tail {
    stage: Stage,
    last_index: u64,
    last_chain: Hash,
    unsnapshotted: Unsnapshotted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not checked yet.
    Opened,
    /// Checked; batches may follow.
    Recovered,
    /// A write or a sync failed, and what is on disk is not known.
    Stopped {
        /// Whether for want of room alone.
        full: bool,
        /// Whether because a compaction read a damaged block.
        corrupt: bool,
    },
}

impl Journal {
    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.0.place.path
    }

    pub fn identity(&self) -> &JournalIdentity {
        &self.0.identity
    }

    /// The same data directory, reopened read-only.
    pub fn view(&self) -> Result<Journal, OpenError> {
        Journal::look_at(&self.0.place)
    }

    /// Whether there is room for what opening the journal again writes.
    pub fn find_room(&self) -> Result<(), RoomError> {
        room::find(&self.0.place)
    }

    /// The options of opening; `None` for a read-only journal.
    pub fn options(&self) -> Option<&JournalOptions> {
        self.0.options.as_ref()
    }

    /// Closes the directory as soon as this is the last handle. Gives the journal back if that takes longer than
    /// `patience`.
    pub fn close(self, patience: Duration) -> Result<(), Journal> {
        let began = Instant::now();
        let mut shared = self.0;
        loop {
            match Arc::try_unwrap(shared) {
                Ok(_closed) => return Ok(()),
                Err(used) if began.elapsed() >= patience => return Err(Journal(used)),
                Err(used) => shared = used,
            }
            std::thread::sleep(CLOSE_INTERVAL);
        }
    }

    /// Index and chain value of the last record appended, of a member of the last one applied; 0 and [`Hash::ZERO`] before the
    /// first one.
    pub fn last(&self) -> (u64, Hash) {
        let tail = self.0.tail();
        (tail.last_index, tail.last_chain)
    }

    /// Whether a write or a sync failed, so that it takes nothing more until it is opened again.
    pub fn is_stopped(&self) -> bool {
        matches!(self.0.tail().stage, Stage::Stopped { .. })
    }
}

impl Inner {
    /// Index of the last record that readers see.
    fn shown(&self) -> u64 {
        self.shown.load(Ordering::Acquire)
    }

    /// Readers see records up to an index from here on.
    fn show(&self, index: u64) {
        self.shown.store(index, Ordering::Release);
    }

    /// The handle of a family.
    #[expect(clippy::expect_used, reason = "open() opens every family, and none is ever dropped")]
    fn family(&self, family: Family) -> Column<'_> {
        self.db.column(family).expect("open() opens every family of the directory")
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        // The tail is changed after everything that can fail, so a panic leaves it whole.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn point(&self) -> MutexGuard<'_, Option<PrunePoint>> {
        self.point.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn appending(&self) -> MutexGuard<'_, ()> {
        self.appending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
