//! Invariants of every transition (docs/design.md#state-document), checked in production as well as in tests: a
//! transition that would break one is rejected, and nothing changes.

use super::chart::TransitionSpec;
use super::guards::lifecycle_faults;
use super::head::Head;
use super::reduce::Delta;
use super::state::{Section, State};
use swoosh_types::council::member_set_hash;
use swoosh_types::names::{CouncilState, EnvironmentState, ExecutionState, PolicyState, Region, Transition};

/// Every invariant that the step from `before` to `after` breaks; none, when all is well.
pub fn violations(before: &Head, after: &Head, spec: &TransitionSpec) -> Vec<String> {
    let (old, new) = (before.state(), after.state());
    let mut broken = Vec::new();
    hlc_moves_forward(old, new, &mut broken);
    one_epoch_advances_by_one(old, new, spec, &mut broken);
    regions_follow_the_chart(old, new, spec, &mut broken);
    effects_follow_the_chart(old, new, spec, &mut broken);
    execution_is_entered_ready(old, new, &mut broken);
    the_loop_goes_on_ready(old, spec, &mut broken);
    certificate_matches_the_elected_set(old, new, &mut broken);
    approvals_are_of_now(new, &mut broken);
    terminal_stays_terminal(old, &mut broken);
    quarantine_is_sticky(old, new, spec, &mut broken);
    broken
}

fn hlc_moves_forward(old: &State, new: &State, broken: &mut Vec<String>) {
    if *new.hlc_last <= *old.hlc_last {
        broken.push("the last clock reading does not move forward".into());
    }
}

fn one_epoch_advances_by_one(old: &State, new: &State, spec: &TransitionSpec, broken: &mut Vec<String>) {
    for &region in Region::ALL {
        let expected = old.epoch.of(region) + u64::from(region == spec.region);
        if new.epoch.of(region) != expected {
            broken.push(format!("the epoch of {region} is {}, not {expected}", new.epoch.of(region)));
        }
    }
}

fn regions_follow_the_chart(old: &State, new: &State, spec: &TransitionSpec, broken: &mut Vec<String>) {
    for &region in Region::ALL {
        let (was, is) = (old.region_state(region), new.region_state(region));
        // Content that breaks a policy is the one transition that moves another region than its own.
        let strikes = spec.transition == Transition::IngestionPolicyViolation && region == Region::Policy;
        let allowed = if region == spec.region { spec.to.contains(&is) } else { was == is || strikes };
        if !allowed {
            broken.push(format!("{} moves {region} from {was} to {is}", spec.transition));
        }
    }
}

fn effects_follow_the_chart(old: &State, new: &State, spec: &TransitionSpec, broken: &mut Vec<String>) {
    let delta = Delta::between(old, new);
    for id in delta.opened.iter().filter(|id| !spec.opens.contains(&id.effect)) {
        broken.push(format!("{} opens {id}", spec.transition));
    }
    let ends = |effect| spec.closes == Some(effect) || spec.cancels.contains(&effect);
    for id in delta.closed.iter().filter(|id| !ends(id.effect)) {
        broken.push(format!("{} ends {id}", spec.transition));
    }
}

fn execution_is_entered_ready(old: &State, new: &State, broken: &mut Vec<String>) {
    let entered = old.execution.phase == ExecutionState::Inactive && new.execution.phase != ExecutionState::Inactive;
    if !entered {
        return;
    }
    broken.extend(lifecycle_faults(new));
    let pin = new.execution.pin.as_ref();
    let pinned = pin.map(|p| (p.version, Some(p.content_hash), Some(p.member_set_hash), Some(p.assets_hash)));
    let actual =
        (new.ingestion.version, new.ingestion.content_hash, new.council.member_set_hash, new.environment.assets_hash);
    if pinned != Some(actual) {
        broken.push("execution is not pinned to the hashes of its prerequisites".into());
    }
}

/// From version 2 on, the loop goes forward only while council and environment are READY. Rework leads back.
fn the_loop_goes_on_ready(old: &State, spec: &TransitionSpec, broken: &mut Vec<String>) {
    let forward = matches!(
        spec.transition,
        Transition::ExecutionPlanLocked
            | Transition::ExecutionBeatReviewGate
            | Transition::ExecutionApprove
            | Transition::ExecutionApprovalsThreshold
            | Transition::ExecutionSubmit
            | Transition::ExecutionNextWindow
    );
    let ready = (old.council.phase, old.environment.phase) == (CouncilState::Ready, EnvironmentState::Ready);
    if forward && old.is_under(2) && !ready {
        broken.push(format!(
            "{} passes while council is {} and environment {}",
            spec.transition, old.council.phase, old.environment.phase
        ));
    }
}

fn certificate_matches_the_elected_set(old: &State, new: &State, broken: &mut Vec<String>) {
    if new.shares(old, Section::Council) {
        return;
    }
    let council = &new.council;
    let elected = matches!(council.phase, CouncilState::ToolingSync | CouncilState::Ready);
    let certified = council.certificate.as_ref().map(|certificate| certificate.member_set_hash);
    let expected = elected.then(|| member_set_hash(&council.members));
    if certified != expected || council.member_set_hash != expected {
        broken.push("the quorum certificate does not match the elected set".into());
    }
}

fn approvals_are_of_now(new: &State, broken: &mut Vec<String>) {
    let execution = &new.execution;
    let now = (execution.plan_hash, execution.beat, execution.rework_round, new.epoch.council);
    for (member, it) in &execution.approvals {
        if (Some(it.plan_hash), it.beat, it.rework_round, it.council_epoch) != now {
            broken.push(format!("the approval of {member} is of another plan, beat, rework round or council epoch"));
        }
    }
}

fn terminal_stays_terminal(old: &State, broken: &mut Vec<String>) {
    if old.phase() == super::state::TopPhase::Terminated {
        broken.push("a terminated project does not change".into());
    }
}

fn quarantine_is_sticky(old: &State, new: &State, spec: &TransitionSpec, broken: &mut Vec<String>) {
    let lifted = old.policy.phase == PolicyState::Quarantined && new.policy.phase == PolicyState::Clear;
    let may_lift = matches!(spec.transition, Transition::PolicyRelease | Transition::PolicyUpdated);
    if lifted && !may_lift {
        broken.push(format!("{} lifts the quarantine", spec.transition));
    }
}
