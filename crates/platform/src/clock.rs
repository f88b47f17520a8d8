//! Wall and monotonic time, and whether the wall clock may be believed (docs/design.md#clock).
//!
//! Between two readings the wall clock must advance as the monotonic one does, give or take the largest
//! allowed drift. The last reading for which that held is the baseline. When the wall clock jumps, the
//! baseline stays where it was and every reading is unsafe until the clocks agree with it again, or until
//! [`Clock::accept_jump`] says that the new wall time is right.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds since 1970-01-01T00:00:00Z; 0 if the wall clock is before that.
    pub wall_ms: u64,
    /// Milliseconds since an arbitrary start; never goes back.
    pub monotonic_ms: u64,
}

/// Where readings come from.
pub trait TimeSource: Send + Sync {
    /// Reads both clocks.
    fn read(&self) -> Reading;
}

/// The operating system's clocks. Its monotonic clock stops while the machine sleeps, so
/// waking up counts as a jump.
#[derive(Debug)]
pub struct SystemTimeSource {
    start: Instant,
}

impl SystemTimeSource {
    /// Monotonic time counts from now.
    pub fn new() -> SystemTimeSource {
        SystemTimeSource { start: Instant::now() }
    }
}

impl Default for SystemTimeSource {
    fn default() -> SystemTimeSource {
        SystemTimeSource::new()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl TimeSource for SystemTimeSource {
    fn read(&self) -> Reading {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading { wall_ms: milliseconds(wall), monotonic_ms: milliseconds(self.start.elapsed()) }
    }
}

/// Whether the wall clock may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// It advanced as the monotonic clock did.
    Safe,
    /// It jumped; nothing that depends on the time may be accepted.
    Unsafe {
        /// How far it is from where it should be, in milliseconds; positive when it is ahead.
        drift_ms: i64,
    },
}

/// How far the wall clock is from where the baseline and the monotonic clock put it.
pub fn drift_ms(baseline: Reading, now: Reading) -> i64 {
    let wall = i128::from(now.wall_ms) - i128::from(baseline.wall_ms);
    let monotonic = i128::from(now.monotonic_ms) - i128::from(baseline.monotonic_ms);
    i64::try_from(wall - monotonic).unwrap_or(if wall > monotonic { i64::MAX } else { i64::MIN })
}

/// Judges a reading against the baseline: whether it is safe, and the baseline for the next reading.
/// A safe reading becomes the baseline, so that slow drift never adds up; an unsafe one leaves it alone.
pub fn judge(baseline: Reading, now: Reading, max_drift_ms: u64) -> (Safety, Reading) {
    let drift_ms = drift_ms(baseline, now);
    if drift_ms.unsigned_abs() <= max_drift_ms { (Safety::Safe, now) } else { (Safety::Unsafe { drift_ms }, baseline) }
}

/// The time, and whether it may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub wall_ms: u64,
    /// Milliseconds since an arbitrary start.
    pub monotonic_ms: u64,
    /// Whether `wall_ms` may be believed.
    pub safety: Safety,
}

impl Now {
    /// Whether `wall_ms` may be believed.
    pub fn is_safe(&self) -> bool {
        self.safety == Safety::Safe
    }

    /// The wall clock without a jump: the last safe reading, and what passed since by the monotonic clock.
    pub fn counted_ms(&self) -> u64 {
        match self.safety {
            Safety::Safe => self.wall_ms,
            Safety::Unsafe { drift_ms } => self.wall_ms.saturating_add_signed(drift_ms.saturating_neg()),
        }
    }
}

/// A clock that notices jumps. Cheap to read; shared between threads.
pub struct Clock {
    source: Box<dyn TimeSource>,
    max_drift_ms: u64,
    baseline: Mutex<Reading>,
}

impl Clock {
    /// The operating system's clock; a jump of more than `max_drift_ms` (the setting `clock.max_ahead_ms`)
    /// makes it unsafe.
    pub fn system(max_drift_ms: u64) -> Clock {
        Clock::new(Box::new(SystemTimeSource::new()), max_drift_ms)
    }

