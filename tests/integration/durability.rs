//! Durability over a requested stop, and the lock on the data directory. `kills` covers killed processes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Wire, proposal};
use crate::support::wal;
use crate::support::world::Ask;

const CALLERS: usize = 6;

#[test]
fn a_data_directory_is_one_process_s_and_one_node_s() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "mine");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let (code, said) = site.start_refused();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: ") && said.contains("is held by another process"), "{said}");
    project.accept(&daemon, Transition::ControlPause);
    daemon.terminate();
    site.put_node_key(&site.hands.get("stranger").secret);
    let (code, said) = site.start_refused();
    assert_eq!(code, Some(1), "{said}");
    let (owner, stranger) = (site.hands.get("node").key().to_string(), site.hands.get("stranger").key().to_string());
    assert!(said.contains(&format!("belongs to node {owner}")) && said.contains(&stranger), "{said}");
    site.put_node_key(&site.hands.get("node").secret);
    let daemon = site.start();
    project.accept(&daemon, Transition::ControlResume);
}

/// Commits wait for their interval, so that a proposal is surely in flight when the signal comes.
#[test]
fn sigterm_answers_what_is_in_flight_and_ends_well() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 1500});
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "drain");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let answered = AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        let posted = scope.spawn(|| {
            let answer = daemon.post(&bytes(&signed));
            answered.store(true, Ordering::SeqCst);
            answer
        });
        while daemon.get("/health").json()["walLag"] == 0 && !answered.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!answered.load(Ordering::SeqCst), "it was not in flight");
        daemon.signal("TERM");
        posted.join().unwrap()
    });
    let receipt = answer.receipt();
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0));
    assert!(log.iter().any(|line| line.contains("draining")) && log.iter().any(|line| line.contains("stopped")));
    let daemon = site.start();
    assert_eq!(wal::read(&daemon)[receipt.index as usize - 1].chain, receipt.chain);
}

/// With `durability: interval` a record is in the log before it is synced. Projects that were not in memory were read
/// from there, so that readers saw a head that a crash could take back.
#[test]
fn no_reader_sees_a_record_before_it_is_on_disk() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 3000});
    });
    let daemon = site.start();
    let mut older = Project::new(&site, "older");
    older.accept(&daemon, Transition::BootConfigOk);
    let last = daemon.last_index();
    let project = Project::new(&site, "young");
    let signed = project.signed(&Ask::new(Transition::BootConfigOk));
    let seen = || {
        let targets =
            ["/state?project=young", "/wal?project=young", "/effects?project=young", "/wal/feed?from=2", "/wal?from=2"];
        let decision = format!("/decisions/young/{}", last + 1);
        let mut seen: Vec<_> =
            targets.map(|target| daemon.get(target)).map(|answer| (answer.status, answer.json())).into();
        seen.push((daemon.get(&decision).status, daemon.get("/projects").json()));
        seen.push((200, json!([daemon.last_index(), daemon.get("/transitions?project=young").json()["exists"]])));
        seen
    };
    let before = seen();
    let answer = std::thread::scope(|scope| {
        let posted = scope.spawn(|| daemon.post(&bytes(&signed)));
        while daemon.get("/health").json()["walLag"] == 0 {
            assert!(!posted.is_finished(), "it was not in flight");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(seen(), before);
        assert!(!posted.is_finished(), "it was not in flight");
        posted.join().unwrap()
    });
    assert_eq!(answer.receipt().index, last + 1);
    let after = seen();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after || before.1 == json!({"effects": []})));
}

