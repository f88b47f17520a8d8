//! The progress of each effect, for readers.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

use super::worker::Step;
use swoosh_types::ids::EffectId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its next attempt has not begun.
    Waiting,
    /// Its project is blocked, or the network gate is closed.
    Suspended,
    /// An attempt runs.
    Running,
    /// Its outcome is on disk and not recorded yet.
    Reporting,
    /// An external worker posts the outcome.
    External,
    /// It is open no more.
    Closed,
}

impl Phase {
    /// Those that an open effect of ours may be in.
    pub const OPEN: [Phase; 4] = [Phase::Waiting, Phase::Suspended, Phase::Running, Phase::Reporting];

    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Suspended => "suspended",
            Phase::Running => "running",
            Phase::Reporting => "reporting",
            Phase::External => "external",
            Phase::Closed => "closed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub id: EffectId,
    pub phase: Phase,
    /// Attempts that were begun, those at earlier effects of the same work that failed too.
    pub attempt: u32,
    /// When the present attempt began, in milliseconds since 1970.
    pub begun_ms: Option<u64>,
    /// When something is tried next.
    pub next_ms: Option<u64>,
    /// Why it waits, or what went wrong last.
    pub reason: Option<String>,
    /// The current step of the attempt.
    pub step: Option<Step>,
}

/// The work at all effects of this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<RwLock<BTreeMap<EffectId, Progress>>>);

impl Board {
    pub fn get(&self, id: &EffectId) -> Option<Progress> {
        self.read(|entries| entries.get(id).cloned())
    }

    /// How many effects are in each phase.
    pub fn count(&self) -> BTreeMap<Phase, u64> {
        self.read(|entries| {
            let mut counts = BTreeMap::new();
            entries.values().for_each(|progress| *counts.entry(progress.phase).or_default() += 1);
            counts
        })
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<EffectId, Progress>) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores the progress of an effect; returns whether it changed. The step of a running attempt stays, because the
    /// engine does not know it.
    pub(super) fn put(&self, progress: &Progress) -> bool {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if progress.phase == Phase::Closed {
            return entries.remove(&progress.id).is_some();
        }
        let goes_on = |before: &&Progress| {
            let running = before.phase == Phase::Running && progress.phase == Phase::Running;
            running && before.attempt == progress.attempt
        };
        let step = entries.get(&progress.id).filter(goes_on).and_then(|before| before.step.clone());
        let next = Progress { step, ..progress.clone() };
        entries.insert(progress.id.clone(), next.clone()).as_ref() != Some(&next)
    }

    /// Puts what an attempt does; none when it does not run any more.
    pub(super) fn step(&self, id: &EffectId, step: Step) -> Option<Progress> {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let progress = entries.get_mut(id).filter(|progress| progress.phase == Phase::Running)?;
        progress.step = Some(step);
        Some(progress.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(phase: Phase, attempt: u32) -> Progress {
        let id = "a/3/resolve".parse().unwrap();
        Progress { id, phase, attempt, begun_ms: None, next_ms: None, reason: None, step: None }
    }

    /// A project that moved wiped the step of its running work out, and `GET /effects` showed none until the next step.
    #[test]
    fn the_step_of_an_attempt_stays_until_the_attempt_ends() {
        let board = Board::default();
        let running = progress(Phase::Running, 1);
        assert!(board.put(&running));
        let step = Step { text: "asking the mirror".to_owned(), done: 0, total: 0 };
        assert!(board.step(&running.id, step.clone()).is_some());
        assert!(!board.put(&running), "it is no news");
        assert_eq!(board.get(&running.id).unwrap().step, Some(step));
        assert!(board.put(&progress(Phase::Running, 2)));
        assert_eq!(board.get(&running.id).unwrap().step, None);
    }
}
