//! A state together with its hashes, kept up section by section.

use super::state::{Section, State};
use swoosh_types::canonical::{CanonicalError, canonical_hash};
use swoosh_types::hash::Hash;
use swoosh_types::text::ProjectName;

/// First line of what a state hash is taken over.
const STATE_DOMAIN: &[u8] = b"swoosh/state/v1\n";

/// The sections in the order of their names, which is the order of canonical JSON.
const BY_NAME: [Section; 10] = [
    Section::Boot,
    Section::Control,
    Section::Council,
    Section::Environment,
    Section::Epoch,
    Section::Execution,
    Section::HlcLast,
    Section::Ingestion,
    Section::Meta,
    Section::Policy,
];

/// A project's state, the hash of each section, and the state hash, which the next proposal must name.
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

    /// Hashes every section of a state that the machine made.
    pub fn of(state: State) -> Head {
        let sections = Section::ALL.map(|section| hash_section(&state, section));
        let hash = state_hash(&sections);
        Head { state, sections, hash }
    }

    /// Hashes every section of a state that comes from a disk or a server: a number over 2^53−1 in it is an
    /// error, and the head of one that is none can be worked with like any other.
    pub fn try_of(state: State) -> Result<Head, CanonicalError> {
        let mut sections = [Hash::ZERO; 10];
        for (hash, section) in sections.iter_mut().zip(Section::ALL) {
            *hash = Hash::of(&state.try_section_bytes(section)?);
        }
        let hash = state_hash(&sections);
        Ok(Head { state, sections, hash })
    }

    /// The head after a transition: only sections that it touched are hashed again.
    pub fn advance(&self, next: State) -> Head {
        let mut sections = self.sections;
        for (hash, section) in sections.iter_mut().zip(Section::ALL) {
            if !next.shares(&self.state, section) {
                *hash = hash_section(&next, section);
            }
        }
        let hash = state_hash(&sections);
        Head { state: next, sections, hash }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of memory that it takes, about.
    pub fn weight_bytes(&self) -> usize {
        size_of::<Head>() - size_of::<State>() + self.state.weight_bytes()
    }

    pub fn section_hash(&self, section: Section) -> Hash {
        self.sections[section as usize]
    }
}

/// sha256 of [`State::section_bytes`], without making them.
fn hash_section(state: &State, section: Section) -> Hash {
    match section {
        Section::Meta => canonical_hash(&*state.meta),
        Section::Boot => canonical_hash(&*state.boot),
        Section::Ingestion => canonical_hash(&*state.ingestion),
        Section::Council => canonical_hash(&*state.council),
        Section::Environment => canonical_hash(&*state.environment),
        Section::Execution => canonical_hash(&*state.execution),
        Section::Control => canonical_hash(&*state.control),
        Section::Policy => canonical_hash(&*state.policy),
        Section::Epoch => canonical_hash(&*state.epoch),
        Section::HlcLast => canonical_hash(&*state.hlc_last),
    }
}

/// `sha256("swoosh/state/v1\n" ‖ JCS({section: section_hash}))`.
fn state_hash(sections: &[Hash; 10]) -> Hash {
    let mut bytes = Vec::with_capacity(1024);
    bytes.extend_from_slice(STATE_DOMAIN);
    for (n, section) in BY_NAME.into_iter().enumerate() {
        bytes.extend_from_slice(if n == 0 { b"{\"" } else { b",\"" });
        bytes.extend_from_slice(section.as_str().as_bytes());
        bytes.extend_from_slice(b"\":\"");
        bytes.extend_from_slice(&sections[section as usize].to_text());
        bytes.push(b'"');
    }
    bytes.push(b'}');
    Hash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
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
    fn a_section_hashes_to_its_bytes() {
        let head = Head::genesis(&"default".parse().unwrap());
        for section in Section::ALL {
            assert_eq!(head.section_hash(section), Hash::of(&head.state().section_bytes(section)), "{section}");
        }
    }

    #[test]
    fn the_state_hash_is_taken_over_the_canonical_map_of_section_hashes() {
        let head = Head::genesis(&"default".parse().unwrap());
        let map: BTreeMap<_, _> = Section::ALL.map(|section| (section.as_str(), head.section_hash(section))).into();
        let canonical = serde_json_canonicalizer::to_vec(&map).unwrap();
        assert_eq!(head.hash(), Hash::of_parts([STATE_DOMAIN, &canonical]));
    }

    #[test]
    fn a_state_with_a_number_out_of_bounds_is_refused() {
        let mut state = State::genesis(&"default".parse().unwrap());
        assert_eq!(Head::try_of(state.clone()), Ok(Head::of(state.clone())));
        Arc::make_mut(&mut state.epoch).council = 1 << 53;
        assert!(matches!(Head::try_of(state), Err(CanonicalError::Number(_))));
    }

    #[test]
    fn genesis_differs_by_project() {
        let hash = |name: &str| Head::genesis(&name.parse().unwrap()).hash();
        assert_ne!(hash("a"), hash("b"));
    }
}
