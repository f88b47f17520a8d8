//! The engine's values from ours, and back.

use std::io;

use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use swoosh_types::cluster::{Ballot, Body, Configuration, PlacedConfiguration, Position, Row};

use super::config::{Command, Content, Entry, LogId, Membership, StoredMembership, Term, Vote};
use crate::ports::StoreError;

pub(super) fn log_id(at: Position) -> LogId {
    LogId::new(Term::new(at.term), at.index)
}

pub(super) fn position(id: &LogId) -> Position {
    Position { term: id.committed_leader_id().term, index: id.index() }
}

pub(super) fn vote(ballot: Ballot) -> Vote {
    match ballot.elected {
        true => Vote::new_committed(ballot.term, ballot.member),
        false => Vote::new(ballot.term, ballot.member),
    }
}

pub(super) fn ballot(vote: &Vote) -> Ballot {
    Ballot { term: vote.leader_id.term, member: vote.leader_id.voted_for, elected: vote.committed }
}

pub(super) fn row(entry: Entry) -> Row {
    let at = position(&entry.log_id());
    let body = match entry.payload {
        EntryPayload::Blank => Body::Blank,
        EntryPayload::Normal(command) => command.into_body(),
        EntryPayload::Membership(membership) => Body::Members(configuration(&membership)),
    };
    Row { at, body }
}

pub(super) fn entry(row: Row) -> io::Result<Entry> {
    let payload = match row.body {
        Body::Blank => EntryPayload::Blank,
        Body::Barrier(barrier) => EntryPayload::Normal(Command::of_row(Content::Barrier(barrier))),
        Body::Batch(batch) => EntryPayload::Normal(Command::of_row(Content::Batch(batch))),
        Body::Members(members) => EntryPayload::Membership(membership(members)?),
    };
    Ok(Entry::new(log_id(row.at), payload))
}

pub(super) fn entries(rows: Vec<Row>) -> io::Result<Vec<Entry>> {
    rows.into_iter().map(entry).collect()
}

pub(super) fn configuration(membership: &Membership) -> Configuration {
    let members = membership.nodes().map(|(id, member)| (*id, member.clone())).collect();
    Configuration { voters: membership.get_joint_config().clone(), members }
}

/// Fails where a set of voters is empty, or a voter is no member.
pub(super) fn membership(configuration: Configuration) -> io::Result<Membership> {
    Membership::new(configuration.voters, configuration.members).map_err(io::Error::other)
}

pub(super) fn placed(stored: &StoredMembership) -> PlacedConfiguration {
    PlacedConfiguration {
        at: stored.log_id().as_ref().map(position),
        configuration: configuration(stored.membership()),
    }
}

pub(super) fn stored(members: PlacedConfiguration) -> io::Result<StoredMembership> {
    Ok(StoredMembership::new(members.at.map(log_id), membership(members.configuration)?))
}

pub(super) fn io_error(error: StoreError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use swoosh_types::cluster::{Barrier, Batch, DirectoryId, Member, MemberId};
    use swoosh_types::hash::Hash;
    use swoosh_types::keys::SecretKey;

    use super::*;

    fn members() -> Configuration {
        let member = Member {
            name: "n1".to_owned(),
            key: SecretKey::from_bytes(&[1; 32]).public(),
            directory: DirectoryId([1; 16]),
            address: "10.0.0.1:7501".to_owned(),
        };
        let voters = |ids: &[u64]| ids.iter().copied().map(MemberId).collect::<BTreeSet<_>>();
        let members = [1, 2, 3].map(|id| (MemberId(id), member.clone())).into();
        Configuration { voters: vec![voters(&[1, 2]), voters(&[1, 3])], members }
    }

    #[test]
    fn rows_pass_through_the_engine_unchanged() {
        let batch = Batch {
            first: 7,
            before: Hash::of(b"before"),
            after: Hash::of(b"after"),
            frames: vec![b"frame".to_vec()],
            objects: Vec::new(),
            notes: Vec::new(),
        };
        let barrier = Barrier { member: MemberId(2), epoch: 3 };
        let bodies = [Body::Blank, Body::Barrier(barrier), Body::Batch(Arc::new(batch)), Body::Members(members())];
        for (index, body) in bodies.into_iter().enumerate() {
            let given = Row { at: Position { term: 4, index: index as u64 }, body };
            assert_eq!(row(entry(given.clone()).unwrap()), given);
        }
    }

    #[test]
    fn votes_positions_and_members_pass_through_the_engine_unchanged() {
        for elected in [false, true] {
            let given = Ballot { term: 9, member: MemberId(3), elected };
            assert_eq!(ballot(&vote(given)), given);
        }
        let at = Position { term: 9, index: 12 };
        assert_eq!(position(&log_id(at)), at);
        let given = PlacedConfiguration { at: Some(at), configuration: members() };
        assert_eq!(placed(&stored(given.clone()).unwrap()), given);
        let none = PlacedConfiguration::default();
        assert_eq!(placed(&stored(none.clone()).unwrap()), none);
    }

    /// A row from a damaged disk must not panic.
    #[test]
    fn a_configuration_without_its_members_is_an_error() {
        let mut broken = members();
        broken.members.clear();
        assert!(membership(broken).is_err());
        let mut broken = members();
        broken.voters[1].clear();
        assert!(membership(broken).is_err());
    }
}