/// Callers keep posting while the node stops: each accepted proposal was answered, and the log holds only acknowledged
/// records.
#[test]
fn sigterm_under_load_leaves_nothing_accepted_unanswered() {
    let site = Site::new();
    let daemon = site.start();
    let mut projects: Vec<_> = (0..CALLERS).map(|n| Project::new(&site, &format!("stop-{n}"))).collect();
    projects.iter_mut().for_each(|project| project.drive(&daemon, Region::Boot, "LICENSED"));
    let (before, acknowledged) = (daemon.last_index(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for project in &mut projects {
            scope.spawn(|| until_it_stops(&daemon, project, &acknowledged));
        }
        while acknowledged.load(Ordering::Relaxed) < 50 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        daemon.signal("TERM");
    });
    let (status, _) = daemon.wait();
    assert_eq!(status.code(), Some(0));
    let daemon = site.start();
    assert_eq!(daemon.last_index() - before, acknowledged.load(Ordering::Relaxed) as u64);
    for project in &projects {
        let shown = daemon.get(&format!("/state?project={}", project.name)).json();
        assert_eq!(shown["hash"], project.head.hash().to_string());
    }
}

fn until_it_stops(daemon: &Daemon, project: &mut Project<'_>, acknowledged: &AtomicUsize) {
    let Ok(mut wire) = Wire::connect(daemon.address) else { return };
    for next in [Transition::ControlPause, Transition::ControlResume].into_iter().cycle() {
        let signed = project.signed(&Ask::new(next));
        let Ok(answer) = wire.exchange(&proposal(&bytes(&signed), &[])) else { return };
        if answer.status != 202 {
            assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
            assert!(answer.header("retry-after").is_some());
            return;
        }
        project.advance(&signed.proposal, &answer.receipt());
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `swoosh wal accept` on a site; its exit code and all that it said.
fn accept(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.run(&[&["wal", "accept"], arguments].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_lost_tail_keeps_the_node_from_starting_until_a_person_accepts_it_for_good() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "lossy");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let older = project.head.clone();
    let log = std::fs::read_dir(site.journal()).unwrap().map(|entry| entry.unwrap().path());
    let log = log.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap();
    let length = std::fs::metadata(&log).unwrap().len();
    let lost = project.accept(&daemon, Transition::ControlPause);
    daemon.kill();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(length).unwrap();
    let (last, reason) = ((lost.index - 1).to_string(), "ops: the disk died");
    let (code, said) = site.start_refused();
    assert!(code == Some(1) && said.contains(&format!("record {} is the first one missing", lost.index)), "{said}");

    let (code, said) = accept(&site, &["--last", &last]);
    assert!(code == Some(1) && said.contains("nothing was changed") && said.contains("lossy up to"), "{said}");
    assert!(said.contains(&format!("record {}", lost.index)), "{said}");
    let (code, said) = accept(&site, &["--last", &last, "--yes"]);
    assert!(code == Some(2) && said.contains("--reason"), "{said}");
    let (code, said) = accept(&site, &["--last", &lost.index.to_string(), "--yes", "--reason", reason]);
    assert!(code == Some(1) && said.contains(&format!("ends at record {last}")), "{said}");
    site.start_refused();

    let (code, said) = accept(&site, &["--last", &last, "--yes", "--reason", reason]);
    assert!(code == Some(0) && said.contains("accepted"), "{said}");
    let daemon = site.start();
    project.head = older;
    let again = project.accept(&daemon, Transition::ControlPause);
    assert_eq!(again.index, lost.index, "the next record takes the lost one's place");
    let log = daemon.terminate();
    assert!(log.iter().any(|line| line.contains(reason)), "{log:?}");
    let verified = String::from_utf8(site.run(&["wal", "verify"]).stdout).unwrap();
    assert!(verified.contains("the log is good") && verified.contains(reason), "{verified}");
    let (code, said) = accept(&site, &["--last", &again.index.to_string(), "--yes", "--reason", reason]);
    assert!(code == Some(1) && said.contains("there is nothing to accept"), "{said}");
}

#[test]
fn nothing_is_accepted_while_a_node_runs() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "running");
    project.drive(&daemon, Region::Boot, "LICENSED");
    std::fs::remove_file(site.data().join("journal.watermark")).unwrap();
    let last = daemon.last_index().to_string();
    let (code, said) = accept(&site, &["--last", &last, "--yes", "--reason", "ops: in a hurry"]);
    assert!(code == Some(1) && said.contains("is held by another process"), "{said}");
}
