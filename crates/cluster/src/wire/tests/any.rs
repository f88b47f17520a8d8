//! Any message, for the property tests.

use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use swoosh_types::cluster::{
    Ballot, Barrier, Batch, Body, Configuration, DirectoryId, Member, MemberId, Object, Position, Row,
};
use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;

use crate::messages::{Append, Appended, Reply, Request, TransferRefusal, TransferRequest, VoteReply, VoteRequest};
use crate::wire::{Boot, Failure, Handshake, Hello, HelloRefusal, Message, Outcome, Purpose, Versions};

/// The greatest number that JSON holds exactly.
const MOST: u64 = (1 << 53) - 1;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, 0..=MOST, Just(MOST)]
}

fn member_id() -> impl Strategy<Value = MemberId> {
    number().prop_map(MemberId)
}

fn position() -> impl Strategy<Value = Position> {
    (number(), number()).prop_map(|(term, index)| Position { term, index })
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (number(), member_id(), any::<bool>()).prop_map(|(term, member, elected)| Ballot { term, member, elected })
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn directory() -> impl Strategy<Value = DirectoryId> {
    any::<[u8; 16]>().prop_map(DirectoryId)
}

fn member() -> impl Strategy<Value = Member> {
    (any::<String>(), any::<[u8; 32]>(), directory(), any::<String>()).prop_map(|(name, key, directory, address)| {
        Member { name, key: PublicKey::from_bytes(key), directory, address }
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let voters = vec(btree_set(member_id(), 0..4), 0..3);
    (voters, btree_map(member_id(), member(), 0..4)).prop_map(|(voters, members)| Configuration { voters, members })
}

fn object() -> impl Strategy<Value = Object> {
    (hash(), bytes()).prop_map(|(hash, bytes)| Object { hash, bytes })
}

fn batch() -> impl Strategy<Value = Batch> {
    (number(), hash(), hash(), vec(bytes(), 0..4), vec(object(), 0..4), bytes()).prop_map(
        |(first, before, after, frames, objects, notes)| Batch { first, before, after, frames, objects, notes },
    )
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Blank),
        (member_id(), number()).prop_map(|(member, epoch)| Body::Barrier(Barrier { member, epoch })),
        batch().prop_map(|batch| Body::Batch(Arc::new(batch))),
        configuration().prop_map(Body::Members),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    let row = (position(), body()).prop_map(|(at, body)| Row { at, body });
    (ballot(), option::of(position()), vec(row, 0..5), option::of(position()))
        .prop_map(|(ballot, previous, rows, committed)| Append { ballot, previous, rows, committed })
}

fn vote() -> impl Strategy<Value = VoteRequest> {
    (ballot(), option::of(position()), any::<bool>()).prop_map(|(ballot, last, is_transfer)| VoteRequest {
        ballot,
        last,
        is_transfer,
    })
}

fn transfer() -> impl Strategy<Value = TransferRequest> {
    (ballot(), member_id(), option::of(position())).prop_map(|(from, to, last)| TransferRequest { from, to, last })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        append().prop_map(Request::Append),
        vote().prop_map(Request::Vote),
        vote().prop_map(Request::PreVote),
        transfer().prop_map(Request::Transfer),
    ]
}

fn appended() -> impl Strategy<Value = Appended> {
    prop_oneof![
        option::of(position()).prop_map(Appended::Upto),
        position().prop_map(Appended::Conflict),
        ballot().prop_map(Appended::Later),
    ]
}

fn vote_reply() -> impl Strategy<Value = VoteReply> {
    (ballot(), any::<bool>(), option::of(position())).prop_map(|(ballot, granted, last)| VoteReply {
        ballot,
        granted,
        last,
    })
}

fn transfer_outcome() -> impl Strategy<Value = Result<(), TransferRefusal>> {
    prop_oneof![
        Just(Ok(())),
        (ballot(), ballot()).prop_map(|(expected, actual)| Err(TransferRefusal::VoteChanged { expected, actual })),
        (option::of(position()), option::of(position()))
            .prop_map(|(expected, actual)| Err(TransferRefusal::Behind { expected, actual })),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        appended().prop_map(Reply::Append),
        vote_reply().prop_map(Reply::Vote),
        vote_reply().prop_map(Reply::PreVote),
        transfer_outcome().prop_map(Reply::Transfer),
    ]
}

fn outcome<T: std::fmt::Debug + Clone + 'static>(
    done: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Outcome<T>> {
    let failure = prop_oneof![
        any::<String>().prop_map(|why| Failure::Unavailable { why }),
        (position(), any::<String>()).prop_map(|(last, why)| Failure::Refused { last, why }),
    ];
    prop_oneof![done.prop_map(Outcome::Done), failure.prop_map(Outcome::Failed)]
}

pub(super) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (number(), request()).prop_map(|(id, request)| Message::Request { id, request }),
        (number(), outcome(reply())).prop_map(|(id, outcome)| Message::Reply { id, outcome }),
        append().prop_map(Message::Append),
        outcome(appended()).prop_map(Message::Appended),
        ballot().prop_map(|ballot| Message::State { ballot }),
        bytes().prop_map(Message::Part),
        (number(), number(), hash()).prop_map(|(parts, bytes, hash)| Message::StateEnd { parts, bytes, hash }),
        outcome(ballot()).prop_map(Message::StateTaken),
        Just(Message::Alive),
        any::<String>().prop_map(|why| Message::Close { why }),
    ]
}

fn versions() -> impl Strategy<Value = Versions> {
    (number(), number(), number(), number()).prop_map(|(wire_least, wire_most, chart, format)| Versions {
        wire_least,
        wire_most,
        chart,
        format,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let purpose = prop_oneof![Just(Purpose::Control), Just(Purpose::Log), Just(Purpose::Bulk)];
    let boot = (number(), directory()).prop_map(|(number, nonce)| Boot { number, nonce });
    let ends = (option::of(ballot()), option::of(position()));
    let who = ("[a-z][a-z0-9.-]{0,20}", number(), hash(), member_id(), member_id(), directory());
    (who, boot, ends, versions(), purpose).prop_map(|(who, boot, (ballot, last), versions, purpose)| {
        let (cluster, incarnation, founded, member, to, directory) = who;
        let cluster = cluster.parse().unwrap();
        Hello { cluster, incarnation, founded, member, to, directory, boot, ballot, last, versions, purpose }
    })
}

pub(super) fn handshake() -> impl Strategy<Value = Handshake> {
    prop_oneof![
        hello().prop_map(Handshake::Hello),
        hello().prop_map(Handshake::Welcome),
        Just(Handshake::Refused { why: HelloRefusal::RolledBack }),
    ]
}
