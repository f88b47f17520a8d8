//! Callers who are slow on purpose.

use std::time::Duration;

use serde_json::json;

use super::{PATIENCE, address, busy, from, is_served, metric, site, turned_away, wait_until};
use crate::support::daemon::{Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Wire, proposal, request};
use crate::support::world::Ask;
use swoosh::types::names::Transition;

/// Sends byte after byte until the node has enough of it.
fn dribble(mut wire: Wire, bytes: &[u8]) -> Wire {
    let began = std::time::Instant::now();
    for byte in bytes.iter().cycle() {
        assert!(began.elapsed() < PATIENCE, "the node takes it for ever");
        if wire.send(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    wire
}

#[test]
fn heads_that_dribble_are_cut_off_while_others_are_served() {
    let site = site("http", json!({"header_timeout_ms": 200}));
    let daemon = site.start();
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..8)
            .map(|_| {
                let mut wire = from(address(2), &daemon);
                wire.send(b"GET /health HTTP/1.1\r\n").unwrap();
                scope.spawn(|| dribble(wire, b"x: y\r\n"))
            })
            .collect();
        let mut honest = daemon.connect();
        while slow.iter().any(|thread| !thread.is_finished()) {
            assert!(is_served(&mut honest));
        }
    });
    assert_eq!(turned_away(&daemon, "headers"), 8);
}

#[test]
fn a_slow_or_stalled_body_is_answered_408() {
    let head = || request("POST", "/transition", &["content-type: application/json", "content-length: 1000000"], b"{");
    let limits = |total: u64, pause: u64| json!({"request_timeout_ms": total, "body_pause_timeout_ms": pause, "body_limit_bytes": 2_000_000});
    let daemon = site("http", limits(300, 600_000)).start();
    let mut wire = from(address(2), &daemon);
    wire.send(&head()).unwrap();
    let answer = dribble(wire, b" ").answer();
    // The answer may be lost with a connection that is closed on bytes still under way.
    assert!(answer.is_err() || answer.unwrap().code() == "request_timeout");
    let daemon = site("http", limits(600_000, 100)).start();
    let mut wire = from(address(2), &daemon);
    wire.send(&head()).unwrap();
    let answer = wire.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert!(answer.text().contains("nothing of the body arrived for 100 ms"), "{}", answer.text());
    wire.wait_for_end();
}

#[test]
fn silent_and_idle_connections_are_cut_off() {
    let daemon = site("http", json!({"first_byte_timeout_ms": 100, "idle_timeout_ms": 300})).start();
    daemon.connect().wait_for_end();
    assert_eq!(turned_away(&daemon, "first_byte"), 1);
    let mut wire = daemon.connect();
    assert!(is_served(&mut wire) && is_served(&mut wire), "a connection is kept between two requests");
    wire.wait_for_end();
    assert!(turned_away(&daemon, "idle") >= 1);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut_off() {
    let daemon = site("http", json!({"write_timeout_ms": 200})).start();
    let mut wire = daemon.connect();
    // Answers of a hundred KiB each, until the buffers between are full.
    let ask = request("GET", "/openapi.json", &[], b"");
    wait_until("the caller is cut off", || wire.send(&ask).is_err());
    wait_until("that is counted", || turned_away(&daemon, "write") == 1);
    assert!(is_served(&mut daemon.connect()));
}

#[test]
fn a_request_under_way_outlasts_the_deadlines_of_connections() {
    let limits = json!({"first_byte_timeout_ms": 50, "header_timeout_ms": 50, "idle_timeout_ms": 50});
    let daemon = site("http", limits).start();
    let mut wire = busy(daemon.connect());
    // Others come and go meanwhile, past every one of those deadlines.
    (0..3).for_each(|_| daemon.connect().wait_for_end());
    wire.send(b"[]       ").unwrap();
    assert_eq!(wire.answer().unwrap().code(), "schema");
    assert_eq!(metric(&daemon, "swoosh_wal_last_index"), 0);
}

/// Deadlines of connections are not those of a stream: its caller awaits the next event, however long.
#[test]
fn a_listener_outlasts_the_deadlines_of_connections() {
    let limits = json!({"first_byte_timeout_ms": 50, "header_timeout_ms": 50, "idle_timeout_ms": 50, "write_timeout_ms": 50,
        "request_timeout_ms": 2_000});
    let site = site("http", limits);
    let daemon = site.start();
    let mut listener = daemon.connect();
    listener.send(&request("GET", "/events?kinds=transition", &[], b"")).unwrap();
    listener.wait_for("listening");
    (0..3).for_each(|_| daemon.connect().wait_for_end());
    let project = Project::new(&site, "heard");
    assert_eq!(daemon.post(&bytes(&project.signed(&Ask::new(Transition::BootConfigOk)))).status, 202);
    listener.wait_for("event: transition");
}

/// Requests that come in one piece are answered in their order. The head after them has the deadline of a head once more of it comes.
#[test]
fn pipelined_requests_are_answered_in_order_and_the_dribbling_head_after_them_is_cut_off() {
    let daemon = site("http", json!({"header_timeout_ms": 200})).start();
    let mut wire = from(address(2), &daemon);
    let live = request("GET", "/health/live", &[], b"");
    let missing = request("GET", "/missing", &[], b"");
    wire.send(&[live.clone(), missing, live, b"GET /health HTTP/1.1\r\n".to_vec()].concat()).unwrap();
    let statuses: Vec<u16> = (0..3).map(|_| wire.answer().unwrap().status).collect();
    assert_eq!(statuses, [200, 404, 200]);
    dribble(wire, b"x: y\r\n").wait_for_end();
    assert_eq!(turned_away(&daemon, "headers"), 1);
}

/// The deadline of the disk is the answer's: the caller is answered while its proposal is still being written.
#[test]
fn a_request_is_answered_503_in_time_on_a_connection_that_is_kept() {
    let site = Site::with(always_open(), |settings| {
        settings["http"] = json!({"request_timeout_ms": 200});
        settings["journal"] = json!({"durability": "interval", "interval_ms": 1_500});
    });
    let daemon = site.start();
    let project = Project::new(&site, "late");
    let body = bytes(&project.signed(&Ask::new(Transition::BootConfigOk)));
    let post = proposal(&body, &[]);
    let mut wire = daemon.connect();
    let answer = wire.exchange(&post).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_durable"));
    wait_until("it is durable", || daemon.last_index() == 1);
    let again = wire.exchange(&post).unwrap();
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
}
