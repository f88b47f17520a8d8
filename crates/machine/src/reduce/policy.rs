//! Quarantine: sticky until a human or a newer policy lifts it.

use std::sync::Arc;

use super::Step;
use crate::chart::{PolicyConfirmedBlock, PolicyQuarantine, PolicyRelease, PolicyUpdated};
use crate::state::{Policy, QuarantineOrigin, State};
use swoosh_types::names::{EffectName, IngestionState, PolicyState};

pub(super) fn quarantine(next: &mut State, inputs: &PolicyQuarantine, _: &Step<'_>) {
    let policy = Arc::make_mut(&mut next.policy);
    // A quarantine that is declared takes the place of one that a newer bundle could lift.
    policy.phase = PolicyState::Quarantined;
    policy.rationale = Some(inputs.rationale.clone());
    policy.breach = inputs.breach.clone();
    policy.struck_serial = inputs.breach.as_ref().map(|breach| breach.bundle_serial);
    let origin = if inputs.breach.is_some() { QuarantineOrigin::Proposal } else { QuarantineOrigin::Declared };
    policy.origin = Some(origin);
}

/// Clears the quarantine. Where content struck in VALIDATE, it is validated again, also if the quarantine was declared
/// since.
fn lift<'a>(next: &'a mut State, step: &Step<'_>) -> &'a mut Policy {
    let struck_by_content = next.policy.origin == Some(QuarantineOrigin::Content) || next.is_under(2);
    let idle = next.ingestion.phase == IngestionState::Validate && next.ingestion.effects.is_empty();
    if struck_by_content && idle {
        step.open(&mut Arc::make_mut(&mut next.ingestion).effects, EffectName::Validate);
    }
    let policy = Arc::make_mut(&mut next.policy);
    policy.phase = PolicyState::Clear;
    policy.origin = None;
    policy.breach = None;
    policy.struck_serial = None;
    policy
}

pub(super) fn release(next: &mut State, inputs: &PolicyRelease, step: &Step<'_>) {
    lift(next, step).rationale = Some(inputs.justification.clone());
}

pub(super) fn updated(next: &mut State, inputs: &PolicyUpdated, step: &Step<'_>) {
    let policy = lift(next, step);
    policy.rationale = None;
    policy.bundle_hash = Some(inputs.bundle_hash);
}

pub(super) fn confirmed_block(next: &mut State, inputs: &PolicyConfirmedBlock, _: &Step<'_>) {
    let policy = Arc::make_mut(&mut next.policy);
    policy.phase = PolicyState::Terminated;
    policy.rationale = Some(inputs.rationale.clone());
}
