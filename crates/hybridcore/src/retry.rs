//! Trying again: how often, and how long in between.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::leave::Leave;
use swoosh_types::back_off::BackOff;

/// Between two looks at whether the wait must end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A failure that knows whether it may pass.
pub trait Transient {
    /// Whether the same again may well succeed.
    fn is_transient(&self) -> bool;
}

/// How often a failed request is tried again, with exponential back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Tries in all, 1 to 20; 4 by default.
    pub attempts: u32,
    /// The first wait in milliseconds; 500 by default. Each further one is twice as long.
    pub first_delay_ms: u64,
    /// The longest wait in milliseconds; 30,000 by default.
    pub max_delay_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 4, first_delay_ms: 500, max_delay_ms: 30_000 }
    }
}

impl RetryPolicy {
    /// The wait after the try of this number, from 1; `None` when it was the last.
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts.clamp(1, 20) {
            return None;
        }
        let policy = BackOff { first_ms: self.first_delay_ms, longest_ms: self.max_delay_ms, jitter_permille: 0 };
        Some(Duration::from_millis(policy.wait_ms(attempt, 0)))
    }

    /// Repeats an operation until it succeeds, fails permanently, or may not be retried. `between` gets the error and
    /// the wait before each retry.
    pub fn run<T, E: Transient>(
        &self,
        waiter: &dyn Waiter,
        leave: &dyn Leave,
        mut attempt: impl FnMut() -> Result<T, E>,
        mut between: impl FnMut(&E, Duration),
    ) -> Result<T, E> {
        let mut number = 0;
        loop {
            number += 1;
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(delay) = self.delay_after(number).filter(|_| error.is_transient()) else { return Err(error) };
            between(&error, delay);
            waiter.wait(delay, leave);
            if leave.stop().is_some() {
                return Err(error);
            }
        }
    }
}

/// Waits between two tries; a test's only counts.
pub trait Waiter: Sync {
    /// Waits, or ends the wait when the leave ends.
    fn wait(&self, delay: Duration, leave: &dyn Leave);
}

/// Waits as long as it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleep;

impl Waiter for Sleep {
    fn wait(&self, delay: Duration, leave: &dyn Leave) {
        let begun = Instant::now();
        while let Some(left) = delay.checked_sub(begun.elapsed())
            && leave.stop().is_none()
        {
            std::thread::sleep(left.min(LOOK_AGAIN));
        }
    }
}
