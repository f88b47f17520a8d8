use std::sync::Arc;

use swoosh_types::cluster::{Ballot, Batch, Body, MemberId, Position, Row};
use swoosh_types::hash::Hash;

use crate::messages::Append;
use crate::wire::{
    FrameBuffer, MAX_FRAME, MAX_HANDSHAKE, MAX_HEADER, Message, WireError, decode, decode_handshake, encode,
};

fn frame(version: u8, header: &str, blobs: &[u8]) -> Vec<u8> {
    let length = (5 + header.len() + blobs.len()) as u32;
    let header_length = (header.len() as u32).to_be_bytes();
    [&length.to_be_bytes()[..], &[version], &header_length, header.as_bytes(), blobs].concat()
}

fn append_of(frames: Vec<Vec<u8>>) -> Message {
    let (before, after) = (Hash::ZERO, Hash::ZERO);
    let batch = Batch { first: 1, before, after, frames, objects: Vec::new(), notes: Vec::new() };
    let row = Row { at: Position { term: 1, index: 1 }, body: Body::Batch(Arc::new(batch)) };
    let ballot = Ballot { term: 1, member: MemberId(1), elected: true };
    Message::Append(Append { ballot, previous: None, rows: vec![row], committed: None })
}

/// A length of 4 GiB must cost nothing.
#[test]
fn a_length_over_the_bound_is_refused_before_the_frame_arrives() {
    for (most, length) in [(MAX_FRAME, u32::MAX), (MAX_FRAME, MAX_FRAME as u32 + 1), (MAX_HANDSHAKE, 1 << 20)] {
        let mut buffer = FrameBuffer::new(most);
        buffer.extend(&length.to_be_bytes());
        let expected = WireError::FrameTooLong { bytes: u64::from(length), most: most as u64 };
        assert_eq!(buffer.next_frame(), Err(expected));
    }
    let mut frame = encode(&Message::Close { why: String::new() }).unwrap();
    frame[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(decode(&frame), Err(WireError::FrameTooLong { .. })));
}

#[test]
fn a_message_over_the_bound_is_not_written() {
    assert!(matches!(encode(&append_of(vec![vec![0; MAX_FRAME]])), Err(WireError::FrameTooLong { .. })));
    assert!(matches!(encode(&append_of(vec![Vec::new(); MAX_HEADER])), Err(WireError::HeaderTooLong { .. })));
    assert!(matches!(encode(&Message::Close { why: "a".repeat(MAX_HEADER) }), Err(WireError::HeaderTooLong { .. })));
    let whole = append_of(vec![vec![7; MAX_FRAME - 1000]]);
    assert_eq!(decode(&encode(&whole).unwrap()), Ok(whole));
}

/// A header that names more bytes than the frame has must not reserve them.
#[test]
fn blobs_that_the_frame_does_not_have_are_refused() {
    assert_eq!(decode(&frame(1, r#"{"part":{"bytes":4294967295}}"#, b"")), Err(WireError::Truncated));
    assert_eq!(decode(&frame(1, r#"{"part":{"bytes":3}}"#, b"abcd")), Err(WireError::Leftover(1)));
    assert_eq!(decode(&frame(1, r#"{"part":{"bytes":4}}"#, b"abcd")), Ok(Message::Part(b"abcd".to_vec())));
    assert_eq!(decode(&frame(1, r#"{"close":{"why":""}}"#, b"a")), Err(WireError::Leftover(1)));
}

#[test]
fn another_version_is_refused_by_name() {
    let close = r#"{"close":{"why":""}}"#;
    for version in [0, 2, 255] {
        assert_eq!(decode(&frame(version, close, b"")), Err(WireError::Version { found: version, expected: 1 }));
    }
    assert!(matches!(decode_handshake(&frame(1, "{}", b"")), Err(WireError::Version { found: 1, expected: 0 })));
}

/// Two spellings of one message would let two members hash the same message differently.
#[test]
fn a_header_has_one_spelling() {
    let accepted = r#"{"reply":{"id":7,"outcome":{"done":{"append":{"upto":{}}}}}}"#;
    assert!(decode(&frame(1, accepted, b"")).is_ok());
    for refused in [
        r#"{"reply":{"id":7,"outcome":{"done":{"append":{"upto":{"at":null}}}}}}"#,
        r#"{"reply":{"outcome":{"done":{"append":{"upto":{}}}},"id":7}}"#,
        r#"{"reply":{"id": 7,"outcome":{"done":{"append":{"upto":{}}}}}}"#,
        r#"{"reply":{"id":7,"id":7,"outcome":{"done":{"append":{"upto":{}}}}}}"#,
        r#"{"reply":{"id":7.0,"outcome":{"done":{"append":{"upto":{}}}}}}"#,
        r#"{"reply":{"id":9007199254740992,"outcome":{"done":{"append":{"upto":{}}}}}}"#,
        r#"{"reply":{"id":7,"more":1,"outcome":{"done":{"append":{"upto":{}}}}}}"#,
        r#"{"reply":{"id":7,"outcome":{"done":{"append":{"upto":{}}}}}} "#,
        r#"{"unknown":{}}"#,
        "",
    ] {
        assert!(decode(&frame(1, refused, b"")).is_err(), "{refused}");
    }
}

/// The cluster's positions never get there; a damaged row must not be sent with another number.
#[test]
fn a_number_that_json_does_not_hold_is_not_written() {
    let ballot = Ballot { term: 1 << 53, member: MemberId(1), elected: true };
    assert!(matches!(encode(&Message::State { ballot }), Err(WireError::Unwritable(_))));
}

/// A later program may add members to its hello; this one still reads which versions it speaks.
#[test]
fn unknown_members_of_a_handshake_are_passed_over() {
    let known = r#"{"refused":{"why":"removed"}}"#;
    let longer = r#"{"refused":{"later":{"a":[1]},"why":"removed"}}"#;
    assert_eq!(decode_handshake(&frame(0, longer, b"")), decode_handshake(&frame(0, known, b"")));
    assert!(decode_handshake(&frame(0, known, b"")).is_ok());
    assert!(decode_handshake(&frame(0, r#"{"refused":{"why":"removed","why":"removed"}}"#, b"")).is_err());
    assert!(decode_handshake(&frame(0, known, b"a")).is_err());
    let long = format!(r#"{{"refused":{{"later":"{}","why":"removed"}}}}"#, "a".repeat(MAX_HANDSHAKE));
    assert!(matches!(decode_handshake(&frame(0, &long, b"")), Err(WireError::FrameTooLong { .. })));
}
