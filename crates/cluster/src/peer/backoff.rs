//! Waits between attempts to connect to one member.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    why: String,
}

impl Backoff {
    /// Why no attempt is made now; none where one may be.
    pub(super) fn blocks(&self, now: Instant) -> Option<&str> {
        self.until.filter(|until| now < *until).map(|_| self.why.as_str())
    }

    pub(super) fn succeeded(&mut self) {
        *self = Backoff::default();
    }

    pub(super) fn failed(&mut self, now: Instant, why: String, least: Duration, most: Duration) {
        self.until = Some(now + wait(self.failures, random(), least, most));
        self.failures = self.failures.saturating_add(1);
        self.why = why;
    }
}

/// Half of the doubled wait is fixed, so that attempts never follow at once; half is random, so that members do not dial in step.
fn wait(failures: u32, random: u32, least: Duration, most: Duration) -> Duration {
    let whole = least.saturating_mul(1 << failures.min(16)).min(most);
    let half = whole / 2;
    half + Duration::from_secs_f64(half.as_secs_f64() * f64::from(random) / f64::from(u32::MAX))
}

/// Without a source of random numbers the members may dial in step; they still wait.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_half_of_each_is_random() {
        let (least, most) = (Duration::from_millis(50), Duration::from_secs(1));
        let waits = |random| [0, 1, 2, 10, u32::MAX].map(|failures| wait(failures, random, least, most).as_millis());
        assert_eq!(waits(0), [25, 50, 100, 500, 500]);
        assert_eq!(waits(u32::MAX), [50, 100, 200, 1000, 1000]);
    }

    #[test]
    fn a_success_ends_the_wait() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut backoff = Backoff::default();
        assert_eq!(backoff.blocks(now), None);
        backoff.failed(now, "connection refused".to_owned(), second, second);
        assert_eq!(backoff.blocks(now), Some("connection refused"));
        assert_eq!(backoff.blocks(now + second), None);
        backoff.succeeded();
        assert_eq!(backoff.blocks(now), None);
    }
}
