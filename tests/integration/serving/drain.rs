//! A stop while callers are at it.

use serde_json::json;
use swoosh::types::names::Transition;

use super::{busy, is_served, site, wait_until};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::Wire;
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
