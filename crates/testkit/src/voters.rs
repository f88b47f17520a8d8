//! The voters, as a client reads them from the state, if the settings name none.

use std::collections::BTreeSet;

use swoosh_machine::state::State;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;

/// Whether a key may vote from now on.
pub fn may_vote(state: &State, key: &PublicKey) -> bool {
    state.boot.identities.get(key).is_some_and(|identity| {
        identity.roles.contains(&Role::Voter) && !identity.revoked && identity.retires_at.is_none()
    })
}

/// The key that holds the place of another after rotations.
pub fn holder(state: &State, key: &PublicKey) -> PublicKey {
    let mut holder = *key;
    while let Some((next, _)) = state.boot.identities.iter().find(|(_, identity)| identity.succeeds == Some(holder)) {
        holder = *next;
    }
    holder
}

/// The candidates that may be elected and vote.
pub fn electorate(state: &State) -> BTreeSet<PublicKey> {
    state.council.candidates.keys().filter(|key| may_vote(state, key)).copied().collect()
}

/// Members whose approval counts.
pub fn approved(state: &State) -> BTreeSet<PublicKey> {
    let approvals = state.execution.approvals.iter();
    let counts = |member: &PublicKey, signer: Option<PublicKey>| {
        may_vote(state, &signer.unwrap_or(*member)) && may_vote(state, &holder(state, member))
    };
    approvals.filter(|(member, approval)| counts(member, approval.signer)).map(|(member, _)| *member).collect()
}

/// Whether so many of the elected lost their vote that the council decides nothing any more.
pub fn is_void(state: &State) -> bool {
    let members = &state.council.members;
    let counting = members.keys().filter(|member| may_vote(state, &holder(state, member))).count() as u64;
    !members.is_empty() && counting < state.council.rules.quorum.votes_needed(members.len() as u64)
}
