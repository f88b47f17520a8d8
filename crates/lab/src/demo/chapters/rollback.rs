//! A version that turns out worse: the index goes back to the one before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::demo::stage::Stage;
use swoosh_effects::Index;
use swoosh_types::hash::Hash;
use swoosh_types::names::GuardName;
use swoosh_types::names::Transition::IngestionRollbackIndex;

/// How long the node may take to make the earlier index the current one.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Back to the former index");
    let ready: Vec<u64> = stage.state().ingestion.ready_versions.keys().copied().collect();
    let (newer, earlier) = match ready.as_slice() {
        [.., earlier, newer] => (*newer, *earlier),
        _ => anyhow::bail!("there are not two READY versions, but {ready:?}"),
    };
    stage.story.say(&format!(
        "Version {newer} has a flaw that no check saw. The index of version {earlier} is kept, and the operator goes back to \
         it: a compensation, which passes whatever the loop is at.",
    ));
    let before = show(stage, &ready)?;
    ensure!(current(stage)? == newer, "indexes/current is not {newer}, the version that is READY");
    let rationale = format!("Version {newer} lost a page of the manual.");
    stage.accept("operator", IngestionRollbackIndex, json!({"version": earlier, "rationale": rationale})).await?;
    becomes_current(stage, earlier).await?;
    let recorded = stage.state().ingestion.content_hash;
    let index = Index::load(&stage.workspace().index(earlier)).map_err(anyhow::Error::msg)?;
    ensure!(recorded == Some(index.content_hash()), "version {earlier} is not the one that was READY");
    ensure!(before.first() != before.last(), "both versions have the same content");
    stage.story.check(&format!(
        "indexes/current says {earlier} again; its manifest hashes to {}, as was recorded when it was READY first",
        index.content_hash()
    ));
    let pinned = stage.state().execution.pin.as_ref().context("the loop is pinned to nothing")?.version;
    ensure!(pinned == newer, "the loop is pinned to {pinned}");
    stage.story.check(&format!("the loop stays pinned to version {pinned} until the plan is changed"));
    let forward = json!({"version": newer, "rationale": "It was not that bad."});
    stage.refuse("operator", IngestionRollbackIndex, forward, GuardName::Retained).await
}

/// Shows the indexes that are kept; their content hashes.
fn show(stage: &Stage, versions: &[u64]) -> anyhow::Result<Vec<Hash>> {
    let mut hashes = Vec::new();
    for version in versions {
        let index = Index::load(&stage.workspace().index(*version)).map_err(anyhow::Error::msg)?;
        let (hash, files) = (index.content_hash(), index.sources.values().map(|source| source.files).sum::<u64>());
        let document = json!({"index": version, "content_hash": hash, "files": files});
        stage.story.item(document, &format!("indexes/{version}  {files} files  {hash}"));
        hashes.push(hash);
    }
    Ok(hashes)
}

/// The version whose index is the current one.
fn current(stage: &Stage) -> anyhow::Result<u64> {
    let path = stage.workspace().indexes().join("current");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().parse()?)
}

async fn becomes_current(stage: &Stage, version: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    while current(stage)? != version {
        ensure!(began.elapsed() < PATIENCE, "indexes/current never became {version}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
