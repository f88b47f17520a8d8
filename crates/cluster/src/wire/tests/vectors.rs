//! `tests/vectors/wire.json`: one frame of each kind, and refused ones. `SWOOSH_BLESS=1` rewrites it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use swoosh_types::cluster::{
    Ballot, Barrier, Batch, Body, Configuration, DirectoryId, Member, MemberId, Object, Position, Row,
};
use swoosh_types::hash::Hash;
use swoosh_types::keys::SecretKey;

use crate::messages::{Append, Appended, Reply, Request, TransferRefusal, TransferRequest, VoteReply, VoteRequest};
use crate::wire::{
    Boot, Failure, Handshake, Hello, HelloRefusal, Message, Outcome, Purpose, Versions, decode, decode_handshake,
    encode, encode_handshake,
};

const AT: Position = Position { term: 3, index: 41 };
const BALLOT: Ballot = Ballot { term: 3, member: MemberId(2), elected: true };

fn configuration() -> Configuration {
    let member = |number: u8| Member {
        name: format!("n{number}"),
        key: SecretKey::from_bytes(&[number; 32]).public(),
        directory: DirectoryId([number; 16]),
        address: format!("10.0.0.{number}:7501"),
    };
    let members = [1, 2, 3].map(|number| (MemberId(u64::from(number)), member(number))).into();
    Configuration { voters: vec![[1, 2].map(MemberId).into(), [1, 2, 3].map(MemberId).into()], members }
}

fn append() -> Append {
    let object = b"{\"inputs\":1}".to_vec();
    let batch = Batch {
        first: 7,
        before: Hash::of(b"before"),
        after: Hash::of(b"after"),
        frames: vec![b"frame of record 7".to_vec(), b"frame of record 8".to_vec()],
        objects: vec![Object { hash: Hash::of(&object), bytes: object }],
        notes: b"[]".to_vec(),
    };
    let bodies = [
        Body::Blank,
        Body::Barrier(Barrier { member: MemberId(2), epoch: 1 }),
        Body::Batch(Arc::new(batch)),
        Body::Members(configuration()),
    ];
    let place = |offset: usize| Position { term: 3, index: 42 + offset as u64 };
    let rows = bodies.into_iter().enumerate().map(|(offset, body)| Row { at: place(offset), body }).collect();
    Append { ballot: BALLOT, previous: Some(AT), rows, committed: Some(Position { term: 2, index: 40 }) }
}

fn messages() -> Vec<(&'static str, Message)> {
    let heartbeat = Append { rows: Vec::new(), ..append() };
    let vote = VoteRequest { ballot: Ballot { elected: false, ..BALLOT }, last: Some(AT), is_transfer: false };
    let transfer = TransferRequest { from: BALLOT, to: MemberId(3), last: Some(AT) };
    let vote_reply = VoteReply { ballot: BALLOT, granted: true, last: None };
    let (expected, actual) = (Some(AT), None);
    let unavailable = Failure::Unavailable { why: "the member stops".to_owned() };
    let refused = Failure::Refused { last: AT, why: "another state hash".to_owned() };
    let reply = |reply| Message::Reply { id: 9, outcome: Outcome::Done(reply) };
    vec![
        ("heartbeat", Message::Request { id: 9, request: Request::Append(heartbeat) }),
        ("vote", Message::Request { id: 9, request: Request::Vote(vote) }),
        ("pre-vote", Message::Request { id: 9, request: Request::PreVote(VoteRequest { last: None, ..vote }) }),
        ("transfer", Message::Request { id: 9, request: Request::Transfer(transfer) }),
        ("append reply", reply(Reply::Append(Appended::Upto(Some(AT))))),
        ("vote reply", reply(Reply::Vote(vote_reply))),
        ("pre-vote reply", reply(Reply::PreVote(VoteReply { granted: false, last: Some(AT), ..vote_reply }))),
        ("transfer accepted", reply(Reply::Transfer(Ok(())))),
        (
            "transfer, vote changed",
            reply(Reply::Transfer(Err(TransferRefusal::VoteChanged {
                expected: BALLOT,
                actual: Ballot { term: 4, ..BALLOT },
            }))),
        ),
        ("transfer, behind", reply(Reply::Transfer(Err(TransferRefusal::Behind { expected, actual })))),
        ("no reply", Message::Reply { id: 9, outcome: Outcome::Failed(unavailable) }),
        ("append", Message::Append(append())),
        ("appended", Message::Appended(Outcome::Done(Appended::Upto(Some(AT))))),
        ("appended, empty log", Message::Appended(Outcome::Done(Appended::Upto(None)))),
        ("appended, conflict", Message::Appended(Outcome::Done(Appended::Conflict(AT)))),
        ("appended, later vote", Message::Appended(Outcome::Done(Appended::Later(BALLOT)))),
        ("appended, refused", Message::Appended(Outcome::Failed(refused))),
        ("state", Message::State { ballot: BALLOT }),
        ("part of a state", Message::Part(b"part".to_vec())),
        ("end of a state", Message::StateEnd { parts: 1, bytes: 4, hash: Hash::of(b"part") }),
        ("state taken", Message::StateTaken(Outcome::Done(BALLOT))),
        ("alive", Message::Alive),
        ("close", Message::Close { why: "the member stops".to_owned() }),
    ]
}

