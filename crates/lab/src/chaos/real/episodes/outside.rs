//! The world outside of the node: license, tools, capacity.

use crate::chaos::real::outside::PINNED;
use crate::chaos::real::site::eventually;
use crate::chaos::real::stage::{Episode, FELT_PATIENCE, Stage};
use swoosh_standins::Manner;
use swoosh_standins::kaching::Mood;
use swoosh_types::names::Transition;

/// What proposals are refused with that have no license.
const UNLICENSED: [&str; 3] = ["guard_license", "blocked", "not_licensed"];
const NO_TOOLS: [&str; 1] = ["guard_tooling"];
const NO_CAPACITY: [&str; 1] = ["guard_capacity"];

/// The license server takes its time: nothing may be felt of it.
pub(super) fn slow_license(stage: &mut Stage) -> anyhow::Result<Episode> {
    let before = stage.outside.kaching.requests();
    stage.outside.kaching.be(Mood::Hang);
    let is_asked = eventually(FELT_PATIENCE, || stage.outside.kaching.requests() > before);
    let hung_ms = stage.linger(1_000, 3_000);
    stage.lift(None);
    stage.outside.kaching.be(Mood::kind());
    let detail = format!("hung for {hung_ms} ms, asked {} times", stage.outside.kaching.requests() - before);
    Ok(if is_asked { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// The license server denies until the grace is over, and grants again.
pub(super) fn denied_license(stage: &mut Stage) -> anyhow::Result<Episode> {
    let before = stage.tally.refused(&UNLICENSED);
    stage.outside.kaching.be(Mood::Status(403));
    let is_felt = stage.until_refused(&UNLICENSED, before);
    let denied_ms = stage.linger(200, 1_500);
    stage.lift(None);
    stage.outside.kaching.be(Mood::kind());
    let detail = format!("denied for {denied_ms} ms after the first refusal");
    Ok(if is_felt { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// The MCP server goes away, fails or changes its version until a proposal is refused for it; then it is back.
pub(super) fn mcp_flap(stage: &mut Stage) -> anyhow::Result<Episode> {
    let before = stage.tally.refused(&NO_TOOLS);
    let ways = ["goes away", "fails", "hangs", "changes its version"];
    let way = stage.random.choose(&ways).copied().unwrap_or("fails");
    match way {
        "goes away" => stage.outside.mcp.go_away(),
        "hangs" => stage.outside.mcp.behave(Manner::Hangs),
        "fails" => stage.outside.mcp.behave(Manner::Fails),
        _ => stage.outside.mcp.become_version("9.9.9"),
    }
    let is_felt = stage.until_refused(&NO_TOOLS, before);
    stage.linger(100, 1_000);
    stage.lift(Some(Transition::CouncilMcpGreen));
    match way {
        "goes away" => stage.outside.mcp.come_back()?,
        "hangs" | "fails" => stage.outside.mcp.behave(Manner::Well),
        _ => stage.outside.mcp.become_version(PINNED),
    }
    let detail = format!("the server {way}, and is back");
    Ok(if is_felt { Episode::once(detail) } else { Episode::unfelt(detail) })
}

/// Capacity falls below what is allocated, until a proposal is refused for it; then it is back.
pub(super) fn capacity_churn(stage: &mut Stage) -> anyhow::Result<Episode> {
    let before = stage.tally.refused(&NO_CAPACITY);
    let vcpu = stage.random.between(0, 3);
    stage.outside.say_capacity(&stage.world, vcpu)?;
    let is_felt = stage.until_refused(&NO_CAPACITY, before);
    stage.linger(100, 1_000);
    stage.lift(Some(Transition::EnvironmentCapacityOk));
    stage.outside.say_capacity(&stage.world, 8)?;
    let detail = format!("{vcpu} processors where 4 are allocated, and 8 again");
    Ok(if is_felt { Episode::once(detail) } else { Episode::unfelt(detail) })
}
