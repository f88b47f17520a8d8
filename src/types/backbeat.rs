//! BACKBEAT window schedules: whole-number arithmetic from a time to beats, cycles, windows and pressure.
//!
//! Time since `epoch` is cut into beats of `beat_ms`, and beats into cycles of `cycle_beats`. A window
//! opens at `phase_beats` of every cycle for `length_beats`. A cycle's name is the UTC day on which it
//! begins and its number within that day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::civil::DAY_MS;
use super::hlc::Hlc;
use super::ids::WindowId;
use super::names::WindowClass;

/// When a class of window is open within a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Beats from the start of the cycle to the opening.
    pub phase_beats: u64,
    /// Beats it stays open, at least 1; it ends with the cycle at the latest.
    pub length_beats: u64,
}

/// A point of the tidal amplitude curve: from this beat of the cycle on, the pressure is this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmplitudePoint {
    /// Beats from the start of the cycle.
    pub phase_beats: u64,
    /// Pressure from 0 (slack) to 1000 (full).
    pub pressure: u64,
}

/// A window schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When beat 0 begins, as a clock reading with logical part 0.
    pub epoch: Hlc,
    /// Length of a beat in milliseconds, 1 to 86,400,000.
    pub beat_ms: u64,
    /// Beats in a cycle, 1 to 1,000,000.
    pub cycle_beats: u64,
    /// Windows by class.
    pub windows: BTreeMap<WindowClass, Vec<WindowSpec>>,
    /// The amplitude curve, by rising phase; before the first point the pressure is 0.
    #[serde(default)]
    pub amplitude: Vec<AmplitudePoint>,
}

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A length is out of its bounds.
    #[error("{name} is {found}; it must be from {least} to {most}")]
    Bound {
        /// Which.
        name: &'static str,
        /// What it is.
        found: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A window reaches over the end of its cycle.
    #[error(
        "a {class} window of {length_beats} beats at beat {phase_beats} does not fit into a cycle of {cycle_beats} beats"
    )]
    Overrun {
        /// Of which class.
        class: WindowClass,
        /// Where it begins.
        phase_beats: u64,
        /// How long it is.
        length_beats: u64,
        /// How long the cycle is.
        cycle_beats: u64,
    },
    /// The amplitude points are not in rising order.
    #[error("the amplitude points must stand in rising order of phase_beats")]
    AmplitudeOrder,
}

fn bound(name: &'static str, found: u64, least: u64, most: u64) -> Result<(), ScheduleError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(ScheduleError::Bound { name, found, least, most }) }
}

/// Where a time lies in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Beats since the epoch.
    pub beat: u64,
    /// Cycles since the epoch: the index of the window.
    pub cycle: u64,
    /// Beats since the cycle began.
    pub phase_beats: u64,
    /// Name of the cycle.
    pub window_id: WindowId,
}

