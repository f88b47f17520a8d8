//! Followers: they hold the same log and heads as the node, refuse what writes, and notice another history.

mod large;
mod secured;
mod tampered;
mod watched;

use std::path::Path;

use serde_json::{Value, json};
use swoosh::journal::{GENERATIONS, Journal};
use swoosh::types::names::{Region, Transition};

use crate::backup::{eventually, good, heads_at, text};
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::{Project, bytes};
use crate::support::world::Ask;

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Waits until a follower has all records of its node, and compares their heads.
#[track_caller]
pub fn catches_up(follower: &Daemon, node: &Daemon) {
    let last = node.last_index();
    eventually("the follower's catching up", || (follower.last_index() >= last).then_some(()));
    assert_eq!(heads_at(follower, last), heads_at(node, last));
}

/// Two records: a pause and its end. The end alone where a loss of records left the project paused.
pub fn toggle(project: &mut Project<'_>, daemon: &Daemon) {
    if !project.head.state().control.paused {
        project.accept(daemon, Transition::ControlPause);
    }
    project.accept(daemon, Transition::ControlResume);
}

/// A copy of a data directory whose node is down.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn a_follower_catches_up_under_load_goes_on_after_kills_and_refuses_what_writes() {
    let (site, data) = (Site::new(), folder());
    let data = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Execution, "WORK");
    let mut follower = site.follow(node.address, &data).unwrap();
    for _ in 0..3 {
        (0..5).for_each(|_| toggle(&mut project, &node));
        follower.kill();
        (0..5).for_each(|_| toggle(&mut project, &node));
        follower = site.follow(node.address, &data).unwrap();
        catches_up(&follower, &node);
    }
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let refused = follower.post(&bytes(&signed));
    assert_eq!((refused.status, refused.code().as_str()), (503, "follower"), "{}", refused.text());
    assert_eq!(follower.get("/health/ready").code(), "follower");
    let health = follower.get("/health").json();
    assert_eq!(
        (&health["status"], &health["mode"], &health["consensus"]),
        (&"ok".into(), &"following".into(), &"follower".into())
    );
    assert_eq!(follower.get("/wal?from=1&limit=1000").json(), node.get("/wal?from=1&limit=1000").json());
    for path in ["/records", "/records?project=one&transition=Control_Pause&limit=3", "/statechart"] {
        assert_eq!(follower.get(path).json(), node.get(path).json(), "{path}");
    }
    assert_eq!(follower.get("/decisions/one/1").json(), node.get("/decisions/one/1").json());
    assert!(follower.measures("swoosh_follow_connected 1"));
    // A follower can be followed.
    let second = data.with_file_name("second");
    let second = site.follow(follower.address, &second).unwrap();
    catches_up(&second, &node);
}

