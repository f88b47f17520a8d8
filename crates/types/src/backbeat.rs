//! BACKBEAT window schedules: whole-number arithmetic from a time to beats, cycles, windows and pressure.
//!
//! Time since `epoch` is cut into beats of `beat_ms`, and beats into cycles of `cycle_beats`. A window
//! opens at `phase_beats` of every cycle for `length_beats`. A cycle's name is the UTC day on which it
//! begins by the schedule and its number within that day.
//!
//! A live source may shift beats against the schedule ([`Live`]): it says when one beat really began and how
//! long the next ones last. Beats and cycles keep their numbers and cycles their names, wherever a shift puts
//! them, so that neither ever goes back and no name comes twice. docs/backbeat.md explains it to operators.

mod live;
mod outlook;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use live::{BeatClaim, BeatFault, BeatNote, Live, LiveBounds};
pub use outlook::{ClassOutlook, LOOP, Opening, Outlook};

use super::civil::DAY_MS;
use super::hlc::Hlc;
use super::ids::WindowId;
use super::names::WindowClass;

/// The longest cycle, in beats.
pub const MAX_CYCLE_BEATS: u64 = 1_000_000;
/// The most windows that one class may have in a cycle.
pub const MAX_WINDOWS: u64 = 256;
/// The most points that the amplitude curve may have.
pub const MAX_AMPLITUDE_POINTS: u64 = 1_024;
/// Full tidal pressure.
pub const FULL_PRESSURE: u64 = 1_000;

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When beat 0 begins, as a clock reading with logical part 0.
    pub epoch: Hlc,
    /// Length of a beat in milliseconds, 1 to 86,400,000.
    pub beat_ms: u64,
    /// Beats in a cycle, 1 to 1,000,000.
    pub cycle_beats: u64,
    /// Windows by class, at most 256 each.
    pub windows: BTreeMap<WindowClass, Vec<WindowSpec>>,
    /// The amplitude curve, by rising phase, at most 1,024 points; before the first one the pressure is 0.
    #[serde(default)]
    pub amplitude: Vec<AmplitudePoint>,
    /// Corrections of the schedule by a live source; set only by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A number is out of its bounds.
    #[error("{member} is {found}; it must be from {least} to {most}")]
    Bound {
        /// Path of the member, such as `windows.review[0].length_beats`.
        member: String,
        found: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// There are too many of a kind.
    #[error("{member} has {found} entries; at most {most} are allowed")]
    TooMany { member: String, found: u64, most: u64 },
    /// A window reaches over the end of its cycle.
    #[error(
        "{member}: a window of {length_beats} beats at beat {phase_beats} does not fit into a cycle of {cycle_beats} beats; \
         shorten it, or split it into one at the end and one at beat 0"
    )]
    Overrun {
        member: String,
        /// Where it begins.
        phase_beats: u64,
        length_beats: u64,
        cycle_beats: u64,
    },
    /// The amplitude points are not in rising order.
    #[error("{member} is {found}, not above the {previous} before it; sort amplitude points by phase")]
    AmplitudeOrder {
        member: String,
        /// The phase of the point.
        found: u64,
        /// The phase of the point before.
        previous: u64,
    },
    /// The epoch is no plain time.
    #[error("{member} has the logical part {found}; write #0")]
    Epoch {
        member: String,
        /// The logical part.
        found: u16,
    },
}

impl ScheduleError {
    /// The member that is wrong: names separated by dots, places in lists in brackets.
    pub fn member(&self) -> &str {
        match self {
            ScheduleError::Bound { member, .. }
            | ScheduleError::TooMany { member, .. }
            | ScheduleError::Overrun { member, .. }
            | ScheduleError::AmplitudeOrder { member, .. }
            | ScheduleError::Epoch { member, .. } => member,
        }
    }
}

fn bound(member: impl Into<String>, found: u64, least: u64, most: u64) -> Result<(), ScheduleError> {
    let good = (least..=most).contains(&found);
    if good { Ok(()) } else { Err(ScheduleError::Bound { member: member.into(), found, least, most }) }
}

fn at_most(member: String, found: usize, most: u64) -> Result<(), ScheduleError> {
    let found = found as u64;
    if found <= most { Ok(()) } else { Err(ScheduleError::TooMany { member, found, most }) }
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
    pub window_id: WindowId,
}

