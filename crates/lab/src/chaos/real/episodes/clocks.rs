//! The node's clock is wrong from the start, or jumps while it runs.

use crate::bench::world::now_ms;
use crate::chaos::real::clock::Clock;
use crate::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};
use swoosh_types::hlc::Hlc;

/// What proposals are refused with by a node whose clock jumped.
const UNSAFE: [&str; 1] = ["clock_unsafe"];

/// The node starts with another time, and later with the right one.
pub(super) fn shift(stage: &mut Stage) -> anyhow::Result<Episode> {
    let clock = Clock::make(&stage.site.folder)?;
    let seconds = i64::try_from(stage.random.between(2, 60))?;
    let ahead_s = if stage.random.happens(500, 1_000) { seconds } else { -seconds };
    clock.set(ahead_s)?;
    stage.kill();
    stage.start_with(&clock.environment())?;
    let time = stage.node()?.health()["time"].as_str().and_then(|time| time.parse::<Hlc>().ok());
    let off_ms = time.map_or(0, |time| time.physical_ms().abs_diff(now_ms()));
    let before = stage.accepted();
    stage.linger(1_000, 3_000);
    let accepted = stage.accepted() - before;
    stage.restart()?;
    let detail = format!("started {ahead_s} s ahead ({off_ms} ms off by its own word), {accepted} accepted meanwhile");
    Ok(if off_ms > 1_000 { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// The wall clock jumps against the monotonic one, and back.
pub(super) fn jump(stage: &mut Stage) -> anyhow::Result<Episode> {
    let clock = Clock::make(&stage.site.folder)?;
    stage.kill();
    stage.start_with(&clock.environment())?;
    stage.breathe(20, FELT_PATIENCE);
    let seconds = i64::try_from(stage.random.between(20, 90))?;
    let ahead_s = if stage.random.happens(700, 1_000) { seconds } else { -seconds };
    let before = stage.tally.refused(&UNSAFE);
    clock.set(ahead_s)?;
    let is_felt = stage.until_refused(&UNSAFE, before);
    let unsafe_ms = stage.linger(100, 1_000);
    stage.lift(None);
    clock.set(0)?;
    let is_back = stage.node()?.wait_until_ready(FELT_PATIENCE);
    if !is_back {
        stage.restart()?;
    }
    let back = if is_back { "it went on by itself when the clocks agreed" } else { "it had to be started again" };
    let detail = format!("jumped {ahead_s} s ahead, back {unsafe_ms} ms after the first refusal; {back}");
    Ok(if is_felt { Episode::once(detail) } else { Episode::unfelt(detail) })
}
