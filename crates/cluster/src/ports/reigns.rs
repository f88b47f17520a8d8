//! The sequencer's side: reigns, submissions and how they end.

use swoosh_types::cluster::{MemberId, PlacedConfiguration, Position};

/// One uninterrupted leadership of this member. The engine may keep term and leader after its lease lapsed, so one term can have several
/// reigns; each begins with a barrier of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reign {
    pub term: u64,
    /// Counts the reigns of the term, from 1.
    pub epoch: u64,
}

/// Why a reign ended. Its open submissions may still commit; their waiters are called when the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FallReason {
    /// Another member leads, or an election is under way.
    Deposed,
    /// No majority answered within the lease.
    QuorumLost,
    /// This member is no voter any more.
    Removed,
    /// A planned transfer of leadership began.
    Transferring,
    /// The sequencer asked for it, after a refused or lost submission.
    Abandoned,
    /// The instance ended.
    Stopped,
}

/// Why an instance of the engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// [`crate::engine::Engine::stop`] was called.
    Stopped,
    /// A transfer of leadership was not done within two election timeouts. The engine never takes the leadership back.
    TransferStuck { to: MemberId },
    /// So many voters refuse this member's rows that none can commit. The engine would lead for ever.
    RefusedByMajority { at: Position },
    /// A write or read of the log failed.
    Storage(String),
    /// A task of the engine panicked.
    Panicked,
}

/// Learns of reigns. The calls come in order, from one task. They must not block.
pub trait Reigns: Send + Sync + 'static {
    /// The barrier of this reign is applied: this member knows all that was committed before, and may judge.
    fn began(&self, reign: Reign, barrier: Position);

    /// The reign is over: nothing may be judged or answered as accepted. Follows each `began`.
    fn fell(&self, reign: Reign, why: FallReason);

    /// The leader that this member knows changed.
    fn leader(&self, leader: Option<MemberId>, term: u64);

    /// A configuration was appended to this member's log. It may still be replaced, where it does not commit.
    fn members(&self, members: PlacedConfiguration);

    /// The instance ended. Follows the fall of its last reign; nothing follows.
    fn ended(&self, why: EndReason);
}

/// How a submission ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Committed and applied at this position. It may come in a later reign than the one that submitted it.
    Applied(Position),
    /// Never appended: this member does not lead the term, or its lease lapsed.
    Refused { leader: Option<MemberId> },
    /// Removed from this member's log for another leader's row. It may still commit through a member that has it.
    Discarded,
    /// The engine dropped the waiter, at its end. The row may commit or not.
    Unknown,
}

/// Called exactly once.
pub type Waiter = Box<dyn FnOnce(Settled) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the instance has ended")]
    Ended,
}
