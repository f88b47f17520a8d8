//! Runbooks of backups and followers.

use std::path::Path;

use swoosh::types::names::{Region, Transition};

use super::open;
use crate::backup::{good, text};
use crate::support::daemon::Site;
use crate::support::driver::Project;

/// A site whose node ran, was backed up, and is down; and the last record of the backup.
fn backed_up(backups: &Path) -> (Site, u64) {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let made = good(site.run(&["--json", "backup", "create", "--to", text(backups)]));
    project.accept(&daemon, Transition::ControlPause);
    daemon.kill();
    (site, made["backup"]["last_index"].as_u64().unwrap())
}

#[test]
fn a_data_directory_that_is_gone_comes_back_from_a_backup() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let backups = folder.path().join("backups");
    let (site, last) = backed_up(&backups);
    let aside = site.file("aside");
    std::fs::rename(site.data(), &aside).unwrap();

    let mut book = open("restore-backup.md", &site);
    book.set("ASIDE", aside.display());
    book.set("BACKUPS", backups.display());
    book.set("REASON", "ops: the disk died");
    book.tells("Check", 0, "the log is good");
    book.run("Check", 1);
    book.run("Action", 0);
    std::fs::copy(aside.join("node.key"), site.data().join("node.key")).unwrap();
    book.tells("Proof", 0, "ops: the disk died");
    book.finish();
    let daemon = site.start();
    assert_eq!(daemon.last_index(), last);
}

#[test]
fn a_follower_takes_over() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (backups, follower) = (folder.path().join("backups"), folder.path().join("follower"));
    let (site, last) = backed_up(&backups);
    let url = "http://127.0.0.1:1";
    good(site.tool(&["--json", "restore", "--from", text(&backups), "--to", text(&follower), "--follow", url]));

    let mut book = open("promote-follower.md", &site);
    book.set("FOLLOWER", follower.display());
    book.set("REASON", "ops: the node is gone");
    book.tells("Action", 0, "the log is good");
    book.run("Action", 1);
    book.tells("Proof", 0, "ops: the node is gone");
    std::fs::copy(site.data().join("node.key"), follower.join("node.key")).unwrap();
    site.change_settings(|settings| settings["data"] = serde_json::json!(follower));
    let daemon = site.start();
    book.finish();
    assert_eq!(daemon.last_index(), last);
}
