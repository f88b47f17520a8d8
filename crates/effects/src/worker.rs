//! One attempt at one effect, on a thread of its own.

use std::sync::Arc;

use super::outcome::{Outcome, Report};
use super::task::Task;
use swoosh_hybridcore::leave::{Cancellable, Leave, Stop};
use swoosh_types::ids::EffectId;

/// One attempt to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: EffectId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    pub task: Task,
}

/// The current step of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub text: String,
    /// How far it is, of `total`.
    pub done: u64,
    /// Amount of work; 0 if unknown.
    pub total: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With an outcome: a success, or a failure that says more than a text.
    Done(Outcome),
    Failed(Failed),
    /// It stopped on request.
    Stopped(Stop),
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Cause and remedy.
    pub reason: String,
    /// Whether the same again may well succeed.
    pub again: bool,
    /// Report that accompanies the failure.
    pub report: Box<Report>,
}

impl Failed {
    /// A failure that another attempt may not have.
    pub fn passing(reason: impl ToString) -> Failed {
        Failed { reason: reason.to_string(), again: true, report: Box::default() }
    }

    /// A failure that stays.
    pub fn lasting(reason: impl ToString) -> Failed {
        Failed { reason: reason.to_string(), again: false, report: Box::default() }
    }
}

/// Context of an attempt.
pub struct Work<'a> {
    /// Ends when the effect is cancelled or suspended, or the network gate closes.
    pub leave: &'a dyn Leave,
    /// Takes what the attempt does.
    pub tell: &'a (dyn Fn(Step) + Sync),
}

impl Work<'_> {
    /// Tells a step without a measure.
    pub fn say(&self, text: impl Into<String>) {
        (self.tell)(Step { text: text.into(), done: 0, total: 0 });
    }
}

/// Executes attempts. It may block; it asks `work.leave` about ten times a second.
pub trait Execute: Send + Sync + 'static {
    fn run(&self, job: &Job, work: &Work<'_>) -> Ended;
}

/// The leave of one attempt: the node's, until it is cancelled.
pub(super) struct WorkLeave {
    pub cancelled: Cancellable,
    pub outside: Arc<dyn Leave>,
}

impl Leave for WorkLeave {
    fn stop(&self) -> Option<Stop> {
        self.cancelled.stop().or_else(|| self.outside.stop())
    }
}
