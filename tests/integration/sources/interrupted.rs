//! Servers that break off, commands that are interrupted or killed, and what resumes them.

use std::time::{Duration, Instant};

use std::sync::atomic::Ordering;

use super::*;
use crate::support::git_server::Mood;

pub(super) fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

#[test]
fn a_broken_clone_is_retried_cleaned_up_and_reported() {
    let mut desk = Desk::new();
    let server = desk.serve();
    server.be(Mood::CutsPacks);
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("see that the network is up"), "{failure}");
    assert_eq!(server.packs.load(Ordering::SeqCst) % 2, 0, "every try was made twice");
    assert!(!desk.tree().exists() && !desk.root().join("sources/.alpha.partial").exists());
    assert!(desk.state("sources.json").is_none());
    server.be(Mood::Good);
    desk.run(&["sources", "resume"]).good();
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
    assert!(desk.state("sources-resume.json").is_none());
}

#[test]
fn an_interrupt_or_a_kill_at_any_moment_is_finished_by_resume() {
    for (name, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let mut desk = Desk::new();
        let server = desk.serve();
        server.be(Mood::StallsPacks);
        let child = desk.command(&["sources", "sync"]).spawn().unwrap();
        wait_until("the pack", || server.packs.load(Ordering::SeqCst) > 0);
        signal(name, child.id());
        assert_eq!(child.wait_with_output().unwrap().status.code(), code, "{name}");
        assert!(!desk.tree().exists());
        assert_eq!(desk.state("sources-resume.json").unwrap()["pending"][0], "alpha");
        server.be(Mood::Good);
        desk.run(&["sources", "resume"]).good();
        desk.run(&["sources", "status"]).good();
    }
}

#[test]
fn a_server_that_asks_for_credentials_is_reported_with_the_setting_to_change() {
    let mut desk = Desk::new();
    let server = desk.serve();
    server.be(Mood::Asks);
    desk.variables.push(("SWOOSH_GIT_TOKEN".to_owned(), "hunter2-hunter2".to_owned()));
    desk.variables.push(("SWOOSH_GIT_URL_PREFIX".to_owned(), "https://h.invalid".to_owned()));
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("SWOOSH_GIT_TOKEN") && !failure.contains("hunter2"), "{failure}");
    let log = fs::read_to_string(desk.root().join("logs/sources.log")).unwrap();
    assert!(!log.contains("hunter2"), "{log}");
}

/// A working tree at v1 in which a checkout of the second commit was cut short: that is recorded, and one file is half
/// written.
fn cut_short(desk: &Desk) -> PathBuf {
    desk.run(&["sources", "sync"]).good();
    let second = desk.repository.git(&["rev-parse", "main"]);
    GitRepository { folder: desk.tree() }.git(&["fetch", "-q", &desk.repository.folder.display().to_string(), "main"]);
    fs::write(desk.root().join("sources/.alpha.busy"), format!("{second}\n")).unwrap();
    fs::create_dir_all(desk.tree().join("b")).unwrap();
    fs::write(desk.tree().join("b/c.txt"), b"tw").unwrap();
    desk.tree().join("a.txt")
}

#[test]
fn a_checkout_that_was_cut_short_half_way_through_a_file_is_finished() {
    let desk = Desk::new();
    let file = cut_short(&desk);
    // A kill may also come after the old file was removed.
    fs::remove_file(&file).unwrap();
    desk.run(&["sources", "sync"]).good();
    desk.run(&["sources", "status"]).good();
    assert_eq!(fs::read(&file).unwrap(), b"one\n");
    assert!(!desk.tree().join("b/c.txt").exists(), "v1 does not have it");
}

#[test]
fn edits_since_an_interrupted_checkout_are_never_overwritten() {
    let desk = Desk::new();
    let file = cut_short(&desk);
    let added = desk.tree().join("thesis.txt");
    for edited in [&file, &added, &desk.tree().join("b/c.txt")] {
        let before = fs::read(edited).ok();
        fs::write(edited, "mine").unwrap();
        for command in ["sync", "resume"] {
            // Resume has something to do only where a marker says so.
            let marker = desk.root().join("state/sources-resume.json");
            let pending = r#"{"schema_version": 1, "command_id": "c", "operator": "o", "started_at": "2025-10-19T01:23:45Z",
                "update": false, "pending": ["alpha"], "done": []}"#;
            fs::write(&marker, pending).unwrap();
            let failure = desk.run(&["sources", command]).failure();
            let remedy = format!("git -C {} reset --hard", desk.tree().display());
            let name = edited.file_name().unwrap().to_str().unwrap();
            assert!(failure.contains(name) && failure.contains(&remedy), "{command}: {failure}");
            assert_eq!(fs::read(edited).unwrap(), b"mine");
        }
        match before {
            Some(bytes) => fs::write(edited, bytes).unwrap(),
            None => fs::remove_file(edited).unwrap(),
        }
    }
    desk.run(&["sources", "resume"]).good();
}
