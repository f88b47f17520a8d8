//! Execution is entered, and a plan is changed, only with ingestion, council and environment READY at one version,
//! pinned to the hashes that they have. The loop goes forward only while council and environment are READY.

use super::Step;
use crate::oracle::Past;
use swoosh_machine::state::State;
use swoosh_types::names::{CouncilState, EnvironmentState, ExecutionState, IngestionState, Transition};

/// Checks that execution is entered only with its prerequisites READY and pinned.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let (old, new) = (step.before.state(), step.after.state());
    let enters = old.execution.phase == ExecutionState::Inactive && new.execution.phase != ExecutionState::Inactive;
    let changes = step.record.transition == Transition::ExecutionPlanChange;
    let ready = old.council.phase == CouncilState::Ready && old.environment.phase == EnvironmentState::Ready;
    if goes_forward(step.record.transition) && !ready {
        return Err(format!("council is {}, environment {}", old.council.phase, old.environment.phase));
    }
    if enters || changes { has_prerequisites(new) } else { Ok(()) }
}

fn goes_forward(transition: Transition) -> bool {
    use Transition::*;
    matches!(
        transition,
        ExecutionPlanLocked
            | ExecutionBeatReviewGate
            | ExecutionApprove
            | ExecutionApprovalsThreshold
            | ExecutionSubmit
            | ExecutionNextWindow
    )
}

fn has_prerequisites(state: &State) -> Result<(), String> {
    let (ingestion, council, environment) = (&state.ingestion, &state.council, &state.environment);
    let ready = ingestion.phase == IngestionState::Ready
        && council.phase == CouncilState::Ready
        && environment.phase == EnvironmentState::Ready;
    if !ready {
        return Err("not everything that it needs is READY".into());
    }
    let version = Some(ingestion.version);
    if council.version != version || environment.version != version {
        return Err(format!("ingestion is at version {}, and not all stand for it", ingestion.version));
    }
    let pin = state.execution.pin.as_ref().ok_or("it is pinned to nothing")?;
    let pinned = (Some(pin.content_hash), Some(pin.member_set_hash), Some(pin.assets_hash));
    let actual = (ingestion.content_hash, council.member_set_hash, environment.assets_hash);
    if pin.version != ingestion.version || pinned != actual {
        return Err("it is pinned to other hashes than its prerequisites have".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_entry_without_its_prerequisites_is_found() {
        let it = record(Transition::ExecutionAllReady);
        let entered = head(|state| Arc::make_mut(&mut state.execution).phase = ExecutionState::Plan);
        assert_eq!(asked(check, &it, &entered, &entered, &Past::default()), Ok(()), "it was in already");
        assert!(asked(check, &it, &head(|_| ()), &entered, &Past::default()).is_err());
        let ready = head(|state| {
            Arc::make_mut(&mut state.execution).phase = ExecutionState::Plan;
            Arc::make_mut(&mut state.ingestion).phase = IngestionState::Ready;
            Arc::make_mut(&mut state.council).phase = CouncilState::Ready;
            Arc::make_mut(&mut state.environment).phase = EnvironmentState::Ready;
            let version = Some(state.ingestion.version);
            Arc::make_mut(&mut state.council).version = version;
            Arc::make_mut(&mut state.environment).version = version;
        });
        let found = asked(check, &it, &head(|_| ()), &ready, &Past::default()).unwrap_err();
        assert_eq!(found, "it is pinned to nothing");
    }
}
