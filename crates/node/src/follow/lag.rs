//! How far a follower is behind: in records, as far as it knows, and in time, which grows also while nothing is heard.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

struct Known {
    connected: bool,
    records: u64,
    /// When this node last held every record of the node that it follows; before the first time, when it started.
    level_at: Instant,
}

/// The known state of the followed node.
pub struct Lag(Mutex<Known>);

/// A reading of [`Lag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether the node answered when it was asked last.
    pub connected: bool,
    /// Its records that are not here, by its last answer.
    pub records: u64,
    /// How long ago none was missing.
    pub behind: Duration,
}

impl Lag {
    /// Nothing was heard yet.
    pub fn unknown() -> Lag {
        Lag(Mutex::new(Known { connected: false, records: 0, level_at: Instant::now() }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node answered: its log ends there, and this one here.
    pub fn heard(&self, here: u64, there: u64) {
        let mut known = self.lock();
        known.connected = true;
        known.records = there.saturating_sub(here);
        if known.records == 0 {
            known.level_at = Instant::now();
        }
    }

    /// The node does not answer. Its last answer stays known.
    pub fn lost(&self) {
        self.lock().connected = false;
    }

    /// How things are now.
    pub fn read(&self) -> Reading {
        let known = self.lock();
        Reading { connected: known.connected, records: known.records, behind: known.level_at.elapsed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lag was 0 while the node that is followed was dead.
    #[test]
    fn a_node_that_does_not_answer_takes_nothing_from_the_lag() {
        let lag = Lag::unknown();
        lag.heard(5, 12);
        lag.lost();
        let first = lag.read();
        assert_eq!((first.connected, first.records), (false, 7));
        assert!(lag.read().behind >= first.behind);
        let before = lag.lock().level_at;
        lag.heard(12, 12);
        assert!(lag.read().connected && lag.read().records == 0);
        assert!(lag.lock().level_at >= before);
    }
}
