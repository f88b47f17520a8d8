//! What all clients share: counts, the violations, and the clock of healing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::faults::Fault;
use swoosh_types::names::Transition;

/// Violations kept at most; all are counted.
const KEPT: usize = 50;
/// Violations printed at most.
const PRINTED: u64 = 5;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// The run's seed.
    pub seed: u64,
    /// The step in which it was seen; what the checker found, at which record.
    pub step: u64,
    /// What must hold.
    pub invariant: &'static str,
    /// One side: what was promised or expected.
    pub expected: String,
    /// The other: what was found.
    pub found: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation { seed, step, invariant, expected, found } = self;
        write!(f, "violation of {invariant} (seed {seed}, step {step})\n  expected: {expected}\n  found:    {found}")
    }
}

/// A heal that is waited for.
#[derive(Clone, Copy, Debug)]
struct Healing {
    lifted: Instant,
    transition: Option<Transition>,
    took: Option<Duration>,
}

/// Counts and marks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seed: u64,
    /// The step that runs.
    pub step: AtomicU64,
    /// Proposals accepted, each counted once.
    pub accepted: AtomicU64,
    /// The highest index in a receipt that a client holds.
    pub promised: AtomicU64,
    /// Receipts that came again and were the same.
    pub repeated: AtomicU64,
    /// Answers to the proxy's copies.
    pub copied: AtomicU64,
    /// Requests that came to no answer.
    pub broken: AtomicU64,
    /// Heads read and hashed again.
    pub read: AtomicU64,
    stopping: AtomicBool,
    refusals: Mutex<BTreeMap<String, u64>>,
    network: Mutex<BTreeMap<&'static str, u64>>,
    violations: Mutex<(Vec<Violation>, u64)>,
    healing: Mutex<Option<Healing>>,
    healed: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Nothing happened yet.
    pub fn new(seed: u64) -> Tally {
        Tally { seed, ..Tally::default() }
    }

    /// A proposal that was sent at `began` is accepted.
    pub fn accept(&self, transition: Transition, began: Instant) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let mut healing = lock(&self.healing);
        let Some(waited) = healing.as_mut().filter(|healing| healing.took.is_none()) else { return };
        if began >= waited.lifted && waited.transition.is_none_or(|wanted| wanted == transition) {
            waited.took = Some(waited.lifted.elapsed());
            self.healed.notify_all();
        }
    }

    /// A fault is lifted: from now on the first acceptance of a proposal that is sent later counts as its heal.
    pub fn lift(&self, transition: Option<Transition>) {
        *lock(&self.healing) = Some(Healing { lifted: Instant::now(), transition, took: None });
    }

    /// Waits for the heal; how long after the lifting it came.
    pub fn heal(&self, patience: Duration) -> Option<Duration> {
        let healing = lock(&self.healing);
        let waits = |healing: &mut Option<Healing>| healing.is_some_and(|healing| healing.took.is_none());
        let waited = self.healed.wait_timeout_while(healing, patience, waits);
        let (mut healing, _) = waited.unwrap_or_else(PoisonError::into_inner);
        healing.take().and_then(|healing| healing.took)
    }

    /// A proposal is refused.
    pub fn refuse(&self, code: &str) {
        *lock(&self.refusals).entry(code.to_owned()).or_default() += 1;
    }

    /// How often proposals were refused with one of these codes.
    pub fn refused(&self, codes: &[&str]) -> u64 {
        let refusals = lock(&self.refusals);
        codes.iter().filter_map(|code| refusals.get(*code)).sum()
    }

    /// All refusals by code.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        lock(&self.refusals).clone()
    }

    /// The proxy made a fault.
    pub fn disturb(&self, fault: Fault) {
        *lock(&self.network).entry(fault.name()).or_default() += 1;
    }

    /// How often the proxy made this fault.
    pub fn disturbed(&self, fault: Fault) -> u64 {
        lock(&self.network).get(fault.name()).copied().unwrap_or(0)
    }

    /// Something is so that must not be.
    pub fn violate(&self, invariant: &'static str, expected: impl Into<String>, found: impl Into<String>) {
        let step = self.step.load(Ordering::Relaxed);
        let violation = Violation { seed: self.seed, step, invariant, expected: expected.into(), found: found.into() };
        let mut violations = lock(&self.violations);
        violations.1 += 1;
        if violations.1 <= PRINTED {
            eprintln!("\n{violation}");
        }
        if violations.0.len() < KEPT {
            violations.0.push(violation);
        }
    }

    /// Violations, the first ones, and how many there are in all.
    pub fn violations(&self) -> (Vec<Violation>, u64) {
        lock(&self.violations).clone()
    }

    /// The clients end what they are at, and stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether they are to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_the_fault_was_lifted_heals_nothing() {
        let tally = Tally::new(1);
        let before = Instant::now();
        tally.lift(Some(Transition::CouncilMcpGreen));
        tally.accept(Transition::CouncilMcpGreen, before - Duration::from_secs(1));
        tally.accept(Transition::ControlPause, Instant::now());
        assert!(lock(&tally.healing).is_some_and(|healing| healing.took.is_none()));
        tally.accept(Transition::CouncilMcpGreen, Instant::now());
        assert!(tally.heal(Duration::from_secs(60)).is_some());
        assert_eq!(tally.heal(Duration::ZERO), None, "a heal is reported once");
    }
}
