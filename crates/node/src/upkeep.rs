//! Tasks beside the pipeline: polling the fact files; fetching the license, which moves the network gate; evicting idle
//! heads; snapshots of old records; the checks that a start left open; pruning; exports.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::backups::Backups;
use super::clock_socket::ClockSocket;
use super::growth::{Growth, Pruning};
use super::node::{Node, fact_files};
use super::repositories::{self, Repositories};
use super::scrape::disk_free;
use super::{bundles, providers};
use crate::backup::Control;
use crate::export::{Plan, Rounds};
use swoosh_facts::watch_license;
use swoosh_settings::Settings;
use swoosh_telemetry::metrics::Metrics;

/// Rounds of tidying after which an idle head goes.
pub const IDLE_ROUNDS: u64 = 10;
/// How often a lead of the clock is looked at.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
/// How often the room on the disk is measured.
const DISK_INTERVAL: Duration = Duration::from_secs(5);
/// How often every row is read, so that damage is found before the row is needed.
const SCRUB_INTERVAL: Duration = Duration::from_secs(86_400);
/// How often old records without a snapshot are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The tasks, and the way to hurry them.
pub struct Upkeep {
    tasks: Vec<JoinHandle<()>>,
    /// The watcher of the license, which keeps the gate open.
    license: Option<JoinHandle<()>>,
    reload: Vec<Arc<Notify>>,
    growth: Growth,
    backups: Option<Backups>,
    /// Closed when the node stops.
    _control: Option<Control>,
    _clock: Option<ClockSocket>,
}

/// Starts the tasks. The fact files have been read once when this returns.
pub fn spawn(node: &mut Node, settings: &Settings) -> anyhow::Result<Upkeep> {
    let growth = Growth::new(node.handle().clone(), node.metrics().clone(), node.gate().clone());
    let mut tasks = keep_small(&growth, node, settings)?;
    let mut reload = Vec::new();
    for file in fact_files(settings, node.facts()) {
        let hurry = Arc::new(Notify::new());
        tasks.push(tokio::spawn(file.watch(hurry.clone())));
        reload.push(hurry);
    }
    tasks.push(tokio::spawn(bundles::keep(settings.clone(), node.facts().clone(), node.key())));
    let license = node.take_keeper().map(|keeper| tokio::spawn(watch_license(node.facts().clone(), keeper)));
    if let Some(license) = node.take_license() {
        let hurry = Arc::new(Notify::new());
        tasks.push(tokio::spawn(license.run(hurry.clone())));
        reload.push(hurry);
    }
    tasks.extend(node.take_exporters().into_iter().map(tokio::spawn));
    tasks.extend(providers::spawn(node, settings)?);
    let backups = Backups::of(settings, node.handle(), node.metrics());
    if let Some(backups) = backups.clone() {
        let often = Duration::from_millis(settings.backup.every_ms);
        tasks.push(tokio::spawn(async move {
            let earlier = backups.clone();
            if tokio::task::spawn_blocking(move || earlier.recall()).await.is_err() {
                tracing::error!("listing the earlier backups panicked");
            }
            every(often, move || backups.round()).await;
        }));
    }
    let _control = control(node, settings);
    let desk = node.clock().clone();
    tasks.push(tokio::spawn(every(CLOCK_INTERVAL, move || desk.settle())));
    let _clock = ClockSocket::listen(&settings.data, node.clock().clone())
        .inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, "`swoosh clock` cannot reach this node");
        })
        .ok();
    Ok(Upkeep { tasks, license, reload, growth, backups, _control, _clock })
}

/// The socket for checkpoints. A node whose data directory can hold none works without.
pub fn control(node: &Node, settings: &Settings) -> Option<Control> {
    let handle = node.handle().clone();
    let control = Control::listen(&settings.data, move || handle.journal());
    control
        .inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, "`swoosh backup create` cannot reach this node; backup.directory works all the same");
        })
        .ok()
}

/// The tasks that keep the node from growing.
fn keep_small(growth: &Growth, node: &Node, settings: &Settings) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let round = Duration::from_millis(settings.heads.idle_ms / IDLE_ROUNDS).max(Duration::from_millis(10));
    let (tidy, sweep, first, scrub) = (node.handle().clone(), growth.clone(), growth.clone(), growth.clone());
    let mut tasks = vec![
        measure_disk(node.metrics(), settings),
        tokio::spawn(every(round, move || tidy.tidy())),
        tokio::spawn(every(SWEEP_INTERVAL, move || sweep.sweep())),
        prune(growth.clone(), settings),
        tokio::spawn(async move {
            drop(tokio::task::spawn_blocking(move || first.after_start()).await);
            every(SCRUB_INTERVAL, move || scrub.scrub()).await;
        }),
    ];
    if let Some(repositories) =
        Repositories::new(settings.workspaces_path(), node.metrics().clone(), growth.clone()).map(Arc::new)
    {
        tasks.push(tokio::spawn(async move {
            let first = repositories.clone();
            drop(tokio::task::spawn_blocking(move || first.measure()).await);
            every(repositories::INTERVAL, move || repositories.measure()).await;
        }));
    }
    if let Some(plan) = Plan::of(&settings.exports)? {
        let every_round = Duration::from_millis(settings.exports.every_ms);
        let (rounds, exporting) = (Rounds::of_node(plan, &node.handle().journal())?, growth.clone());
        tasks.push(tokio::spawn(every(every_round, move || exporting.export(&rounds))));
    }
    Ok(tasks)
}

/// Measures the room on the disk, once before it returns and then for as long as the node runs.
pub fn measure_disk(metrics: &Arc<Metrics>, settings: &Settings) -> JoinHandle<()> {
    let (metrics, data) = (metrics.clone(), settings.data.clone());
    disk_free(&metrics, &data);
    tokio::spawn(every(DISK_INTERVAL, move || disk_free(&metrics, &data)))
}

/// Prunes what is too old, on a node or a follower; stops with `growth`.
pub fn prune(growth: Growth, settings: &Settings) -> JoinHandle<()> {
    let pruning = Pruning::new(growth, settings);
    tokio::spawn(every(Duration::from_millis(settings.retention.every_ms), move || pruning.round()))
}

/// Does something again and again, off the runtime's threads.
async fn every(interval: Duration, work: impl Fn() + Send + Sync + 'static) {
    let work = Arc::new(work);
    loop {
        tokio::time::sleep(interval).await;
        let work = work.clone();
        if tokio::task::spawn_blocking(move || work()).await.is_err() {
            tracing::error!("a task of the upkeep panicked; it is tried again");
        }
    }
}

impl Upkeep {
    /// A function that reads the fact files and asks for the license now.
    pub fn reloader(&self) -> impl Fn() + Send + 'static {
        let reload = self.reload.clone();
        move || reload.iter().for_each(|hurry| hurry.notify_one())
    }

    /// Ends the tasks, but for the one that watches the license: without it nothing goes outside any more.
    pub fn stop(self) -> Option<JoinHandle<()>> {
        self.growth.stop();
        self.backups.iter().for_each(Backups::stop);
        self.tasks.into_iter().for_each(|task| task.abort());
        self.license
    }
}
