//! Capacity, assets, health; and a compensation that takes everything down and builds it again.

use serde_json::json;

use crate::cli::demo::project;
use crate::cli::demo::stage::Stage;
use crate::types::fact::FactKind;
use crate::types::names::GuardName;
use crate::types::names::Transition::*;

/// The chapter.
pub(in crate::cli::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Environment: built, found sick, taken down, built again");
    stage.story.say("The agent is eager, but the loop begins only when all three regions are READY together.");
    let early = project::prerequisites(stage.state());
    stage.refuse("agent", ExecutionAllReady, early, GuardName::Prerequisites).await?;
    stage.story.say("The environment wants 4 processors, and the platform has 2.");
    stage.fact(FactKind::Capacity, json!({"resources": {"vcpu": 2, "memory_mib": 16384}})).await?;
    stage.refuse_outcome(EnvironmentCapacityOk, json!({}), GuardName::Capacity).await?;
    stage.fact(FactKind::Capacity, json!({"resources": {"vcpu": 8, "memory_mib": 16384}})).await?;
    stage.story.check("the platform finds six more processors");
    stage.outcome(EnvironmentCapacityOk, json!({})).await?;
    stage.outcome(EnvironmentInstalled, project::installed()?).await?;
    stage.health("degraded").await?;
    let green = json!({"outcomes": project::health("ok")});
    stage.refuse_outcome(EnvironmentGreen, green.clone(), GuardName::Health).await?;
    stage.story.say("The worker says green, the platform says otherwise. The operator compensates.");
    let rationale = json!({"rationale": "image/tools came up degraded; build it again from scratch."});
    stage.accept("operator", EnvironmentDeprovision, rationale).await?;
    stage
        .story
        .say("Nothing is built on what is being torn down: until the release is reported, no capacity is taken.");
    stage.refuse_outcome(EnvironmentCapacityOk, json!({}), GuardName::Release).await?;
    stage.outcome(EnvironmentReleased, json!({})).await?;
    stage.outcome(EnvironmentCapacityOk, json!({})).await?;
    stage.outcome(EnvironmentInstalled, project::installed()?).await?;
    stage.health("ok").await?;
    stage.story.check("the platform finds image/tools healthy this time");
    stage.outcome(EnvironmentGreen, green).await?;
    Ok(())
}
