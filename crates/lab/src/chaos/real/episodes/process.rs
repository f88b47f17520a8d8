//! The process is killed, stopped, and starved of descriptors.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;

use crate::chaos::real::site::eventually;
use crate::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};

/// The longest time into a start at which the second SIGKILL comes.
const INTO_START_MS: u64 = 400;

/// SIGKILL, and sometimes again while the node starts.
pub(super) fn kill(stage: &mut Stage) -> anyhow::Result<Episode> {
    stage.linger(0, 700);
    stage.lift(None);
    stage.kill();
    let mut times = 1;
    while stage.random.happens(300, 1_000) && times < 4 {
        let mut child = stage.site.spawn(&[])?;
        stage.linger(0, INTO_START_MS);
        child.kill()?;
        child.wait()?;
        times += 1;
    }
    stage.start()?;
    Ok(Episode { fired: times, detail: format!("killed {times} times, {} of them while it started", times - 1) })
}

/// SIGSTOP, and SIGCONT.
pub(super) fn stop(stage: &mut Stage) -> anyhow::Result<Episode> {
    stage.node()?.signal(Signal::STOP)?;
    let stopped_ms = stage.linger(50, 4_000);
    stage.lift(None);
    stage.node()?.signal(Signal::CONT)?;
    Ok(Episode::once(format!("stopped for {stopped_ms} ms")))
}

/// What proposals are refused with when the log cannot open a file.
const STARVED: [&str; 2] = ["not_durable", "read_only"];

/// No descriptor is left: the limit comes down to what is open, and everything that closes is taken at once. Felt when as
/// many are open as may be, or when the log could not open a file: as many are then not always seen open at one moment.
pub(super) fn descriptors(stage: &mut Stage) -> anyhow::Result<Episode> {
    let node = stage.node()?;
    let (process, address) = (node.id(), node.address);
    let usual = usual_limit(process)?;
    let limit = open_files(process)? + stage.random.between(0, 3);
    let refused = stage.tally.refused(&STARVED);
    limit_files(process, &format!("{limit}:"))?;
    let mut greedy = Vec::new();
    let is_starved = eventually(FELT_PATIENCE, || {
        greedy.extend(TcpStream::connect_timeout(&address, Duration::from_millis(100)));
        open_files(process).is_ok_and(|open| open >= limit) || stage.tally.refused(&STARVED) > refused
    });
    let starved_ms = stage.linger(500, 2_500);
    drop(greedy);
    stage.lift(None);
    limit_files(process, &format!("{usual}:"))?;
    let then = stage.restart_if_read_only()?;
    let detail = format!("{limit} descriptors and no more for {starved_ms} ms; {then}");
    Ok(if is_starved { Episode::once(detail) } else { Episode::unfelt(detail) })
}

fn open_files(process: u32) -> anyhow::Result<u64> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64)
}

/// The soft limit that the node has given itself.
fn usual_limit(process: u32) -> anyhow::Result<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("/proc tells no limit")?;
    Ok(line.split_whitespace().next().context("/proc tells no soft limit")?.parse()?)
}

fn limit_files(process: u32, limit: &str) -> anyhow::Result<()> {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process.to_string(), &format!("--nofile={limit}")]);
    let output = command.output().context("cannot run prlimit")?;
    anyhow::ensure!(output.status.success(), "prlimit failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
