//! REVERB is entered on enough approvals of members who may still vote, by keys that may.

use super::Step;
use super::quorum_certificate::{line, may_vote};
use crate::oracle::Past;
use swoosh_types::names::Transition;

/// Counts the approvals again, on the state that they stand in.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    if step.record.transition != Transition::ExecutionApprovalsThreshold {
        return Ok(());
    }
    let (old, at) = (step.before.state(), step.record.timestamp);
    let mut count = 0;
    for (member, approval) in &old.execution.approvals {
        let holder = line(old, *member).last().copied().unwrap_or(*member);
        let signer = approval.signer.unwrap_or(*member);
        if old.council.members.contains_key(member) && may_vote(old, &holder, at) && may_vote(old, &signer, at) {
            count += 1;
        }
    }
    let needed = old.execution.approval_threshold;
    if count < needed {
        return Err(format!("{count} approvals count, and {needed} are needed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use std::sync::Arc;
    use swoosh_machine::state::{Approval, Identity};
    use swoosh_types::hash::Hash;
    use swoosh_types::inputs::IdentityGrant;
    use swoosh_types::keys::SecretKey;
    use swoosh_types::names::Role;

    #[test]
    fn approvals_of_revoked_members_are_found() {
        let it = record(Transition::ExecutionApprovalsThreshold);
        let key = SecretKey::from_bytes(&[9; 32]).public();
        let grant = IdentityGrant { name: crate::well_formed::text("v"), roles: [Role::Voter].into(), delegate: None };
        let with = |revoked| {
            head(|state| {
                let approval =
                    Approval { plan_hash: Hash::ZERO, beat: 1, rework_round: 0, council_epoch: 0, signer: None };
                Arc::make_mut(&mut state.execution).approval_threshold = 1;
                Arc::make_mut(&mut state.execution).approvals.insert(key, approval);
                let role = crate::well_formed::text("lead");
                Arc::make_mut(&mut state.council).members.insert(key, role);
                let identity = Identity { revoked, ..Identity::of(&grant) };
                Arc::make_mut(&mut state.boot).identities.insert(key, identity);
            })
        };
        let asked = |before| asked(check, &it, &before, &head(|_| ()), &Past::default());
        assert_eq!(asked(with(false)), Ok(()));
        assert!(asked(with(true)).is_err());
    }
}
