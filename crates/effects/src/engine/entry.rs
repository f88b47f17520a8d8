//! State of one effect in the engine.

use crate::board::Phase;
use crate::host::Doer;
use crate::outcome::Outcome;

/// State of the work at an effect.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing until then.
    Waiting { until_ms: u64 },
    /// An attempt runs; `cut` is the reason to stop it.
    Running { begun_ms: u64, cut: Option<Cut> },
    /// The outcome is proposed at that time.
    Reporting { outcome: Outcome, until_ms: u64 },
    /// The outcome is proposed, and the answer is not there.
    Proposed { outcome: Outcome },
}

/// Reason to stop an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The project is blocked.
    Blocked,
    /// It took too long.
    Overdue,
    /// Others work at the effect from here on.
    HandedOver,
    /// The effect is open no more.
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub state: State,
    /// Attempts at this work, those at earlier effects of it that failed too.
    pub attempt: u32,
    /// The attempts at earlier effects.
    pub before: u32,
    pub failures: u32,
    /// Times in a row that its outcome did not pass.
    pub refusals: u32,
    /// Index of the project's last record when it was looked at.
    pub seen: u64,
    pub blocked: Option<String>,
    pub doer: Doer,
    /// Whether its outcome is one that was held for a worker.
    pub held: bool,
    pub reason: Option<String>,
}

impl Entry {
    pub fn due_ms(&self) -> Option<u64> {
        match self.state {
            _ if self.blocked.is_some() => None,
            State::Waiting { until_ms } | State::Reporting { until_ms, .. } => Some(until_ms),
            State::Running { .. } | State::Proposed { .. } => None,
        }
    }

    pub fn is_report(&self) -> bool {
        matches!(self.state, State::Reporting { .. })
    }

    pub fn phase(&self) -> Phase {
        match self.state {
            State::Running { .. } => Phase::Running,
            State::Reporting { .. } | State::Proposed { .. } => Phase::Reporting,
            State::Waiting { .. } if self.blocked.is_some() => Phase::Suspended,
            State::Waiting { .. } => Phase::Waiting,
        }
    }
}
