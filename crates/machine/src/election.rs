//! The election that every agent computes alike at the same time.
//!
//! Candidates are ranked for each role by how many of its capabilities they have, then by
//! sha256(seed ‖ key), where the seed is the hash of the council section that Council_ProfilesLoaded left.
//! Roles are filled in the order of their names; a candidate holds at most one.

use std::collections::{BTreeMap, BTreeSet};

use super::head::Head;
use super::state::{Council, Section};
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Members, RoleSpec};
use swoosh_types::keys::PublicKey;
use swoosh_types::text::Capability;

/// The seed of the present election.
pub fn seed(head: &Head) -> Hash {
    head.state().council.election_seed.unwrap_or_else(|| head.section_hash(Section::Council))
}

/// The member set that the ranking proposes among the candidates that count
/// ([`super::identities::Identities::electorate`]).
pub fn propose(head: &Head, electorate: &BTreeSet<PublicKey>) -> Members {
    let council: &Council = &head.state().council;
    let seed = seed(head);
    let mut members = Members::new();
    for (role, spec) in &council.roles {
        let free = council.candidates.iter().filter(|(key, _)| electorate.contains(key) && !members.contains_key(key));
        let elected = best(&seed, spec, free);
        members.extend(elected.into_iter().map(|key| (key, role.clone())));
    }
    members
}

fn best<'a>(
    seed: &Hash,
    spec: &RoleSpec,
    candidates: impl Iterator<Item = (&'a PublicKey, &'a BTreeSet<Capability>)>,
) -> Vec<PublicKey> {
    // Misses first, so that the best candidate sorts to the front.
    let rank = |(key, capabilities): (&PublicKey, &BTreeSet<Capability>)| {
        let misses = spec.capabilities.difference(capabilities).count();
        ((misses, Hash::of_parts([seed.as_bytes().as_slice(), key.as_bytes()])), *key)
    };
    let ranked: BTreeMap<_, _> = candidates.map(rank).collect();
    let seats = usize::try_from(spec.seats).unwrap_or(usize::MAX);
    ranked.into_values().take(seats).collect()
}