impl Schedule {
    /// Checks every bound.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        if self.epoch.logical() != 0 {
            return Err(ScheduleError::Epoch { member: "epoch".into(), found: self.epoch.logical() });
        }
        bound("beat_ms", self.beat_ms, 1, DAY_MS)?;
        bound("cycle_beats", self.cycle_beats, 1, MAX_CYCLE_BEATS)?;
        for (class, specs) in &self.windows {
            at_most(format!("windows.{class}"), specs.len(), MAX_WINDOWS)?;
            let at = |n: usize| format!("windows.{class}[{n}]");
            specs.iter().enumerate().try_for_each(|(n, spec)| self.validate_window(at(n), spec))?;
        }
        self.validate_amplitude()?;
        self.live.as_ref().map_or(Ok(()), Live::validate)
    }

    fn validate_window(&self, member: String, window: &WindowSpec) -> Result<(), ScheduleError> {
        let WindowSpec { phase_beats, length_beats } = *window;
        let cycle_beats = self.cycle_beats;
        bound(format!("{member}.phase_beats"), phase_beats, 0, cycle_beats - 1)?;
        bound(format!("{member}.length_beats"), length_beats, 1, cycle_beats)?;
        if phase_beats + length_beats > cycle_beats {
            return Err(ScheduleError::Overrun { member, phase_beats, length_beats, cycle_beats });
        }
        Ok(())
    }

    fn validate_amplitude(&self) -> Result<(), ScheduleError> {
        at_most("amplitude".into(), self.amplitude.len(), MAX_AMPLITUDE_POINTS)?;
        let mut previous = None;
        for (n, point) in self.amplitude.iter().enumerate() {
            let member = |name: &str| format!("amplitude[{n}].{name}");
            bound(member("pressure"), point.pressure, 0, FULL_PRESSURE)?;
            bound(member("phase_beats"), point.phase_beats, 0, self.cycle_beats - 1)?;
            let found = point.phase_beats;
            if let Some(previous) = previous.filter(|previous| found <= *previous) {
                return Err(ScheduleError::AmplitudeOrder { member: member("phase_beats"), found, previous });
            }
            previous = Some(found);
        }
        Ok(())
    }

    /// Milliseconds in a cycle, as the schedule has it.
    pub fn cycle_ms(&self) -> u64 {
        self.beat_ms * self.cycle_beats
    }

    /// When a beat begins by the schedule alone, in milliseconds.
    fn nominal_ms(&self, beat: u64) -> u64 {
        self.epoch.physical_ms().saturating_add(beat.saturating_mul(self.beat_ms))
    }

    /// The beat that a time lies in; times before the epoch lie in the first.
    pub fn beat_at(&self, at: Hlc) -> u64 {
        let ms = at.physical_ms();
        match &self.live {
            Some(live) => live.beat_at(ms, self.beat_ms),
            None => ms.saturating_sub(self.epoch.physical_ms()) / self.beat_ms,
        }
    }

    /// When a beat begins, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn beat_begins_ms(&self, beat: u64) -> u64 {
        self.live.as_ref().map_or_else(|| self.nominal_ms(beat), |live| live.begins_ms(beat, self.beat_ms))
    }

    /// When a cycle begins, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn cycle_begins_ms(&self, cycle: u64) -> u64 {
        self.beat_begins_ms(cycle.saturating_mul(self.cycle_beats))
    }

    /// The name of a cycle: the UTC day on which it begins by the schedule, and its number within that day. A
    /// live source does not change it.
    pub fn window_id(&self, cycle: u64) -> WindowId {
        let begins_ms = self.nominal_ms(cycle.saturating_mul(self.cycle_beats));
        let day_ms = begins_ms / DAY_MS * DAY_MS;
        // The first cycle of a day is the first that begins at or after midnight.
        let first_of_day = day_ms.saturating_sub(self.epoch.physical_ms()).div_ceil(self.cycle_ms());
        WindowId { day_ms, ordinal: cycle.saturating_sub(first_of_day) }
    }

    /// Where a time lies; times before the epoch lie at its first beat.
    pub fn position(&self, at: Hlc) -> Position {
        let beat = self.beat_at(at);
        let cycle = beat / self.cycle_beats;
        Position { beat, cycle, phase_beats: beat % self.cycle_beats, window_id: self.window_id(cycle) }
    }

    fn specs(&self, class: WindowClass) -> &[WindowSpec] {
        self.windows.get(&class).map_or(&[], Vec::as_slice)
    }

    /// Whether a window of the class is open.
    pub fn is_open(&self, class: WindowClass, at: Hlc) -> bool {
        let phase = self.position(at).phase_beats;
        let open = |spec: &WindowSpec| (spec.phase_beats..spec.phase_beats + spec.length_beats).contains(&phase);
        self.specs(class).iter().any(open)
    }

    /// Milliseconds until a window of the class opens; 0 when one is open, `None` when the class has none.
    pub fn opens_in_ms(&self, class: WindowClass, at: Hlc) -> Option<u64> {
        if self.is_open(class, at) {
            return Some(0);
        }
        let now = at.physical_ms();
        let cycle = self.position(at).cycle;
        let wait = |spec: &WindowSpec| {
            let opens_ms = |cycle: u64| self.beat_begins_ms(cycle * self.cycle_beats + spec.phase_beats);
            let this = opens_ms(cycle);
            if this > now { this - now } else { opens_ms(cycle + 1).saturating_sub(now) }
        };
        self.specs(class).iter().map(wait).min()
    }

    /// The tidal pressure, 0 to 1000: that of a live source, or else of the amplitude curve.
    pub fn pressure(&self, at: Hlc) -> u64 {
        let Position { beat, phase_beats, .. } = self.position(at);
        let said = self.live.as_ref().and_then(|live| live.pressure_at(beat));
        said.unwrap_or_else(|| self.curve(phase_beats))
    }

    fn curve(&self, phase_beats: u64) -> u64 {
        self.amplitude.iter().rev().find(|point| point.phase_beats <= phase_beats).map_or(0, |point| point.pressure)
    }

    /// How many beats fill `ms`, rounded up.
    pub fn beats_in(&self, ms: u64) -> u64 {
        ms.div_ceil(self.beat_ms)
    }
}