    /// A clock over any source. The first reading is believed.
    pub fn new(source: Box<dyn TimeSource>, max_drift_ms: u64) -> Clock {
        let baseline = Mutex::new(source.read());
        Clock { source, max_drift_ms, baseline }
    }

    /// Reads and judges the time.
    pub fn now(&self) -> Now {
        // Read under the lock, so that no reading is judged against a later baseline.
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.source.read();
        let (safety, next) = judge(*baseline, reading, self.max_drift_ms);
        *baseline = next;
        Now { wall_ms: reading.wall_ms, monotonic_ms: reading.monotonic_ms, safety }
    }

    /// Accepts the wall clock's current reading, however far it jumped; returns the accepted drift.
    pub fn accept_jump(&self) -> i64 {
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.source.read();
        let drift = drift_ms(*baseline, reading);
        *baseline = reading;
        drift
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("max_drift_ms", &self.max_drift_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(wall_ms: u64, monotonic_ms: u64) -> Reading {
        Reading { wall_ms, monotonic_ms }
    }

    #[test]
    fn drift_within_the_bound_is_safe_and_moves_the_baseline() {
        assert_eq!(judge(at(1000, 0), at(7000, 1000), 5000), (Safety::Safe, at(7000, 1000)));
        assert_eq!(judge(at(9000, 0), at(5000, 1000), 5000), (Safety::Safe, at(5000, 1000)));
    }

    #[test]
    fn a_jump_is_unsafe_and_leaves_the_baseline() {
        let ahead = judge(at(1000, 0), at(7001, 1000), 5000);
        assert_eq!(ahead, (Safety::Unsafe { drift_ms: 5001 }, at(1000, 0)));
        let behind = judge(at(9000, 0), at(4999, 1000), 5000);
        assert_eq!(behind, (Safety::Unsafe { drift_ms: -5001 }, at(9000, 0)));
        assert_eq!(drift_ms(at(0, 0), at(u64::MAX, 0)), i64::MAX);
    }

    #[derive(Clone)]
    struct Given(Arc<Mutex<Reading>>);

    impl Given {
        fn set(&self, wall_ms: u64, monotonic_ms: u64) {
            *self.0.lock().unwrap() = at(wall_ms, monotonic_ms);
        }
    }

    impl TimeSource for Given {
        fn read(&self) -> Reading {
            *self.0.lock().unwrap()
        }
    }

    fn given() -> (Given, Clock) {
        let given = Given(Arc::new(Mutex::new(at(100_000, 0))));
        (given.clone(), Clock::new(Box::new(given), 5000))
    }

    #[test]
    fn stays_unsafe_until_the_clocks_agree_again() {
        let (source, clock) = given();
        source.set(200_000, 1000);
        assert_eq!(clock.now().safety, Safety::Unsafe { drift_ms: 99_000 });
        source.set(201_000, 2000);
        assert!(!clock.now().is_safe());
        assert_eq!(clock.now().counted_ms(), 102_000);
        source.set(1_000, 2500);
        assert_eq!(clock.now().counted_ms(), 102_500);
        source.set(103_000, 3000);
        assert!(clock.now().is_safe());
        assert_eq!(clock.now().counted_ms(), 103_000);
    }

    #[test]
    fn accepts_a_jump_on_request() {
        let (source, clock) = given();
        source.set(200_000, 1000);
        assert!(!clock.now().is_safe());
        assert_eq!(clock.accept_jump(), 99_000);
        source.set(201_000, 2000);
        assert!(clock.now().is_safe());
    }

    #[test]
    fn slow_drift_never_adds_up_to_a_jump() {
        let (source, clock) = given();
        for hour in 1..100 {
            source.set(100_000 + hour * 3_604_000, hour * 3_600_000);
            assert!(clock.now().is_safe());
        }
    }
}
