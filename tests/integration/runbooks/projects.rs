//! Runbooks of projects that are held up: no quorum, a quarantine, more to do than a node can.

use serde_json::json;
use swoosh::platform::keyfile;
use swoosh::types::fact::FactKind;
use swoosh::types::names::{Region, Transition};

use super::{ask, open};
use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::{Project, bytes};
use crate::support::hands::VOTERS;
use crate::support::outside;
use crate::support::sockets::eventually;
use crate::support::world::Ask;

/// Says who is alive, and has it read.
fn pulses(site: &Site, daemon: &Daemon, silent: &[&str]) {
    site.tell(&[(FactKind::Liveness, None, outside::liveness(&site.hands, silent, now_ms() - 500))]);
    daemon.signal("HUP");
}

fn blocked_by(daemon: &Daemon, what: &str, projects: u64) -> bool {
    daemon.measures(&format!("swoosh_projects_blocked{{by=\"{what}\"}} {projects}"))
}

#[test]
fn a_lost_quorum_is_seen_for_what_it_is_and_comes_back_by_itself() {
    let site = Site::with(always_open(), |settings| settings["liveness"] = json!({"back_after_ms": 0}));
    let daemon = site.start();
    let mut project = Project::new(&site, "looping");
    project.drive(&daemon, Region::Execution, "PLAN");
    pulses(&site, &daemon, &VOTERS);
    eventually("the quorum is lost", || blocked_by(&daemon, "recovery", 1));

    let mut book = open("consensus-health.md", &site);
    ask(&mut book, &daemon);
    book.set("PROJECT", "looping");
    let key = site.file("operator.key");
    keyfile::store(&key, &site.hands.get("operator").secret).unwrap();
    book.set("SWOOSH_KEY", key.display());
    book.tells("Check", 0, "single");
    book.tells("Check", 1, "liveness");
    book.tells("Check", 2, "recovery");
    book.run("Action", 0);
    pulses(&site, &daemon, &[]);
    eventually("the quorum is back", || blocked_by(&daemon, "recovery", 0));
    book.run("Proof", 0);
    book.finish();
}

#[test]
fn a_person_releases_a_project_from_quarantine() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "held");
    project.drive(&daemon, Region::Boot, "LICENSED");
    project.accept(&daemon, Transition::PolicyQuarantine);
    eventually("it is reported", || blocked_by(&daemon, "quarantined", 1));

    let mut book = open("quarantine-release.md", &site);
    ask(&mut book, &daemon);
    let key = site.file("human.key");
    keyfile::store(&key, &site.hands.get("human").secret).unwrap();
    book.set("PROJECT", "held");
    book.set("SWOOSH_KEY", key.display());
    book.set("REASON", "It was a test.");
    book.tells("Check", 0, "QUARANTINED");
    book.tells("Check", 1, "Policy_Release");
    book.tells("Action", 0, "accepted");
    book.tells("Proof", 0, "CLEAR");
    book.finish();
    assert!(blocked_by(&daemon, "quarantined", 0));
}

#[test]
fn an_overloaded_node_says_so_and_is_well_afterwards() {
    let site = Site::with(always_open(), |settings| settings["sequencer"] = json!({"queue": 1, "project_queue": 1}));
    let daemon = site.start();
    let overloaded = || {
        let shed =
            |line: &&str| line.starts_with("swoosh_rejection_total{code=\"overloaded\"}") && !line.ends_with(" 0");
        daemon.get("/metrics").text().lines().any(|line| shed(&line))
    };
    eventually("a proposal finds no room", || {
        let projects = (0..32).map(|_| Project::new(&site, "crowded"));
        let proposals: Vec<_> =
            projects.map(|project| bytes(&project.signed(&Ask::new(Transition::BootConfigOk)))).collect();
        std::thread::scope(|scope| proposals.iter().for_each(|body| drop(scope.spawn(|| daemon.post(body)))));
        overloaded()
    });
    let mut book = open("overload.md", &site);
    ask(&mut book, &daemon);
    book.tells("Check", 0, "code=\"overloaded\"");
    book.tells("Proof", 0, "ready");
    book.finish();
}
