//! Sources, from names to an index, which the node builds without proposals; and proposals on a stale head.

use serde_json::json;

use crate::demo::moment::Moment;
use crate::demo::project;
use crate::demo::stage::Stage;
use swoosh_machine::state::State;
use swoosh_types::names::Transition::*;
use swoosh_types::names::{EffectName, GuardName, IngestionState};

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Ingestion: from names to an index, by itself");
    stage.story.say(
        "The license opened two effects: sources must be resolved, and capacity must be found. Both are the node's own \
         work here (`effects` in its settings), and its outcomes are signed proposals like all others. The sources are \
         real git repositories, made on the spot: `app` lies on this disk, `docs` and the four upstreams of \
         tools/upstreams.env come through a mirror, served by git itself over http. The mirror does not answer yet.",
    );
    let resolves = |effect: &swoosh_client::EffectView| effect.effect == EffectName::Resolve && effect.step.is_some();
    stage.wait_for_effect("the sources are resolved", resolves).await?;
    let seen = stage.head.hash();
    eager(stage).await?;
    stage.story.say("Now the mirror answers. Clients propose nothing; the node makes all of the following steps.");
    stage.repositories.mirror.answer();
    let own = stage.settles("ingestion is READY", is_ready).await?;
    stage.show_sources()?;
    stage.show_decisions(&own).await?;
    overtaken(stage, seen).await?;
    let floating = json!({"sources": {"app": {"url": "https://git.example/app", "ref": "main"}}});
    stage.refuse("agent", IngestionNewVersion, floating, GuardName::Sources).await?;
    let rollback = json!({"version": 7, "rationale": "Version 7 was better."});
    stage.refuse("operator", IngestionRollbackIndex, rollback, GuardName::Retained).await
}

/// Whether the content is there.
pub(in crate::demo) fn is_ready(state: &State) -> bool {
    state.ingestion.phase == IngestionState::Ready
}

/// What does not hurry the node.
async fn eager(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.say("Meanwhile others are eager: to begin again, to answer for another effect, to answer by half.");
    stage.refuse("operator", IngestionRetry, json!({}), GuardName::Retryable).await?;
    let mut stray = project::resolved(stage.state());
    stray["effect"] = json!("default/1/resolve");
    stage.refuse("worker", IngestionSourcesResolved, stray, GuardName::Effect).await?;
    let mut partial = project::resolved(stage.state());
    if let Some(resolved) = partial["resolved"].as_object_mut() {
        resolved.remove("docs");
    }
    stage.refuse_outcome(IngestionSourcesResolved, partial, GuardName::Coverage).await
}

/// The agent loads the council's profiles, and still names the head from before the node went on.
async fn overtaken(stage: &mut Stage, seen: swoosh_types::hash::Hash) -> anyhow::Result<()> {
    stage.story.say(
        "Regions run side by side. The agent, who read the head before the node went on, loads the candidates' profiles. \
         A proposal on the old head is refused; the SDK reads the head again instead.",
    );
    let mut twice = project::profiles(&stage.cast)?;
    if let Some(candidates) = twice["candidates"].as_array_mut() {
        candidates.extend(candidates.first().cloned());
    }
    stage.refuse("agent", CouncilProfilesLoaded, twice, GuardName::Roster).await?;
    let draft = stage.draft(CouncilProfilesLoaded, &project::profiles(&stage.cast)?)?;
    stage.refuse_at("agent", draft.clone().only_on_head(seen), GuardName::Head, Moment::Any).await?;
    stage.accept_at("agent", draft.from_head(seen), Moment::Any).await?;
    Ok(())
}
