//! A stop while callers are at it.

use serde_json::json;
use swoosh::types::names::Transition;

use super::tls::secured;
use super::{busy, is_served, site, wait_until};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Wire, request};
use crate::support::world::Ask;

#[track_caller]
fn wait_until_closed(daemon: &Daemon) {
    wait_until("no connection is taken", || Wire::connect(daemon.address).is_err());
}

#[test]
fn accepted_requests_are_answered_and_idle_connections_closed() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 1_500});
    });
    let daemon = site.start();
    let project = Project::new(&site, "late");
    let mut idle = daemon.connect();
    assert!(is_served(&mut idle));
    let mut held = busy(daemon.connect());
    let body = bytes(&project.signed(&Ask::new(Transition::BootConfigOk)));
    let answer = std::thread::scope(|scope| {
        let posted = scope.spawn(|| daemon.post(&body));
        wait_until("it is taken", || daemon.get("/health").json()["walLag"] != 0);
        daemon.signal("TERM");
        wait_until_closed(&daemon);
        idle.wait_for_end();
        posted.join().unwrap()
    });
    assert_eq!(answer.receipt().index, 1);
    // A request that arrives during the drain is answered too, with a refusal.
    held.send(b"[]       ").unwrap();
    assert_eq!(held.answer().unwrap().code(), "schema");
    assert!(daemon.wait().0.success());
    let again = site.start();
    assert_eq!(again.last_index(), 1);
}

#[test]
fn a_caller_who_never_ends_is_cut_off_when_the_time_is_over() {
    let daemon = site("http", json!({"drain_timeout_ms": 200})).start();
    let mut held = busy(daemon.connect());
    daemon.signal("TERM");
    let (status, log) = daemon.wait();
    assert!(status.success());
    assert!(log.iter().any(|line| line.contains("they outlasted the drain timeout")));
    held.wait_for_end();
}

#[test]
fn a_second_signal_does_not_wait_for_callers() {
    let daemon = site("http", json!({"drain_timeout_ms": 600_000, "request_timeout_ms": 600_000})).start();
    let mut held = busy(daemon.connect());
    daemon.signal("TERM");
    wait_until_closed(&daemon);
    daemon.signal("TERM");
    assert!(daemon.wait().0.success());
    held.wait_for_end();
}

/// A drain waits for requests. It does not wait for connections without one, nor for handshakes.
#[test]
fn a_drain_ends_connections_that_have_asked_for_nothing() {
    let patient = json!({"drain_timeout_ms": 600_000, "first_byte_timeout_ms": 600_000});
    let daemon = site("http", patient.clone()).start();
    let (mut silent, mut idle) = (daemon.connect(), daemon.connect());
    assert!(is_served(&mut idle));
    daemon.signal("TERM");
    silent.wait_for_end();
    idle.wait_for_end();
    assert!(daemon.wait().0.success());
    let site = secured(json!({"handshake_timeout_ms": 600_000}));
    site.change_settings(|settings| settings["http"] = patient);
    let daemon = site.start();
    let (mut silent, mut halfway) = (daemon.connect(), daemon.connect());
    // The head of a record that never comes whole.
    halfway.send(&[22, 3, 1, 2, 0, 1]).unwrap();
    daemon.signal("TERM");
    silent.wait_for_end();
    halfway.wait_for_end();
    assert!(daemon.wait().0.success());
}

/// Callers who are slow on purpose delay the end by their own deadline, and not by the drain's.
#[test]
fn deadlines_of_connections_hold_during_a_drain() {
    let limits = json!({"drain_timeout_ms": 600_000, "header_timeout_ms": 500, "body_pause_timeout_ms": 500, "write_timeout_ms": 500});
    let daemon = site("http", limits).start();
    let (mut head, mut body, mut reader) = (daemon.connect(), daemon.connect(), daemon.connect());
    head.send(b"GET /health HTTP/1.1\r\n").unwrap();
    body.send(&request("POST", "/transition", &["content-type: application/json", "content-length: 9"], b"{")).unwrap();
    // Answers of a hundred KiB each, which nothing reads: more than the buffers between hold.
    reader.send(&request("GET", "/openapi.json", &[], b"").repeat(200)).unwrap();
    reader.wait_for("HTTP/1.1 200");
    daemon.signal("TERM");
    assert_eq!(body.answer().unwrap().code(), "request_timeout");
    head.wait_for_end();
    assert!(daemon.wait().0.success());
    reader.wait_for_end();
}
