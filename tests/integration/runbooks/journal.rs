//! Runbooks of the journal and the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use super::{ask, open};
use crate::growth::tamper;
use crate::support::daemon::Site;
use crate::support::driver::Project;
use crate::support::runbook::Runbook;
use crate::support::skipped;
use crate::support::world::Ask;

fn newest_log(site: &Site) -> PathBuf {
    let files = fs::read_dir(site.journal()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn recovery_accepts_a_loss_that_nothing_makes_good() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "lossy");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let log = newest_log(&site);
    let length = fs::metadata(&log).unwrap().len();
    let lost = project.accept(&daemon, Transition::ControlPause).index;
    daemon.kill();
    fs::File::options().write(true).open(&log).unwrap().set_len(length).unwrap();
    let (_, said) = site.start_refused();
    assert!(said.contains("runbooks/recovery.md"), "{said}");

    let mut book = open("recovery.md", &site);
    book.set("COPY", site.file("copy").display());
    book.set("LAST", lost - 1);
    book.set("REASON", "ops: the disk died");
    book.tells("Check", 0, &format!("record {lost}"));
    book.tells("Check", 1, "Boot_Licensed");
    book.run("Action", 0);
    assert!(site.file("copy").join("journal").is_dir() && site.file("copy").join("journal.watermark").is_file());
    book.tells("Action", 1, "nothing was changed");
    book.tells("Action", 2, "accepted");
    book.tells("Proof", 0, "the log is good");
    let daemon = site.start();
    ask(&mut book, &daemon);
    book.tells("Proof", 1, "ok");
    book.finish();
}

#[test]
fn a_corrupt_journal_is_put_back_as_a_whole() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "ill");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let marked = Ask::new(Transition::ControlPause).with(json!({"rationale": "to be damaged"}));
    assert_eq!(project.propose(&daemon, &marked).status, 202);
    daemon.terminate();
    let good = site.file("good");
    copy(&site.data(), &good);
    tamper(&site, "objects", |_, value| {
        let text = String::from_utf8_lossy(value);
        text.contains("to be damaged").then(|| text.replace("damaged", "changed").into_bytes())
    });
    let daemon = site.start();
    let answer = daemon.get("/state?project=ill");
    assert!(
        answer.code() == "project_damaged" && answer.text().contains("runbooks/corrupt-journal.md"),
        "{}",
        answer.text()
    );

    let mut book = open("corrupt-journal.md", &site);
    ask(&mut book, &daemon);
    book.set("PROJECT", "ill");
    book.set("COPY", site.file("copy").display());
    book.set("GOOD", good.display());
    book.tells("Check", 0, "the inputs");
    book.run("Check", 1);
    book.run("Action", 0);
    daemon.terminate();
    book.run("Action", 1);
    book.tells("Proof", 0, "the log is good");
    let daemon = site.start();
    ask(&mut book, &daemon);
    book.tells("Proof", 1, "paused");
    book.finish();
}

#[test]
fn a_damaged_snapshot_is_replaced_and_copies_leave() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    daemon.terminate();
    assert!(site.run(&["snapshot", "take"]).status.success());
    tamper(&site, "snapshots", |_, _| Some(b"{}".to_vec()));
    let daemon = site.start();
    project.accept(&daemon, Transition::ControlPause);
    assert!(daemon.measures("swoosh_snapshots_passed_over_total 1"));
    daemon.terminate();

    let mut book = open("snapshot-restore.md", &site);
    book.set("EXPORT", site.file("export").display());
    book.tells("Check", 0, "p");
    book.tells("Check", 1, "record 2: the snapshot of project p here is not used");
    book.tells("Check", 1, "snapshot-restore.md");
    book.run("Action", 0);
    book.run("Action", 1);
    book.tells("Proof", 0, "the export is good");
    book.tells("Proof", 0, "the log is good");
    book.finish();
    let daemon = site.start();
    assert!(daemon.measures("swoosh_snapshots_passed_over_total 0"));
}

/// A disk of its own for a daemon, on which its data directory lies; see `disk.rs`.
const DISK: &str = "size=48m";

#[test]
fn room_brings_a_node_with_a_full_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "swoosh"]).arg(folder.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return skipped("no file system can be mounted here");
    }
    let mounted = Mounted(folder.path().to_owned());
    let site = Site::new();
    let data = mounted.0.join("data");
    fs::create_dir(&data).unwrap();
    copy(&site.data().join("node.key"), &data);
    site.change_settings(|settings| settings["data"] = json!(data));
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let ballast = mounted.0.join("ballast");
    fs::write(&ballast, b"").unwrap();
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", ballast.display())).output();
    // The rest of the log's last page still holds a record or two.
    let mut wanted = Transition::ControlPause;
    let mut refused = project.propose(&daemon, &Ask::new(wanted));
    for next in [Transition::ControlResume, Transition::ControlPause].into_iter().cycle().take(8) {
        if refused.status == 202 {
            project.refresh(&daemon);
            wanted = next;
            refused = project.propose(&daemon, &Ask::new(wanted));
        }
    }
    assert_eq!(refused.code(), "not_durable", "{}", refused.text());

    let mut book = Runbook::open("disk-full.md");
    book.set("DATA", data.display());
    ask(&mut book, &daemon);
    book.tells("Check", 0, "journal");
    assert!(daemon.measures("swoosh_mode{mode=\"refusing\"} 1"));
    fs::remove_file(&ballast).unwrap();
    daemon.wait_for("/health/ready", |answer| answer.status == 200);
    book.tells("Proof", 0, "ready");
    book.finish();
    project.accept(&daemon, wanted);
}

/// A file system that goes with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
