//! Acknowledged records are given up by `swoosh wal accept` alone, and what is sealed after it is of another incarnation.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use swoosh::types::names::Region;

use crate::backup::{good, text};
use crate::follow::{catches_up, folder, toggle};
use crate::support::daemon::Site;
use crate::support::driver::Project;

/// Cuts the newest part of RocksDB's own log away, as a disk does that loses its last blocks.
fn cut_log(data: &Path) {
    let files = std::fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let log = logs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let length = log.metadata().unwrap().len();
    assert!(length > 0, "nothing is in RocksDB's log");
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length * 3 / 4).unwrap();
}

/// The last record that is left, as `swoosh wal verify` says it; the log must be found damaged.
#[track_caller]
fn lost(site: &Site, data: &Path) -> u64 {
    let verified = site.run_in(data, &["--json", "wal", "verify"]);
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["ok"], false, "{report}");
    // The remaining records replay and give the same decisions, but the missing records still make both commands fail.
    for command in [&["replay", "--reguard"][..], &["decisions", "verify"], &["decisions", "export"]] {
        let output = site.run_in(data, command);
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        assert!(!output.status.success() && said.contains("acknowledged records are missing"), "{command:?}: {said}");
    }
    report["last_index"].as_u64().unwrap()
}

#[track_caller]
fn refused(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(what), "{said}{}", String::from_utf8_lossy(&output.stdout));
}

/// A promotion said nothing of lost records, succeeded, and wrote the watermark again for the end that was there.
#[test]
fn a_follower_that_lost_records_is_not_promoted_until_the_loss_is_accepted() {
    let (site, data) = (Site::new(), folder());
    let follower = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let running = site.follow(node.address, &follower).unwrap();
    for _ in 0..4 {
        toggle(&mut project, &node);
        catches_up(&running, &node);
    }
    let promised = node.last_index();
    running.terminate();
    node.terminate();
    cut_log(&follower);
    let watermark = || std::fs::read(follower.join("journal.watermark")).unwrap();
    let (left, before) = (lost(&site, &follower), watermark());
    let missing = format!("record {} is the first one missing", left + 1);
    let yes = ["promote", "--yes", "--reason", "a test"];
    for command in
        [&["promote"][..], &yes, &["snapshot", "take"], &["snapshot", "export", "--to", text(&data.path().join("to"))]]
    {
        refused(&site.run_in(&follower, command), &missing);
        assert_eq!((lost(&site, &follower), watermark()), (left, before.clone()), "{command:?} changed something");
    }
    let last = left.to_string();
    let accepted = ["--json", "wal", "accept", "--last", &last, "--yes", "--reason", "a test"];
    let accepted = good(site.run_in(&follower, &accepted));
    assert_eq!((&accepted["promised"], &accepted["incarnation"]), (&promised.into(), &1.into()));
    good(site.run_in(&follower, &["--json", "promote", "--yes", "--reason", "a test"]));
    good(site.run_in(&follower, &["--json", "wal", "verify"]));
    std::fs::copy(site.data().join("node.key"), follower.join("node.key")).unwrap();
    let node = site.start_in(&follower).unwrap();
    assert_eq!(node.last_index(), left);
    project.refresh(&node);
    toggle(&mut project, &node);
}

/// New records took the lost indexes under the same incarnation, and the node's follower proved that it equivocates.
#[test]
fn a_node_whose_loss_was_accepted_never_seals_an_index_twice_in_one_incarnation() {
    let (site, data) = (Site::new(), folder());
    let follower = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let running = site.follow(node.address, &follower).unwrap();
    for _ in 0..4 {
        toggle(&mut project, &node);
    }
    catches_up(&running, &node);
    running.terminate();
    node.terminate();
    cut_log(&site.data());
    let last = lost(&site, &site.data()).to_string();
    assert!(site.start_refused().1.contains("is the first one missing"));
    let accepted = good(site.run(&["--json", "wal", "accept", "--last", &last, "--yes", "--reason", "ops: gone"]));
    assert_eq!(accepted["incarnation"], 2);
    let report = good(site.run(&["--json", "wal", "verify"]));
    assert_eq!((&report["incarnation"], &report["incarnations"][0]["number"]), (&2.into(), &2.into()));
    let node = site.start();
    project.refresh(&node);
    toggle(&mut project, &node);
    let (status, log) = site.follow(node.address, &follower).unwrap().wait();
    assert_eq!(status.code(), Some(1));
    let said = log.join("\n");
    assert!(said.contains("has incarnation 2") && said.contains("its loss of records was accepted"), "{said}");
    assert!(!follower.join("equivocation.json").exists(), "{said}");
    let fresh = site.follow(node.address, &data.path().join("fresh")).unwrap();
    catches_up(&fresh, &node);
    node.terminate();
    good(site.run(&["--json", "wal", "verify"]));
    assert!(site.run(&["replay", "--reguard"]).status.success());
}
