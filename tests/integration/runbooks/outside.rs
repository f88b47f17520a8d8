//! Runbooks of what the node needs from outside: the license, facts, exporters, certificates, the clock.

use serde_json::json;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use super::{ask, open};
use crate::rejections::node::{Shown, clocked_at};
use crate::serving::tls::{fixture, put, secured};
use crate::support::bubble::{Bubble, Mood as BubbleMood};
use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::{Project, bytes};
use crate::support::http::Answer;
use crate::support::runbook::{Runbook, plain};
use crate::support::skipped;
use crate::support::sockets::{Mood, eventually, kaching};
use crate::support::world::Ask;

#[test]
fn a_license_that_was_denied_is_asked_for_at_once() {
    let kaching = kaching(Mood::Status(403));
    let site = Site::with(always_open(), |settings| {
        settings["facts"]["sources"]["license"] = json!([]);
        settings["kaching"] = json!({
            "url": kaching.url(), "keys": [kaching.key()], "request_timeout_ms": 1_000,
            "retry_min_ms": 300_000, "retry_max_ms": 300_000,
        });
    });
    let daemon = site.start();
    let mut book = open("license-expiry.md", &site);
    ask(&mut book, &daemon);
    eventually("it was asked once", || kaching.requests() >= 1);
    book.tells("Check", 0, "closed");
    book.tells("Check", 1, "403");
    kaching.be(Mood::kind());
    book.run("Action", 0);
    eventually("the gate opens", || daemon.measures("swoosh_network_gate_open 1"));
    book.tells("Proof", 0, "swoosh_network_gate_open 1");
    book.finish();
}

