//! Capacity, a real build, health; and a compensation that takes everything down and builds it again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::demo::project;
use crate::demo::ship::BUILD;
use crate::demo::stage::Stage;
use swoosh_client::EffectView;
use swoosh_hybridcore::leave::Always;
use swoosh_hybridcore::state::Lock;
use swoosh_machine::state::State;
use swoosh_types::fact::FactKind;
use swoosh_types::names::Transition::*;
use swoosh_types::names::{EffectName, EnvironmentState, GuardName};

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Environment: built by packer, found changed, taken down, built again");
    stage.story.say("The agent is eager, but the loop begins only when all three regions are READY together.");
    let early = project::prerequisites(stage.state());
    stage.refuse("agent", ExecutionAllReady, early, GuardName::Prerequisites).await?;
    capacity(stage).await?;
    let own = stage.settles("the environment is READY", is_ready).await?;
    stage.story.say("What packer made, hashed by us:");
    stage.show_assets()?;
    stage.show_decisions(&own).await?;
    let image = changed(stage).await?;
    taken_down(stage, &image).await?;
    stage.settles("the environment is READY again", is_ready).await?;
    stage.show_assets()?;
    stage.story.check("the image is what its recipe says again");
    Ok(())
}

/// Whether the environment is there and healthy.
pub(in crate::demo) fn is_ready(state: &State) -> bool {
    state.environment.phase == EnvironmentState::Ready
}

/// What went wrong last.
fn failure(state: &State) -> Option<&str> {
    state.environment.last_failure.as_ref().map(|failure| failure.detail.as_str())
}

async fn capacity(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say("The environment wants 4 processors, and the platform has 2. The node asks again and again.");
    stage.fact(FactKind::Capacity, json!({"resources": {"vcpu": 2, "memory_mib": 16384}})).await?;
    let denied = |effect: &EffectView| {
        effect.effect == EffectName::Allocate && effect.reason.as_ref().is_some_and(|reason| reason.contains("vcpu"))
    };
    stage.wait_for_effect("the capacity is missing", denied).await?;
    stage.story.say("The worker claims that it is there. Without the platform's fact the claim is refused.");
    stage.refuse_outcome(EnvironmentCapacityOk, json!({}), GuardName::Capacity).await?;
    stage.fact(FactKind::Capacity, json!({"resources": {"vcpu": 8, "memory_mib": 16384}})).await?;
    stage.story.check("the platform finds six more processors; the node goes on by itself, and has packer build");
    Ok(())
}

/// The image is changed outside of the project.
async fn changed(stage: &mut Stage) -> anyhow::Result<PathBuf> {
    stage.story.say("The image is changed by hand. The agent has the assets checked; the node hashes them again.");
    let assets = stage.assets()?;
    let (_, path) = assets.first_key_value().context("there is no image")?;
    let text = std::fs::read_to_string(path)?;
    std::fs::write(path, format!("{text}backdoor: yes\n"))?;
    stage.accept("agent", EnvironmentRecheck, json!({})).await?;
    stage.settles("the changed image is found", |state| state.environment.last_failure.is_some()).await?;
    stage.story.say("The worker says green. The node has signed another fact: what it found.");
    let green = project::healthy(stage.state());
    stage.refuse_outcome(EnvironmentGreen, green, GuardName::Health).await?;
    Ok(path.clone())
}

/// The operator compensates while another process holds the lock of the builds.
async fn taken_down(stage: &mut Stage, changed: &Path) -> anyhow::Result<()> {
    let runs = stage.workspace().environment().join("state/runs");
    let lock = runs.join(format!(".{BUILD}.lock"));
    let held = Lock::take(&lock, "a look around", Duration::from_secs(10), &Always)?;
    stage.story.say(
        "The operator compensates: the environment is taken down and built again. Another process holds the lock of \
         the builds, so the node's release waits. No capacity is allocated until the release is done.",
    );
    let rationale = json!({"rationale": "The image was changed; build it again from scratch."});
    stage.accept("operator", EnvironmentDeprovision, rationale).await?;
    stage.refuse_outcome(EnvironmentCapacityOk, json!({}), GuardName::Release).await?;
    drop(held);
    stage.story.check("the lock is let go; but what the node did not make itself, it does not remove unseen");
    let left = |state: &State| failure(state).is_some_and(|detail| detail.contains("by hand"));
    stage.settles("the changed image is left alone", left).await?;
    std::fs::rename(changed, stage.directory.join("evidence.txt"))?;
    stage
        .story
        .check("the operator puts the changed image aside as evidence; now release, capacity, build and health follow");
    Ok(())
}
