//! SIGKILL under load, and what is left of it: everything that was promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::load::{self, PROJECTS, Run};
use crate::demo::daemon::Daemon;
use crate::demo::stage::{Stage, read_head};
use crate::demo::watch::is_believed;
use swoosh_client::{Client, FactsView, WalEntry};
use swoosh_standins::kaching::Mood;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::text::ProjectName;

/// How long the load runs at least, and how many receipts are waited for.
const LOAD_TIME: Duration = Duration::from_millis(1_500);
const LOAD_RECEIPTS: u64 = 100;
/// How long the load may take to give that many receipts.
const LOAD_PATIENCE: Duration = Duration::from_secs(15);
/// Records read of the log at once.
const PAGE: u64 = 1_000;

/// Heads by project.
pub(in crate::demo) type Heads = BTreeMap<ProjectName, Hash>;

/// The chapter. Returns the heads of all projects, as the daemon shows them after its restart.
pub(in crate::demo) async fn tell(stage: &mut Stage) -> anyhow::Result<Heads> {
    stage.story.chapter("SIGKILL in mid-load");
    let before = stage.head.hash();
    let runs = load_and_kill(stage).await?;
    restart(stage).await?;
    outside(stage).await?;
    stage.refresh().await?;
    ensure!(stage.head.hash() == before, "the head of default was {before} before, and is {}", stage.head.hash());
    check_log(stage, &runs).await?;
    send_again(stage, &runs).await?;
    heads(stage.reader()?).await
}

async fn load_and_kill(stage: &mut Stage) -> anyhow::Result<Vec<Run>> {
    stage.story.say(&format!("{PROJECTS} clients drive {PROJECTS} further projects as fast as they can."));
    let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks = load::start(stage, &count)?;
    while began.elapsed() < LOAD_TIME || count.load(Ordering::Relaxed) < LOAD_RECEIPTS {
        ensure!(began.elapsed() < LOAD_PATIENCE, "there are few receipts after 15 s; is this machine very busy?");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = stage.daemon.id().context("the daemon is gone already")?;
    let took = began.elapsed();
    stage.servers.kaching.be(Mood::Status(503));
    stage.daemon.kill().await;
    let mut runs = Vec::new();
    for task in tasks {
        runs.push(task.await??);
    }
    let held: u64 = runs.iter().map(|run| run.held.len() as u64).sum();
    let unanswered = runs.iter().filter(|run| run.unanswered.is_some()).count();
    stage.story.tally.accepted += held;
    stage.story.tally.under_load += held;
    stage.story.say(&format!(
        "After {:.1} s process {id} gets SIGKILL. The clients hold {held} receipts ({:.0} a second, each synced to \
         disk before it was given); {unanswered} proposals were under way and never answered.",
        took.as_secs_f64(),
        held as f64 / took.as_secs_f64()
    ));
    Ok(runs)
}

async fn restart(stage: &mut Stage) -> anyhow::Result<()> {
    stage.daemon = Daemon::start(&stage.settings, &stage.directory, &stage.repositories.environment()).await?;
    stage.cast.connect(&stage.daemon.url, stage.node)?;
    let took = stage.daemon.start_took.as_secs_f64();
    stage.story.check(&format!("a new daemon recovered the same directory in {took:.2} s"));
    Ok(())
}

/// The license was kept on disk, and the beats go on.
async fn outside(stage: &mut Stage) -> anyhow::Result<()> {
    let holds = |view: &FactsView| view.network.open && is_believed(view);
    stage.sees(FactKind::License, "its license was kept on disk", holds).await?;
    stage.servers.kaching.be(Mood::kind());
    stage.follow_beats().await?;
    stage.story.check("KACHING was down at that moment: the license is the one kept on disk; BACKBEAT leads again");
    Ok(())
}

/// The log holds every receipt at its index with the head it names, and the chain is intact.
async fn check_log(stage: &mut Stage, runs: &[Run]) -> anyhow::Result<()> {
    let log = log(stage.reader()?).await?;
    let mut previous = Hash::ZERO;
    for (index, entry) in &log {
        ensure!(entry.follows(&previous), "record {index} does not follow the one before it");
        previous = entry.chain;
    }
    let mut found = 0;
    for (prepared, accepted) in runs.iter().flat_map(|run| &run.held) {
        let receipt = &accepted.receipt;
        let entry = log.get(&receipt.index).with_context(|| format!("record {} is lost", receipt.index))?;
        let same = entry.record.state_post_hash == receipt.state_post_hash
            && entry.record.idem_key == prepared.signed().proposal.idem_key
            && entry.chain == receipt.chain;
        ensure!(same, "record {} is not what its receipt says", receipt.index);
        found += 1;
    }
    stage
        .story
        .check(&format!("all {found} receipts stand in the log, each under its index with the head it promised"));
    stage.story.check(&format!("the chain over all {} records holds", log.len()));
    Ok(())
}

/// The whole log, over HTTP.
pub(super) async fn log(reader: &Client) -> anyhow::Result<BTreeMap<u64, WalEntry>> {
    let mut log = BTreeMap::new();
    loop {
        let from = log.len() as u64 + 1;
        let page = reader.wal(from, PAGE).await?;
        log.extend(page.records.into_iter().map(|entry| (entry.record.index, entry)));
        if log.len() as u64 + 1 == from || log.len() as u64 >= page.last_index {
            return Ok(log);
        }
    }
}

/// Sends every proposal again: an answered one gets the same receipt, an unanswered one is accepted exactly once.
async fn send_again(stage: &mut Stage, runs: &[Run]) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for run in runs {
        tasks.push(tokio::spawn(repeat(load::client(stage, stage.node)?, run.held.clone())));
    }
    let mut repeated = 0;
    for task in tasks {
        repeated += task.await??;
    }
    stage.story.tally.duplicates += repeated;
    stage.story.check(&format!("sent again, all {repeated} get their first receipts back, byte for byte"));
    let client = load::client(stage, stage.node)?;
    let (mut known, mut fresh) = (0, 0);
    for prepared in runs.iter().filter_map(|run| run.unanswered.clone()) {
        let accepted = client.submit(prepared, &mut |_| {}).await?;
        *(if accepted.replayed { &mut known } else { &mut fresh }) += 1;
    }
    stage.story.tally.accepted += known + fresh;
    stage.story.tally.under_load += known + fresh;
    stage.story.check(&format!(
        "of the {} without an answer, {known} had been made durable and {fresh} are accepted now; none counts twice",
        known + fresh
    ));
    Ok(())
}

async fn repeat(client: Client, held: Vec<(swoosh_client::Prepared, swoosh_client::Accepted)>) -> anyhow::Result<u64> {
    let mut repeated = 0;
    for (prepared, first) in held {
        let again = client.submit(prepared, &mut |_| {}).await?;
        ensure!(again.replayed && again.body == first.body, "record {} got another receipt", first.receipt.index);
        repeated += 1;
    }
    Ok(repeated)
}

/// The heads of all projects.
async fn heads(reader: &Client) -> anyhow::Result<Heads> {
    let mut heads = Heads::new();
    for view in reader.projects().await? {
        let head = read_head(reader, &view.project).await?.hash();
        ensure!(head == view.hash, "the head of {} is {head}, the list of projects says {}", view.project, view.hash);
        heads.insert(view.project, head);
    }
    Ok(heads)
}
