//! Refusals that are no proposal's fault: the node's clock, and a disk that takes too long.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use super::Table;
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::proposal;
use crate::support::preload::compile;
use crate::support::world::Ask;
use crate::support::{skipped, wal};

const HOUR_SECONDS: i64 = 3600;

/// The clock that a daemon is shown.
pub(crate) struct Shown {
    folder: tempfile::TempDir,
}

impl Shown {
    /// Shows it a time that is so many seconds ahead.
    pub(crate) fn shift(&self, seconds: i64) {
        // Written in place: the daemon has it mapped.
        let file = File::options().write(true).open(self.folder.path().join("shift")).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Starts the daemon of a site with a clock that can be shifted; says why where that is not possible.
pub(crate) fn clocked(site: &Site) -> Result<(Daemon, Shown), String> {
    clocked_at(site, 0)
}

/// The same, with a clock that is so many seconds ahead from the start.
pub(crate) fn clocked_at(site: &Site, seconds: i64) -> Result<(Daemon, Shown), String> {
    let folder = tempfile::tempdir().unwrap();
    let (library, file) = (folder.path().join("clock_shift.so"), folder.path().join("shift"));
    compile("clock_shift.c", &library)?;
    fs::write(&file, seconds.to_ne_bytes()).unwrap();
    let (preload, shown) = (format!("LD_PRELOAD={}", library.display()), format!("CLOCK_SHIFT={}", file.display()));
    Ok((site.start_by(&["env", &preload, &shown]).unwrap(), Shown { folder }))
}

#[test]
fn a_wall_clock_that_jumps_stops_the_node_until_it_is_right_again() {
    let site = Site::new();
    let (daemon, clock) = match clocked(&site) {
        Ok(clocked) => clocked,
        Err(why) => return skipped(&why),
    };
    let mut project = Project::new(&site, "clocked");
    project.drive(&daemon, Region::Boot, "LICENSED");
    for seconds in [HOUR_SECONDS, -HOUR_SECONDS] {
        let signed = project.signed(&Ask::new(Transition::ControlPause));
        clock.shift(seconds);
        let mut table = Table::new(&site, &daemon);
        table.refused("a clock that jumped", &proposal(&bytes(&signed), &[]), 503, "clock_unsafe");
        table.finish();
        is_unsafe(&daemon);
        clock.shift(0);
        assert_eq!(daemon.get("/health/ready").status, 200);
        let answer = daemon.post(&bytes(&signed));
        project.advance(&signed.proposal, &answer.receipt());
        project.accept(&daemon, Transition::ControlResume);
    }
}

fn is_unsafe(daemon: &Daemon) {
    let ready = daemon.get("/health/ready");
    assert_eq!((ready.status, ready.code().as_str()), (503, "clock_unsafe"));
    let health = daemon.get("/health").json();
    assert_eq!(health["status"], "degraded");
    assert!(health["reason"].as_str().unwrap().contains("the wall clock jumped by"), "{health}");
}

/// The second proposal waits for the interval, which is longer than a request may take.
#[test]
fn a_caller_whose_request_timed_out_gets_its_receipt_from_a_repeat() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 2000});
        settings["http"] = json!({"request_timeout_ms": 300});
    });
    let daemon = site.start();
    let first = (0..20).map(|n| Project::new(&site, &format!("patient-{n}"))).find_map(|project| {
        let signed = project.signed(&Ask::new(Transition::BootConfigOk));
        let before = daemon.last_index();
        let answer = daemon.post(&bytes(&signed));
        (answer.status == 503).then_some((answer, signed, before))
    });
    let (answer, signed, before) = first.expect("no proposal waited for the disk");
    assert_eq!(answer.code(), "not_durable", "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    daemon.wait_for("/health", |answer| answer.json()["last_index"].as_u64() > Some(before));
    let repeats = [daemon.post(&bytes(&signed)), daemon.post(&bytes(&signed))];
    for repeat in &repeats {
        assert_eq!((repeat.header("idempotency-replayed"), &repeat.body), (Some("true"), &repeats[0].body));
    }
    let receipt = repeats[0].receipt();
    assert_eq!(wal::read(&daemon)[receipt.index as usize - 1].chain, receipt.chain);
}
