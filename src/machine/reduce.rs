//! The reducer.
use super::chart::Inputs;
use super::head::Head;
use super::state::State;
use crate::types::hlc::Hlc;
use crate::types::proposal::Proposal;

/// What the node adds to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the record.
    pub index: u64,
    /// The node's clock.
    pub at: Hlc,
}

/// The state after a transition.
pub fn reduce(head: &Head, _proposal: &Proposal, _inputs: &Inputs, _stamp: Stamp) -> State {
    head.state().clone()
}
