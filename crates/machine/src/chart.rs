//! The transition registry: the statechart's table and typed inputs, generated from `statechart.yaml`.
//!
//! ```
//! use swoosh_machine::chart;
//! use swoosh_types::names::Transition;
//!
//! let spec = chart::spec(Transition::CouncilQuorumCert);
//! assert_eq!(spec.from, ["ELECT"]);
//! assert!(chart::compensations().any(|spec| spec.transition == Transition::CouncilEject));
//! ```

use serde::{Deserialize, Serialize};

use swoosh_types::canonical::{DecodeError, from_canonical};
use swoosh_types::inputs::*;
use swoosh_types::names::*;

include!(concat!(env!("OUT_DIR"), "/chart.rs"));

/// The statechart's entry of a transition.
#[derive(Debug)]
pub struct TransitionSpec {
    pub transition: Transition,
    /// Its region, whose epoch it advances.
    pub region: Region,
    /// States of the region that it may start from.
    pub from: &'static [&'static str],
    /// States that the region may be in afterwards.
    pub to: &'static [&'static str],
    /// The op class of its idempotency keys.
    pub op_class: OpClass,
    /// Roles that may sign it.
    pub signers: &'static [Role],
    /// Its guards, in the order in which reasons are reported.
    pub guards: &'static [GuardName],
    /// Guards that a later version of the chart added, with that version.
    pub since: &'static [(GuardName, u64)],
    /// The class of window it needs.
    pub window: Option<WindowClass>,
    /// The effect whose outcome it is.
    pub closes: Option<EffectName>,
    /// Effects it may open.
    pub opens: &'static [EffectName],
    pub cancels: &'static [EffectName],
    /// Whether it makes good what went wrong, and so passes where others are blocked.
    pub compensation: bool,
    /// Whether boot must be LICENSED.
    pub needs_license: bool,
    /// Members of its inputs and their types.
    pub inputs: &'static [(&'static str, &'static str)],
}

impl TransitionSpec {
    /// The guards that a project under this version of the chart is asked for. Records are judged again under the
    /// version that they were accepted under.
    pub fn guards_under(&self, chart_version: u64) -> impl Iterator<Item = GuardName> {
        let later = move |guard| self.since.iter().any(|&(name, since)| name == guard && since > chart_version);
        self.guards.iter().copied().filter(move |&guard| !later(guard))
    }
}

/// The statechart's entry of an effect.
#[derive(Debug)]
pub struct EffectSpec {
    pub effect: EffectName,
    /// The region that holds it while it is open.
    pub region: Region,
    /// The state that it belongs to.
    pub state: &'static str,
    /// Outcomes that say it is done.
    pub success: &'static [Transition],
    /// Outcomes that say it failed.
    pub failure: &'static [Transition],
    /// The outcome that reports an unknown result.
    pub unknown: Transition,
}

/// Regions and transitions that a block does not stop.
#[derive(Debug)]
pub struct Passes {
    /// Whole regions.
    pub regions: &'static [Region],
    /// Single transitions.
    pub transitions: &'static [Transition],
    /// Whether compensations pass.
    pub compensations: bool,
}

impl Passes {
    /// Whether this block lets the transition pass.
    pub fn lets(&self, spec: &TransitionSpec) -> bool {
        self.regions.contains(&spec.region)
            || self.transitions.contains(&spec.transition)
            || (self.compensations && spec.compensation)
    }
}

pub fn spec(transition: Transition) -> &'static TransitionSpec {
    &TRANSITIONS[transition as usize]
}

pub fn effect(effect: EffectName) -> &'static EffectSpec {
    &EFFECTS[effect as usize]
}

/// All transitions that make good what went wrong.
pub fn compensations() -> impl Iterator<Item = &'static TransitionSpec> {
    TRANSITIONS.iter().filter(|spec| spec.compensation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_the_order_of_their_enums() {
        assert!(Transition::ALL.iter().all(|&t| spec(t).transition == t));
        assert!(EffectName::ALL.iter().all(|&e| effect(e).effect == e));
    }

    /// A project that has not passed its barrier is judged by the guards that it was promised.
    #[test]
    fn a_guard_of_a_later_version_is_not_asked_under_an_earlier_one() {
        let guards = |version| spec(Transition::ExecutionBeatReviewGate).guards_under(version).collect::<Vec<_>>();
        let (before, after) = (guards(1), guards(2));
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()..], [GuardName::Pin]);
    }
}
