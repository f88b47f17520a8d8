//! Whoever is elected is certified: the certificate's hash is that of the elected set, and enough distinct candidates
//! signed it.

use super::Step;
use crate::simulation::oracle::Past;
use crate::types::canonical::canonical_bytes;
use crate::types::council::member_set_hash;
use crate::types::inputs::VoteBody;
use crate::types::keys::{domain, message};
use crate::types::names::{CouncilState, Transition};

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
    let mut voters = std::collections::BTreeSet::new();
    for vote in &certificate.votes {
        if candidates.contains_key(&vote.voter) && vote.voter.verify(&signed, &vote.signature) {
            voters.insert(vote.voter);
        }
    }
    // Every project of the simulation elects by majority, at least three members.
    let needed = candidates.len() / 2 + 1;
    if voters.len() < needed || council.members.len() < 3 {
        return Err(format!("{} of {needed} votes elected {} members", voters.len(), council.members.len()));
    }
    Ok(())
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
