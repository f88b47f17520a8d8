//! Claims of a live beat source, and how a schedule adopts them.

use serde::{Deserialize, Serialize};

use super::{FULL_PRESSURE, MAX_CYCLE_BEATS, Schedule, ScheduleError, bound};
use crate::canonical::canonical_bytes;
use crate::civil::DAY_MS;
use crate::hlc::Hlc;
use crate::keys::{self, PublicKey, SecretKey, Signature, domain};
use crate::text::ClusterId;

/// How the beats of a schedule run while a live source leads them: beat `beat` began at `began_at`, and it
/// and the next ones last `beat_ms` each, `beats` of them. After those, beats last again as the schedule says,
/// and stay shifted as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// The beat that is known to have begun, counted from the schedule's epoch.
    pub beat: u64,
    /// When it began.
    pub began_at: Hlc,
    /// Length of a beat, in milliseconds.
    pub beat_ms: u64,
    /// How many beats last so long, 1 to 1,000,000.
    pub beats: u64,
    /// The tidal pressure during those beats, 0 to 1000; left out, the amplitude curve holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<u64>,
}

impl Live {
    pub(super) fn validate(&self) -> Result<(), ScheduleError> {
        bound("live.beat_ms", self.beat_ms, 1, DAY_MS)?;
        bound("live.beats", self.beats, 1, MAX_CYCLE_BEATS)?;
        bound("live.pressure", self.pressure.unwrap_or(0), 0, FULL_PRESSURE)
    }

    /// The first beat that lasts as the schedule says again.
    fn end_beat(&self) -> u64 {
        self.beat.saturating_add(self.beats)
    }

    pub(super) fn begins_ms(&self, beat: u64, nominal_beat_ms: u64) -> u64 {
        let began_ms = self.began_at.physical_ms();
        if beat < self.beat {
            return began_ms.saturating_sub((self.beat - beat).saturating_mul(self.beat_ms));
        }
        let led = beat.min(self.end_beat()) - self.beat;
        let rest = beat.saturating_sub(self.end_beat());
        began_ms.saturating_add(led.saturating_mul(self.beat_ms)).saturating_add(rest.saturating_mul(nominal_beat_ms))
    }

    pub(super) fn beat_at(&self, ms: u64, nominal_beat_ms: u64) -> u64 {
        let began_ms = self.began_at.physical_ms();
        let end_ms = self.begins_ms(self.end_beat(), nominal_beat_ms);
        if ms < began_ms {
            self.beat.saturating_sub((began_ms - ms).div_ceil(self.beat_ms))
        } else if ms < end_ms {
            self.beat + (ms - began_ms) / self.beat_ms
        } else {
            self.end_beat() + (ms - end_ms) / nominal_beat_ms
        }
    }

    pub(super) fn pressure_at(&self, beat: u64) -> Option<u64> {
        self.pressure.filter(|_| (self.beat..self.end_beat()).contains(&beat))
    }
}

/// The claim that a live source signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeatClaim {
    pub source: PublicKey,
    /// When it was said.
    pub observed_at: Hlc,
    /// Until when beats last so long and the pressure is this.
    pub valid_until: Hlc,
    /// The beat that runs, counted from the schedule's epoch.
    pub beat: u64,
    /// When it began, or will begin.
    pub began_at: Hlc,
    /// How long it and the next ones last, in milliseconds.
    pub beat_ms: u64,
    /// The tidal pressure, 0 to 1000; left out, the schedule's amplitude curve holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<u64>,
}

/// A signed claim: the body of a fetch, and the data of each server-sent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeatNote {
    pub claim: BeatClaim,
    /// The source's signature over the claim.
    pub signature: Signature,
}

impl BeatClaim {
    /// Signs the claim for one cluster.
    pub fn sign(self, cluster: &ClusterId, key: &SecretKey) -> BeatNote {
        let signature = key.sign(&keys::message(domain::BEAT, cluster, &canonical_bytes(&self)));
        BeatNote { claim: self, signature }
    }
}

impl BeatNote {
    /// Whether the signature is the source's, for this cluster.
    pub fn verify(&self, cluster: &ClusterId) -> bool {
        let message = keys::message(domain::BEAT, cluster, &canonical_bytes(&self.claim));
        self.claim.source.verify(&message, &self.signature)
    }
}

/// How far a live source may move a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBounds {
    /// How far a beat may begin before or after its time by the schedule, in milliseconds.
    pub max_shift_ms: u64,
    /// How much longer or shorter than the schedule's a beat may be, in thousandths of it.
    pub max_tempo_permille: u64,
    /// The highest pressure it may call for, 0 to 1000.
    pub max_pressure: u64,
}

