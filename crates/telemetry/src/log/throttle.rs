//! Bounds how many lines of a kind are logged, and counts the others.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Lets some lines a second through.
#[derive(Debug)]
pub(super) struct Throttle {
    born: Instant,
    per_second: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    second: u64,
    passed: u64,
    left_out: u64,
}

impl Throttle {
    pub fn new(per_second: u64) -> Throttle {
        Throttle { born: Instant::now(), per_second, state: Mutex::default() }
    }

    /// How many lines were left out since the last one, if one may be written now.
    pub fn pass(&self) -> Option<u64> {
        self.pass_in(self.born.elapsed().as_secs())
    }

    fn pass_in(&self, second: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.second != second {
            (state.second, state.passed) = (second, 0);
        }
        if state.passed >= self.per_second {
            state.left_out += 1;
            return None;
        }
        state.passed += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_a_second_pass_and_the_next_one_says_how_many_did_not() {
        let throttle = Throttle::new(2);
        assert_eq!([0, 0, 0, 0].map(|second| throttle.pass_in(second)), [Some(0), Some(0), None, None]);
        assert_eq!([1, 1, 1, 2].map(|second| throttle.pass_in(second)), [Some(2), Some(0), None, Some(1)]);
    }
}
