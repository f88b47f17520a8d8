//! Roles, candidates, members, tooling.

use std::sync::Arc;

use super::Step;
use crate::chart::{
    CouncilEject, CouncilMcpGreen, CouncilMcpRed, CouncilProfilesLoaded, CouncilQuorumCert, CouncilReElect,
    CouncilReaffirm, CouncilReplan,
};
use crate::election;
use crate::head::Head;
use crate::state::{Certificate, Council, State};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{CouncilState, EffectName};

pub(super) fn profiles_loaded(next: &mut State, inputs: &CouncilProfilesLoaded, _: &Step<'_>) {
    let council = Arc::make_mut(&mut next.council);
    council.phase = CouncilState::Elect;
    council.candidates = inputs.candidates.iter().map(|c| (c.key, c.capabilities.clone())).collect();
    council.election_seed = None;
}

pub(super) fn quorum_cert(next: &mut State, inputs: &CouncilQuorumCert, step: &Step<'_>) {
    let council = Arc::make_mut(&mut next.council);
    council.phase = CouncilState::ToolingSync;
    council.election_seed = Some(election::seed(step.head));
    council.members = inputs.members.clone();
    council.member_set_hash = Some(inputs.member_set_hash);
    let council_epoch = step.head.state().epoch.council;
    council.certificate =
        Some(Certificate { council_epoch, member_set_hash: inputs.member_set_hash, votes: inputs.votes.clone() });
    council.tooling.clear();
    council.unreachable.clear();
    step.open(&mut council.effects, EffectName::Probe);
}

pub(super) fn mcp_green(next: &mut State, inputs: &CouncilMcpGreen, _: &Step<'_>) {
    let version = next.binding();
    let council = Arc::make_mut(&mut next.council);
    council.phase = CouncilState::Ready;
    council.tooling = inputs.servers.clone();
    council.unreachable.clear();
    council.version = Some(version);
}

pub(super) fn mcp_red(next: &mut State, inputs: &CouncilMcpRed, step: &Step<'_>) {
    let council = Arc::make_mut(&mut next.council);
    council.unreachable = inputs.unreachable.clone();
    step.open(&mut council.effects, EffectName::Probe);
}

/// Leaves no trace of the elected set.
fn dissolve(next: &mut State, phase: CouncilState) -> &mut Council {
    let council = Arc::make_mut(&mut next.council);
    council.phase = phase;
    council.members.clear();
    council.member_set_hash = None;
    council.certificate = None;
    council.tooling.clear();
    council.unreachable.clear();
    council.version = None;
    council
}

/// Removes a member from the candidates, under any key of its line.
pub(super) fn eject(next: &mut State, inputs: &CouncilEject, _: &Step<'_>) {
    let mut leaving = vec![inputs.member];
    if next.is_under(2) {
        let member = next.member_behind(&inputs.member).unwrap_or(inputs.member);
        let same_member = |key: &&PublicKey| next.member_behind(key) == Some(member);
        leaving.extend(next.council.candidates.keys().filter(same_member));
    }
    let council = dissolve(next, CouncilState::Elect);
    council.candidates.retain(|key, _| !leaving.contains(key));
}

/// Replaces the old key by the new one. The ranking keeps the seed from the profiles, so that a rotation moves only
/// its own candidate.
pub(super) fn follow_rotation(next: &mut State, head: &Head, old: &PublicKey, new: PublicKey) {
    if !next.council.candidates.contains_key(old) {
        return;
    }
    let council = Arc::make_mut(&mut next.council);
    council.election_seed.get_or_insert_with(|| election::seed(head));
    if let Some(capabilities) = council.candidates.remove(old) {
        council.candidates.entry(new).or_insert(capabilities);
    }
}

pub(super) fn re_elect(next: &mut State, _: &CouncilReElect, _: &Step<'_>) {
    dissolve(next, CouncilState::Elect);
}

pub(super) fn replan(next: &mut State, inputs: &CouncilReplan, _: &Step<'_>) {
    if let Some(threshold) = inputs.approval_threshold {
        Arc::make_mut(&mut next.execution).approval_threshold = threshold;
    }
    let council = dissolve(next, CouncilState::PlanRoles);
    council.candidates.clear();
    council.election_seed = None;
    if let Some(roles) = &inputs.roles {
        council.roles = roles.clone();
    }
}

pub(super) fn reaffirm(next: &mut State, inputs: &CouncilReaffirm, _: &Step<'_>) {
    Arc::make_mut(&mut next.council).version = Some(inputs.version);
}
