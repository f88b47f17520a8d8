//! The journal's side: the log and the state machine of one member's directory.

use futures::future::BoxFuture;
use swoosh_types::cluster::{Applied, Ballot, LogEnds, Position, Row};

/// A write or read of the log failed. The instance of the engine ends; another one may start from the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Called exactly once, from any thread, when a write is durable or has failed.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The log and the vote in one directory.
///
/// **One queue orders all writes: votes, appends, truncations, purges, and what [`StateMachine::apply`] writes.** The engine applies a
/// committed row before the row is on this member's own disk. Without the common order, a crash could leave decisions without their
/// records.
///
/// The queue may write what waits in it as one group, with one sync of the log and one of the watermark.
pub trait LogStore: Send + Sync + 'static {
    /// The ends with all queued writes. Called at a start and after errors.
    fn ends(&self) -> Result<LogEnds, StoreError>;

    /// Rows of the indexes `from..to`, queued ones included. It ends early after about `bytes` bytes ([`super::super::types::Body::size`]),
    /// but returns the first row at any size. Purged and missing rows are left out.
    fn read(&self, from: u64, to: u64, bytes: usize) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;

    /// Appends rows that follow the last one. They are readable when this returns; `done` is called when they are durable and the
    /// watermark promises them. The answer to the leader waits for `done`.
    fn append(&self, rows: Vec<Row>, done: Done);

    /// `done` is called when the vote is in both slots of the watermark, each synced. It must never go back ([`Ballot::allows`]).
    fn vote(&self, ballot: Ballot, done: Done);

    /// Removes all rows after `last`; all rows for `None`. The watermark is lowered and synced first, then the rows are removed. Rows
    /// up to the applied one are never removed.
    fn truncate(&self, last: Option<Position>, done: Done);

    /// Removes the rows up to `upto`, included. The records that they name stay.
    fn purge(&self, upto: Position, done: Done);

    /// A hint for the next start, written with the next write. Needs no sync.
    fn note_committed(&self, at: Position);
}

/// A committed row on its way to the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub row: Row,
    /// This instance submitted it, and a waiter waits for it.
    pub is_awaited: bool,
}

/// What the committed rows make: decisions, keys, effects, snapshots, facts, heads.
pub trait StateMachine: Send + Sync + 'static {
    /// The last applied row and the configuration at it, queued writes included.
    fn applied(&self) -> Result<Applied, StoreError>;

    /// Applies rows that follow the applied one. The future ends when readers see the new state; the write is queued behind the appends
    /// of the same rows and needs no sync of its own. `applied` is part of the same write.
    fn apply(&self, rows: Vec<Committed>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Takes the applied position of a state from elsewhere. A member never does that under a running instance: it stops the instance,
    /// switches its directory and starts another one. Only the engine's own test suite needs it.
    fn install(&self, state: Applied) -> Result<(), StoreError> {
        let at = state.at.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
        Err(StoreError(format!("a state up to {at} cannot be installed under a running instance")))
    }
}
