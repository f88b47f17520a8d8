//! Runbooks of what the node needs from outside: the license, facts, exporters, certificates, the clock.

use serde_json::json;
use swoosh::types::names::Region;

use super::{ask, open};
use crate::rejections::node::clocked;
use crate::serving::tls::{put, secured};
use crate::support::bubble::{Bubble, Mood as BubbleMood};
use crate::support::daemon::{Site, always_open};
use crate::support::driver::Project;
use crate::support::http::Answer;
use crate::support::skipped;
use crate::support::sockets::{Mood, eventually, kaching};

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

#[test]
fn a_clock_that_an_operator_accepts_is_trusted_again() {
    let site = Site::new();
    let (daemon, clock) = match clocked(&site) {
        Ok(clocked) => clocked,
        Err(why) => return skipped(&why),
    };
    let mut book = open("clock.md", &site);
    ask(&mut book, &daemon);
    book.set("DATA", site.data().display());
    clock.shift(3_600);
    book.tells("Check", 0, "clock_unsafe");
    assert!(daemon.measures("swoosh_clock_safe 0"));
    book.tells("Action", 0, "trusted");
    book.tells("Proof", 0, "ok");
    book.finish();
    assert!(daemon.measures("swoosh_clock_safe 1"));
}