impl Schedule {
    /// Checks every bound.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        bound("beat_ms", self.beat_ms, 1, DAY_MS)?;
        bound("cycle_beats", self.cycle_beats, 1, 1_000_000)?;
        for (&class, window) in
            self.windows.iter().flat_map(|(class, specs)| specs.iter().map(move |spec| (class, spec)))
        {
            bound("length_beats", window.length_beats, 1, self.cycle_beats)?;
            if window.phase_beats.saturating_add(window.length_beats) > self.cycle_beats {
                let WindowSpec { phase_beats, length_beats } = *window;
                return Err(ScheduleError::Overrun { class, phase_beats, length_beats, cycle_beats: self.cycle_beats });
            }
        }
        for point in &self.amplitude {
            bound("pressure", point.pressure, 0, 1000)?;
            bound("phase_beats", point.phase_beats, 0, self.cycle_beats - 1)?;
        }
        let rising = self.amplitude.windows(2).all(|pair| pair[0].phase_beats < pair[1].phase_beats);
        if rising { Ok(()) } else { Err(ScheduleError::AmplitudeOrder) }
    }

    /// Milliseconds in a cycle.
    pub fn cycle_ms(&self) -> u64 {
        self.beat_ms * self.cycle_beats
    }

    /// Where a time lies; times before the epoch lie at its first beat.
    pub fn position(&self, at: Hlc) -> Position {
        let epoch_ms = self.epoch.physical_ms();
        let beat = at.physical_ms().saturating_sub(epoch_ms) / self.beat_ms;
        let cycle = beat / self.cycle_beats;
        let begins_ms = epoch_ms + cycle * self.cycle_ms();
        let day_ms = begins_ms / DAY_MS * DAY_MS;
        // The first cycle of a day is the first that begins at or after midnight.
        let first_of_day = day_ms.saturating_sub(epoch_ms).div_ceil(self.cycle_ms());
        let window_id = WindowId { day_ms, ordinal: cycle - first_of_day };
        Position { beat, cycle, phase_beats: beat % self.cycle_beats, window_id }
    }

    /// Whether a window of the class is open.
    pub fn is_open(&self, class: WindowClass, at: Hlc) -> bool {
        let phase = self.position(at).phase_beats;
        let open = |spec: &WindowSpec| (spec.phase_beats..spec.phase_beats + spec.length_beats).contains(&phase);
        self.windows.get(&class).is_some_and(|specs| specs.iter().any(open))
    }

    /// Milliseconds until a window of the class opens; 0 when one is open, `None` when the class has none.
    pub fn opens_in_ms(&self, class: WindowClass, at: Hlc) -> Option<u64> {
        if self.is_open(class, at) {
            return Some(0);
        }
        let now = at.physical_ms();
        let cycle_begins = self.epoch.physical_ms() + self.position(at).cycle * self.cycle_ms();
        let wait = |spec: &WindowSpec| {
            let opens = cycle_begins + spec.phase_beats * self.beat_ms;
            if opens > now { opens - now } else { opens + self.cycle_ms() - now }
        };
        self.windows.get(&class)?.iter().map(wait).min()
    }

    /// The tidal pressure, 0 to 1000.
    pub fn pressure(&self, at: Hlc) -> u64 {
        let phase = self.position(at).phase_beats;
        self.amplitude.iter().rev().find(|point| point.phase_beats <= phase).map_or(0, |point| point.pressure)
    }

    /// How many beats fill `ms`, rounded up.
    pub fn beats_in(&self, ms: u64) -> u64 {
        ms.div_ceil(self.beat_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Hlc {
        format!("{text}#0").parse().unwrap()
    }

    fn hourly() -> Schedule {
        let spec = |phase_beats, length_beats| vec![WindowSpec { phase_beats, length_beats }];
        Schedule {
            epoch: at("2025-01-01T00:00:00Z"),
            beat_ms: 60_000,
            cycle_beats: 60,
            windows: [
                (WindowClass::Plan, spec(0, 10)),
                (WindowClass::Review, spec(30, 15)),
                (WindowClass::Reverb, spec(45, 15)),
            ]
            .into(),
            amplitude: vec![
                AmplitudePoint { phase_beats: 30, pressure: 500 },
                AmplitudePoint { phase_beats: 45, pressure: 900 },
            ],
        }
    }

    #[test]
    fn names_cycles_by_day_and_ordinal() {
        let position = hourly().position(at("2025-10-19T02:45:00Z"));
        assert_eq!(position.window_id.to_string(), "backbeat:W-2025-10-19-02");
        assert_eq!((position.phase_beats, position.cycle), (45, 291 * 24 + 2));
    }

    #[test]
    fn windows_open_at_their_phase_and_close_at_their_end() {
        let schedule = hourly();
        assert!(schedule.is_open(WindowClass::Review, at("2025-10-19T02:30:00Z")));
        assert!(!schedule.is_open(WindowClass::Review, at("2025-10-19T02:29:59.999Z")));
        assert!(!schedule.is_open(WindowClass::Review, at("2025-10-19T02:45:00Z")));
        assert_eq!(schedule.opens_in_ms(WindowClass::Plan, at("2025-10-19T02:59:00Z")), Some(60_000));
        assert_eq!(schedule.pressure(at("2025-10-19T02:29:00Z")), 0);
        assert_eq!(schedule.pressure(at("2025-10-19T02:50:00Z")), 900);
    }

    #[test]
    fn odd_cycles_still_number_from_zero_each_day() {
        let schedule = Schedule {
            epoch: at("2025-01-01T05:00:00Z"),
            beat_ms: 7 * 60_000,
            cycle_beats: 61,
            windows: BTreeMap::new(),
            amplitude: vec![],
        };
        let mut last = schedule.position(schedule.epoch).window_id;
        assert_eq!(last.ordinal, 0);
        for cycle in 1..2000 {
            let id = schedule
                .position(Hlc::new(schedule.epoch.physical_ms() + cycle * schedule.cycle_ms(), 0).unwrap())
                .window_id;
            assert!(
                (id.day_ms == last.day_ms && id.ordinal == last.ordinal + 1)
                    || (id.day_ms > last.day_ms && id.ordinal == 0)
            );
            last = id;
        }
    }

    #[test]
    fn schedules_out_of_bounds_are_refused() {
        let mut schedule = hourly();
        schedule.windows.insert(WindowClass::Plan, vec![WindowSpec { phase_beats: 55, length_beats: 10 }]);
        assert!(matches!(schedule.validate(), Err(ScheduleError::Overrun { .. })));
        assert!(matches!(
            Schedule { beat_ms: 0, ..hourly() }.validate(),
            Err(ScheduleError::Bound { name: "beat_ms", .. })
        ));
        assert_eq!(hourly().validate(), Ok(()));
    }
}
