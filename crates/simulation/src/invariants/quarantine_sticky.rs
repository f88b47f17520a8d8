//! Quarantine is left by a person's release, by a newer policy, or by the end, and while it lasts nothing else moves.

use super::Step;
use crate::oracle::Past;
use swoosh_machine::chart;
use swoosh_types::names::{PolicyState, Region, Transition};

/// Checks the transitions of a quarantined project.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let (old, new) = (step.before.state().policy.phase, step.after.state().policy.phase);
    if old != PolicyState::Quarantined {
        return Ok(());
    }
    let spec = chart::spec(step.record.transition);
    let lifts = matches!(spec.transition, Transition::PolicyRelease | Transition::PolicyUpdated);
    let ends = spec.transition == Transition::PolicyConfirmedBlock;
    match new {
        PolicyState::Clear if !lifts => return Err("it lifts the quarantine".into()),
        PolicyState::Terminated if !ends => return Err("it ends the project".into()),
        PolicyState::Clear | PolicyState::Quarantined | PolicyState::Terminated => {}
    }
    // A stolen key can be taken away meanwhile, and the chart goes on.
    let keys = matches!(spec.transition, Transition::BootIdentityRevoked | Transition::BootIdentityRotated);
    let passes = matches!(spec.region, Region::Policy | Region::Control) || spec.compensation || keys;
    if passes || spec.transition == Transition::BootChartUpgraded {
        Ok(())
    } else {
        Err("it moves a project that is quarantined".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_quarantine_that_is_lifted_or_passed_by_is_found() {
        let held = head(|state| Arc::make_mut(&mut state.policy).phase = PolicyState::Quarantined);
        let clear = head(|_| ());
        let of = |transition, after| asked(check, &record(transition), &held, after, &Past::default());
        assert_eq!(of(Transition::PolicyRelease, &clear), Ok(()));
        assert_eq!(of(Transition::ControlPause, &held), Ok(()));
        assert!(of(Transition::ControlPause, &clear).is_err());
        assert!(of(Transition::ExecutionSubmit, &held).is_err());
    }
}
