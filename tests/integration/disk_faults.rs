//! A real daemon whose disk fails, stalls or kills it at single system calls, by a tracer.
//!
//! Where the machine has no tracer or does not let it trace, these tests say so and are skipped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use swoosh::types::names::{Region, Transition};
use swoosh::types::proposal::SignedProposal;

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::{Project, bytes};
use crate::support::http::Answer;
use crate::support::tracer::{Fault, Tracer};
use crate::support::world::Ask;
use crate::support::{skipped, wal};

/// Callers at once.
const CALLERS: usize = 3;

/// A file that a commit writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Log,
    Watermark,
}

impl Target {
    fn path(self, site: &Site) -> PathBuf {
        if self == Target::Watermark {
            return site.data().join("journal.watermark");
        }
        let files = std::fs::read_dir(site.journal()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
    }
}

/// A site with a daemon, and projects that are ready to be paused.
fn ready(site: &Site) -> (Daemon, Vec<Project<'_>>) {
    let daemon = site.start();
    let mut projects: Vec<_> = (0..CALLERS).map(|n| Project::new(site, &format!("fault-{n}"))).collect();
    projects.iter_mut().for_each(|project| project.drive(&daemon, Region::Boot, "LICENSED"));
    (daemon, projects)
}

/// Posts all at once; answers in their order.
fn at_once(daemon: &Daemon, proposals: &[SignedProposal]) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let posted: Vec<_> = proposals.iter().map(|signed| scope.spawn(|| daemon.post(&bytes(signed)))).collect();
        posted.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Each proposal, sent again twice, gets one receipt, and its record is in the log once.
fn repeats_get_one_receipt(daemon: &Daemon, projects: &mut [Project<'_>], proposals: &[SignedProposal]) {
    for (project, signed) in projects.iter_mut().zip(proposals) {
        let first = daemon.post(&bytes(signed));
        project.advance(&signed.proposal, &first.receipt());
        let again = daemon.post(&bytes(signed));
        assert_eq!((again.status, &again.body), (202, &first.body));
    }
    let log = wal::read(daemon);
    let mut keys = BTreeMap::new();
    for entry in &log {
        *keys.entry((entry.record.project.clone(), entry.record.idem_key.clone())).or_insert(0) += 1;
    }
    assert!(keys.values().all(|times| *times == 1), "a key is in the log twice");
    let (heads, _) = wal::replica(&log);
    projects.iter().for_each(|project| assert_eq!(heads[&project.name].hash(), project.head.hash()));
}

fn is_whole(site: &Site) {
    let verified = site.run(&["wal", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// A refusal that a caller can act on.
fn refused(answer: &Answer, codes: &[&str]) {
    assert!(answer.status == 503 && codes.contains(&answer.code().as_str()), "{} {}", answer.status, answer.text());
    assert!(answer.header("retry-after").is_some());
}

/// Failures after which a restart is asked for: once each, and the disk works again right after.
const FOR_GOOD: [(Target, Fault<'static>); 7] = [
    (Target::Log, Fault { call: "fdatasync", tampering: "error=EIO:when=1" }),
    (Target::Log, Fault { call: "fdatasync", tampering: "error=ENOSPC:when=1" }),
    (Target::Log, Fault { call: "write", tampering: "error=EIO:when=1" }),
    (Target::Log, Fault { call: "write", tampering: "error=EROFS:when=1" }),
    (Target::Watermark, Fault { call: "pwrite64", tampering: "error=EIO:when=1" }),
    (Target::Watermark, Fault { call: "fdatasync", tampering: "error=EIO:when=1" }),
    (Target::Watermark, Fault { call: "fdatasync", tampering: "error=ENOSPC:when=1" }),
];

#[test]
fn a_write_or_sync_that_failed_once_stops_the_node_until_a_restart() {
    for (target, fault) in FOR_GOOD {
        println!("{target:?} {fault:?}");
        let site = Site::new();
        let (daemon, mut projects) = ready(&site);
        let proposals: Vec<_> =
            projects.iter().map(|project| project.signed(&Ask::new(Transition::ControlPause))).collect();
        let before = daemon.last_index();
        let tracer = match Tracer::attach(&daemon, &target.path(&site), fault) {
            Ok(tracer) => tracer,
            Err(why) => return skipped(&why),
        };
        let answers = at_once(&daemon, &proposals);
        answers.iter().for_each(|answer| refused(answer, &["not_durable", "read_only"]));
        assert!(answers.iter().any(|answer| answer.code() == "not_durable"), "at least one caller waited for the disk");
        tracer.detach();
        stopped(&daemon, &proposals, before);
        daemon.terminate();
        let daemon = site.start();
        repeats_get_one_receipt(&daemon, &mut projects, &proposals);
        projects[0].accept(&daemon, Transition::ControlResume);
        daemon.terminate();
        is_whole(&site);
    }
}

/// The disk works again, and the node does not believe it.
fn stopped(daemon: &Daemon, proposals: &[SignedProposal], before: u64) {
    let ready = daemon.get("/health/ready");
    assert_eq!((ready.status, ready.code().as_str()), (503, "read_only"), "{}", ready.text());
    assert!(ready.text().contains("restart the node"), "{}", ready.text());
    let health = daemon.get("/health").json();
    assert_eq!((&health["status"], &health["mode"]), (&"refusing".into(), &"read_only".into()), "{health}");
    for signed in proposals {
        refused(&daemon.post(&bytes(signed)), &["read_only"]);
        let shown = daemon.get(&format!("/state?project={}", signed.proposal.project()));
        assert_eq!(shown.json()["hash"], signed.proposal.current_state_hash.to_string(), "reads go on");
    }
    assert_eq!(daemon.last_index(), before);
    assert_eq!(wal::read(daemon).len() as u64, before, "nothing is shown that was not promised");
}

#[test]
fn a_write_that_found_no_room_once_is_made_good_without_a_restart() {
    let site = Site::new();
    let (daemon, mut projects) = ready(&site);
    let proposals: Vec<_> =
        projects.iter().map(|project| project.signed(&Ask::new(Transition::ControlPause))).collect();
    let fault = Fault { call: "write", tampering: "error=ENOSPC:when=1" };
    let tracer = match Tracer::attach(&daemon, &Target::Log.path(&site), fault) {
        Ok(tracer) => tracer,
        Err(why) => return skipped(&why),
    };
    at_once(&daemon, &proposals).iter().for_each(|answer| refused(answer, &["not_durable"]));
    tracer.detach();
    daemon.wait_for("/health/ready", |answer| answer.status == 200);
    repeats_get_one_receipt(&daemon, &mut projects, &proposals);
    daemon.terminate();
    is_whole(&site);
}

/// There is still no room for the watermark when the journal is opened again. That asked for a restart, though nothing but
/// room was missing.
#[test]
fn a_watermark_that_finds_no_room_again_when_the_journal_is_reopened_asks_for_no_restart() {
    let site = Site::new();
    let (daemon, mut projects) = ready(&site);
    let proposals: Vec<_> =
        projects.iter().map(|project| project.signed(&Ask::new(Transition::ControlPause))).collect();
    let fault = Fault { call: "pwrite64", tampering: "error=ENOSPC" };
    let tracer = match Tracer::attach(&daemon, &Target::Watermark.path(&site), fault) {
        Ok(tracer) => tracer,
        Err(why) => return skipped(&why),
    };
    at_once(&daemon, &proposals).iter().for_each(|answer| refused(answer, &["not_durable"]));
    // Long enough for some tries to open it again.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let health = daemon.get("/health").json();
    assert_eq!(health["mode"], "refusing", "{health}");
    tracer.detach();
    daemon.wait_for("/health/ready", |answer| answer.status == 200);
    repeats_get_one_receipt(&daemon, &mut projects, &proposals);
    daemon.terminate();
    is_whole(&site);
}

/// Steps of a commit at which the process dies, and whether the record survives: it does once the log is written, even
/// without an acknowledgement.
const STEPS: [(Target, Fault<'static>, bool); 4] = [
    (Target::Log, Fault { call: "write", tampering: "error=EIO:signal=KILL:when=1" }, false),
    (Target::Log, Fault { call: "fdatasync", tampering: "error=EIO:signal=KILL:when=1" }, true),
    (Target::Watermark, Fault { call: "pwrite64", tampering: "error=EIO:signal=KILL:when=1" }, true),
    (Target::Watermark, Fault { call: "fdatasync", tampering: "error=EIO:signal=KILL:when=1" }, true),
];

#[test]
fn a_crash_between_any_two_steps_of_a_commit_is_no_damage_and_a_repeat_learns_what_became_of_it() {
    let site = Site::new();
    let (mut daemon, mut projects) = ready(&site);
    for (target, fault, is_there) in STEPS {
        println!("{target:?} {fault:?}");
        let project = &mut projects[0];
        let paused = project.head.state().control.paused;
        let transition = if paused { Transition::ControlResume } else { Transition::ControlPause };
        let signed = project.signed(&Ask::new(transition));
        let tracer = match Tracer::attach(&daemon, &target.path(&site), fault) {
            Ok(tracer) => tracer,
            Err(why) => return skipped(&why),
        };
        let mut wire = daemon.connect();
        let answer = wire.exchange(&crate::support::http::proposal(&bytes(&signed), &[]));
        assert!(answer.is_err(), "it was answered: {answer:?}");
        tracer.wait();
        daemon.kill();
        is_whole(&site);
        daemon = site.start();
        let repeated = daemon.post(&bytes(&signed));
        assert_eq!(repeated.header("idempotency-replayed").is_some(), is_there, "{}", repeated.text());
        project.advance(&signed.proposal, &repeated.receipt());
    }
    let (heads, _) = wal::replica(&wal::read(&daemon));
    projects.iter().for_each(|project| assert_eq!(heads[&project.name].hash(), project.head.hash()));
}

#[test]
fn a_slow_disk_makes_callers_wait_and_loses_nothing() {
    let site = Site::new();
    let (daemon, mut projects) = ready(&site);
    let proposals: Vec<_> =
        projects.iter().map(|project| project.signed(&Ask::new(Transition::ControlPause))).collect();
    let fault = Fault { call: "fdatasync", tampering: "delay_enter=700000" };
    let tracer = match Tracer::attach(&daemon, &Target::Log.path(&site), fault) {
        Ok(tracer) => tracer,
        Err(why) => return skipped(&why),
    };
    let answers = std::thread::scope(|scope| {
        let posted = scope.spawn(|| at_once(&daemon, &proposals));
        daemon.wait_for("/health", |answer| answer.json()["walLag"].as_u64() > Some(0));
        assert_eq!(daemon.get("/health/ready").status, 200, "slow is not broken");
        posted.join().unwrap()
    });
    for ((project, signed), answer) in projects.iter_mut().zip(&proposals).zip(&answers) {
        project.advance(&signed.proposal, &answer.receipt());
    }
    assert_eq!(daemon.get("/health").json()["walLag"], 0);
    tracer.detach();
    daemon.kill();
    let daemon = site.start();
    let (heads, _) = wal::replica(&wal::read(&daemon));
    projects.iter().for_each(|project| assert_eq!(heads[&project.name].hash(), project.head.hash()));
}

#[test]
fn a_directory_that_takes_no_writes_is_refused_and_can_still_be_checked() {
    let site = Site::new();
    let (daemon, mut projects) = ready(&site);
    daemon.terminate();
    let data = site.data();
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let launcher = ["unshare", "-rm", "sh", "-c", script, data.to_str().unwrap()];
    let tried = std::process::Command::new(launcher[0]).args(&launcher[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return skipped("this machine gives no mount namespace (`unshare -rm`), so nothing can be made read-only");
    }
    let Err((code, said)) = site.start_by(&launcher) else { panic!("it serves what it cannot write") };
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Read-only file system") && said.contains("cannot be opened"), "{said}");
    is_whole(&site);
    let daemon = site.start();
    projects[0].accept(&daemon, Transition::ControlPause);
}
