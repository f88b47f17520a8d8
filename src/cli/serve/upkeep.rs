//! What runs beside the pipeline: the fact file is polled; heads that nobody uses leave memory; old records get
//! snapshots; what a start left unchecked is checked; what is too old is pruned; copies are exported.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::growth::{Growth, Pruning};
use super::node::{Node, fact_file};
use crate::cli::export::{Plan, Rounds};
use crate::settings::Settings;

/// Rounds of tidying after which an idle head goes.
pub(super) const IDLE_ROUNDS: u64 = 10;
/// How often old records without a snapshot are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The tasks, and the way to hurry them.
pub(super) struct Upkeep {
    tasks: Vec<JoinHandle<()>>,
    reload: Arc<Notify>,
    growth: Growth,
}

/// Starts the tasks. The fact file has been read once when this returns.
pub(super) fn spawn(node: &Node, settings: &Settings) -> anyhow::Result<Upkeep> {
    let reload = Arc::new(Notify::new());
    let growth = Growth::new(node.handle().clone(), node.metrics().clone());
    let round = Duration::from_millis(settings.heads.idle_ms / IDLE_ROUNDS).max(Duration::from_millis(10));
    let (tidy, sweep) = (node.handle().clone(), growth.clone());
    let pruning = Pruning::new(growth.clone(), settings);
    let (first, all) = (growth.clone(), growth.clone());
    let mut tasks = vec![
        tokio::spawn(every(round, move || tidy.tidy())),
        tokio::spawn(every(SWEEP_INTERVAL, move || sweep.sweep())),
        tokio::spawn(every(Duration::from_millis(settings.retention.every_ms), move || pruning.round())),
        tokio::spawn(async move { drop(tokio::task::spawn_blocking(move || first.after_start()).await) }),
    ];
    match Plan::of(&settings.exports)? {
        Some(plan) => {
            let every_round = Duration::from_millis(settings.exports.every_ms);
            let rounds = Rounds::new(plan);
            tasks.push(tokio::spawn(every(every_round, move || growth.export(&rounds))));
        }
        // What is exported no more holds nothing back.
        None => node.handle().journal().forget_exporter(crate::cli::export::WAL_EXPORTER)?,
    }
    if let Some(file) = fact_file(settings, node.facts()) {
        tasks.push(tokio::spawn(file.watch(reload.clone())));
    }
    Ok(Upkeep { tasks, reload, growth: all })
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
    /// Reads the fact file now.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Ends the tasks.
    pub fn stop(self) {
        self.growth.stop();
        self.tasks.into_iter().for_each(|task| task.abort());
    }
}
