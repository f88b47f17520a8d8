//! A cluster's log: its members, positions, votes and rows.
//!
//! Disk and wire encode these types. The types of the consensus engine reach neither, so that the engine can be replaced.

mod members;
mod rows;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use members::{Configuration, DirectoryId, DirectoryIdError, Member, PlacedConfiguration};
pub use rows::{Barrier, Batch, Body, Object, Row};

/// The number of a member. It is never given to another member, not even after a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub u64);

impl From<u64> for MemberId {
    fn from(number: u64) -> MemberId {
        MemberId(number)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a row in the cluster's log. Terms never fall along the log, so the order is that of the log. An index of this log is
/// not the index of a record: rows of elections and members have no record, and a batch has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    pub term: u64,
    pub index: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

/// A vote of one member. A member gives one vote in a term, so two ballots of one term for different members contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    pub term: u64,
    /// The candidate.
    pub member: MemberId,
    /// A majority voted for it: it leads this term.
    pub elected: bool,
}

impl Ballot {
    /// Whether a member that holds `self` may hold `next` after it: one of a later term, the same again, or that of the winner of the
    /// term, even after a vote for another candidate. An election is never undone.
    pub fn allows(&self, next: &Ballot) -> bool {
        next.term > self.term || next == self || (next.term == self.term && next.elected && !self.elected)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.elected { "elected" } else { "candidate" };
        write!(f, "term {} member {} {state}", self.term, self.member)
    }
}

/// The ends of a member's log, and its vote, as its directory has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// Rows up to this one were purged. A log that begins with state has its position here.
    pub purged: Option<Position>,
    /// The last row, or `purged` where no row is left.
    pub last: Option<Position>,
    pub ballot: Option<Ballot>,
    /// A lower bound of the committed rows. It may be lost in a crash.
    pub committed: Option<Position>,
}

/// The state that a member has reached by applying rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub at: Option<Position>,
    /// The newest configuration up to `at`.
    pub members: PlacedConfiguration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(term: u64, member: u64, elected: bool) -> Ballot {
        Ballot { term, member: MemberId(member), elected }
    }

    #[test]
    fn a_member_votes_once_in_a_term() {
        let held = ballot(3, 1, false);
        assert!(held.allows(&held) && held.allows(&ballot(3, 1, true)) && held.allows(&ballot(4, 2, false)));
        assert!(held.allows(&ballot(3, 2, true)), "the loser of an election follows the winner");
        assert!(!held.allows(&ballot(3, 2, false)), "another candidate of the same term");
        assert!(!held.allows(&ballot(2, 1, true)), "an earlier term");
        let won = ballot(3, 1, true);
        assert!(
            won.allows(&won) && !won.allows(&held) && !won.allows(&ballot(3, 2, true)),
            "an election is not undone"
        );
    }

    #[test]
    fn positions_order_by_term_and_then_by_index() {
        let at = |term, index| Position { term, index };
        assert!(at(1, 9) < at(2, 3) && at(2, 3) < at(2, 4));
        assert_eq!(at(2, 4).to_string(), "2.4");
    }
}
