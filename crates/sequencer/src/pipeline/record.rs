//! The record that an accepted proposal becomes.

use crate::Verified;
use swoosh_machine::reduce::Stamp;
use swoosh_types::hash::Hash;
use swoosh_types::record::{GuardOutcome, Record};
use swoosh_types::text::ProjectName;

/// The record of a proposal that was judged with these outcomes and leads to the head `post`.
pub(super) fn record(
    project: &ProjectName,
    stamp: Stamp,
    verified: &Verified,
    guard_outcomes: Vec<GuardOutcome>,
    post: Hash,
) -> Record {
    let proposal = verified.proposal();
    Record {
        index: stamp.index,
        project: project.clone(),
        project_implied: proposal.project.is_none(),
        state_pre_hash: proposal.current_state_hash,
        transition: proposal.transition,
        inputs_hash: proposal.inputs_hash,
        signer: proposal.signer,
        idem_key: proposal.idem_key.clone(),
        hlc: proposal.hlc,
        window_id: proposal.window_id,
        guard_outcomes,
        policy_engine: swoosh_machine::policy::engine_version().to_owned(),
        evidence: proposal.evidence.clone(),
        signature: verified.signature(),
        timestamp: stamp.at,
        state_post_hash: post,
    }
}
