//! The loop of plan, work, review and reverb.

use std::sync::Arc;

use super::Step;
use crate::chart::{
    ExecutionAllReady, ExecutionApprovalsThreshold, ExecutionApprove, ExecutionBeatReviewGate, ExecutionNextWindow,
    ExecutionPlanChange, ExecutionPlanLocked, ExecutionRework, ExecutionSubmit, bounds,
};
use crate::state::{Approval, Execution, Pin, State, Submission};
use swoosh_types::names::{ExecutionState, Transition};
use swoosh_types::ucxl::EvidenceRef;

/// Leaves the evidence of a transition of the loop, and its window where it has one.
fn mark<'a>(next: &'a mut State, phase: ExecutionState, step: &Step<'_>) -> &'a mut Execution {
    let under_2 = next.is_under(2);
    let execution = Arc::make_mut(&mut next.execution);
    execution.phase = phase;
    if under_2 && !begins_beat(step.proposal.transition) {
        keep_evidence(&mut execution.evidence, &step.proposal.evidence);
    } else {
        execution.evidence = step.proposal.evidence.clone();
    }
    let gated = crate::chart::spec(step.proposal.transition).window.is_some();
    if gated && step.proposal.window_id.is_some() {
        execution.window = step.proposal.window_id;
    }
    execution
}

/// Whether a transition begins a beat of the loop, to which earlier evidence does not belong.
fn begins_beat(transition: Transition) -> bool {
    matches!(transition, Transition::ExecutionAllReady | Transition::ExecutionNextWindow)
}

/// Adds evidence to the beat's, each address once and in the order of its first mention; the oldest go past the bound.
/// Version 1 kept the last transition's alone.
fn keep_evidence(kept: &mut Vec<EvidenceRef>, more: &[EvidenceRef]) {
    for address in more {
        if !kept.contains(address) {
            kept.push(address.clone());
        }
    }
    kept.drain(..kept.len().saturating_sub(bounds::EVIDENCE));
}

pub(super) fn all_ready(next: &mut State, inputs: &ExecutionAllReady, step: &Step<'_>) {
    let execution = mark(next, ExecutionState::Plan, step);
    execution.beat = 1;
    execution.pin = Some(Pin {
        version: inputs.version,
        content_hash: inputs.content_hash,
        member_set_hash: inputs.member_set_hash,
        assets_hash: inputs.assets_hash,
    });
}

pub(super) fn plan_locked(next: &mut State, inputs: &ExecutionPlanLocked, step: &Step<'_>) {
    let execution = mark(next, ExecutionState::Work, step);
    execution.plan_hash = Some(inputs.plan_hash);
    execution.rework_round = 0;
    execution.approvals.clear();
}

pub(super) fn plan_change(next: &mut State, inputs: &ExecutionPlanChange, step: &Step<'_>) {
    let execution = mark(next, ExecutionState::Plan, step);
    execution.pin = Some(Pin {
        version: inputs.version,
        content_hash: inputs.content_hash,
        member_set_hash: inputs.member_set_hash,
        assets_hash: inputs.assets_hash,
    });
}

pub(super) fn beat_review_gate(next: &mut State, _: &ExecutionBeatReviewGate, step: &Step<'_>) {
    mark(next, ExecutionState::Review, step);
}

pub(super) fn rework(next: &mut State, _: &ExecutionRework, step: &Step<'_>) {
    let execution = mark(next, ExecutionState::Work, step);
    execution.rework_round += 1;
    execution.approvals.clear();
}

pub(super) fn approve(next: &mut State, inputs: &ExecutionApprove, step: &Step<'_>) {
    let approval = Approval {
        plan_hash: inputs.plan_hash,
        beat: inputs.beat,
        rework_round: inputs.rework_round,
        council_epoch: inputs.council_epoch,
        signer: None,
    };
    // The guard checked that there is one. A member approves once, with whichever of its keys, or by a granted caller.
    let signer = step.proposal.signer;
    let key = inputs.seat.unwrap_or(signer);
    let member = next.member_behind(&key).unwrap_or(key);
    let signer = Some(signer).filter(|signer| next.is_under(2) && *signer != member);
    let approval = Approval { signer, ..approval };
    mark(next, ExecutionState::Review, step).approvals.insert(member, approval);
}

pub(super) fn approvals_threshold(next: &mut State, _: &ExecutionApprovalsThreshold, step: &Step<'_>) {
    mark(next, ExecutionState::Reverb, step);
}

pub(super) fn submit(next: &mut State, inputs: &ExecutionSubmit, step: &Step<'_>) {
    let submission = Submission {
        submission: inputs.submission.clone(),
        submission_hash: inputs.submission_hash,
        signer: step.proposal.signer,
    };
    mark(next, ExecutionState::Reverb, step).submissions.push(submission);
}

pub(super) fn next_window(next: &mut State, _: &ExecutionNextWindow, step: &Step<'_>) {
    let execution = mark(next, ExecutionState::Plan, step);
    execution.beat += 1;
    execution.rework_round = 0;
    execution.plan_hash = None;
    execution.approvals.clear();
    execution.submissions.clear();
}
