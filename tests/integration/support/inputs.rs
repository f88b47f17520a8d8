//! Valid inputs for any transition in any state, as all tests make them.

use serde_json::Value;
use swoosh::machine::chart;
use swoosh::machine::state::State;
use swoosh::types::names::{Role, Transition};
pub use swoosh_testkit::inputs::{Choice, Maker, certificate, commit, document, hash, valid, votes};
pub use swoosh_testkit::voters::{electorate, holder, may_vote};

use super::hands::{Hand, Hands};
use super::world::World;

/// A permitted signer of a transition in this state.
pub fn signer<'a>(transition: Transition, state: &State, hands: &'a Hands) -> &'a Hand {
    if transition == Transition::ExecutionApprove {
        let mut waiting = state.council.members.keys().filter(|key| !state.execution.approvals.contains_key(*key));
        return waiting.find_map(|key| hands.of(&holder(state, key))).unwrap_or(hands.get("v1"));
    }
    let spec = chart::spec(transition);
    let may = |role: &Role| spec.signers.contains(role);
    let order: &[(&str, Role)] = &[
        ("operator", Role::Operator),
        ("agent", Role::Agent),
        ("human", Role::Human),
        ("v1", Role::Voter),
        ("worker", Role::Worker),
        ("node", Role::Node),
    ];
    let (name, _) = order.iter().find(|(_, role)| may(role)).unwrap();
    hands.get(name)
}

/// The rotation of one hand's key to another's.
pub fn rotation(world: &World, old: &str, new: &str, overlap_ms: Option<u64>) -> Value {
    let alive = Default::default();
    swoosh_testkit::inputs::rotation(world.head.state(), world.maker(&alive), old, new, overlap_ms)
}
