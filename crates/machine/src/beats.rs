//! The beats that an idempotency key may name.
//!
//! Keys of beats below the project's floor may have been pruned, so the floor bounds every key from behind,
//! independent of the schedule: no pruned key ever runs again. The rest follows from the windows fact:
//!
//! | windows fact | beat of now | oldest | newest |
//! | --- | --- | --- | --- |
//! | valid | the schedule's | horizon behind now | `key_ahead` ahead of now |
//! | expired | the same, by the last schedule known | the same | the same |
//! | none | the floor | the floor | `key_ahead` ahead of now, in milliseconds since 1970 |
//!
//! The last row bounds a key by the most beats that any schedule can have counted: a beat lasts at least a
//! millisecond. A key with no upper bound would never be pruned.
//!
//! No beat of now lies below the floor: a schedule with longer beats counts on from it. Without a valid fact only
//! transitions pass that pass while a project is paused, so that operators can pause, end and repair a project while
//! BACKBEAT is down.

use super::chart::{TransitionSpec, passes};
use super::facts::{FactBody, FactSet};
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// The known beats of a project at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Beats<'a> {
    /// The beat of now, which a new key should name.
    pub now: u64,
    floor: u64,
    at: Hlc,
    schedule: Option<&'a Schedule>,
    /// Why the schedule cannot be believed.
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
enum Doubt {
    Missing,
    Expired { until_ms: u64 },
}

impl<'a> Beats<'a> {
    /// Reads the windows fact. Keys of beats below `floor`, the project's own, may have been pruned.
    pub fn known(facts: &'a FactSet, project: &ProjectName, at: Hlc, floor: u64) -> Beats<'a> {
        let fact = facts.get(FactKind::Windows, project);
        let schedule = fact.and_then(|fact| if let FactBody::Windows(it) = &fact.body { Some(it) } else { None });
        let now = schedule.map_or(floor, |schedule| schedule.position(at).beat.max(floor));
        let doubt = match fact {
            None => Some(Doubt::Missing),
            Some(fact) if fact.is_valid(at) => None,
            Some(fact) => Some(Doubt::Expired { until_ms: fact.fact.believed_until_ms() }),
        };
        Beats { now, floor, at, schedule, doubt }
    }

    /// Whether a key of this beat may be used for a transition.
    pub fn judge(&self, beat: u64, spec: &TransitionSpec, settings: &GuardSettings) -> Result<(), Rejection> {
        if let Some(doubt) = self.doubt.filter(|_| !passes::PAUSED.lets(spec)) {
            return Err(Rejection::new(
                Code::BeatsUnknown,
                format!("{}; {} waits for one", doubt.text(), spec.transition),
            ));
        }
        let horizon = self.schedule.map_or(0, |schedule| schedule.beats_in(settings.key_horizon_ms));
        let oldest = self.now.saturating_sub(horizon).max(self.floor);
        let newest = self.newest(settings);
        if (oldest..=newest).contains(&beat) {
            return Ok(());
        }
        let unbounded = self.schedule.is_none() && beat < oldest;
        let range = if unbounded { format!("{oldest} or later") } else { format!("from {oldest} to {newest}") };
        Err(Rejection::new(Code::IdemKeyExpired, format!("beat {beat} is not {range}; the beat now is {}", self.now)))
    }

    /// The beat of now. A schedule that is missing counts as one of the shortest beats since 1970.
    pub fn latest(&self) -> u64 {
        if self.schedule.is_some() { self.now } else { self.now.max(self.at.physical_ms()) }
    }

    /// The newest beat that a key may name.
    pub fn newest(&self, settings: &GuardSettings) -> u64 {
        let ahead_ms = settings.key_ahead_ms;
        let ahead = self.schedule.map_or(ahead_ms, |schedule| schedule.beats_in(ahead_ms));
        self.latest().saturating_add(ahead)
    }

    /// Whether a key of this beat may be used for the outcome of an effect, which may come late and never early.
    pub fn judge_outcome(&self, beat: u64, settings: &GuardSettings) -> Result<(), Rejection> {
        let newest = self.newest(settings);
        if beat <= newest {
            return Ok(());
        }
        let reason = format!("beat {beat} is not {newest} or earlier; the beat now is {}", self.now);
        Err(Rejection::new(Code::IdemKeyExpired, reason))
    }
}

impl Doubt {
    fn text(self) -> String {
        match self {
            Doubt::Missing => "beats cannot be counted: there is no windows fact".to_owned(),
            Doubt::Expired { until_ms } => {
                let until = swoosh_types::civil::rfc3339(until_ms.min(swoosh_types::civil::MAX_MS));
                format!("beats cannot be counted: the windows fact expired at {until}")
            }
        }
    }
}
