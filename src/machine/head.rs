//! A state together with its hashes, kept up section by section.

use std::collections::BTreeMap;

use super::state::{Section, State};
use crate::types::canonical::canonical_bytes;
use crate::types::hash::Hash;
use crate::types::text::ProjectName;

/// First line of what a state hash is taken over.
const STATE_DOMAIN: &[u8] = b"swoosh/state/v1\n";

/// A project's state, the hash of each section, and the state hash: what the next proposal must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    state: State,
    sections: [Hash; 10],
    hash: Hash,
}

impl Head {
    /// The head of a project that nothing has happened to.
    pub fn genesis(project: &ProjectName) -> Head {
        Head::of(State::genesis(project))
    }

    /// Hashes every section of a state.
    pub fn of(state: State) -> Head {
        let sections = Section::ALL.map(|section| Hash::of(&state.section_bytes(section)));
        let hash = state_hash(&sections);
        Head { state, sections, hash }
    }

    /// The head after a transition: only sections that it touched are hashed again.
    pub fn advance(&self, next: State) -> Head {
        let mut sections = self.sections;
        for (hash, section) in sections.iter_mut().zip(Section::ALL) {
            if !next.shares(&self.state, section) {
                *hash = Hash::of(&next.section_bytes(section));
            }
        }
        let hash = state_hash(&sections);
        Head { state: next, sections, hash }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state hash.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The hash of one section.
    pub fn section_hash(&self, section: Section) -> Hash {
        self.sections[section as usize]
    }
}

/// `sha256("swoosh/state/v1\n" ‖ JCS({section: section_hash}))`.
fn state_hash(sections: &[Hash; 10]) -> Hash {
    let map: BTreeMap<&str, &Hash> = Section::ALL.iter().map(|section| section.as_str()).zip(sections).collect();
    Hash::of_parts([STATE_DOMAIN, &canonical_bytes(&map)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn advancing_hashes_as_if_from_scratch() {
        let head = Head::genesis(&"default".parse().unwrap());
        let mut next = head.state().clone();
        Arc::make_mut(&mut next.control).paused = true;
        Arc::make_mut(&mut next.epoch).control = 1;
        let advanced = head.advance(next.clone());
        assert_eq!(advanced, Head::of(next));
        assert_ne!(advanced.hash(), head.hash());
    }

    #[test]
    fn genesis_differs_by_project() {
        let hash = |name: &str| Head::genesis(&name.parse().unwrap()).hash();
        assert_ne!(hash("a"), hash("b"));
    }
}
