//! The node's clock is wrong from the start, or jumps while it runs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::bench::world::now_ms;
use crate::cli::chaos::real::probe;
use crate::cli::chaos::real::site::eventually;
use crate::cli::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};
use crate::types::hlc::Hlc;

/// What the node says of itself whose clock jumped.
const UNSAFE: [&str; 1] = ["clock_unsafe"];

/// libfaketime over the node, which reads its shift from a file.
fn faked(stage: &Stage, shift: &str) -> anyhow::Result<(PathBuf, Vec<(&'static str, String)>)> {
    let library = probe::faketime().context("there is no libfaketime")?;
    let file = stage.site.folder.join("shift");
    std::fs::write(&file, format!("{shift}\n"))?;
    let environment = vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DONT_RESET", "1".to_owned()),
    ];
    Ok((file, environment))
}

/// The node starts with another time, and later with the right one.
pub(super) fn shift(stage: &mut Stage) -> anyhow::Result<Episode> {
    let seconds = stage.random.between(2, 60);
    let sign = if stage.random.happens(500) { "+" } else { "-" };
    let (_, environment) = faked(stage, &format!("{sign}{seconds}s"))?;
    stage.kill();
    stage.start_with(&environment)?;
    let time = stage.node()?.health()["time"].as_str().and_then(|time| time.parse::<Hlc>().ok());
    let off_ms = time.map_or(0, |time| time.physical_ms().abs_diff(now_ms()));
    let before = stage.accepted();
    stage.linger(1_000, 3_000);
    let accepted = stage.accepted() - before;
    stage.restart()?;
    let told = format!("started {sign}{seconds} s off ({off_ms} ms by its own word), {accepted} accepted meanwhile");
    Ok(if off_ms > 1_000 { Episode::once(told) } else { Episode::unfelt(told) })
}

/// The wall clock jumps ahead against the monotonic one, and back.
pub(super) fn jump(stage: &mut Stage) -> anyhow::Result<Episode> {
    let (file, environment) = faked(stage, "+0s")?;
    stage.kill();
    stage.start_with(&environment)?;
    stage.breathe(20, FELT_PATIENCE);
    let seconds = stage.random.between(20, 90);
    let before = stage.tally.refused(&UNSAFE);
    std::fs::write(&file, format!("+{seconds}s\n"))?;
    let is_felt = eventually(Duration::from_secs(20), || stage.tally.refused(&UNSAFE) > before);
    let unsafe_ms = stage.linger(100, 1_000);
    std::fs::write(&file, "+0s\n")?;
    let is_back = stage.node()?.wait_until_ready(FELT_PATIENCE);
    stage.restart()?;
    let back = if is_back { "it went on by itself when the clocks agreed" } else { "it had to be started again" };
    let told = format!("jumped {seconds} s ahead, {unsafe_ms} ms after that back; {back}");
    Ok(if is_felt { Episode::once(told) } else { Episode::unfelt(told) })
}
