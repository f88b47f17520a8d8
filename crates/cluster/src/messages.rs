//! Messages between members. The wire encodes these.

use swoosh_types::cluster::{Ballot, MemberId, Position, Row};

/// A leader's rows for a follower; without rows it is a heartbeat, or the news of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    pub ballot: Ballot,
    /// The row before the first one of `rows`.
    pub previous: Option<Position>,
    pub rows: Vec<Row>,
    /// Rows up to this one are committed.
    pub committed: Option<Position>,
}

impl Append {
    /// The last position that this message covers.
    pub fn last(&self) -> Option<Position> {
        self.rows.last().map_or(self.previous, |row| Some(row.at))
    }
}

/// A follower's answer to [`Append`]. It is given once the rows are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The follower's log equals the leader's up to here, and is durable.
    Upto(Option<Position>),
    /// The follower has no row at this position, or another one. Ends a stream.
    Conflict(Position),
    /// The follower has a later vote. Ends a stream.
    Later(Ballot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    pub ballot: Ballot,
    /// The end of the candidate's log.
    pub last: Option<Position>,
    /// The leader asked for this election: the voter ignores the leader's lease.
    pub is_transfer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteReply {
    /// The voter's vote after the request.
    pub ballot: Ballot,
    pub granted: bool,
    /// The end of the voter's log.
    pub last: Option<Position>,
}

/// The leader asks `to` to campaign at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferRequest {
    pub from: Ballot,
    pub to: MemberId,
    /// The leader's last row; `to` must have it on disk.
    pub last: Option<Position>,
}

/// Why a member does not take over the leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    #[error("the vote changed to {actual}")]
    VoteChanged { expected: Ballot, actual: Ballot },
    #[error("the log is not on disk up to the leader's last row")]
    Behind { expected: Option<Position>, actual: Option<Position> },
}

/// A question with one answer. Appends of a stream have a connection of their own ([`crate::ports::Peers::stream`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Append(Append),
    Vote(VoteRequest),
    /// A vote that changes nothing at the voter. It shows whether an election would be won.
    PreVote(VoteRequest),
    Transfer(TransferRequest),
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Append(Appended),
    Vote(VoteReply),
    PreVote(VoteReply),
    Transfer(Result<(), TransferRefusal>),
}
