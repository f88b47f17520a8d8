//! Elections have a valid quorum certificate: its hash is that of the elected set, and enough distinct candidates
//! signed it. Every signer and every member may vote.

use super::Step;
use crate::oracle::Past;
use swoosh_machine::state::State;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::council::member_set_hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::VoteBody;
use swoosh_types::keys::{PublicKey, domain, message};
use swoosh_types::names::{CouncilState, Role, Transition};

/// The certificate of the council, where it has one.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let council = &step.after.state().council;
    if !matches!(council.phase, CouncilState::ToolingSync | CouncilState::Ready) {
        return Ok(());
    }
    let certificate = council.certificate.as_ref().ok_or("members are elected without a certificate")?;
    let hash = member_set_hash(&council.members);
    if certificate.member_set_hash != hash || council.member_set_hash != Some(hash) {
        return Err("the certificate is of another member set".into());
    }
    if step.record.transition == Transition::CouncilQuorumCert { votes(step) } else { Ok(()) }
}

/// Counts the votes again, on the state that they were cast in.
fn votes(step: &Step<'_>) -> Result<(), String> {
    let (old, council) = (step.before.state(), &step.after.state().council);
    let certificate = council.certificate.as_ref().ok_or("members are elected without a certificate")?;
    let body = VoteBody {
        project: old.meta.project.clone(),
        council_epoch: old.epoch.council,
        member_set_hash: certificate.member_set_hash,
    };
    let signed = message(domain::VOTE, step.cluster, &canonical_bytes(&body));
    let candidates = &old.council.candidates;
    let at = step.record.timestamp;
    let mut voters = std::collections::BTreeSet::new();
    for vote in &certificate.votes {
        let candidate = line(old, vote.voter).into_iter().find(|key| candidates.contains_key(key));
        let Some(candidate) = candidate.filter(|_| may_vote(old, &vote.voter, at)) else { continue };
        if may_vote(old, &candidate, at) && vote.voter.verify(&signed, &vote.signature) {
            voters.insert(candidate);
        }
    }
    if let Some(member) = council.members.keys().find(|member| !may_vote(old, member, at)) {
        return Err(format!("{member} is elected and may not vote"));
    }
    // Every project of the simulation elects by majority, at least three members.
    let needed = candidates.len() / 2 + 1;
    if voters.len() < needed || council.members.len() < 3 {
        return Err(format!("{} of {needed} votes elected {} members", voters.len(), council.members.len()));
    }
    Ok(())
}

/// Whether a key holds the role voter and is neither revoked nor rotated away. The simulated settings name no voter.
pub(super) fn may_vote(state: &State, key: &PublicKey, at: Hlc) -> bool {
    let Some(identity) = state.boot.identities.get(key) else { return false };
    let gone = identity.revoked || identity.retires_at.is_some_and(|end| end <= at);
    identity.roles.contains(&Role::Voter) && identity.delegate.is_none() && !gone
}

/// A key and those that took its place, one after the other.
pub(super) fn line(state: &State, key: PublicKey) -> Vec<PublicKey> {
    let mut line = vec![key];
    for _ in 0..state.boot.identities.len() {
        let took_over = state.boot.identities.iter().find(|(_, identity)| identity.succeeds == line.last().copied());
        line.extend(took_over.map(|(key, _)| *key));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_council_without_a_certificate_is_found() {
        let it = record(Transition::CouncilMcpGreen);
        let elected = head(|state| Arc::make_mut(&mut state.council).phase = CouncilState::Ready);
        assert_eq!(asked(check, &it, &elected, &head(|_| ()), &Past::default()), Ok(()));
        assert!(asked(check, &it, &elected, &elected, &Past::default()).is_err());
    }
}
