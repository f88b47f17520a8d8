//! One step of replay: a record is reduced again, and both hashes must be what it says.

use super::head::Head;
use super::reduce::{Stamp, reduce};
use super::upgrade;
use swoosh_types::canonical::DecodeError;
use swoosh_types::hash::Hash;
use swoosh_types::json::{Json, JsonError};
use swoosh_types::names::Transition;
use swoosh_types::proposal::Proposal;
use swoosh_types::record::{Passage, Record};

use super::chart::Inputs;

/// Why a record does not follow from the head before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The record starts from another head.
    #[error("record {index} starts from {found}, but the head before it is {expected}")]
    PreHash { index: u64, expected: Hash, found: Hash },
    /// The inputs are not the ones the record names.
    #[error("the inputs of record {index} hash to {found}, the record says {expected}")]
    InputsHash { index: u64, expected: Hash, found: Hash },
    /// The inputs are not of the transition's form.
    #[error("the inputs of record {index} cannot be read: {source}")]
    Inputs { index: u64, source: DecodeError },
    /// The record is of a newer statechart than this program's.
    #[error(
        "record {index} is under statechart version {version}, and this program has version {known}: run a newer program"
    )]
    Newer {
        index: u64,
        /// The chart's version from it on.
        version: u64,
        /// This program's.
        known: u64,
    },
    /// Reducing leads to another head.
    #[error("record {index} leads to {found}, but says {expected}")]
    PostHash {
        index: u64,
        expected: Hash,
        /// Where it leads.
        found: Hash,
    },
}

/// A transition's inputs as they were stored, read once for every record that names them.
#[derive(Clone, Debug)]
pub struct StoredInputs {
    json: Json,
    /// Hash of their canonical bytes.
    hash: Hash,
    typed: Result<Inputs, DecodeError>,
}

impl StoredInputs {
    /// Reads the bytes stored under `hash` as inputs of a transition. Bytes that have that hash are taken as
    /// they stand; others are put into their canonical form first, and tell in [`follow`] what they are.
    pub fn read(transition: Transition, hash: &Hash, bytes: &[u8]) -> Result<StoredInputs, JsonError> {
        let json = Json::parse(bytes)?;
        if Hash::of(bytes) == *hash {
            let typed = Inputs::decode(transition, bytes);
            return Ok(StoredInputs { json, hash: *hash, typed });
        }
        Ok(StoredInputs::of(transition, json))
    }

    fn of(transition: Transition, json: Json) -> StoredInputs {
        let canonical = json.canonical();
        StoredInputs { json, hash: Hash::of(&canonical), typed: Inputs::decode(transition, &canonical) }
    }

    pub fn json(&self) -> &Json {
        &self.json
    }
}

/// Applies one record to the head before it and checks every hash.
pub fn step(head: &Head, record: &Record, inputs: &Json) -> Result<Head, Divergence> {
    let proposal = record.proposal(inputs.clone()).proposal;
    let inputs = StoredInputs::of(record.transition, inputs.clone());
    let stamp = Stamp { index: record.index, at: record.timestamp };
    advance(head, &proposal, &inputs, stamp, &record.state_post_hash)
}

/// Applies what is left of a record to the head before it and checks every hash.
pub fn follow(head: &Head, passage: &Passage, inputs: &StoredInputs) -> Result<Head, Divergence> {
    let proposal = passage.proposal(inputs.json.clone());
    let stamp = Stamp { index: passage.index, at: passage.timestamp };
    advance(head, &proposal, inputs, stamp, &passage.state_post_hash)
}

fn advance(
    head: &Head,
    proposal: &Proposal,
    inputs: &StoredInputs,
    stamp: Stamp,
    post: &Hash,
) -> Result<Head, Divergence> {
    let index = stamp.index;
    let head = &*upgrade::begun(head, &proposal.current_state_hash);
    if proposal.current_state_hash != head.hash() {
        return Err(Divergence::PreHash { index, expected: head.hash(), found: proposal.current_state_hash });
    }
    if inputs.hash != proposal.inputs_hash {
        return Err(Divergence::InputsHash { index, expected: proposal.inputs_hash, found: inputs.hash });
    }
    let typed = inputs.typed.as_ref().map_err(|source| Divergence::Inputs { index, source: source.clone() })?;
    let next = head.advance(reduce(head, proposal, typed, stamp));
    let (version, known) = (next.state().meta.chart_version, upgrade::PRESENT.version);
    if version > known {
        return Err(Divergence::Newer { index, version, known });
    }
    if next.hash() != *post {
        return Err(Divergence::PostHash { index, expected: *post, found: next.hash() });
    }
    Ok(next)
}
