//! Sources, from names to an index; and what happens to whoever is overtaken.

use serde_json::json;

use crate::cli::demo::moment::Moment;
use crate::cli::demo::project;
use crate::cli::demo::stage::Stage;
use crate::types::names::GuardName;
use crate::types::names::Transition::*;

/// The chapter.
pub(in crate::cli::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Ingestion: from names to an index");
    stage.story.say(
        "The license opened two effects: somebody must resolve the sources, and somebody must find capacity. The \
         worker does so outside and reports each outcome as one more signed proposal.",
    );
    stage.refuse("operator", IngestionRetry, json!({}), GuardName::Retryable).await?;
    let mut stray = project::resolved(stage.state());
    stray["effect"] = json!("default/1/resolve");
    stage.refuse("worker", IngestionSourcesResolved, stray, GuardName::Effect).await?;
    let resolved = project::resolved(stage.state());
    stage.outcome(IngestionSourcesResolved, resolved).await?;
    let mut partial = project::fetched(stage.state());
    if let Some(fetched) = partial["fetched"].as_object_mut() {
        fetched.remove("docs");
    }
    stage.refuse_outcome(IngestionBytesOk, partial, GuardName::Coverage).await?;
    overtaken(stage).await?;
    let checks = project::checks(stage.state());
    stage.outcome(IngestionSchemaOk, checks).await?;
    let content_hash = crate::types::hash::Hash::of(b"content of version 1");
    stage.outcome(IngestionCorpusBuilt, json!({"content_hash": content_hash})).await?;
    let floating = json!({"sources": {"app": {"url": "https://git.example/app", "ref": "main"}}});
    stage.refuse("agent", IngestionNewVersion, floating, GuardName::Sources).await?;
    let rollback = json!({"version": 7, "rationale": "Version 7 was better."});
    stage.refuse("operator", IngestionRollbackIndex, rollback, GuardName::Retained).await
}

/// The council's profiles come in while the worker fetches; the worker still names the head from before.
async fn overtaken(stage: &mut Stage) -> anyhow::Result<()> {
    let seen = stage.head.hash();
    let fetched = project::fetched(stage.state());
    let effect = stage.state().ingestion.effects.values().next().map(|open| open.id.to_string());
    stage.story.say(
        "Regions run side by side. While the worker fetches, the agent loads the candidates' profiles, and the head \
         moves. Whoever insists on the old head is refused; the SDK reads the head again instead.",
    );
    let mut twice = project::profiles(&stage.cast)?;
    if let Some(candidates) = twice["candidates"].as_array_mut() {
        candidates.extend(candidates.first().cloned());
    }
    stage.refuse("agent", CouncilProfilesLoaded, twice, GuardName::Roster).await?;
    let profiles = project::profiles(&stage.cast)?;
    stage.accept("agent", CouncilProfilesLoaded, profiles).await?;
    let mut inputs = fetched;
    inputs["effect"] = json!(effect);
    let draft = stage.draft(IngestionBytesOk, &inputs)?;
    stage.refuse_at("worker", draft.clone().only_on_head(seen), GuardName::Head, Moment::Any).await?;
    stage.accept_at("worker", draft.from_head(seen), Moment::Any).await?;
    Ok(())
}
