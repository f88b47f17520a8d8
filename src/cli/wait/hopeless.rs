//! Reasons to end a wait before its time.

use std::str::FromStr;

use crate::machine::state::{State, TopPhase};
use crate::types::names::PolicyState;

/// A failure that `--fail-on` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Quarantined,
    Terminated,
    EffectFailed,
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Failure, String> {
        match text {
            "quarantined" => Ok(Failure::Quarantined),
            "terminated" => Ok(Failure::Terminated),
            "effect-failed" => Ok(Failure::EffectFailed),
            _ => Err(format!("{text:?} is no failure; there are quarantined, terminated and effect-failed")),
        }
    }
}

/// Why the wait ends now, if it does. No record follows in a terminated project, so that always ends it.
pub(super) fn reason(state: &State, fail_on: &[Failure]) -> Option<String> {
    if state.phase() == TopPhase::Terminated {
        return Some("the project is TERMINATED, which no transition leaves".to_owned());
    }
    fail_on.iter().find_map(|failure| match failure {
        Failure::Terminated => None,
        Failure::Quarantined => quarantine(state),
        Failure::EffectFailed => failed_effect(state),
    })
}

fn quarantine(state: &State) -> Option<String> {
    let why = state.policy.rationale.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    (state.policy.phase == PolicyState::Quarantined)
        .then(|| format!("the project is quarantined{why}; a human releases it (Policy_Release)"))
}

/// The last outcome of a region's work that is a failure.
pub(in crate::cli) fn failed_effect(state: &State) -> Option<String> {
    // The end of a project took its work away.
    if state.phase() == TopPhase::Terminated {
        return None;
    }
    let ingestion = state.ingestion.last_failure.as_ref().map(|failure| ("ingestion", failure));
    let environment = state.environment.last_failure.as_ref().map(|failure| ("environment", failure));
    if let Some((region, failure)) = ingestion.or(environment) {
        return Some(format!("the last work of {region} failed: {}", failure.detail));
    }
    let unreachable: Vec<&str> = state.council.unreachable.keys().map(|name| name.as_str()).collect();
    (!unreachable.is_empty())
        .then(|| format!("the last probe of the council's tools failed: {}", unreachable.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::inputs::Failure as Outcome;
    use crate::types::names::ControlState;

    #[test]
    fn a_wait_ends_for_named_failures_and_for_the_end_of_a_project() {
        let mut state = State::genesis(&"default".parse().unwrap());
        let all = [Failure::Quarantined, Failure::Terminated, Failure::EffectFailed];
        assert_eq!(reason(&state, &all), None);
        let failure = Outcome { detail: "no disk".parse().unwrap(), unknown: false };
        Arc::make_mut(&mut state.environment).last_failure = Some(failure);
        assert_eq!(reason(&state, &all[..2]), None);
        assert!(reason(&state, &all).unwrap().contains("environment failed: no disk"));
        Arc::make_mut(&mut state.policy).phase = PolicyState::Quarantined;
        assert!(reason(&state, &all[..1]).unwrap().contains("quarantined"));
        assert_eq!(reason(&state, &[]), None);
        Arc::make_mut(&mut state.control).phase = ControlState::Terminated;
        assert!(reason(&state, &[]).unwrap().contains("TERMINATED"));
    }
}
