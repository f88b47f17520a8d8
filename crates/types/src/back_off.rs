//! How long to wait between attempts: pure, so that every caller waits by one rule and tests need no clock.

/// Bounds of the waits after failures. All times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The wait after the first failure; it doubles with each further one.
    pub first_ms: u64,
    /// The longest wait, also where `first_ms` is longer.
    pub longest_ms: u64,
    /// The part of a wait that chance may take off, in thousandths, so that callers that failed together do not return together.
    pub jitter_permille: u64,
}

impl BackOff {
    /// The wait after so many failures in a row; 0 counts as 1. `random` is any number: 0 gives the longest wait.
    pub fn wait_ms(&self, failures: u32, random: u64) -> u64 {
        let times = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
        jittered_ms(self.first_ms.saturating_mul(times).min(self.longest_ms), self.jitter_permille, random)
    }
}

/// A wait less a random part of up to so many thousandths of it. `random` is any number: 0 takes nothing off.
pub fn jittered_ms(whole_ms: u64, jitter_permille: u64, random: u64) -> u64 {
    let most = u128::from(whole_ms) * u128::from(jitter_permille.min(1_000)) / 1_000;
    let most = u64::try_from(most).unwrap_or(whole_ms);
    whole_ms - most.checked_add(1).map_or(random, |choices| random % choices)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: BackOff = BackOff { first_ms: 100, longest_ms: 1_000, jitter_permille: 0 };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [0, 1, 2, 3, 4, 5, 64, 65, 66, u32::MAX].map(|failures| STEADY.wait_ms(failures, 7));
        assert_eq!(waits, [100, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn bounds_at_the_ends_of_the_numbers_hold() {
        let wait = |first_ms, longest_ms, failures| BackOff { first_ms, longest_ms, ..STEADY }.wait_ms(failures, 0);
        assert_eq!((wait(0, 1_000, u32::MAX), wait(500, 100, 1), wait(5, 0, 9)), (0, 100, 0));
        assert_eq!((wait(u64::MAX, u64::MAX, 2), wait(1, u64::MAX, 64)), (u64::MAX, 1 << 63));
    }

    #[test]
    fn chance_takes_off_at_most_its_part() {
        for (permille, least) in [(0, 800), (200, 640), (500, 400), (1_000, 0), (9_999, 0)] {
            let policy = BackOff { jitter_permille: permille, ..STEADY };
            let waits: Vec<u64> = (0..2_000).chain([u64::MAX]).map(|random| policy.wait_ms(4, random)).collect();
            assert_eq!((waits.iter().min(), waits.iter().max()), (Some(&least), Some(&800)), "{permille}");
        }
        assert_eq!((jittered_ms(u64::MAX, 1_000, u64::MAX), jittered_ms(u64::MAX, 1_000, 0)), (0, u64::MAX));
        assert_eq!((jittered_ms(0, 1_000, 5), jittered_ms(1, 999, 5)), (0, 1));
    }
}
