//! Messages between members. The wire encodes these.

use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AppendedForm", into = "AppendedForm")]
pub enum Appended {
    /// The follower's log equals the leader's up to here, and is durable.
    Upto(Option<Position>),
    /// The follower has no row at this position, or another one. Ends a stream.
    Conflict(Position),
    /// The follower has a later vote. Ends a stream.
    Later(Ballot),
}

/// [`Appended`] on the wire, where an absent position is left out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum AppendedForm {
    Upto {
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Position>,
    },
    Conflict {
        at: Position,
    },
    Later {
        ballot: Ballot,
    },
}

impl From<AppendedForm> for Appended {
    fn from(form: AppendedForm) -> Appended {
        match form {
            AppendedForm::Upto { at } => Appended::Upto(at),
            AppendedForm::Conflict { at } => Appended::Conflict(at),
            AppendedForm::Later { ballot } => Appended::Later(ballot),
        }
    }
}

impl From<Appended> for AppendedForm {
    fn from(appended: Appended) -> AppendedForm {
        match appended {
            Appended::Upto(at) => AppendedForm::Upto { at },
            Appended::Conflict(at) => AppendedForm::Conflict { at },
            Appended::Later(ballot) => AppendedForm::Later { ballot },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteRequest {
    pub ballot: Ballot,
    /// The end of the candidate's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
    /// The leader asked for this election: the voter ignores the leader's lease.
    pub is_transfer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteReply {
    /// The voter's vote after the request.
    pub ballot: Ballot,
    pub granted: bool,
    /// The end of the voter's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
}

/// The leader asks `to` to campaign at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    pub from: Ballot,
    pub to: MemberId,
    /// The leader's last row; `to` must have it on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
}

/// Why a member does not take over the leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TransferRefusal {
    #[error("the vote changed to {actual}")]
    VoteChanged { expected: Ballot, actual: Ballot },
    #[error("the log is not on disk up to the leader's last row")]
    Behind {
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<Position>,
        #[serde(skip_serializing_if = "Option::is_none")]
        actual: Option<Position>,
    },
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
