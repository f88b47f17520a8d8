//! The log alone, reduced again from the first record; and the end.

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::crash::Heads;
use super::decisions;
use crate::demo::ship;
use crate::demo::stage::Stage;
use swoosh_journal::Journal;
use swoosh_journal::replay::{ReplayReport, replay};
use swoosh_types::hash::Hash;
use swoosh_types::names::GuardName;

/// The chapter.
pub(in crate::demo) async fn tell(stage: &mut Stage, before: Heads) -> anyhow::Result<()> {
    stage.story.chapter("Replay");
    stage.daemon.stop().await?;
    stage.story.say("The daemon is stopped. What follows needs no daemon, no network and no snapshot: the log alone.");
    let path = stage.directory.join(ship::DATA).join("journal");
    let began = std::time::Instant::now();
    let held = stage.servers.bubble.documents();
    let (report, same) = tokio::task::spawn_blocking(move || reduce_again(&path, &held)).await??;
    let took = began.elapsed();
    for (project, expected) in &before {
        let found = report.heads.get(project).map(|head| head.hash);
        ensure!(found == Some(*expected), "replay leads {project} to {found:?}, the daemon had {expected}");
    }
    ensure!(report.heads.len() == before.len(), "replay finds {} projects, not {}", report.heads.len(), before.len());
    stage.story.check(&format!(
        "{} records of {} projects are reduced again from the first in {:.2} s; every hash is as recorded",
        report.replayed,
        before.len(),
        took.as_secs_f64()
    ));
    stage.story.check(&format!("{same} decision records are made again out of it: what BUBBLE holds is the same"));
    let replayed = report.heads.get(&stage.project).map(|head| head.hash).context("default is not in the log")?;
    ensure!(same as u64 == report.replayed, "BUBBLE holds {same} of {} decision records", report.replayed);
    finish(stage, replayed, report.replayed)
}

fn reduce_again(path: &std::path::Path, held: &[String]) -> anyhow::Result<(ReplayReport, usize)> {
    let journal = Journal::open_read_only(path)?;
    let report = replay(&journal, &mut |_| {}, None);
    match report.fault {
        Some(fault) => Err(fault.into()),
        None => Ok((report, decisions::made_again(&journal, held)?)),
    }
}

fn finish(stage: &mut Stage, replayed: Hash, records: u64) -> anyhow::Result<()> {
    let before = stage.head.hash();
    ensure!(before == replayed, "the head of default was {before}, replay leads to {replayed}");
    let tally = &stage.story.tally;
    ensure!(tally.accepted == records, "{} were accepted, the log holds {records}", tally.accepted);
    let missing: Vec<_> = GuardName::ALL.iter().filter(|guard| !tally.guards.contains(guard)).collect();
    ensure!(missing.is_empty(), "no proposal was refused by {missing:?}");
    let took = stage.story.took();
    let document = json!({
        "head_before": before, "head_after": replayed, "accepted": tally.accepted, "decision_records": records, "under_load": tally.under_load,
        "refused": tally.refused, "retried": tally.retried, "duplicates": tally.duplicates,
        "guards": tally.guards.len(), "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let lines = [
        String::new(),
        format!("head of default before the SIGKILL  {before}"),
        format!("head of default after replay        {replayed}"),
        String::new(),
        format!("accepted   {} transitions, {} of them under load", tally.accepted, tally.under_load),
        format!("refused    {} proposals, by each of the {} guards at least once", tally.refused, tally.guards.len()),
        format!("retried    {} times, each under its first key", tally.retried),
        format!("repeated   {} proposals, each answered with its first receipt", tally.duplicates),
        format!("took       {:.1} s", took.as_secs_f64()),
    ];
    stage.story.summary(document, &lines);
    Ok(())
}