fn handshakes() -> Vec<(&'static str, Handshake)> {
    let hello = Hello {
        cluster: "production".parse().unwrap(),
        incarnation: 1,
        founded: Hash::of(b"founded"),
        member: MemberId(2),
        to: MemberId(1),
        directory: DirectoryId([2; 16]),
        boot: Boot { number: 5, nonce: DirectoryId([9; 16]) },
        ballot: Some(BALLOT),
        last: Some(AT),
        versions: Versions { wire_least: 1, wire_most: 1, chart: 2, format: 4 },
        purpose: Purpose::Log,
    };
    let first = Hello { member: MemberId(1), to: MemberId(2), ballot: None, last: None, ..hello.clone() };
    vec![
        ("hello", Handshake::Hello(hello)),
        ("welcome of a member with an empty log", Handshake::Welcome(first)),
        ("refused", Handshake::Refused { why: HelloRefusal::WrongDirectory }),
    ]
}

fn frame(version: u8, header: &str, blobs: &[u8]) -> Vec<u8> {
    let length = (5 + header.len() + blobs.len()) as u32;
    let header_length = (header.len() as u32).to_be_bytes();
    [&length.to_be_bytes()[..], &[version], &header_length, header.as_bytes(), blobs].concat()
}

fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let close = r#"{"close":{"why":""}}"#;
    let cut = frame(1, close, b"");
    vec![
        ("cut off", cut[..cut.len() - 1].to_vec()),
        ("more than a frame", [&cut[..], b"a"].concat()),
        ("another version", frame(2, close, b"")),
        ("a frame over the bound", vec![0xff; 9]),
        ("a header over the bound", [&[0, 0, 0, 5, 1][..], &[0xff; 4]].concat()),
        ("white space", frame(1, r#"{"close": {"why":""}}"#, b"")),
        ("an unknown member", frame(1, r#"{"close":{"more":1,"why":""}}"#, b"")),
        ("an unknown message", frame(1, r#"{"other":{}}"#, b"")),
        ("a blob that the header does not name", frame(1, close, b"a")),
        ("a blob that is missing", frame(1, r#"{"part":{"bytes":2}}"#, b"a")),
        ("null", frame(1, r#"{"appended":{"done":{"upto":{"at":null}}}}"#, b"")),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn accepted(name: &str, frame: &[u8]) -> Value {
    let header = u32::from_be_bytes(frame[5..9].try_into().unwrap()) as usize;
    let (header, blobs) = frame[9..].split_at(header);
    json!({
        "name": name,
        "header": String::from_utf8(header.to_vec()).unwrap(),
        "blobs_hex": hex(blobs),
        "frame_hex": hex(frame),
    })
}

fn made() -> Value {
    let messages = messages().into_iter().map(|(name, message)| accepted(name, &encode(&message).unwrap()));
    let handshakes =
        handshakes().into_iter().map(|(name, handshake)| accepted(name, &encode_handshake(&handshake).unwrap()));
    let refused = refused().into_iter().map(|(name, frame)| json!({ "name": name, "frame_hex": hex(&frame) }));
    json!({
        "handshakes": handshakes.collect::<Vec<_>>(),
        "messages": messages.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
    })
}

/// A changed vector is a changed wire: members of two releases would not understand each other.
#[test]
fn the_vectors_are_the_frames_of_this_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/wire.json");
    let made = serde_json::to_string_pretty(&made()).unwrap() + "\n";
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "tests/vectors/wire.json differs; SWOOSH_BLESS=1 rewrites it");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let frames = |list: &str| {
        let list = kept[list].as_array().unwrap().iter();
        list.map(|vector| unhex(vector["frame_hex"].as_str().unwrap())).collect::<Vec<_>>()
    };
    let expected: Vec<_> = messages().into_iter().map(|(_, message)| Ok(message)).collect();
    assert_eq!(frames("messages").iter().map(|frame| decode(frame)).collect::<Vec<_>>(), expected);
    let expected: Vec<_> = handshakes().into_iter().map(|(_, handshake)| Ok(handshake)).collect();
    assert_eq!(frames("handshakes").iter().map(|frame| decode_handshake(frame)).collect::<Vec<_>>(), expected);
    for frame in frames("refused") {
        assert!(decode(&frame).is_err() && decode_handshake(&frame).is_err(), "{}", hex(&frame));
    }
}
