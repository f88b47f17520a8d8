//! The election that every agent computes alike at the same time. [`swoosh_types::council::rank`] has the ranking; the seed is the hash of
//! the council section that Council_ProfilesLoaded left.

use std::collections::BTreeSet;

use super::head::Head;
use super::state::Section;
use swoosh_types::council::rank;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::Members;
use swoosh_types::keys::PublicKey;

/// The seed of the present election.
pub fn seed(head: &Head) -> Hash {
    head.state().council.election_seed.unwrap_or_else(|| head.section_hash(Section::Council))
}

/// The member set that the ranking proposes among the candidates that count
/// ([`super::identities::Identities::electorate`]).
pub fn propose(head: &Head, electorate: &BTreeSet<PublicKey>) -> Members {
    let council = &head.state().council;
    rank(&seed(head), &council.roles, &council.candidates, electorate)
}
