//! What BUBBLE got: every decision record, in order, across the SIGKILL; and what each is worth without the node.

use anyhow::{Context as _, ensure};

use super::crash;
use crate::demo::stage::Stage;
use swoosh_decisions as decisions;
use swoosh_journal::Journal;
use swoosh_types::canonical::from_json;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::Json;

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<()> {
    stage.story.chapter("Decision records: sent to BUBBLE");
    stage.story.say(
        "Every accepted transition leaves a decision record, with every guard's reasons. The node sends them to BUBBLE \
         in order and remembers how far it came; BUBBLE keeps each once, by its id.",
    );
    let last = stage.exported().await?;
    let log = crash::log(stage.reader()?).await?;
    let held = stage.servers.bubble.documents();
    ensure!(held.len() as u64 == last && log.len() as u64 == last, "BUBBLE holds {} of {last}", held.len());
    for (document, entry) in held.iter().zip(log.values()) {
        let expected = DecisionId::of(&entry.record.project, entry.record.index, &entry.chain);
        let (_, found) = read(document)?;
        ensure!(found == expected, "BUBBLE got {found}, where {expected} was next");
    }
    stage.story.check(&format!(
        "BUBBLE holds all {last}, in the order of the log, none missing across the SIGKILL; {} came twice",
        stage.servers.bubble.repeats()
    ));
    Ok(())
}

/// Makes every record that BUBBLE holds again out of the log; returns how many are the same.
pub(super) fn made_again(journal: &Journal, held: &[String]) -> anyhow::Result<usize> {
    for document in held {
        let (document, id) = read(document)?;
        let decision = decisions::recompute_at(journal, id.index)?;
        let differences = decisions::differences(&document, &decision);
        ensure!(differences.is_empty(), "{id} differs from the log: {}", differences.join("; "));
    }
    Ok(held.len())
}

fn read(document: &str) -> anyhow::Result<(Json, DecisionId)> {
    let document = Json::parse(document.as_bytes())?;
    let id = document.as_object().and_then(|members| members.get("id")).context("a decision record has no id")?;
    let id = from_json(id).context("a decision record's id is none")?;
    Ok((document, id))
}
