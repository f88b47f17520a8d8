//! No effect acts twice: an outcome is of an effect that was open, ends it, and no other record brings one.

use super::{Step, outcome_of};
use crate::oracle::Past;
use swoosh_machine::chart;
use swoosh_machine::state::State;
use swoosh_types::ids::EffectId;

/// The outcome that the transition brings.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    if chart::spec(step.record.transition).closes.is_none() {
        return Ok(());
    }
    let effect =
        outcome_of(step.record.transition, step.inputs).ok_or("it names no effect that it is the outcome of")?;
    if let Some(first) = past.outcomes.get(&effect) {
        return Err(format!("record {first} brought the outcome of {effect} already"));
    }
    if !is_open(step.before.state(), &effect) {
        return Err(format!("{effect} was not open"));
    }
    if is_open(step.after.state(), &effect) {
        return Err(format!("{effect} is still open"));
    }
    Ok(())
}

fn is_open(state: &State, effect: &EffectId) -> bool {
    state.open_effects().any(|open| open.id == *effect)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use swoosh_types::names::Transition;

    #[test]
    fn an_outcome_of_nothing_is_found() {
        let genesis = head(|_| ());
        let of = |transition| asked(check, &record(transition), &genesis, &genesis, &Past::default());
        assert_eq!(of(Transition::ControlPause), Ok(()));
        assert!(of(Transition::IngestionBytesOk).is_err());
    }
}
