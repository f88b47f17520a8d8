//! The beats that an idempotency key may name (DESIGN §4, idempotency).
//!
//! Keys of beats below the prune floor may have been forgotten, so the floor bounds every key from behind,
//! whatever is known of the schedule: nothing pruned ever runs again. The rest follows from what is known:
//!
//! | windows fact | beat of now | oldest | newest |
//! | --- | --- | --- | --- |
//! | valid | the schedule's | horizon behind now | `key_ahead` ahead of now |
//! | expired | the same, by the last schedule known | the same | the same |
//! | none | the prune floor | the prune floor | any |
//!
//! No beat of now lies below the prune floor: a schedule with longer beats counts on from it. Without a valid
//! fact only what passes while a project is paused is let through, so that operators can pause, end and
//! repair a project while BACKBEAT is down.

use super::chart::{TransitionSpec, passes};
use super::facts::{FactBody, FactSet};
use crate::types::backbeat::Schedule;
use crate::types::fact::{FactKind, GuardSettings};
use crate::types::hlc::Hlc;
use crate::types::rejection::{Code, Rejection};
use crate::types::text::ProjectName;

/// What is known of a project's beats at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Beats<'a> {
    /// The beat of now: what a new key should name.
    pub now: u64,
    prune_floor: u64,
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
    /// Reads the windows fact; keys of beats below `prune_floor` may have been forgotten.
    pub fn known(facts: &'a FactSet, project: &ProjectName, at: Hlc, prune_floor: u64) -> Beats<'a> {
        let fact = facts.get(FactKind::Windows, project);
        let schedule = fact.and_then(|fact| if let FactBody::Windows(it) = &fact.body { Some(it) } else { None });
        let now = schedule.map_or(prune_floor, |schedule| schedule.position(at).beat.max(prune_floor));
        let doubt = match fact {
            None => Some(Doubt::Missing),
            Some(fact) if fact.is_valid(at) => None,
            Some(fact) => Some(Doubt::Expired { until_ms: fact.fact.believed_until_ms() }),
        };
        Beats { now, prune_floor, schedule, doubt }
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
        let oldest = self.now.saturating_sub(horizon).max(self.prune_floor);
        let newest = self.schedule.map(|schedule| self.now.saturating_add(schedule.beats_in(settings.key_ahead_ms)));
        if beat >= oldest && newest.is_none_or(|newest| beat <= newest) {
            return Ok(());
        }
        let range = newest.map_or(format!("{oldest} or later"), |newest| format!("from {oldest} to {newest}"));
        Err(Rejection::new(Code::IdemKeyExpired, format!("beat {beat} is not {range}; the beat now is {}", self.now)))
    }
}

impl Doubt {
    fn text(self) -> String {
        match self {
            Doubt::Missing => "beats cannot be counted: there is no windows fact".to_owned(),
            Doubt::Expired { until_ms } => {
                let until = crate::types::civil::rfc3339(until_ms.min(crate::types::civil::MAX_MS));
                format!("beats cannot be counted: the windows fact expired at {until}")
            }
        }
    }
}
