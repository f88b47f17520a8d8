//! What runs beside the pipeline: the fact file is polled, old idempotency keys are pruned.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::node::{Node, fact_file};
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
    reload: Arc<Notify>,
}

/// Starts the tasks. The fact file has been read once when this returns.
pub(super) fn spawn(node: &Node, settings: &Settings) -> Upkeep {
    let reload = Arc::new(Notify::new());
    let mut tasks = vec![tokio::spawn(prune(node.handle().clone()))];
    if let Some(file) = fact_file(settings, node.facts()) {
        tasks.push(tokio::spawn(file.watch(reload.clone())));
    }
    Upkeep { tasks, reload }
}

impl Upkeep {
    /// Notified, the fact file is read now.
    pub fn reloader(&self) -> Arc<Notify> {
        self.reload.clone()
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
