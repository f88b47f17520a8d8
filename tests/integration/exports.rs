//! Exports are whole by themselves: they go through incarnations, and each directory holds every record.

use std::path::Path;

use swoosh::types::names::{Region, Transition};

use crate::backup::{good, text};
use crate::support::daemon::Site;
use crate::support::driver::Project;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The records that a directory holds, by the names of its files.
fn held(directory: &Path) -> Vec<(u64, u64)> {
    let Ok(files) = std::fs::read_dir(directory.join("wal")) else { return Vec::new() };
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let span = |name: String| {
        let (first, rest) = name.split_once('-').unwrap();
        (first.parse().unwrap(), rest.split_once('.').unwrap().0.parse().unwrap())
    };
    let mut spans: Vec<(u64, u64)> = names.map(span).collect();
    spans.sort_unstable();
    spans
}

#[track_caller]
fn is_good(site: &Site, directory: &Path) {
    let verified = site.tool(&["snapshot", "verify", "--from", text(directory)]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && said.contains("the export is good"), "{said}");
}

/// The check left the incarnations out of the chain, and called every export after a restore or a promotion damaged.
#[test]
fn an_export_across_incarnations_is_good() {
    let (site, data) = (Site::new(), folder());
    let (backups, again, to) = (data.path().join("backups"), data.path().join("again"), data.path().join("to"));
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    node.terminate();
    good(site.run(&["--json", "snapshot", "export", "--wal", "--to", text(&to)]));
    good(site.run(&["--json", "backup", "create", "--to", text(&backups)]));
    good(site.tool(&["--json", "restore", "--from", text(&backups), "--to", text(&again), "--reason", "a test"]));
    std::fs::copy(site.data().join("node.key"), again.join("node.key")).unwrap();
    let node = site.start_in(&again).unwrap();
    project.accept(&node, Transition::ControlPause);
    project.accept(&node, Transition::ControlResume);
    let last = node.last_index();
    node.terminate();
    let whole = data.path().join("whole");
    for directory in [&to, &whole] {
        good(site.run_in(&again, &["--json", "snapshot", "export", "--wal", "--to", text(directory)]));
        is_good(&site, directory);
    }
    assert_eq!(held(&to), [(1, last - 2), (last - 1, last)]);
    assert_eq!(held(&whole), [(1, last)]);
    // The link of the incarnation is checked too.
    let round = whole.join(format!("rounds/{last:020}.json"));
    let text_of = std::fs::read_to_string(&round).unwrap();
    std::fs::write(&round, text_of.replacen("a test", "another", 1)).unwrap();
    let verified = site.tool(&["snapshot", "verify", "--from", text(&whole)]);
    assert!(String::from_utf8_lossy(&verified.stdout).contains("the chain breaks at record"), "{verified:?}");
}

/// How far records were exported was kept in the data directory, so that a second directory got none of them.
#[test]
fn every_directory_gets_every_record() {
    let (site, data) = (Site::new(), folder());
    let [one, two, three] = ["one", "two", "three"].map(|name| data.path().join(name));
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let first = node.last_index();
    node.terminate();
    let export = |to: &Path, more: &[&str]| {
        let command = [&["--json", "snapshot", "export", "--to", text(to)], more].concat();
        good(site.run(&command));
        is_good(&site, to);
    };
    export(&one, &["--wal"]);
    export(&two, &["--wal"]);
    // One without records gets them when they are asked for, though nothing happened since.
    export(&three, &[]);
    assert_eq!(held(&three), []);
    export(&three, &["--wal"]);
    export(&three, &["--wal"]);
    let node = site.start();
    project.accept(&node, Transition::ControlPause);
    node.terminate();
    for directory in [&one, &two, &three] {
        export(directory, &["--wal"]);
        assert_eq!(held(directory), [(1, first), (first + 1, first + 1)]);
    }
    std::fs::remove_file(one.join(format!("rounds/{first:020}.json"))).unwrap();
    let verified = site.tool(&["snapshot", "verify", "--from", text(&one)]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(said.contains(&format!("records 1 to {first} are in no file of this export")), "{said}");
}
