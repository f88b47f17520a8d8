//! HTTP/2, frame by frame: a caller who takes back what it asks.

use serde_json::json;

use super::{address, from, is_served, site, wait_until};
use crate::support::http::Wire;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A literal without indexing whose name is in the static table (RFC 7541 §6.2.2).
fn literal(name: u8, value: &str) -> Vec<u8> {
    let mut field = if name < 15 { vec![name] } else { vec![15, name - 15] };
    field.push(u8::try_from(value.len()).unwrap());
    field.extend_from_slice(value.as_bytes());
    field
}

/// `:authority`, `:path` and `content-type` in the static table.
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const CONTENT_TYPE: u8 = 31;
/// `:method: GET`, `:method: POST` and `:scheme: http`, each in one byte.
const GET: u8 = 0x82;
const POST: u8 = 0x83;
const HTTP: u8 = 0x86;

fn open(mut wire: Wire) -> Wire {
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    wire.send(&frame(SETTINGS, 0, 0, b"")).unwrap();
    wire
}

fn head(method: u8, path: &str) -> Vec<u8> {
    head_at("localhost", method, path)
}

fn head_at(authority: &str, method: u8, path: &str) -> Vec<u8> {
    [vec![method, HTTP], literal(AUTHORITY, authority), literal(PATH, path)].concat()
}

#[test]
fn prior_knowledge_is_enough_to_speak_http2() {
    let daemon = site("http", json!({"idle_timeout_ms": 100})).start();
    let mut wire = open(daemon.connect());
    wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(GET, "/health/live"))).unwrap();
    let said = wire.rest().unwrap();
    assert!(said.windows(5).any(|five| five == b"live\n"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_caller_who_takes_back_request_after_request_is_cut_off() {
    let daemon = site("http", json!({"resets": 8})).start();
    let mut wire = open(from(address(2), &daemon));
    // It never ends, so the node is at it until it is taken back.
    let begun = [head(POST, "/transition"), literal(CONTENT_TYPE, "application/json")].concat();
    let mut stream = 1;
    wait_until("it is cut off", || {
        let asked = [frame(HEADERS, END_HEADERS, stream, &begun), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())];
        stream += 2;
        wire.send(&asked.concat()).is_err()
    });
    assert!(is_served(&mut daemon.connect()));
    assert_eq!(daemon.last_index(), 0);
}

/// In HTTP/2 the pseudo-header `:authority` names the host.
#[test]
fn the_host_of_http2_is_held_to_the_same_rule() {
    let daemon = site("http", json!({"idle_timeout_ms": 100})).start();
    let ask = |authority: &str| {
        let mut wire = open(daemon.connect());
        wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head_at(authority, GET, "/health/live"))).unwrap();
        String::from_utf8_lossy(&wire.rest().unwrap()).into_owned()
    };
    for own in ["localhost", "LOCALHOST.:7400", "127.0.0.1:1", "[::1]:7400"] {
        let said = ask(own);
        assert!(said.contains("live\n") && !said.contains("wrong_host"), "{own}: {said}");
    }
    for other in ["attacker.example", "attacker.example:7400", "0.0.0.0"] {
        let said = ask(other);
        assert!(said.contains("wrong_host") && !said.contains("live\n"), "{other}: {said}");
    }
}
