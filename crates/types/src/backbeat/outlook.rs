//! A forecast of a schedule: its position, and the next windows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Schedule, WindowSpec};
use crate::hlc::Hlc;
use crate::ids::WindowId;
use crate::names::WindowClass;

/// The classes of windows in the order in which a cycle of the loop needs them.
pub const LOOP: [WindowClass; 3] = [WindowClass::Plan, WindowClass::Review, WindowClass::Reverb];

/// How many cycles are looked through at most.
const MOST_CYCLES: u64 = 1_000;

/// State of one class of windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassOutlook {
    /// Whether one is open.
    pub open: bool,
    /// Milliseconds until one opens, 0 when one is open; absent where the schedule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
    /// Milliseconds until the open one closes; absent when none is open, or it never closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_in_ms: Option<u64>,
}

/// A window that will open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub class: WindowClass,
    /// The name of its cycle, which proposals in it carry as `window_id`.
    pub window_id: WindowId,
    /// When it opens.
    pub opens_at: Hlc,
    /// When it closes.
    pub closes_at: Hlc,
}

/// Position of a schedule at a time, and the next windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    pub at: Hlc,
    /// Beats since the schedule's epoch, as in idempotency keys.
    pub beat: u64,
    /// Beats since the cycle began.
    pub phase_beats: u64,
    pub cycle_beats: u64,
    /// The name of the cycle.
    pub window_id: WindowId,
    /// The tidal pressure, 0 to 1000.
    pub pressure: u64,
    /// How far the running beat began after its time by the schedule, in milliseconds; negative when before. It is
    /// not 0 only where a live source leads, or led.
    pub shift_ms: i64,
    /// Whether the running beat's length, and the pressure, are a live source's.
    pub led: bool,
    /// State of each class; a class that is not here has no windows.
    pub windows: BTreeMap<WindowClass, ClassOutlook>,
    /// The windows that open next, in the order of time, and of the loop where several open at once.
    pub next: Vec<Opening>,
}

fn hlc(ms: u64) -> Hlc {
    Hlc::new(ms.min(crate::civil::MAX_MS), 0).unwrap_or_default()
}

impl Schedule {
    /// The schedule's position, and the next `count` windows to open.
    pub fn outlook(&self, at: Hlc, count: usize) -> Outlook {
        let position = self.position(at);
        let begins_ms = self.beat_begins_ms(position.beat);
        let shift_ms = i128::from(begins_ms) - i128::from(self.nominal_ms(position.beat));
        let led = |live: &super::Live| (live.beat..live.beat.saturating_add(live.beats)).contains(&position.beat);
        Outlook {
            at,
            beat: position.beat,
            phase_beats: position.phase_beats,
            cycle_beats: self.cycle_beats,
            window_id: position.window_id,
            pressure: self.pressure(at),
            shift_ms: i64::try_from(shift_ms).unwrap_or_default(),
            led: self.live.as_ref().is_some_and(led),
            windows: self.windows.keys().map(|&class| (class, self.class_outlook(class, at))).collect(),
            next: self.openings(at, count),
        }
    }

    fn class_outlook(&self, class: WindowClass, at: Hlc) -> ClassOutlook {
        let opens_in_ms = self.opens_in_ms(class, at);
        ClassOutlook { open: opens_in_ms == Some(0), opens_in_ms, closes_in_ms: self.closes_in_ms(class, at) }
    }

    /// Milliseconds until no window of the class is open any more; `None` when none is, or one always is.
    pub fn closes_in_ms(&self, class: WindowClass, at: Hlc) -> Option<u64> {
        let position = self.position(at);
        let mut beat = position.beat;
        // Windows that follow on each other are one; a whole cycle without an end has none.
        while beat <= position.beat + self.cycle_beats {
            let phase = beat % self.cycle_beats;
            let end = |spec: &WindowSpec| spec.phase_beats + spec.length_beats;
            let covers = |spec: &&WindowSpec| (spec.phase_beats..end(spec)).contains(&phase);
            match self.specs(class).iter().filter(covers).map(end).max() {
                Some(end) => beat += end - phase,
                None if beat == position.beat => return None,
                None => return Some(self.beat_begins_ms(beat).saturating_sub(at.physical_ms())),
            }
        }
        None
    }

    /// The next windows to open after a time.
    pub fn openings(&self, at: Hlc, count: usize) -> Vec<Opening> {
        let first = self.position(at).cycle;
        let mut found = Vec::new();
        for cycle in first..first.saturating_add(MOST_CYCLES) {
            if found.len() >= count {
                break;
            }
            let mut of_cycle: Vec<_> = self.openings_of(cycle).filter(|opening| opening.opens_at > at).collect();
            let place = |class| LOOP.iter().position(|known| *known == class);
            of_cycle.sort_by_key(|opening| (opening.opens_at, place(opening.class)));
            found.extend(of_cycle);
        }
        found.truncate(count);
        found
    }

    fn openings_of(&self, cycle: u64) -> impl Iterator<Item = Opening> {
        let begins = cycle.saturating_mul(self.cycle_beats);
        let window_id = self.window_id(cycle);
        let opening = move |class: WindowClass, spec: &WindowSpec| Opening {
            class,
            window_id,
            opens_at: hlc(self.beat_begins_ms(begins + spec.phase_beats)),
            closes_at: hlc(self.beat_begins_ms(begins + spec.phase_beats + spec.length_beats)),
        };
        self.windows.iter().flat_map(move |(&class, specs)| specs.iter().map(move |spec| opening(class, spec)))
    }
}
