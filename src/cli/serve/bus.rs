//! What happens on this node, for whoever listens: the engine of effects, and callers of `GET /events`.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;

use crate::effects::{Progress, Runner};
use crate::ingress::{EffectView, Happened, transition_event};
use crate::machine::chart;
use crate::types::names::{Region, Transition};
use crate::types::record::Record;

/// Events that a slow listener may be behind; who is further behind is told how many it missed.
const BEHIND: usize = 1_024;

/// The way from those who know to those who listen. Nobody waits for a listener.
pub(super) struct Bus {
    runner: OnceLock<Runner>,
    events: broadcast::Sender<Arc<Happened>>,
}

impl Bus {
    /// One that nobody listens to yet.
    pub fn new() -> Arc<Bus> {
        Arc::new(Bus { runner: OnceLock::new(), events: broadcast::channel(BEHIND).0 })
    }

    /// Tells this runner of projects that moved, from here on.
    pub fn connect(&self, runner: &Runner) {
        // There is one runner; a second one would not be told anything.
        let _ = self.runner.set(runner.clone());
    }

    /// The runner, where the node runs effects.
    pub fn runner(&self) -> Option<&Runner> {
        self.runner.get()
    }

    /// Events from here on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Happened>> {
        self.events.subscribe()
    }

    /// A transition is durable.
    pub fn accepted(&self, record: &Record) {
        if let Some(runner) = self.runner.get().filter(|_| concerns_effects(record.transition)) {
            runner.moved(&record.project);
        }
        self.send(|| transition_event(record));
    }

    /// An effect stands otherwise.
    pub fn effect(&self, progress: &Progress) {
        self.send(|| {
            let (project, data) = (progress.id.project.clone(), serde_json::to_string(&view(progress)));
            Happened { kind: "effect", project, index: None, data: data.unwrap_or_default() }
        });
    }

    fn send(&self, happened: impl FnOnce() -> Happened) {
        if self.events.receiver_count() > 0 {
            // Listeners may have gone meanwhile.
            let _ = self.events.send(Arc::new(happened()));
        }
    }
}

/// Whether a transition may change what is open, or what is blocked.
fn concerns_effects(transition: Transition) -> bool {
    chart::spec(transition).region != Region::Execution
}

/// An effect that the node runs, as it is shown.
pub(super) fn view(progress: &Progress) -> EffectView {
    let step = progress.step.as_ref();
    EffectView {
        id: progress.id.clone(),
        project: progress.id.project.clone(),
        effect: progress.id.effect,
        opened_at: None,
        mode: "builtin",
        phase: progress.phase.as_str(),
        attempt: progress.attempt,
        begun_ms: progress.begun_ms,
        next_ms: progress.next_ms.filter(|at_ms| *at_ms != u64::MAX),
        reason: progress.reason.clone(),
        step: step.map(|step| step.text.clone()),
        done: step.map(|step| step.done).filter(|_| step.is_some_and(|step| step.total > 0)),
        total: step.map(|step| step.total).filter(|total| *total > 0),
    }
}
