//! A disk whose syncs never return, and threads of the pipeline that die: both reports no error, so both must show.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::Wire;
use crate::support::preload::compile;
use crate::support::runbook::Runbook;
use crate::support::skipped;
use crate::support::world::Ask;

/// A disk that stops answering while this file is there.
struct Disk {
    stuck: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    /// Starts the daemon of a site on such a disk; says why where that is not possible.
    fn start(site: &Site) -> Result<(Disk, Daemon), String> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("stuck_sync.so");
        compile("stuck_sync.c", &library)?;
        let stuck = folder.path().join("stuck");
        let (preload, path) = (format!("LD_PRELOAD={}", library.display()), format!("STUCK_WHILE={}", stuck.display()));
        let daemon = site.start_by(&["env", &preload, &path]).unwrap();
        Ok((Disk { stuck, _folder: folder }, daemon))
    }

    fn hold(&self) {
        fs::write(&self.stuck, b"").unwrap();
    }

    fn let_go(&self) {
        fs::remove_file(&self.stuck).unwrap();
    }
}

fn impatient() -> Site {
    Site::with(always_open(), |settings| {
        settings["sequencer"] = json!({"stall_ms": 300, "silence_ms": 900});
        settings["http"] = json!({"request_timeout_ms": 600_000});
    })
}

fn age(daemon: &Daemon) -> f64 {
    let text = daemon.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("swoosh_uncommitted_age_seconds "));
    line.unwrap().parse().unwrap()
}

/// Syncs that did not return for 25 s showed nowhere: live, ready and status were fine.
#[test]
fn a_disk_that_does_not_answer_shows_in_every_probe_and_passes_without_a_restart() {
    let site = impatient();
    let (disk, daemon) = match Disk::start(&site) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    let mut project = Project::new(&site, "stuck");
    project.drive(&daemon, Region::Boot, "LICENSED");
    assert_eq!(daemon.get("/health/ready").status, 200);
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let mut book = Runbook::open("stuck-disk.md");
    book.set("SWOOSH_URL", format!("http://{}", daemon.address));
    book.set("PID", daemon.id());
    book.set("DATA", site.data().display());
    disk.hold();
    let answer = std::thread::scope(|scope| {
        let posted = scope.spawn(|| daemon.post(&bytes(&signed)));
        let ready = daemon.wait_for("/health/ready", |answer| answer.status == 503);
        assert_eq!(ready.code(), "not_durable", "{}", ready.text());
        assert!(ready.text().contains("runbooks/stuck-disk.md"), "{}", ready.text());
        let live = daemon.wait_for("/health/live", |answer| answer.status == 503);
        assert!(live.text().contains("runbooks/stuck-disk.md"), "{}", live.text());
        let health = daemon.get("/health").json();
        assert_eq!((&health["status"], &health["mode"]), (&json!("degraded"), &json!("accepting")), "{health}");
        assert!(health["reason"].as_str().unwrap().contains("runbooks/stuck-disk.md"), "{health}");
        assert!(health["uncommitted_ms"].as_u64() >= Some(900), "{health}");
        assert!(age(&daemon) >= 0.9);
        assert_eq!(daemon.get("/state?project=stuck").status, 200, "reads go on");
        book.tells("Check", 0, "\"uncommitted_ms\":");
        disk.let_go();
        posted.join().unwrap()
    });
    project.advance(&signed.proposal, &answer.receipt());
    daemon.wait_for("/health/ready", |answer| answer.status == 200);
    daemon.wait_for("/health/live", |answer| answer.status == 200);
    daemon.wait_for("/health", |answer| answer.json()["uncommitted_ms"] == 0 && answer.json()["status"] == "ok");
    assert_eq!(age(&daemon), 0.0);
    book.tells("Proof", 0, "ready\nlive");
    book.finish();
    project.accept(&daemon, Transition::ControlResume);
}

/// The same with several callers, so that the committer's own thread is stuck and the sequencer is not.
#[test]
fn a_stuck_committer_shows_though_the_sequencer_answers() {
    let site = impatient();
    let (disk, daemon) = match Disk::start(&site) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    let mut projects: Vec<_> = (0..6).map(|n| Project::new(&site, &format!("stuck-{n}"))).collect();
    projects.iter_mut().for_each(|project| project.drive(&daemon, Region::Boot, "LICENSED"));
    let signed: Vec<_> = projects.iter().map(|project| project.signed(&Ask::new(Transition::ControlPause))).collect();
    disk.hold();
    std::thread::scope(|scope| {
        let posted: Vec<_> = signed.iter().map(|signed| scope.spawn(|| daemon.post(&bytes(signed)))).collect();
        daemon.wait_for("/health/ready", |answer| answer.status == 503);
        daemon.wait_for("/health/live", |answer| answer.status == 503);
        disk.let_go();
        posted.into_iter().for_each(|posted| assert_eq!(posted.join().unwrap().status, 202));
    });
    daemon.wait_for("/health/ready", |answer| answer.status == 200);
}

/// A caller whose record was not durable in time was counted nowhere.
#[test]
fn a_proposal_that_is_not_durable_in_time_is_counted() {
    let site = Site::with(always_open(), |settings| settings["http"] = json!({"request_timeout_ms": 300}));
    let (disk, daemon) = match Disk::start(&site) {
        Ok(started) => started,
        Err(why) => return skipped(&why),
    };
    let project = Project::new(&site, "late");
    disk.hold();
    let answer = daemon.post(&bytes(&project.signed(&Ask::new(Transition::BootConfigOk))));
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_durable"), "{}", answer.text());
    assert!(daemon.measures("swoosh_rejection_total{code=\"not_durable\"} 1"));
    disk.let_go();
}

/// A panic in either thread left a node that looked well and answered no proposal for ever.
#[test]
fn a_panic_of_the_sequencer_or_the_committer_aborts_the_process_and_a_restart_goes_on() {
    for thread in ["sequencer", "committer"] {
        let site = Site::new();
        let daemon = site.start_by(&["env", &format!("SWOOSH_CRASH_AT=panic:{thread}")]).unwrap();
        let address = daemon.address;
        let until = Instant::now() + Duration::from_secs(120);
        // Which of the two commits a record is up to the load; with several callers both do.
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let site = &site;
                scope.spawn(move || {
                    (0..).take_while(|_| Instant::now() < until).any(|n| {
                        let project = Project::new(site, &format!("panics-{caller}-{n}"));
                        let body = bytes(&project.signed(&Ask::new(Transition::BootConfigOk)));
                        let request = crate::support::http::proposal(&body, &[]);
                        Wire::connect(address).and_then(|mut wire| wire.exchange(&request)).is_err()
                    })
                });
            }
        });
        assert!(Instant::now() < until, "the {thread} thread panicked, or never committed, and the node goes on");
        let (status, log) = daemon.wait();
        assert_eq!(status.signal(), Some(6), "{thread}: {status}");
        let reported =
            log.iter().any(|line| line.contains("a thread of the pipeline panicked") && line.contains(thread));
        assert!(reported, "{thread}: {log:#?}");
        let daemon = site.start();
        Project::new(&site, "after").accept(&daemon, Transition::BootConfigOk);
        daemon.terminate();
    }
}