/// Why a schedule does not follow what a live source says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeatFault {
    /// The beat lies too far from where the schedule has it.
    #[error(
        "beat {beat} at {began_at} is {shift_ms} ms from its time by the schedule; at most {max_shift_ms} ms are allowed"
    )]
    Shift {
        beat: u64,
        /// When it is said to begin.
        began_at: Hlc,
        /// How far that is off, in milliseconds.
        shift_ms: u64,
        /// How far it may be, in milliseconds.
        max_shift_ms: u64,
    },
    /// Its beats are too long or too short.
    #[error("a beat of {found} ms is outside {least} to {most} ms, which the schedule and the tempo bound allow")]
    Tempo {
        /// How long they are, in milliseconds.
        found: u64,
        /// The least they may be.
        least: u64,
        /// The most they may be.
        most: u64,
    },
    /// The pressure is too high.
    #[error("the pressure {found} is over {most}")]
    Pressure {
        found: u64,
        /// The most it may be.
        most: u64,
    },
    /// Following would take the beat back.
    #[error("it would take the beat back from {held} to {found}")]
    Back {
        /// The beat of now as it is held.
        held: u64,
        /// The beat of now by what is said.
        found: u64,
    },
}

impl Schedule {
    /// The schedule without what a live source said.
    pub fn nominal(&self) -> Schedule {
        Schedule { live: None, ..self.clone() }
    }

    /// The schedule as a live source leads it: with the beat, the tempo and the pressure it says, as far as the
    /// bounds allow. Refuses what would take the beat of `now` back. Whether the source may say so, and whether
    /// its word is still good, is the caller's to check.
    pub fn led_by(&self, claim: &BeatClaim, bounds: LiveBounds, now: Hlc) -> Result<Schedule, BeatFault> {
        self.check_tempo(claim, bounds)?;
        if let Some(found) = claim.pressure.filter(|found| *found > bounds.max_pressure.min(FULL_PRESSURE)) {
            return Err(BeatFault::Pressure { found, most: bounds.max_pressure.min(FULL_PRESSURE) });
        }
        let beats = self.beats_to_lead(claim, bounds)?;
        let (beat, began_at) = (claim.beat, Hlc::new(claim.began_at.physical_ms(), 0).unwrap_or(claim.began_at));
        let live = Live { beat, began_at, beat_ms: claim.beat_ms, beats, pressure: claim.pressure };
        let led = Schedule { live: Some(live), ..self.clone() };
        let (held, found) = (self.beat_at(now), led.beat_at(now));
        if found < held { Err(BeatFault::Back { held, found }) } else { Ok(led) }
    }

    fn check_tempo(&self, claim: &BeatClaim, bounds: LiveBounds) -> Result<(), BeatFault> {
        let swing = self.beat_ms.saturating_mul(bounds.max_tempo_permille.min(1_000)) / 1_000;
        let (least, most) = ((self.beat_ms - swing).max(1), (self.beat_ms + swing).min(DAY_MS));
        let found = claim.beat_ms;
        if (least..=most).contains(&found) { Ok(()) } else { Err(BeatFault::Tempo { found, least, most }) }
    }

    /// How many beats the source leads: until its word ends, and no longer than the shift stays in bounds.
    fn beats_to_lead(&self, claim: &BeatClaim, bounds: LiveBounds) -> Result<u64, BeatFault> {
        let (began_ms, nominal_ms) = (claim.began_at.physical_ms(), self.nominal_ms(claim.beat));
        let shift_ms = began_ms.abs_diff(nominal_ms);
        let max_shift_ms = bounds.max_shift_ms;
        let fault = BeatFault::Shift { beat: claim.beat, began_at: claim.began_at, shift_ms, max_shift_ms };
        if shift_ms > max_shift_ms {
            return Err(fault);
        }
        let lasts_ms = claim.valid_until.physical_ms().saturating_sub(began_ms);
        let asked = (lasts_ms / claim.beat_ms + 1).min(MAX_CYCLE_BEATS);
        let drift_ms = claim.beat_ms.abs_diff(self.beat_ms);
        // Longer beats move later, shorter ones earlier: the distance that is left to the bound.
        let same_way = (claim.beat_ms > self.beat_ms) == (began_ms > nominal_ms);
        let room_ms = if same_way { max_shift_ms - shift_ms } else { max_shift_ms + shift_ms };
        match room_ms.checked_div(drift_ms).map_or(asked, |fit| fit.min(asked)) {
            0 => Err(fault),
            beats => Ok(beats),
        }
    }
}
