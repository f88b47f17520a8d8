//! Effects over a restore, a promotion, and an accepted loss. An outcome answers only the record that opened its
//! effect. Work that must not run twice is first reported as unknown.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swoosh::types::names::{EnvironmentState, Region, Transition};

use super::super::support::daemon::{Daemon, Site};
use super::super::support::driver::{Project, bytes};
use super::super::support::world::Ask;
use super::{Yard, count, environment, records, state_where};
use crate::backup::{eventually, good, text};

const RESOLVED: Transition = Transition::IngestionSourcesResolved;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn backup(site: &Site, to: &Path) {
    good(site.run(&["--json", "backup", "create", "--to", text(to)]));
}

/// Restores the newest backup into `to`, with the node's key; `last` is the last record that is kept.
fn restore(site: &Site, from: &Path, to: &Path, last: Option<u64>) {
    let given = ["--json", "restore", "--from", text(from), "--to", text(to), "--reason", "a test"];
    let last = last.map(|last| last.to_string());
    let index: Vec<&str> = last.iter().flat_map(|last| ["--index", last.as_str()]).collect();
    good(site.tool(&[&given[..], &index].concat()));
    std::fs::copy(site.data().join("node.key"), to.join("node.key")).unwrap();
}

/// Backup at record 6; record 7 opens `p/7/resolve`; restore. Another record 7 opened the same id, and the old worker's
/// outcome was accepted for the new sources.
#[test]
fn an_outcome_of_before_a_restore_answers_no_effect_of_after_it() {
    let (site, folder) = (Site::new(), folder());
    let (backups, again) = (folder.path().join("backups"), folder.path().join("again"));
    let node = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&node, Region::Ingestion, "READY");
    let last = node.last_index();
    project.accept(&node, Transition::IngestionNewVersion);
    let old = project.valid(RESOLVED);
    // An outcome that is held for the record that is given up leaves nothing behind either.
    project.accept(&node, Transition::ControlPause);
    let held = node.post(&bytes(&project.signed(&Ask::new(RESOLVED).by("worker"))));
    assert_eq!(held.code(), "outcome_held", "{}", held.text());
    backup(&site, &backups);
    node.terminate();
    restore(&site, &backups, &again, Some(last));
    good(site.run_in(&again, &["--json", "wal", "verify"]));
    let node = site.start_in(&again).unwrap();
    project.refresh(&node);
    project.accept(&node, Transition::IngestionNewVersion);
    let new = project.valid(RESOLVED);
    let index = |inputs: &Value| inputs["effect"].as_str().unwrap().split(['/', '-']).nth(1).unwrap().to_owned();
    assert_eq!(index(&old), index(&new), "the same index in two incarnations");
    assert_ne!(old["effect"], new["effect"]);
    let refused = project.propose(&node, &Ask::new(RESOLVED).by("worker").with(old));
    assert_eq!(refused.code(), "guard_effect", "{}", refused.text());
    assert!(refused.text().contains("another record has this index"), "{}", refused.text());
    project.propose(&node, &Ask::new(RESOLVED).by("worker").with(new)).receipt();
    assert_eq!(node.get("/effects?project=p").json()["effects"].as_array().unwrap().len(), 2);
}

/// A packer that notes each build and takes its time, for a node that dies after it.
fn slow_packer(yard: &Yard) -> String {
    let ledger = yard.site.file("ledger");
    yard.program("packer", "");
    let body = format!(
        "#!/bin/sh\n[ \"$1\" = build ] && echo ran >> {} && sleep 1\nexec /usr/bin/packer \"$@\"\n",
        ledger.display()
    );
    crate::support::write_program(&yard.site.file("packer"), &body);
    format!("PATH={}:{}", yard.site.file("").display(), std::env::var("PATH").unwrap())
}

/// Starts the yard's node on another data directory, where its key was put.
fn start_on(yard: &Yard, data: &Path, path: &str) -> Daemon {
    let data = text(data).to_owned();
    yard.site.change_settings(|settings| settings["data"] = json!(data));
    yard.site.start_by(&["env", path]).unwrap_or_else(|refused| panic!("{refused:?}"))
}

