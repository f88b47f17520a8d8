//! One step of replay: a record is reduced again, and both hashes must be what it says.

use super::head::Head;
use super::reduce::{Stamp, reduce};
use crate::types::canonical::DecodeError;
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::record::Record;

use super::chart::Inputs;

/// Why a record does not follow from the head before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The record starts from another head.
    #[error("record {index} starts from {found}, but the head before it is {expected}")]
    PreHash {
        /// Which record.
        index: u64,
        /// The head before it.
        expected: Hash,
        /// What it names.
        found: Hash,
    },
    /// The inputs are not the ones the record names.
    #[error("the inputs of record {index} hash to {found}, the record says {expected}")]
    InputsHash {
        /// Which record.
        index: u64,
        /// What it names.
        expected: Hash,
        /// What they are.
        found: Hash,
    },
    /// The inputs are not of the transition's form.
    #[error("the inputs of record {index} cannot be read: {source}")]
    Inputs {
        /// Which record.
        index: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// Reducing leads to another head.
    #[error("record {index} leads to {found}, but says {expected}")]
    PostHash {
        /// Which record.
        index: u64,
        /// What it says.
        expected: Hash,
        /// Where it leads.
        found: Hash,
    },
}

/// Applies one record to the head before it and checks every hash.
pub fn step(head: &Head, record: &Record, inputs: &Json) -> Result<Head, Divergence> {
    let index = record.index;
    if record.state_pre_hash != head.hash() {
        return Err(Divergence::PreHash { index, expected: head.hash(), found: record.state_pre_hash });
    }
    let canonical = inputs.canonical();
    let found = Hash::of(&canonical);
    if found != record.inputs_hash {
        return Err(Divergence::InputsHash { index, expected: record.inputs_hash, found });
    }
    let typed = Inputs::decode(record.transition, &canonical).map_err(|source| Divergence::Inputs { index, source })?;
    let stamp = Stamp { index, at: record.timestamp };
    let proposal = record.proposal(inputs.clone()).proposal;
    let next = head.advance(reduce(head, &proposal, &typed, stamp));
    if next.hash() != record.state_post_hash {
        return Err(Divergence::PostHash { index, expected: record.state_post_hash, found: next.hash() });
    }
    Ok(next)
}
