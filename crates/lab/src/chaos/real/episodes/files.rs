//! Files of the journal are torn, flipped or put back from an older copy while the node is down.
//!
//! The rule: the node refuses, or `swoosh wal verify` finds it, or nothing that was promised is gone. After that the
//! operator puts the files back as they were.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use serde_json::Value;

use super::disks::changed;
use crate::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};

/// Distance of the watermark's slots, and how much of one is covered by its checksum.
const SLOT_BYTES: u64 = 4_096;
const SLOT_COVERED: u64 = 100;
/// Most bytes that are torn off a log.
const TORN_BYTES: u64 = 16 << 10;
const BOTH_SLOTS: &str = "both slots of the watermark";

/// Files of the journal that end so, the one changed last at the end.
pub(super) fn with_extension(stage: &Stage, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(stage.site.journal())?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<anyhow::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort_by_key(|path| (changed(path), path.clone()));
    Ok(paths)
}

/// The end of the newest log is cut off, or zeroed.
pub(super) fn torn_log(stage: &mut Stage) -> anyhow::Result<Episode> {
    let cut = stage.random.happens(500, 1_000);
    let torn_bytes = stage.random.between(1, TORN_BYTES);
    damaged(stage, Harmless::GoesOn, |stage| {
        let logs = with_extension(stage, "log")?;
        let Some(log) = logs.iter().rev().find(|log| log.metadata().is_ok_and(|found| found.len() > 0)) else {
            return Ok(None);
        };
        let file = OpenOptions::new().write(true).open(log)?;
        let length = file.metadata()?.len();
        let torn_bytes = torn_bytes.min(length);
        file.set_len(length - torn_bytes)?;
        if !cut {
            file.set_len(length)?;
        }
        Ok(Some(format!("{} bytes of {} {}", torn_bytes, name(log), if cut { "cut off" } else { "zeroed" })))
    })
}

/// A bit of a table flips.
pub(super) fn flipped_table(stage: &mut Stage) -> anyhow::Result<Episode> {
    damaged(stage, Harmless::IsPutBack, |stage| {
        let mut tables = with_extension(stage, "sst")?;
        tables.retain(|table| table.metadata().is_ok_and(|found| found.len() > 0));
        let Some(table) = stage.random.choose(&tables).cloned() else { return Ok(None) };
        let at = stage.random.below(table.metadata()?.len());
        flip(&table, at)?;
        Ok(Some(format!("a bit of byte {at} of {} flipped", name(&table))))
    })
}

/// A bit of one of the watermark's slots flips, or of both.
pub(super) fn flipped_watermark(stage: &mut Stage) -> anyhow::Result<Episode> {
    let slots: &[u64] = match stage.random.below(3) {
        0 => &[0],
        1 => &[1],
        _ => &[0, 1],
    };
    damaged(stage, Harmless::GoesOn, |stage| {
        for slot in slots {
            let at = slot * SLOT_BYTES + stage.random.below(SLOT_COVERED);
            flip(&stage.site.watermark(), at)?;
        }
        Ok(Some(format!("a bit flipped in {}", if slots.len() > 1 { BOTH_SLOTS } else { "one slot of the watermark" })))
    })
}

/// Replaces the journal with an older copy and keeps the current watermark.
pub(super) fn rollback(stage: &mut Stage) -> anyhow::Result<Episode> {
    let old = stage.aside("old");
    stage.kill();
    copy(&stage.site.data, &old)?;
    stage.start()?;
    let wanted = stage.random.between(1, 200);
    stage.breathe(wanted, FELT_PATIENCE);
    let episode = damaged(stage, Harmless::IsPutBack, |stage| {
        fs::remove_dir_all(stage.site.journal())?;
        fs::rename(old.join("journal"), stage.site.journal())?;
        Ok(Some(format!("the journal put back by {wanted} records or more")))
    });
    fs::remove_dir_all(&old)?;
    episode
}

/// Whether a node goes on with files that were damaged and lost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harmless {
    /// It does, which proves it.
    GoesOn,
    /// What was hit may not have been read yet: the files are put back all the same.
    IsPutBack,
}

/// Kills the node, damages its files, sees what becomes of that, and puts the files back.
fn damaged(
    stage: &mut Stage,
    harmless: Harmless,
    damage: impl FnOnce(&mut Stage) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Episode> {
    stage.kill();
    let whole = stage.aside("whole");
    copy(&stage.site.data, &whole)?;
    let damaged = damage(stage)?;
    let outcome = match &damaged {
        Some(damaged) => outcome(stage, harmless, damaged)?,
        None => Outcome::Harmless,
    };
    stage.lift(None);
    if outcome == Outcome::Harmless && harmless == Harmless::GoesOn {
        fs::remove_dir_all(&whole)?;
    } else {
        fs::remove_dir_all(&stage.site.data)?;
        fs::rename(&whole, &stage.site.data)?;
    }
    stage.start()?;
    Ok(match damaged {
        Some(damaged) => Episode::once(format!("{damaged}: {}", outcome.words())),
        None => Episode::unfelt("there is no such file yet"),
    })
}

/// What became of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Found,
    Harmless,
    Silent,
}

impl Outcome {
    const fn words(self) -> &'static str {
        match self {
            Outcome::Refused => "the node refused to start",
            Outcome::Found => "the node started, and `wal verify` finds it",
            Outcome::Harmless => "nothing that was promised is gone",
            Outcome::Silent => "the damage went undetected",
        }
    }
}

/// Examines the directory with `wal verify` and by a start that serves no client.
fn outcome(stage: &mut Stage, harmless: Harmless, damage: &str) -> anyhow::Result<Outcome> {
    let found = verified(stage);
    let (is_good, last) = match &found {
        Ok(found) => (found["ok"] == true, found["last_index"].as_u64().unwrap_or(0)),
        Err(_) => (false, 0),
    };
    let promised = stage.tally.promised.load(Ordering::Relaxed);
    match stage.start_behind_closed_doors()? {
        Err(refused) => {
            // Without both slots the acknowledged index is unknown, so an operator must decide. A table may also hold
            // data that is not part of the log.
            if is_good && last >= promised && harmless == Harmless::GoesOn && !damage.contains(BOTH_SLOTS) {
                let expected = format!("a start, because `wal verify` finds every acknowledged record, after {damage}");
                stage.tally.violate("refuses-for-a-reason", expected, refused.to_string());
            }
            Ok(Outcome::Refused)
        }
        Ok(_) if is_good && last >= promised => Ok(Outcome::Harmless),
        Ok(_) if !is_good => Ok(Outcome::Found),
        Ok(_) => {
            let expected = format!("record {promised}, which a client holds a receipt for, or a refusal");
            let found = format!("{damage}; the node starts, and all is called good up to {last}");
            stage.tally.violate("damage-is-noticed", expected, found);
            Ok(Outcome::Silent)
        }
    }
}

/// What `swoosh wal verify` says.
fn verified(stage: &Stage) -> anyhow::Result<Value> {
    let output = stage.site.tool(&["wal", "verify"])?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn flip(path: &Path, at: u64) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 0x10], at)?;
    Ok(())
}

/// Copies a directory with everything in it.
pub(in crate::chaos::real) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().context("cannot run cp")?;
    anyhow::ensure!(output.status.success(), "cp -a failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
