//! When to try again, and how long to wait before.

use std::fmt;
use std::time::Duration;

use super::entropy;
use super::link::LinkError;
use super::read::ReadError;
use swoosh_types::back_off::BackOff;
use swoosh_types::hash::Hash;
use swoosh_types::rejection::{Code, Problem};

/// How often and how patiently a proposal is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1; 10 by default.
    pub attempts: u32,
    /// Longest first wait in milliseconds; doubles with each attempt; 50 by default. Under tidal pressure it is up
    /// to five times as long.
    pub first_wait_ms: u64,
    /// Longest back-off in milliseconds, under full pressure too; what the node asks for is kept even above it;
    /// 5,000 by default.
    pub longest_wait_ms: u64,
    /// All waits together, in milliseconds; 30,000 by default.
    pub patience_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 10, first_wait_ms: 50, longest_wait_ms: 5_000, patience_ms: 30_000 }
    }
}

impl RetryPolicy {
    /// One attempt and no more.
    pub const ONCE: RetryPolicy = RetryPolicy { attempts: 1, first_wait_ms: 0, longest_wait_ms: 0, patience_ms: 0 };

    /// How long to wait after `attempt` (from 1) failed for `cause`, having waited `waited_ms` so far;
    /// `None` when it is time to give up.
    ///
    /// Never before the node's `retry_after_ms`, which is scaled by the tidal pressure already. On top comes a random
    /// part of the back-off, so that callers who raced do not race again; it too grows with `pressure`, 0 to 1000, as
    /// read last. A caller that the node calls at once does not wait: the node lets the others wait meanwhile.
    pub(super) fn wait_ms(&self, attempt: u32, waited_ms: u64, cause: &Cause, pressure: u64) -> Option<u64> {
        if attempt >= self.attempts {
            return None;
        }
        if cause.called_at().is_some() {
            return Some(0);
        }
        let first_ms = under_pressure(self.first_wait_ms, pressure);
        let policy = BackOff { first_ms, longest_ms: self.longest_wait_ms, jitter_permille: 1_000 };
        // Without randomness it waits longest.
        let random = entropy::bytes().map_or(0, u64::from_be_bytes);
        let wait_ms = cause.retry_after_ms().unwrap_or(0).saturating_add(policy.wait_ms(attempt, random));
        (waited_ms.saturating_add(wait_ms) <= self.patience_ms).then_some(wait_ms)
    }
}

/// From once the wait at slack water to five times at full pressure, as the node scales its own.
fn under_pressure(wait_ms: u64, pressure: u64) -> u64 {
    wait_ms.saturating_add(wait_ms.saturating_mul(4).saturating_mul(pressure.min(1_000)) / 1_000)
}

/// Why a proposal is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another proposal moved the head (`stale_head`): it is read again and the proposal signed again, under the same
    /// key.
    StaleHead(Box<Problem>),
    /// The clock was not late enough (`hlc_not_after`) or too late (`hlc_behind`): it follows the node's,
    /// and the proposal is signed again, under the same key.
    Clock(Box<Problem>),
    /// The node cannot take it now (408, 429, 502, 503, 504): the same bytes are sent again.
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long the node asks to wait, in milliseconds.
        retry_after_ms: Option<u64>,
        /// The node's problem document, if the node sent one.
        problem: Option<Box<Problem>>,
    },
    /// There was no answer, so that the node may have accepted it: the same bytes are sent again.
    Unanswered(LinkError),
    /// The head or the schedule could not be read; nothing was sent.
    Unread(ReadError),
}

impl Cause {
    /// Whether the proposal must be signed again.
    pub fn needs_new_signature(&self) -> bool {
        matches!(self, Cause::StaleHead(_) | Cause::Clock(_) | Cause::Unread(_))
    }

