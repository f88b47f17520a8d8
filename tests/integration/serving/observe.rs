//! The second listener (`http.observe`): health and metrics for probes and scrapers, and nothing else.

use std::net::SocketAddr;

use serde_json::json;

use super::tls::secured;
use super::wait_until;
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::http::{Answer, Wire, request};

/// The paths that it answers.
const PATHS: [&str; 4] = ["/health", "/health/live", "/health/ready", "/metrics"];

fn observed(listen: &str) -> Site {
    Site::with(always_open(), |settings| settings["http"]["observe"] = json!(listen))
}

/// The address that the log names.
pub(crate) fn address(daemon: &Daemon) -> SocketAddr {
    let mut found = None;
    wait_until("the second address in the log", || {
        found = daemon.log().into_iter().find(|line| line.contains("health and metrics are served here as well"));
        found.is_some()
    });
    let line: serde_json::Value = serde_json::from_str(&found.unwrap()).unwrap();
    let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
    ([127, 0, 0, 1], address.port()).into()
}

pub(crate) fn ask(address: SocketAddr, method: &str, target: &str) -> Answer {
    let mut wire = Wire::connect(address).unwrap();
    wire.send(&request(method, target, &[], b"")).unwrap();
    wire.answer().unwrap()
}

/// Settings whose listeners speak plain HTTP to other machines, by the warnings in the log.
fn warned_of(daemon: &Daemon) -> Vec<String> {
    // The warnings come before the first answer, and the log's thread writes them in order.
    wait_until("the log of the start", || daemon.log().iter().any(|line| line.contains("\"serving\"")));
    let lines = daemon.log().into_iter().filter(|line| line.contains("plain HTTP is reachable"));
    let setting = |line: String| serde_json::from_str::<serde_json::Value>(&line).unwrap()["setting"].to_string();
    lines.map(|line| setting(line).trim_matches('"').to_owned()).collect()
}

/// Plain HTTP can be read and changed on the way. The node must warn the operator of that.
#[test]
fn plain_http_beyond_the_machine_is_warned_of_at_the_start() {
    let warns_of = |site: &Site, listen: &str, expected: &[&str]| {
        let daemon = site.start_on(listen);
        wait_until("the warnings", || warned_of(&daemon).len() >= expected.len());
        let mut found = warned_of(&daemon);
        found.sort();
        assert_eq!(found, expected);
    };
    warns_of(&observed("127.0.0.1:0"), "127.0.0.1:0", &[]);
    warns_of(&observed("0.0.0.0:0"), "0.0.0.0:0", &["http.observe", "listen"]);
    let secured = secured(json!({}));
    secured.change_settings(|settings| settings["http"]["observe"] = json!("0.0.0.0:0"));
    warns_of(&secured, "0.0.0.0:0", &["http.observe"]);
}

/// A kubelet probes with the pod's address and without credentials, so that this listener must answer it, and must not open the reads.
#[test]
fn the_second_listener_answers_health_and_metrics_as_the_main_one_and_nothing_else() {
    let site = observed("0.0.0.0:0");
    let daemon = site.start();
    let second = address(&daemon);
    for path in PATHS {
        let (main, other) = (daemon.get(path), ask(second, "GET", path));
        assert_eq!((main.status, other.status), (200, 200), "{path}");
        assert_eq!(main.header("content-type"), other.header("content-type"), "{path}");
        assert_eq!(ask(second, "POST", path).status, 405, "{path}");
    }
    let names = |answer: &Answer| {
        let text = answer.text();
        text.lines().filter(|line| line.starts_with("# TYPE")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&daemon.get("/metrics")), names(&ask(second, "GET", "/metrics")));
    for path in
        ["/", "/state", "/wal", "/wal/feed", "/facts", "/docs", "/openapi.json", "/events", "/health/", "/metrics/x"]
    {
        let answer = ask(second, "GET", path);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    assert_eq!(ask(second, "POST", "/transition").status, 404);
    assert_eq!(ask(second, "POST", "/facts").status, 404);
}

/// A node that wants a client certificate of every caller cannot be probed by a kubelet, which has none.
#[test]
fn probes_need_no_certificate_where_every_other_caller_does() {
    let site = secured(json!({"require_client_certificate": true}));
    site.change_settings(|settings| settings["http"]["observe"] = json!("127.0.0.1:0"));
    let daemon = site.start();
    let second = address(&daemon);
    assert_eq!(ask(second, "GET", "/health/ready").status, 200);
    assert!(ask(second, "GET", "/metrics").text().contains("swoosh_tls_certificate_expires_seconds"));
}

/// Callers of the main listener who take all of its connections keep no probe away.
#[test]
fn a_full_main_listener_leaves_probes_their_place() {
    let site = observed("127.0.0.1:0");
    site.change_settings(|settings| settings["limits"] = json!({"connections": 8, "connections_per_peer": 2}));
    let daemon = site.start();
    let second = address(&daemon);
    let held: Vec<Wire> = (0..2).map(|_| daemon.connect()).collect();
    wait_until("the main listener is full", || {
        let mut wire = daemon.connect();
        let _ = wire.send(&request("GET", "/health/live", &[], b""));
        wire.answer().is_ok_and(|answer| answer.status == 503)
    });
    assert_eq!(ask(second, "GET", "/health/live").status, 200);
    drop(held);
}

#[test]
fn an_address_that_is_taken_stops_the_start_and_names_the_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said) = observed(&taken.local_addr().unwrap().to_string()).start_refused();
    assert_eq!(code, Some(1));
    assert!(said.contains("http.observe") && said.contains("another process listens there"), "{said}");
}
