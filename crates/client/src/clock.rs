//! A hybrid logical clock that follows the node's.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use swoosh_types::hlc::{Hlc, HlcError};

/// A monotone clock: every reading is later than all it gave or saw before, and not before the wall.
///
/// One clock follows one cluster; several clients of that cluster may share it.
pub struct HlcClock {
    last: Mutex<Hlc>,
    wall_ms: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl HlcClock {
    /// A clock over the system's wall clock.
    pub fn system() -> HlcClock {
        HlcClock::over(system_ms)
    }

    /// A clock over another wall: milliseconds since 1970-01-01T00:00:00Z.
    pub fn over(wall_ms: impl Fn() -> u64 + Send + Sync + 'static) -> HlcClock {
        HlcClock { last: Mutex::default(), wall_ms: Box::new(wall_ms) }
    }

    /// The next reading: the later of the wall and the last reading seen, and one tick after the latter.
    pub fn next(&self) -> Result<Hlc, HlcError> {
        let wall_ms = (self.wall_ms)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.tick(wall_ms)?;
        Ok(*last)
    }

    /// The time without a tick: the later of the wall and the last reading seen; not for ordering.
    pub fn now(&self) -> Hlc {
        Hlc::new((self.wall_ms)(), 0).map_or(self.last(), |wall| wall.max(self.last()))
    }

    /// Takes note of a reading that the node showed; earlier ones change nothing.
    pub fn observe(&self, seen: Hlc) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(seen);
    }

    /// The latest reading given or seen.
    pub fn last(&self) -> Hlc {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for HlcClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HlcClock({})", self.last())
    }
}

/// The system's wall clock; before 1970 it reads 0, and the node's readings lead.
fn system_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(physical_ms: u64, logical: u16) -> Hlc {
        Hlc::new(physical_ms, logical).unwrap()
    }

    #[test]
    fn follows_what_it_saw_and_never_goes_back() {
        let clock = HlcClock::over(|| 1000);
        assert_eq!(clock.next().unwrap(), at(1000, 0));
        assert_eq!(clock.next().unwrap(), at(1000, 1));
        clock.observe(at(5000, 7));
        assert_eq!(clock.next().unwrap(), at(5000, 8));
        clock.observe(at(2000, 0));
        assert_eq!(clock.next().unwrap(), at(5000, 9));
    }

    #[test]
    fn asking_for_the_time_is_no_tick() {
        let clock = HlcClock::over(|| 1000);
        assert_eq!((clock.now(), clock.now()), (at(1000, 0), at(1000, 0)));
        clock.observe(at(5000, 7));
        assert_eq!((clock.now(), clock.next().unwrap()), (at(5000, 7), at(5000, 8)));
    }

    #[test]
    fn the_wall_leads_when_it_is_later() {
        let clock = HlcClock::over(|| 9000);
        clock.observe(at(5000, 7));
        assert_eq!(clock.next().unwrap(), at(9000, 0));
    }
}
