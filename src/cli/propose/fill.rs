//! Inputs that follow from the state of a project, so that a caller need not copy hashes.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::machine::chart;
use crate::machine::state::{State, TopPhase};
use crate::types::json::Json;
use crate::types::names::{ExecutionState, Region, Transition};

/// Whether inputs of this transition follow from the state.
pub(in crate::cli) fn follows(transition: Transition) -> bool {
    matches!(
        transition,
        Transition::ExecutionAllReady
            | Transition::ExecutionPlanChange
            | Transition::ExecutionApprove
            | Transition::CouncilReaffirm
            | Transition::EnvironmentReaffirm
    )
}

/// Whether the inputs lack a member that the transition needs and that follows from the state.
pub(in crate::cli) fn lacks(transition: Transition, inputs: &Json) -> bool {
    let Json::Object(members) = inputs else { return false };
    let needed = chart::spec(transition).inputs.iter().filter(|(_, kind)| !kind.ends_with('?'));
    follows(transition) && needed.into_iter().any(|(name, _)| !members.contains_key(*name))
}

/// The inputs, with what they lack out of the state. A given member stays.
pub(in crate::cli) fn filled(transition: Transition, inputs: &Json, state: &State) -> anyhow::Result<Json> {
    let mut members = derived(transition, state)?;
    let given: Map<String, Value> = serde_json::from_slice(&inputs.canonical())?;
    members.extend(given);
    Ok(Json::parse(&serde_json::to_vec(&members)?)?)
}

fn derived(transition: Transition, state: &State) -> anyhow::Result<Map<String, Value>> {
    check_not_over(state)?;
    let inputs = match transition {
        Transition::ExecutionAllReady | Transition::ExecutionPlanChange => prerequisites(transition, state)?,
        Transition::ExecutionApprove => approval(state)?,
        _ => json!({"version": state.ingestion.version}),
    };
    inputs.as_object().cloned().context("inputs are an object")
}

/// Refuses a project that has ended: no transition leaves TERMINATED, even if its regions show open work.
pub(in crate::cli) fn check_not_over(state: &State) -> anyhow::Result<()> {
    let is_over = state.phase() == TopPhase::Terminated;
    anyhow::ensure!(!is_over, "project {} is TERMINATED, which no transition leaves", state.meta.project);
    Ok(())
}

fn prerequisites(transition: Transition, state: &State) -> anyhow::Result<Value> {
    let regions = [Region::Ingestion, Region::Council, Region::Environment];
    let late: Vec<String> = regions
        .iter()
        .filter(|region| state.region_state(**region) != "READY")
        .map(|region| format!("{region} is {}", state.region_state(*region)))
        .collect();
    let goal = "swoosh wait 'ingestion == READY and council == READY and environment == READY'";
    anyhow::ensure!(
        late.is_empty(),
        "{transition} names hashes that are not there yet: {}; wait with `{goal}`, or name the inputs yourself with --inputs",
        late.join(", ")
    );
    Ok(json!({
        "version": state.ingestion.version,
        "content_hash": state.ingestion.content_hash.context("ingestion is READY without a content hash")?,
        "member_set_hash": state.council.member_set_hash.context("the council is READY without members")?,
        "assets_hash": state.environment.assets_hash.context("the environment is READY without assets")?,
    }))
}

/// The binding of an approval: this plan, in this beat and round, by this council.
fn approval(state: &State) -> anyhow::Result<Value> {
    let execution = &state.execution;
    let plan_hash = execution.plan_hash.filter(|_| execution.phase == ExecutionState::Review);
    let plan_hash = plan_hash.with_context(|| {
        let next = match execution.phase {
            ExecutionState::Work => "; `swoosh propose BeatReviewGate` hands the work to review",
            _ => "; `swoosh transitions` lists the enabled transitions",
        };
        format!("execution is {}, and approvals count in REVIEW alone{next}", execution.phase)
    })?;
    Ok(json!({
        "plan_hash": plan_hash,
        "beat": execution.beat,
        "rework_round": execution.rework_round,
        "council_epoch": state.epoch.council,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::hash::Hash;
    use crate::types::names::ControlState;

    fn state() -> State {
        State::genesis(&"default".parse().unwrap())
    }

    #[test]
    fn an_approval_is_bound_to_the_plan_beat_round_and_epoch_of_the_state() {
        let mut state = state();
        let inputs = Json::parse(b"{}").unwrap();
        let said = filled(Transition::ExecutionApprove, &inputs, &state).unwrap_err().to_string();
        assert!(said.contains("INACTIVE"), "{said}");
        let execution = Arc::make_mut(&mut state.execution);
        (execution.phase, execution.plan_hash) = (ExecutionState::Review, Some(Hash::of(b"plan")));
        (execution.beat, execution.rework_round) = (3, 1);
        Arc::make_mut(&mut state.epoch).council = 4;
        let filled: Value =
            serde_json::from_slice(&filled(Transition::ExecutionApprove, &inputs, &state).unwrap().canonical())
                .unwrap();
        let expected = json!({"plan_hash": Hash::of(b"plan"), "beat": 3, "rework_round": 1, "council_epoch": 4});
        assert_eq!(filled, expected);
    }

    /// `approve` of a terminated project said that approvals count in REVIEW alone.
    #[test]
    fn a_terminated_project_is_refused_as_one() {
        let mut state = state();
        Arc::make_mut(&mut state.control).phase = ControlState::Terminated;
        for transition in [Transition::ExecutionApprove, Transition::ExecutionAllReady, Transition::CouncilReaffirm] {
            let said = filled(transition, &Json::parse(b"{}").unwrap(), &state).unwrap_err().to_string();
            assert!(said.contains("default is TERMINATED"), "{said}");
        }
    }

    #[test]
    fn the_beginning_of_the_loop_names_each_region_that_is_not_ready() {
        let said =
            filled(Transition::ExecutionAllReady, &Json::parse(b"{}").unwrap(), &state()).unwrap_err().to_string();
        assert!(said.contains("ingestion is DISCOVER, council is PLAN_ROLES, environment is ALLOCATE"), "{said}");
    }

    #[test]
    fn a_member_that_was_given_is_kept() {
        let given = Json::parse(br#"{"version": 7}"#).unwrap();
        assert!(lacks(Transition::CouncilReaffirm, &Json::parse(b"{}").unwrap()));
        assert!(!lacks(Transition::CouncilReaffirm, &given) && !lacks(Transition::ControlPause, &given));
        let filled = filled(Transition::CouncilReaffirm, &given, &state()).unwrap();
        assert_eq!(filled.canonical(), br#"{"version":7}"#);
    }
}
