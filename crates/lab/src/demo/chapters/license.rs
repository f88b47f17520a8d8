//! KACHING fails, denies and grants: the license stays, enters its grace, expires, and is renewed.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::demo::chapters::environment::is_ready;
use crate::demo::ship::GRACE_MS;
use crate::demo::stage::Stage;
use crate::demo::watch::{is_believed, last_index};
use swoosh_standins::kaching::Mood;
use swoosh_types::fact::FactKind;
use swoosh_types::names::Transition::*;

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("License: an outage, a denial, a grace that ends, a renewal");
    outage(stage).await?;
    grace(stage).await?;
    expiry(stage).await?;
    renewal(stage).await
}

/// A failed request changes nothing: the last license remains valid.
async fn outage(stage: &mut Stage) -> anyhow::Result<()> {
    let asked = stage.servers.kaching.requests();
    stage.kaching(Mood::Status(503)).await;
    let servers = &stage.servers;
    let again = |_: &_| servers.kaching.requests() > asked;
    stage.sees(FactKind::License, "KACHING fails", again).await?;
    stage.sees(FactKind::License, "its license still counts", |view| view.network.open && is_believed(view)).await?;
    stage.story.check("KACHING answers 503. That is no answer about the license, which stays valid until its end");
    Ok(())
}

async fn grace(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say(&format!(
        "Now KACHING denies the license. That is its word and counts at once; the project has {} s of grace (three \
         days by default), in which everything goes on: the agent has the assets checked, is overtaken by the node, and the node checks them.",
        GRACE_MS / 1_000
    ));
    stage.kaching(Mood::Status(403)).await;
    stage.sees(FactKind::License, "its license was denied", |view| !is_believed(view)).await?;
    stage.accept_after(LicenseGraceEntered, "agent", EnvironmentRecheck, json!({})).await?;
    stage.settles("the assets are checked in the grace", is_ready).await?;
    Ok(())
}

/// After the grace the project accepts no work, and the node sends nothing.
async fn expiry(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.waiting(Duration::from_millis(GRACE_MS), "the grace is over at the latest");
    stage.sees(FactKind::License, "the grace is over", |view| !view.network.open).await?;
    stage.blocked_after(LicenseExpired, "agent", EnvironmentRecheck, json!({})).await?;
    let last = last_index(stage.reader()?).await?;
    let held = stage.servers.bubble.documents().len() as u64;
    ensure!(held < last, "decision records left the node without a license");
    stage.story.check(&format!(
        "the network gate is closed: BUBBLE holds {held} of {last} decision records, no beat comes in and no probe goes out"
    ));
    Ok(())
}

async fn renewal(stage: &mut Stage) -> anyhow::Result<()> {
    stage.license().await?;
    stage.story.check("KACHING grants a new license; the node fetches it, and the gate opens");
    stage.accept_after(LicenseRenewed, "agent", EnvironmentRecheck, json!({})).await?;
    stage.settles("the assets are checked again", is_ready).await?;
    let sent = stage.exported().await?;
    stage.story.check(&format!("BUBBLE catches up: it holds all {sent} decision records"));
    Ok(())
}