    /// Whether the node may have accepted the proposal although it did not say so.
    pub fn may_be_accepted(&self) -> bool {
        match self {
            Cause::Busy { problem, .. } => problem.as_ref().is_none_or(|problem| problem.code == Code::NotDurable),
            Cause::Unanswered(_) => true,
            Cause::StaleHead(_) | Cause::Clock(_) | Cause::Unread(_) => false,
        }
    }

    /// The head that a caller in line is called at: it has the turn, and a short time for it.
    pub fn called_at(&self) -> Option<Hash> {
        match self {
            Cause::StaleHead(problem) if problem.retry_after_ms == Some(0) => problem.head,
            Cause::StaleHead(_) | Cause::Clock(_) | Cause::Busy { .. } | Cause::Unanswered(_) | Cause::Unread(_) => {
                None
            }
        }
    }

    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Cause::StaleHead(problem) | Cause::Clock(problem) => problem.retry_after_ms,
            Cause::Busy { retry_after_ms, .. } => *retry_after_ms,
            Cause::Unread(error) => error.problem().and_then(|problem| problem.retry_after_ms),
            Cause::Unanswered(_) => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::StaleHead(problem) | Cause::Clock(problem) => write!(f, "{}: {}", problem.code, problem.detail),
            Cause::Busy { problem: Some(problem), .. } => write!(f, "{}: {}", problem.code, problem.detail),
            Cause::Busy { status, .. } => write!(f, "the node answers with status {status}"),
            Cause::Unanswered(error) => write!(f, "{error}"),
            Cause::Unread(error) => write!(f, "{error}"),
        }
    }
}

/// A wait as the runtime takes it.
pub(super) async fn sleep(wait_ms: u64) {
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after_ms: Option<u64>) -> Cause {
        Cause::Busy { status: 503, retry_after_ms, problem: None }
    }

    #[test]
    fn waits_at_least_what_the_node_asks_and_at_most_the_back_off_more() {
        let policy = RetryPolicy { attempts: 100, first_wait_ms: 10, longest_wait_ms: 40, patience_ms: 10_000 };
        for (attempt, most) in [(1, 10), (2, 20), (3, 40), (4, 40), (99, 40)] {
            assert!(policy.wait_ms(attempt, 0, &busy(None), 0).unwrap() <= most);
            assert!((500..=500 + most).contains(&policy.wait_ms(attempt, 0, &busy(Some(500)), 0).unwrap()));
        }
    }

    #[test]
    fn gives_up_after_the_last_attempt_or_when_patience_is_over() {
        let policy = RetryPolicy { attempts: 3, first_wait_ms: 0, longest_wait_ms: 0, patience_ms: 100 };
        assert_eq!(policy.wait_ms(2, 0, &busy(None), 0), Some(0));
        assert_eq!(policy.wait_ms(3, 0, &busy(None), 0), None);
        assert_eq!(policy.wait_ms(1, 60, &busy(Some(40)), 0), Some(40));
        assert_eq!(policy.wait_ms(1, 60, &busy(Some(41)), 0), None);
        assert_eq!(RetryPolicy::ONCE.wait_ms(1, 0, &busy(None), 0), None);
    }

    #[test]
    fn the_back_off_grows_with_the_tide_up_to_its_longest() {
        assert_eq!([0, 250, 1_000, 9_999].map(|pressure| under_pressure(10, pressure)), [10, 20, 50, 50]);
        assert_eq!(under_pressure(u64::MAX, 1_000), u64::MAX);
        let policy = RetryPolicy { attempts: 100, first_wait_ms: 10, longest_wait_ms: 60, patience_ms: u64::MAX };
        let longest = |pressure| (0..500).filter_map(|_| policy.wait_ms(1, 0, &busy(None), pressure)).max().unwrap();
        assert!(longest(0) <= 10 && (11..=50).contains(&longest(1_000)));
        assert!((0..500).all(|_| policy.wait_ms(9, 0, &busy(None), 1_000).unwrap() <= 60));
    }
}
