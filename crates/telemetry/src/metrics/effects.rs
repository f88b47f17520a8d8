//! Counting effects.

use prometheus::IntCounter;

use super::register::set;
use super::{EFFECT_PHASES, Metrics};
use swoosh_types::names::EffectName;

impl Metrics {
    /// So many effects that the node runs are in one of [`EFFECT_PHASES`].
    pub fn set_effects(&self, phase: &str, effects: u64) {
        let place = EFFECT_PHASES.iter().position(|name| *name == phase);
        if let Some(gauge) = place.and_then(|place| self.effects.get(place)) {
            set(gauge, effects);
        }
    }

    /// An attempt at an effect was begun.
    pub fn effect_begun(&self, effect: EffectName) {
        self.effects_begun.get(effect as usize).into_iter().for_each(IntCounter::inc);
    }

    /// An attempt at an effect failed.
    pub fn effect_failed(&self, effect: EffectName) {
        self.effects_failed.get(effect as usize).into_iter().for_each(IntCounter::inc);
    }

    /// An outcome that was kept was dropped.
    pub fn outcome_dropped(&self) {
        self.outcomes_dropped.inc();
    }
}
