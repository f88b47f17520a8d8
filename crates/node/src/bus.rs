//! Events of this node for its listeners: the engine of effects, and callers of `GET /events`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::broadcast;

use swoosh_effects::{Phase, Progress, Runner};
use swoosh_http::{EffectView, Happened, transition_event};
use swoosh_machine::chart;
use swoosh_settings::EffectMode;
use swoosh_types::ids::EffectId;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{Region, Transition};
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// Most events a slow listener may lag. A listener further behind gets the number of missed events.
const BEHIND: usize = 1_024;

/// Passes events from their sources to listeners. A slow listener blocks no source.
pub struct Bus {
    runner: OnceLock<Runner>,
    events: broadcast::Sender<Arc<Happened>>,
    holding: Holding,
}

/// Projects whose changes the runner gets: all if the node runs effects itself, else those with a kept outcome.
#[derive(Default)]
struct Holding {
    all: AtomicBool,
    /// Whether `projects` is not empty, so that a transition need not take its lock.
    any: AtomicBool,
    projects: Mutex<BTreeSet<ProjectName>>,
}

impl Holding {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<ProjectName>)) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut projects);
        self.any.store(!projects.is_empty(), Ordering::Release);
    }

    fn has(&self, project: &ProjectName) -> bool {
        let held = || self.projects.lock().unwrap_or_else(PoisonError::into_inner).contains(project);
        self.all.load(Ordering::Acquire) || (self.any.load(Ordering::Acquire) && held())
    }
}

impl Bus {
    /// A bus without listeners.
    pub fn new() -> Arc<Bus> {
        Arc::new(Bus { runner: OnceLock::new(), events: broadcast::channel(BEHIND).0, holding: Holding::default() })
    }

    /// Tells this runner of projects that moved, from here on: of all, or of those that have an outcome kept.
    pub fn connect(&self, runner: &Runner, all: bool) {
        self.holding.all.store(all, Ordering::Release);
        // There is one runner; a second one would get no events.
        let _ = self.runner.set(runner.clone());
    }

    /// A project has an outcome kept from here on, or no more.
    pub fn holds(&self, project: &ProjectName, holds: bool) {
        self.holding.change(|projects| {
            if holds {
                projects.insert(project.clone())
            } else {
                projects.remove(project)
            };
        });
    }

    /// An outcome was kept.
    pub fn held(&self, project: &ProjectName) {
        self.holds(project, true);
        if let Some(runner) = self.runner.get() {
            runner.moved(project);
        }
    }

    /// An outcome that was kept is dropped; its effect waits for another one.
    pub fn held_dropped(&self, id: &EffectId, brought_by: &PublicKey, reason: &str) {
        let reason = format!("the outcome that {brought_by} brought was dropped: {reason}");
        self.effect(&external(id, Some(reason)), EffectMode::External);
    }

    pub fn runner(&self) -> Option<&Runner> {
        self.runner.get()
    }

    /// Events from here on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Happened>> {
        self.events.subscribe()
    }

    /// A transition is durable.
    pub fn accepted(&self, record: &Record) {
        let concerns = concerns_effects(record.transition) && self.holding.has(&record.project);
        if let Some(runner) = self.runner.get().filter(|_| concerns) {
            runner.moved(&record.project);
        }
        self.send(|| transition_event(record));
    }

    /// An effect changed.
    pub fn effect(&self, progress: &Progress, mode: EffectMode) {
        self.send(|| {
            let (project, data) = (progress.id.project.clone(), serde_json::to_string(&view(progress, mode)));
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

/// An effect that an external worker performs.
pub fn external(id: &EffectId, reason: Option<String>) -> Progress {
    let (phase, id) = (Phase::External, id.clone());
    Progress { id, phase, attempt: 0, begun_ms: None, next_ms: None, reason, step: None }
}

/// Whether a transition may change what is open, or what is blocked.
fn concerns_effects(transition: Transition) -> bool {
    chart::spec(transition).region != Region::Execution
}

/// An effect as it is shown.
pub fn view(progress: &Progress, mode: EffectMode) -> EffectView {
    let step = progress.step.as_ref();
    EffectView {
        id: progress.id.clone(),
        project: progress.id.project.clone(),
        effect: progress.id.effect,
        opened_at: None,
        mode: mode.as_str(),
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