#[test]
fn a_stalled_exporter_resumes_at_its_position() {
    let bubble = Bubble::start(BubbleMood::Status(503), None);
    let site = Site::with(always_open(), |settings| {
        settings["decisions"] = json!({"bubble": bubble.url(), "retry_min_ms": 10, "retry_max_ms": 20});
        // No server listens on this port.
        settings["traces"] = json!({"collector": "http://127.0.0.1:1", "every_ms": 10});
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let mut book = open("stalled-exporter.md", &site);
    ask(&mut book, &daemon);
    let problem = |answer: &Answer| answer.json()["decision_export"][0]["problem"].as_str().map(str::to_owned);
    daemon.wait_for("/health", |answer| problem(answer).is_some_and(|problem| problem.contains("503")));
    book.tells("Check", 0, "\"problem\"");
    book.tells("Check", 1, "swoosh_decision_export_lag_records{exporter=\"bubble\"} 2");
    let none = "swoosh_trace_spans_dropped_total{reason=\"not_sent\"} 0";
    eventually("spans are lost", || !daemon.measures(none));
    let spans = book.run("Check", 2);
    assert!(
        spans.contains("swoosh_trace_spans_dropped_total{reason=\"not_sent\"}") && !spans.contains(none),
        "{spans}"
    );
    let expected = "spans are lost until the trace collector takes them";
    eventually("the log says so", || daemon.log().iter().any(|line| line.contains(expected)));
    book.run("Action", 0);
    bubble.be(BubbleMood::Take);
    daemon.wait_for("/health", |answer| answer.json()["decision_export"][0]["lag"] == 0);
    book.tells("Proof", 0, "swoosh_decision_export_lag_records{exporter=\"bubble\"} 0");
    book.finish();
}

#[test]
fn an_expired_fact_is_read_again() {
    let site = Site::new();
    std::fs::rename(site.file("facts.json"), site.file("later.json")).unwrap();
    std::fs::write(site.file("facts.json"), "[]").unwrap();
    let daemon = site.start();
    let mut book = open("facts.md", &site);
    ask(&mut book, &daemon);
    book.set("KIND", "capacity");
    book.tells("Check", 0, "nothing is believed of: license");
    book.tells("Check", 1, "swoosh_facts_expired{kind=\"capacity\"} 0");
    std::fs::rename(site.file("later.json"), site.file("facts.json")).unwrap();
    book.run("Action", 0);
    daemon.wait_for("/metrics", |answer| answer.text().contains("swoosh_facts{kind=\"capacity\"} 1"));
    book.tells("Proof", 0, "capacity");
    book.finish();
}

#[test]
fn a_new_certificate_is_taken_in_place_of_the_old_one() {
    let site = secured(json!({}));
    let daemon = site.start();
    let mut book = open("certificate.md", &site);
    book.set("SWOOSH_URL", format!("https://{}", daemon.address));
    book.set("PID", daemon.id());
    book.set("CERTIFICATE", site.file("node.pem").display());
    // The new certificate is another authority's.
    let authorities = ["ca.pem", "other-ca.pem"].map(|name| std::fs::read_to_string(fixture(name)).unwrap()).concat();
    std::fs::write(site.file("authorities.pem"), authorities).unwrap();
    book.set("CURL_CA_BUNDLE", site.file("authorities.pem").display());
    let end = |said: &str| said.lines().last().unwrap().to_owned();
    let before = end(&book.run("Check", 0));
    put(&site, "moved.pem", "node.pem");
    put(&site, "moved.key", "node.key");
    book.run("Action", 0);
    eventually("it is read", || daemon.log().iter().any(|line| line.contains("TLS files were read again")));
    let after = end(&book.run("Proof", 0));
    assert_ne!(before, after);
    book.finish();
}

/// A daemon whose clock the test sets, ahead by so many seconds at its start, with its runbook.
fn with_clock(site: &Site, seconds: i64) -> Result<(Daemon, Shown, Runbook), String> {
    let (daemon, clock) = clocked_at(site, seconds)?;
    let mut book = open("clock.md", site);
    ask(&mut book, &daemon);
    Ok((daemon, clock, book))
}

const HOUR: i64 = 3_600;

/// The clock jumped under a node that began with a right one, and is right afterwards: a machine that slept.
#[test]
fn a_jump_of_the_clock_that_is_right_is_accepted_by_the_book() {
    let site = Site::new();
    let (daemon, clock, mut book) = match with_clock(&site, 0) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    clock.shift(HOUR);
    eventually("it is noticed", || daemon.measures("swoosh_clock_safe 0"));
    let said = book.run("Check", 0);
    book.explains(said.lines().find(|line| line.contains("reason")).unwrap());
    assert!(plain(&book.run("Action", 0)).contains("trusted no"));
    book.run("Action", 1);
    book.run("Proof", 0);
    book.finish();
    assert!(daemon.measures("swoosh_clock_safe 1"));
}

/// The clock jumped by mistake and is repaired: the node accepts again without an order.
#[test]
fn a_clock_that_is_repaired_needs_no_order() {
    let site = Site::new();
    let (daemon, clock, mut book) = match with_clock(&site, 0) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    clock.shift(-HOUR);
    eventually("it is noticed", || daemon.measures("swoosh_clock_safe 0"));
    book.run("Check", 0);
    clock.shift(0);
    eventually("it is trusted again", || daemon.measures("swoosh_clock_safe 1"));
    assert!(plain(&book.run("Action", 0)).contains("trusted yes"));
    book.run("Proof", 0);
}

/// The page said that a repaired clock is accepted without an order. A node that began with the wrong one takes the repair for a jump.
#[test]
fn a_node_that_began_with_a_wrong_clock_needs_an_order_after_the_repair() {
    let site = Site::new();
    let (daemon, clock, mut book) = match with_clock(&site, HOUR) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    clock.shift(0);
    eventually("the repair looks like a jump", || daemon.measures("swoosh_clock_safe 0"));
    book.run("Check", 0);
    assert!(book.run("Action", 0).contains("jumped by"));
    book.run("Action", 1);
    book.run("Proof", 0);
    assert!(daemon.measures("swoosh_clock_safe 1"));
}

/// A record was stamped an hour ahead, and the node was restarted with a right clock.
#[test]
fn a_record_ahead_of_the_clock_is_accepted_by_the_book() {
    let site = Site::new();
    let (daemon, clock, _) = match with_clock(&site, HOUR) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    let project = Project::new(&site, "ahead");
    let ask_ahead = Ask::new(Transition::BootConfigOk).at(Hlc::new(now_ms() + 3_600_000, 0).unwrap());
    let answer = daemon.post(&bytes(&project.signed(&ask_ahead)));
    assert_eq!(answer.status, 202, "{}", answer.text());
    drop(clock);
    daemon.terminate();
    let daemon = site.start();
    let mut book = open("clock.md", &site);
    ask(&mut book, &daemon);
    let said = book.run("Check", 0);
    book.explains(said.lines().find(|line| line.contains("reason")).unwrap());
    book.run("Action", 0);
    assert!(plain(&book.run("Action", 1)).contains("accepted lead 3"));
    book.run("Proof", 0);
}