/// Nothing pruned a follower's directory, so that it grew for as long as it followed.
/// A follower wrote no rows of open effects: it had none until its next start.
#[test]
fn a_follower_keeps_the_rows_of_open_effects_as_its_node_does() {
    let (site, data) = (Site::new(), folder());
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSE_CHECK");
    let data = data.path().join("follower");
    let follower = site.follow(node.address, &data).unwrap();
    catches_up(&follower, &node);
    project.drive(&node, Region::Boot, "LICENSED");
    catches_up(&follower, &node);
    let open = |data: &Path| {
        let rows =
            Journal::open_read_only(data.join("journal")).unwrap().open_effects(&"one".parse().unwrap()).unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(open(&data), open(&site.data()));
    assert!(!open(&data).is_empty());
}

#[test]
fn a_follower_prunes_as_the_node_does() {
    let (site, data) = (Site::new(), folder());
    let data = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    site.change_settings(|settings| {
        settings["journal"] = json!({"snapshot_every": 1});
        settings["retention"] = json!({"every_ms": 100});
    });
    let url = format!("http://{}", node.address);
    let follower = site.follow_with(&url, &data, &["--config", site.config().to_str().unwrap()]).unwrap();
    // A page of records brings a snapshot where the one before left some uncovered: enough for more than stay.
    for _ in 0..16 {
        toggle(&mut project, &node);
        catches_up(&follower, &node);
    }
    let name = "one".parse().unwrap();
    let is_thinned = |line: &String| line.contains("removed old snapshots");
    eventually("the thinning of snapshots", || follower.log().iter().any(is_thinned).then_some(()));
    eventually("the last round", || {
        let journal = Journal::open_read_only(data.join("journal")).ok()?;
        (journal.snapshots(&name).ok()?.len() <= GENERATIONS + 1).then_some(())
    });
}

#[test]
fn a_follower_waits_for_a_node_that_is_away_and_goes_on_when_it_is_back() {
    let (site, data) = (Site::new(), folder());
    let data = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let address = node.address;
    let follower = site.follow(address, &data).unwrap();
    catches_up(&follower, &node);
    node.kill();
    eventually("the follower's notice", || follower.measures("swoosh_follow_connected 0").then_some(()));
    assert_eq!(follower.get("/state?project=one").status, 200);
    let node = site.start_on(&address.to_string());
    toggle(&mut project, &node);
    catches_up(&follower, &node);
}

#[test]
fn two_records_at_one_place_end_the_following_and_both_are_kept() {
    let (site, data) = (Site::new(), folder());
    let (follower, other) = (data.path().join("follower"), data.path().join("other"));
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let common = node.last_index();
    node.terminate();
    copy(&site.data(), &other);
    let node = site.start();
    project.accept(&node, Transition::ControlPause);
    let running = site.follow(node.address, &follower).unwrap();
    catches_up(&running, &node);
    running.kill();
    node.terminate();
    // The same node on a copy of its directory: it signs another record at the same place.
    let twin = site.start_in(&other).unwrap();
    let mut elsewhere = Project::new(&site, "two");
    elsewhere.drive(&twin, Region::Boot, "LICENSED");
    let (status, log) = site.follow(twin.address, &follower).unwrap().wait();
    assert_eq!(status.code(), Some(1));
    let said = log.join("\n");
    let index = common + 1;
    assert!(said.contains(&format!("record {index} is Control_Pause of project one")), "{said}");
    assert!(said.contains("Boot_ConfigOk of project two") && said.contains("equivocates"), "{said}");
    let kept: Value = serde_json::from_slice(&std::fs::read(follower.join("equivocation.json")).unwrap()).unwrap();
    assert_eq!((kept["index"].as_u64(), &kept["here"]["record"]["project"]), (Some(index), &"one".into()));
    assert_eq!(kept["sealed_by"], kept["there"]["seal"]["node"]);
}

#[test]
fn a_restored_node_is_another_incarnation_and_its_log_s_end_is_seen() {
    let (site, data) = (Site::new(), folder());
    let (follower, backups, again) =
        (data.path().join("follower"), data.path().join("backups"), data.path().join("again"));
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    good(site.run(&["--json", "backup", "create", "--to", text(&backups)]));
    toggle(&mut project, &node);
    let running = site.follow(node.address, &follower).unwrap();
    catches_up(&running, &node);
    running.kill();
    node.terminate();
    let restore = ["--json", "restore", "--from", text(&backups), "--to", text(&again), "--reason", "a test"];
    good(site.tool(&restore));
    std::fs::copy(site.data().join("node.key"), again.join("node.key")).unwrap();
    let node = site.start_in(&again).unwrap();
    let (status, log) = site.follow(node.address, &follower).unwrap().wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.join("\n").contains("has incarnation 2"), "{log:?}");
    // A new follower walks through the beginning of the incarnation.
    project.refresh(&node);
    toggle(&mut project, &node);
    let fresh = site.follow(node.address, &data.path().join("fresh")).unwrap();
    catches_up(&fresh, &node);
    // One that begins with a backup needs no record before it.
    let seeded = data.path().join("seeded");
    good(site.run_in(&again, &["--json", "backup", "create", "--to", text(&backups)]));
    let url = format!("http://{}", node.address);
    good(site.tool(&["--json", "restore", "--from", text(&backups), "--to", text(&seeded), "--follow", &url]));
    let seeded = site.follow(node.address, &seeded).unwrap();
    toggle(&mut project, &node);
    catches_up(&seeded, &node);
}

#[test]
fn a_follower_is_no_node_until_it_is_promoted() {
    let (site, data) = (Site::new(), folder());
    let follower = data.path().join("follower");
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let running = site.follow(node.address, &follower).unwrap();
    catches_up(&running, &node);
    let last = node.last_index();
    let taken = site.follow(node.address, &site.data()).err().expect("it follows with a node's directory");
    assert!(taken.1.contains("held by another process") || taken.1.contains("a node that writes"), "{}", taken.1);
    running.terminate();
    node.terminate();
    let taken = site.start_in(&follower).err().expect("it serves on a follower's directory");
    assert!(taken.1.contains("swoosh promote"), "{}", taken.1);
    assert!(!follower.join("node.key").exists(), "nothing is made in a directory that is not the node's");
    let asked = site.run_in(&follower, &["promote"]);
    assert!(!asked.status.success(), "it is asked for --yes");
    good(site.run_in(&follower, &["--json", "promote", "--yes", "--reason", "a test"]));
    std::fs::copy(site.data().join("node.key"), follower.join("node.key")).unwrap();
    let node = site.start_in(&follower).unwrap();
    assert_eq!(node.last_index(), last);
    toggle(&mut project, &node);
    node.terminate();
    let again = site.run_in(&follower, &["promote", "--yes", "--reason", "a test"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("follows no other node"), "{again:?}");
}
