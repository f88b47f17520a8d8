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
    let checked = book.run("Check", 0);
    book.explains(checked.lines().find(|line| line.contains(&format!("record {lost}"))).unwrap());
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
    let said = book.run("Check", 0);
    assert!(said.contains("the inputs") && said.contains("runbooks/corrupt-journal.md if the node starts"), "{said}");
    book.explains(said.lines().find(|line| line.contains("record 3")).unwrap());
    book.run("Check", 1);
    book.run("Check", 2);
    daemon.terminate();
    book.run("Action", 0);
    book.run("Action", 1);
    book.tells("Proof", 0, "the log is good");
    let daemon = site.start();
    ask(&mut book, &daemon);
    book.tells("Proof", 1, "paused");
    book.finish();
}

/// Changes one byte of a row in a table of RocksDB, as a disk does.
fn flip(site: &Site, text: &str) {
    for entry in fs::read_dir(site.journal()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes.windows(text.len()).position(|part| part == text.as_bytes());
        if let Some(at) = found.filter(|_| path.extension().is_some_and(|extension| extension == "sst")) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("no table holds {text:?}");
}

/// The page said that all other projects work. A block of a table holds rows of several: each that it refuses is listed.
#[test]
fn a_changed_byte_in_a_table_is_followed_by_the_book_from_a_backup() {
    let site = Site::new();
    let daemon = site.start();
    for name in ["ill", "near"] {
        let mut project = Project::new(&site, name);
        project.drive(&daemon, Region::Boot, "LICENSED");
        let marked = Ask::new(Transition::ControlPause).with(json!({"rationale": format!("marked in {name}")}));
        assert_eq!(project.propose(&daemon, &marked).status, 202);
    }
    daemon.terminate();
    let backups = site.file("backups");
    let made = site.run(&["backup", "create", "--to", backups.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(site.run(&["snapshot", "take"]).status.success());
    flip(&site, "marked in ill");
    let daemon = site.start();
    daemon.wait_for("/health", |answer| answer.json()["tables_damaged"] != 0);
    let mut book = open("corrupt-journal.md", &site);
    ask(&mut book, &daemon);
    book.set("PROJECT", "ill");
    book.set("COPY", site.file("copy").display());
    let said = book.run("Check", 0);
    book.explains(said.lines().find(|line| line.contains("record 1")).unwrap());
    book.run("Check", 2);
    daemon.terminate();
    book.run("Action", 0);
    // Where there is no copy of the directory, the page leads to the backups.
    let aside = site.file("aside");
    fs::rename(site.data(), &aside).unwrap();
    let mut restore = open("restore-backup.md", &site);
    restore.set("BACKUPS", backups.display());
    restore.set("REASON", "ops: the disk changed bytes");
    restore.run("Action", 0);
    fs::copy(aside.join("node.key"), site.data().join("node.key")).unwrap();
    book.run("Proof", 0);
    let daemon = site.start();
    ask(&mut book, &daemon);
    book.run("Proof", 1);
}

type Damage<'a> = &'a dyn Fn(&Site);

/// Each way to break the journal, and what a start then prints: a row of the page explains it.
#[test]
fn recovery_explains_what_each_broken_start_prints() {
    let watermark = |site: &Site| site.data().join("journal.watermark");
    let breaks: [(&str, Damage<'_>); 4] = [
        ("no watermark", &|site| fs::remove_file(watermark(site)).unwrap()),
        ("both slots of the watermark damaged", &|site| {
            let length = fs::metadata(watermark(site)).unwrap().len();
            fs::write(watermark(site), vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        }),
        ("no MANIFEST", &|site| {
            let files = fs::read_dir(site.journal()).unwrap().map(|entry| entry.unwrap().path());
            let manifests = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST"));
            manifests.for_each(|path| fs::remove_file(path).unwrap());
        }),
        ("an empty log", &|site| drop(fs::File::options().write(true).open(newest_log(site)).unwrap().set_len(0))),
    ];
    for (what, damage) in breaks {
        let site = Site::new();
        let daemon = site.start();
        Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
        daemon.kill();
        damage(&site);
        let (_, said) = site.start_refused();
        assert!(said.contains("runbooks/recovery.md"), "{what}: {said}");
        open("recovery.md", &site).explains(&said);
    }
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
    book.run("Proof", 0);
    book.run("Action", 1);
    book.run("Proof", 1);
    book.finish();
    let daemon = site.start();
    assert!(daemon.measures("swoosh_snapshots_passed_over_total 0"));
}

/// The proof failed for a project that got no record after its damaged snapshot, and where no export was made.
#[test]
fn a_damaged_snapshot_of_an_idle_project_is_replaced_by_the_book() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    daemon.terminate();
    assert!(site.run(&["snapshot", "take"]).status.success());
    tamper(&site, "snapshots", |_, _| Some(b"{}".to_vec()));
    let mut book = open("snapshot-restore.md", &site);
    book.tells("Check", 1, "the snapshot of project p here is not used");
    book.run("Action", 0);
    book.run("Proof", 0);
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
    project.accept(&daemon, wanted);
    // The page said that a node needs no restart, and to prune by a setting that needs one: a start needs room.
    daemon.kill();
    fs::write(&ballast, b"").unwrap();
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", ballast.display())).output();
    let _ = Command::new("dd")
        .args(["if=/dev/zero", "bs=512"])
        .arg(format!("of={}", mounted.0.join("rest").display()))
        .output();
    let (_, said) = site.start_refused();
    assert!(said.contains("No space left on device"), "{said}");
    open("recovery.md", &site).explains(&said);
    fs::remove_file(&ballast).unwrap();
    let daemon = site.start();
    ask(&mut book, &daemon);
    book.run("Proof", 0);
    book.finish();
}

/// A file system that goes with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
