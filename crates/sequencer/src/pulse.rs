//! How long the sequencer and the committer have been at their present work. A disk that does not answer shows here and
//! nowhere else: a system call that never returns reports no error.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the pipeline may take before the node reports it.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Age of the oldest uncommitted record, or of the present turn, from which the node counts as stalled.
    pub stall: Duration,
    /// The same age, from which the node counts as dead.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { stall: Duration::from_secs(5), silence: Duration::from_secs(10) }
    }
}

#[derive(Default)]
struct Marks {
    /// Batches that are not durable, by number, and when their first record was judged.
    batches: BTreeMap<u64, Instant>,
    /// When the sequencer's present turn began; `None` while it waits for work.
    turn: Option<Instant>,
    /// When the sequencer was first asked for a sign of life that it has not given yet.
    asked: Option<Instant>,
}

/// When the work at hand began.
#[derive(Default)]
pub(super) struct Pulse(Mutex<Marks>);

impl Pulse {
    /// A panic elsewhere leaves the marks whole: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first record of a batch was judged.
    pub fn batch_begins(&self, number: u64) {
        self.lock().batches.insert(number, Instant::now());
    }

    /// A batch is durable, or it never will be.
    pub fn batch_ends(&self, number: u64) {
        self.lock().batches.remove(&number);
    }

    /// No batch is under way any more: the log failed.
    pub fn no_batches(&self) {
        self.lock().batches.clear();
    }

    /// The sequencer took something to do, which is the sign of life that callers ask for.
    pub fn turn_begins(&self) {
        let mut marks = self.lock();
        marks.turn = Some(Instant::now());
        marks.asked = None;
    }

    pub fn turn_ends(&self) {
        self.lock().turn = None;
    }

    /// The sequencer is asked for a sign of life.
    pub fn asked(&self) {
        self.lock().asked.get_or_insert_with(Instant::now);
    }

    /// Age of the oldest work that is not done: a record that is judged and not durable, the present turn, or a
    /// question without an answer. Zero where there is none.
    pub fn busy(&self) -> Duration {
        let marks = self.lock();
        let begun = marks.batches.values().chain(&marks.turn).chain(&marks.asked).min();
        begun.map(Instant::elapsed).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_done_has_no_age_and_the_oldest_counts() {
        let pulse = Pulse::default();
        let is_idle = |pulse: &Pulse| pulse.busy() == Duration::ZERO;
        assert!(is_idle(&pulse));
        pulse.batch_begins(1);
        pulse.batch_begins(2);
        let first = pulse.lock().batches[&1];
        assert!(pulse.busy() <= first.elapsed());
        pulse.turn_begins();
        pulse.batch_ends(1);
        pulse.batch_ends(2);
        assert!(pulse.lock().batches.is_empty());
        assert!(pulse.lock().turn.is_some());
        pulse.turn_ends();
        assert!(is_idle(&pulse));
        pulse.asked();
        let asked = pulse.lock().asked;
        pulse.asked();
        assert_eq!(pulse.lock().asked, asked, "the first question without an answer counts");
        pulse.turn_begins();
        pulse.turn_ends();
        assert!(is_idle(&pulse));
        pulse.batch_begins(3);
        pulse.no_batches();
        assert!(is_idle(&pulse));
    }
}
