//! What runs beside the pipeline: the fact file is polled, the license is fetched and moves the
//! network gate, old idempotency keys are pruned.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::bundles;
use super::node::{Node, fact_files};
use super::providers;
use crate::facts::watch_license;
use crate::machine::facts::FactBody;
use crate::sequencer::Handle;
use crate::settings::Settings;
use crate::types::fact::FactKind;
use crate::types::proposal::default_project;

/// How often keys behind the horizon are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// The tasks, and the way to hurry them.
pub(super) struct Upkeep {
    tasks: Vec<JoinHandle<()>>,
    reload: Vec<Arc<Notify>>,
}

/// Starts the tasks. The fact files have been read once when this returns.
pub(super) fn spawn(node: &mut Node, settings: &Settings) -> anyhow::Result<Upkeep> {
    let mut reload = Vec::new();
    let mut tasks = vec![tokio::spawn(prune(node.handle().clone()))];
    for file in fact_files(settings, node.facts()) {
        let hurry = Arc::new(Notify::new());
        tasks.push(tokio::spawn(file.watch(hurry.clone())));
        reload.push(hurry);
    }
    tasks.push(tokio::spawn(bundles::keep(settings.clone(), node.facts().clone(), node.key())));
    tasks.extend(node.take_keeper().map(|keeper| tokio::spawn(watch_license(node.facts().clone(), keeper))));
    if let Some(license) = node.take_license() {
        let hurry = Arc::new(Notify::new());
        tasks.push(tokio::spawn(license.run(hurry.clone())));
        reload.push(hurry);
    }
    tasks.extend(node.take_exporters().into_iter().map(tokio::spawn));
    tasks.extend(providers::spawn(node, settings)?);
    Ok(Upkeep { tasks, reload })
}

impl Upkeep {
    /// What reads the fact files and asks for the license now, when it is called.
    pub fn reloader(&self) -> impl Fn() + Send + 'static {
        let reload = self.reload.clone();
        move || reload.iter().for_each(|hurry| hurry.notify_one())
    }

    /// Ends the tasks.
    pub fn stop(self) {
        self.tasks.into_iter().for_each(|task| task.abort());
    }
}

/// Prunes keys whose beat lies behind the horizon. The floor is persisted before anything goes, and the
/// sequencer refuses keys below it, so that nothing pruned can ever run again.
async fn prune(handle: Handle) {
    loop {
        tokio::time::sleep(PRUNE_INTERVAL).await;
        let pruning = handle.clone();
        let done = tokio::task::spawn_blocking(move || {
            let Some(floor) = horizon(&pruning) else { return };
            match pruning.journal().prune_keys(floor) {
                Ok(report) => tracing::info!(floor, ?report, "pruned idempotency keys"),
                Err(error) => tracing::warn!(floor, %error, "idempotency keys could not be pruned"),
            }
        });
        if done.await.is_err() {
            return;
        }
    }
}

/// The oldest beat that a key may have now.
fn horizon(handle: &Handle) -> Option<u64> {
    let facts = handle.facts();
    let project = default_project();
    let body = |kind| facts.set().at(kind, None).or_else(|| facts.set().get(kind, &project)).map(|fact| &fact.body);
    let (Some(FactBody::Windows(schedule)), Some(FactBody::Settings(settings))) =
        (body(FactKind::Windows), body(FactKind::Settings))
    else {
        return None;
    };
    let now = schedule.position(handle.now()).beat;
    now.checked_sub(schedule.beats_in(settings.key_horizon_ms)).filter(|floor| *floor > handle.journal().prune_floor())
}
