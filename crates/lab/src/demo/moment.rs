//! When something is proposed: windows, and how long it is until they open.

use swoosh_machine::chart;
use swoosh_types::backbeat::Schedule;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::WindowId;
use swoosh_types::names::{Transition, WindowClass};

/// How long a moment must last still when a proposal sets out, in milliseconds.
const MARGIN_MS: u64 = 200;
/// How finely moments are looked for, in milliseconds.
const STEP_MS: usize = 10;

/// When something is proposed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// At any time.
    Any,
    /// While a window of the class is open.
    Open(WindowClass),
    /// While none of the class is open.
    Closed(WindowClass),
    /// While the plan window is open, in the very cycle of a window that was used.
    Spent(WindowId),
    /// While the plan window is open, in a later cycle.
    Fresh(WindowId),
}

impl Moment {
    /// The moment that a transition needs.
    pub fn of(transition: Transition) -> Moment {
        chart::spec(transition).window.map_or(Moment::Any, Moment::Open)
    }

    /// How long it is from `now_ms` until the moment begins and lasts long enough, in milliseconds; `None` when
    /// it does not come within two cycles.
    pub fn wait_ms(self, schedule: &Schedule, now_ms: u64) -> Option<u64> {
        let at = |ms| Hlc::new(ms, 0).unwrap_or_default();
        let fits = |wait: &u64| {
            let (from, to) = (at(now_ms + wait), at(now_ms + wait + MARGIN_MS));
            let same = schedule.position(from).cycle == schedule.position(to).cycle;
            same && self.fits(schedule, from) && self.fits(schedule, to)
        };
        (0..2 * schedule.cycle_ms()).step_by(STEP_MS).find(fits)
    }

    fn fits(self, schedule: &Schedule, at: Hlc) -> bool {
        let plan = || schedule.is_open(WindowClass::Plan, at);
        match self {
            Moment::Any => true,
            Moment::Open(class) => schedule.is_open(class, at),
            Moment::Closed(class) => !schedule.is_open(class, at),
            Moment::Spent(used) => plan() && schedule.position(at).window_id <= used,
            Moment::Fresh(used) => plan() && schedule.position(at).window_id > used,
        }
    }

    pub fn words(self) -> String {
        match self {
            Moment::Any => "now".to_owned(),
            Moment::Open(class) => format!("the {class} window opens"),
            Moment::Closed(class) => format!("the {class} window closes"),
            Moment::Spent(_) => "the late plan window opens".to_owned(),
            Moment::Fresh(_) => "the plan window of a new cycle opens".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ship::schedule;

    /// Milliseconds of a cycle's beginning, and the cycle's window.
    fn cycle() -> (u64, WindowId) {
        let schedule = schedule().unwrap();
        let begins_ms = schedule.epoch.physical_ms() + 1_000 * schedule.cycle_ms();
        (begins_ms, schedule.position(Hlc::new(begins_ms, 0).unwrap()).window_id)
    }

    #[test]
    fn a_moment_begins_with_its_window_and_leaves_time_to_arrive() {
        let (begins_ms, _) = cycle();
        let wait = |moment: Moment, at| moment.wait_ms(&schedule().unwrap(), begins_ms + at);
        assert_eq!(wait(Moment::Any, 5), Some(0));
        assert_eq!(wait(Moment::Open(WindowClass::Plan), 0), Some(0));
        assert_eq!(wait(Moment::Open(WindowClass::Review), 0), Some(700));
        assert_eq!(wait(Moment::Open(WindowClass::Review), 1_400), Some(2_400 - 1_400 + 700), "too late to arrive");
        assert_eq!(wait(Moment::Closed(WindowClass::Plan), 0), Some(800));
    }

    #[test]
    fn a_late_window_is_spent_and_the_next_cycles_is_fresh() {
        let (begins_ms, used) = cycle();
        let wait = |moment: Moment, at| moment.wait_ms(&schedule().unwrap(), begins_ms + at);
        assert_eq!(wait(Moment::Spent(used), 1_500), Some(500));
        assert_eq!(wait(Moment::Fresh(used), 1_500), Some(900));
        assert_eq!(wait(Moment::Spent(used), 2_300), None);
    }
}
