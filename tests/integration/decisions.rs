//! Decision records leave a real daemon for a file and for a BUBBLE server that is not always well.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use crate::support::bubble::{Bubble, Mood};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::wal;

/// A site that exports to both, and tries again soon.
fn exporting(bubble: &Bubble) -> Site {
    Site::with(always_open(), |settings| {
        settings["decisions"] = json!({
            "bubble": bubble.url(), "jsonl": "decisions.jsonl", "batch_records": 4, "retry_min_ms": 10,
            "retry_max_ms": 20, "request_timeout_ms": 300,
        });
    })
}

fn export(daemon: &Daemon, exporter: &str) -> Value {
    let health = daemon.get("/health").json();
    let exports = health["decision_export"].as_array().unwrap().clone();
    exports.into_iter().find(|export| export["exporter"] == exporter).unwrap()
}

/// Waits until both exporters have delivered everything.
fn delivered(daemon: &Daemon) {
    daemon.wait_for("/health", |answer| {
        let exports = answer.json()["decision_export"].as_array().unwrap().clone();
        exports.len() == 2 && exports.iter().all(|export| export["lag"] == 0)
    });
}

fn ids(daemon: &Daemon) -> Vec<String> {
    let id = |entry: &swoosh::client::WalEntry| {
        let record = &entry.record;
        swoosh::types::ids::DecisionId::of(&record.project, record.index, &entry.chain).to_string()
    };
    wal::read(daemon).iter().map(id).collect()
}

fn id_of(document: &str) -> String {
    serde_json::from_str::<Value>(document).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Output of `swoosh decisions verify -` for these documents.
fn verify(site: &Site, documents: &str) -> (bool, String) {
    let mut command = crate::support::program();
    command.args(["decisions", "verify", "-", "--data"]).arg(site.data());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(documents.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn pause_and_resume(project: &mut Project<'_>, daemon: &Daemon, rounds: usize) {
    for _ in 0..rounds {
        project.accept(daemon, Transition::ControlPause);
        project.accept(daemon, Transition::ControlResume);
    }
}

fn jsonl(site: &Site) -> String {
    std::fs::read_to_string(site.data().parent().unwrap().join("decisions.jsonl")).unwrap()
}

#[test]
fn every_decision_arrives_once_and_in_order_through_every_mood_of_the_server_and_kills() {
    let bubble = Bubble::start(Mood::Take, None);
    let site = exporting(&bubble);
    let mut daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let moods = [
        Mood::Hang,
        Mood::TakeSilently,
        Mood::Status(503),
        Mood::Garbage(b"<html>please log in</html>".to_vec()),
        Mood::AtMost(1),
        Mood::Flood,
        Mood::TakeSome(1),
        Mood::Status(403),
    ];
    for mood in moods {
        bubble.be(mood.clone());
        pause_and_resume(&mut project, &daemon, 2);
        let asked = bubble.requests();
        daemon.wait_for("/health", |_| bubble.requests() > asked);
        daemon.kill();
        daemon = site.start();
        project.refresh(&daemon);
    }
    bubble.be(Mood::Take);
    delivered(&daemon);
    let (all, arrived) = (ids(&daemon), bubble.documents());
    assert_eq!(arrived.iter().map(|document| id_of(document)).collect::<Vec<_>>(), all);
    let written = jsonl(&site);
    assert_eq!(written.lines().map(id_of).collect::<Vec<_>>(), all);
    assert!(bubble.repeats() > 0, "the silent server got nothing twice");
    daemon.terminate();
    let (good, said) = verify(&site, &arrived.join("\n"));
    assert!(good && said.contains("the same"), "{said}");
    let changed = written.replacen("\"index\":3", "\"index\":2", 1);
    let (good, said) = verify(&site, &changed);
    assert!(!good && said.contains("index: 2 where the log gives 3"), "{said}");
}

#[test]
fn a_stalled_server_shows_as_lag_and_slows_nothing() {
    let bubble = Bubble::start(Mood::Hang, None);
    let site = exporting(&bubble);
    let daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    pause_and_resume(&mut project, &daemon, 20);
    daemon.wait_for("/health", |_| export(&daemon, "bubble")["failures"].as_u64().unwrap() > 0);
    let stalled = export(&daemon, "bubble");
    assert_eq!((stalled["position"].as_u64(), stalled["lag"].as_u64()), (Some(0), Some(daemon.last_index())));
    assert!(stalled["problem"].as_str().unwrap().contains("did not answer in time"), "{stalled}");
    let line = format!("swoosh_decision_export_lag_records{{exporter=\"bubble\"}} {}", daemon.last_index());
    let metrics = daemon.get("/metrics").text().to_string();
    assert!(metrics.lines().any(|found| found == line), "{line}");
    assert_eq!(daemon.get("/health/ready").status, 200);
    bubble.be(Mood::Take);
    delivered(&daemon);
    assert_eq!(export(&daemon, "bubble")["problem"], Value::Null);
}

#[test]
fn nothing_is_sent_before_a_license_is_valid() {
    let bubble = Bubble::start(Mood::Take, None);
    let site = exporting(&bubble);
    site.tell(&[(swoosh::types::fact::FactKind::License, None, json!({"id": "other", "scopes": ["other"]}))]);
    let daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.accept(&daemon, Transition::BootConfigOk);
    daemon.wait_for("/health", |_| {
        let (file, server) = (export(&daemon, "jsonl"), export(&daemon, "bubble"));
        file["lag"] == 0 && server["failures"].as_u64().unwrap() > 0
    });
    assert_eq!((bubble.requests(), export(&daemon, "bubble")["position"].as_u64()), (0, Some(0)));
    site.tell(&[]);
    delivered(&daemon);
    assert_eq!(bubble.documents().len(), 1);
}

#[test]
fn every_decision_is_recomputed_from_the_log() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&daemon, Region::Council, "READY");
    let shown = daemon.get(&format!("/decisions/{}", ids(&daemon)[4])).json();
    let made = site.run(&["--json", "decisions", "show", "5"]);
    assert_eq!(serde_json::from_slice::<Value>(&made.stdout).unwrap(), shown);
    let count = daemon.last_index();
    daemon.terminate();
    let verified = site.run(&["decisions", "verify"]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success() && said.starts_with(&format!("{count} decision records")), "{said}");
    let listed = site.run(&["--json", "decisions", "list", "--project", "alpha", "--from", "3", "--limit", "2"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let indexes: Vec<_> = listed["decisions"].as_array().unwrap().iter().map(|it| it["index"].clone()).collect();
    assert_eq!(indexes, [3, 4]);
    let exported = site.run(&["decisions", "export"]);
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert_eq!(exported.lines().count() as u64, count);
    assert!(verify(&site, &exported).0);
    assert!(!site.run(&["decisions", "show", "9999"]).status.success());
    assert!(!Path::new(&site.data()).join("decisions.jsonl").exists());
}
