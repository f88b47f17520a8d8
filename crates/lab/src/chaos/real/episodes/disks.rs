//! The disk is full, slow, failing, or takes no writes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::chaos::real::site::eventually;
use crate::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};
use crate::chaos::real::tracer::Tracer;

/// What a node says that cannot write.
const NOT_WRITTEN: [&str; 2] = ["not_durable", "read_only"];
/// How long one try to catch a call may take; log files change meanwhile.
const CAUGHT: Duration = Duration::from_secs(3);
const TRIES: u32 = 8;

/// All room is taken away, and given back.
pub(super) fn full(stage: &mut Stage) -> anyhow::Result<Episode> {
    let before = stage.tally.refused(&NOT_WRITTEN);
    let left_bytes = stage.random.between(0, 256 << 10);
    stage.disk.shrink(left_bytes)?;
    let is_felt = stage.until_refused(&NOT_WRITTEN, before);
    let full_ms = stage.linger(200, 2_000);
    stage.lift(None);
    stage.disk.grow()?;
    let then = stage.restart_if_read_only()?;
    let detail = format!("full for {full_ms} ms after the first refusal; {then}");
    Ok(if is_felt { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// Every sync takes longer.
pub(super) fn slow(stage: &mut Stage) -> anyhow::Result<Episode> {
    let delay_us = stage.random.between(20_000, 250_000);
    let notes = stage.site.folder.join("strace.txt");
    let process = stage.node()?.id();
    let tracer = Tracer::attach(process, &[], "fdatasync,fsync", &format!("delay_enter={delay_us}"), &notes)?;
    stage.linger(1_000, 3_000);
    eventually(FELT_PATIENCE, || tracer.tampered() > 0);
    let syncs = tracer.tampered();
    stage.lift(None);
    drop(tracer);
    Ok(Episode { fired: u64::from(syncs > 0), detail: format!("{syncs} syncs, each {} ms longer", delay_us / 1_000) })
}

/// A write or sync fails once. The node believes nothing after that, and is started again.
pub(super) fn failing(stage: &mut Stage) -> anyhow::Result<Episode> {
    let calls = ["write", "fdatasync", "pwrite64"];
    let call = stage.random.choose(&calls).copied().unwrap_or("write");
    let was_injected = injected(stage, call, "error=EIO:when=1")?;
    restarted(stage, was_injected, &format!("EIO on {call}"))
}

/// The disk takes no writes: at the start, or from one write on.
pub(super) fn read_only(stage: &mut Stage) -> anyhow::Result<Episode> {
    if stage.random.happens(500, 1_000) {
        let was_injected = injected(stage, "write", "error=EROFS:when=1")?;
        return restarted(stage, was_injected, "EROFS on write");
    }
    stage.kill();
    stage.disk.remount("ro")?;
    if stage.start_behind_closed_doors()?.is_ok() {
        stage.tally.violate("refuses-what-it-cannot-write", "a start on a read-only disk is refused", "it serves");
    }
    stage.lift(None);
    stage.disk.remount("rw")?;
    stage.start()?;
    Ok(Episode::once("a start on a read-only disk was refused"))
}

fn restarted(stage: &mut Stage, injected: bool, what: &str) -> anyhow::Result<Episode> {
    stage.linger(100, 800);
    stage.restart()?;
    let detail = format!("{what}; then a restart");
    Ok(if injected { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// Has one call on the log's newest file or the watermark fail; whether it did.
fn injected(stage: &mut Stage, call: &str, tampering: &str) -> anyhow::Result<bool> {
    let notes = stage.site.folder.join("strace.txt");
    for _ in 0..TRIES {
        let mut files = newest_log(stage)?;
        files.push(stage.site.watermark());
        let tracer = Tracer::attach(stage.node()?.id(), &files, call, tampering, &notes)?;
        if eventually(CAUGHT, || tracer.tampered() > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The file that the log is written to now.
fn newest_log(stage: &Stage) -> anyhow::Result<Vec<PathBuf>> {
    Ok(super::files::with_extension(stage, "log")?.pop().into_iter().collect())
}

/// When a file was changed last.
pub(super) fn changed(path: &std::path::Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