#[track_caller]
fn reports_unknown_once_and_then_works(daemon: &Daemon) {
    state_where(daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let wal = daemon.get("/wal?project=p&limit=1000").text();
    assert_eq!(wal.matches("\"unknown\":true").count(), 1, "{wal}");
    assert_eq!(count(daemon, "Environment_ProvisionFailed"), 1);
    assert_eq!(count(daemon, "Environment_Installed"), 1);
}

/// The primary dies after its packer run; the follower that was promoted ran the same effect again, unseen.
#[test]
fn a_promoted_follower_reports_work_that_may_have_been_done_as_unknown() {
    let (yard, folder) = (environment::yard(), folder());
    let path = slow_packer(&yard);
    let data = folder.path().join("follower");
    let daemon = yard.site.start_by(&["env", &path, "SWOOSH_CRASH_AT=note:provision"]).unwrap();
    let follower = yard.site.follow(daemon.address, &data).unwrap();
    yard.begin(&daemon, yard.document("v1.0"));
    assert!(daemon.wait().0.code().is_none(), "it did not die");
    eventually("the record that opens it", || (count(&follower, "Environment_CapacityOk") == 1).then_some(()));
    follower.terminate();
    good(yard.site.run_in(&data, &["--json", "promote", "--yes", "--reason", "a test"]));
    std::fs::copy(yard.site.data().join("node.key"), data.join("node.key")).unwrap();
    let daemon = start_on(&yard, &data, &path);
    reports_unknown_once_and_then_works(&daemon);
    assert_eq!(yard.ledger().len(), 2, "once by each node, and the second time after it was reported");
}

#[test]
fn a_restored_node_reports_work_that_was_done_after_the_record_it_goes_back_to_as_unknown() {
    let (yard, folder) = (environment::yard(), folder());
    let (backups, again) = (folder.path().join("backups"), folder.path().join("again"));
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let opened = daemon.get("/wal?project=p&limit=1000").json()["records"]
        .as_array()
        .unwrap()
        .iter()
        .position(|entry| entry["record"]["transition"] == "Environment_CapacityOk");
    backup(&yard.site, &backups);
    daemon.terminate();
    restore(&yard.site, &backups, &again, Some(opened.unwrap() as u64 + 1));
    let daemon = start_on(&yard, &again, "A=a");
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_ProvisionFailed") > 0);
    let wal = daemon.get("/wal?project=p&limit=1000").text();
    assert_eq!(wal.matches("\"unknown\":true").count(), 1, "{wal}");
    let first = records(&daemon).into_iter().map(|(name, ..)| name).find(|name| name.starts_with("Environment_Pro"));
    assert_eq!(first.as_deref(), Some("Environment_ProvisionFailed"), "it was reported before anything was built");
}

/// The newest log file of a journal, without its last bytes: what a disk that lies leaves after a loss of power.
fn cut_tail(journal: &Path, bytes: u64) {
    let logs = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let log: PathBuf = logs.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap();
    let length = std::fs::metadata(&log).unwrap().len();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(length.saturating_sub(bytes)).unwrap();
}

/// The node acknowledged the worker's outcome as held, lost it, started as whole, and applied nothing.
#[test]
fn a_held_outcome_that_was_lost_with_the_tail_of_the_log_keeps_the_node_from_starting() {
    for durability in ["sync", "interval"] {
        let yard = Yard::new(&[], |settings| {
            settings["journal"]["durability"] = json!(durability);
            settings["journal"]["interval_ms"] = json!(20);
        });
        let daemon = yard.site.start();
        let mut project = yard.begin(&daemon, yard.document("v1.0"));
        project.accept(&daemon, Transition::ControlPause);
        let held = daemon.post(&bytes(&project.signed(&Ask::new(RESOLVED).by("worker"))));
        assert_eq!(held.code(), "outcome_held", "{}", held.text());
        let last = daemon.last_index();
        daemon.kill();
        cut_tail(&yard.site.journal(), 20);
        let (code, said) = yard.site.start_refused();
        assert_eq!(code, Some(1));
        assert!(said.contains("held outcomes") && said.contains("runbooks/recovery.md"), "{said}");
        let verified = yard.site.run(&["wal", "verify"]);
        assert!(!verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        let last = last.to_string();
        let accept = ["wal", "accept", "--last", &last, "--yes", "--reason", "ops: a test"];
        let accepted = yard.site.run(&accept);
        let said = String::from_utf8_lossy(&accepted.stdout).into_owned();
        assert!(accepted.status.success() && said.contains("held outcomes"), "{said}");
        // The loss was accepted: the worker brings it again, and it is held and applied.
        let daemon = yard.site.start();
        eventually("the holding of the outcome", || {
            project.refresh(&daemon);
            let held = daemon.post(&bytes(&project.signed(&Ask::new(RESOLVED).by("worker"))));
            (held.code() == "outcome_held").then_some(())
        });
        super::insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
        state_where(&daemon, |state| state.ingestion.phase.as_str() == "FETCH");
    }
}

/// The note that an attempt began was lost, and a builder ran a second time without a word.
#[test]
fn a_lost_note_of_an_attempt_keeps_the_node_from_starting_and_an_accepted_loss_is_reported_as_unknown() {
    let yard = environment::yard();
    let path = slow_packer(&yard);
    let daemon = yard.site.start_by(&["env", &path, "SWOOSH_CRASH_AT=note:provision"]).unwrap();
    yard.begin(&daemon, yard.document("v1.0"));
    assert!(daemon.wait().0.code().is_none(), "it did not die");
    cut_tail(&yard.site.journal(), 20);
    let (code, said) = yard.site.start_refused();
    assert_eq!(code, Some(1));
    assert!(said.contains("notes of attempts") && said.contains("runbooks/recovery.md"), "{said}");
    let shown: Value = good_or_not(&yard.site, &["--json", "wal", "verify"]);
    let last = shown["last_index"].as_u64().unwrap().to_string();
    let accepted = yard.site.run(&["wal", "accept", "--last", &last, "--yes", "--reason", "ops: a test"]);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let daemon = yard.site.start_by(&["env", &path]).unwrap();
    reports_unknown_once_and_then_works(&daemon);
    // The next try may find what the first one made.
    assert!(yard.ledger().len() <= 2, "{:?}", yard.ledger());
}

/// JSON output of a command, with any exit code.
fn good_or_not(site: &Site, arguments: &[&str]) -> Value {
    serde_json::from_slice(&site.run(arguments).stdout).unwrap()
}
