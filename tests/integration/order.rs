//! The order of checks, by proposals that several checks refuse.

use swoosh::machine::judge::{Key, Refused};
use swoosh::types::hash::Hash;
use swoosh::types::names::{Region, Transition};
use swoosh::types::proposal::Proposal;
use swoosh::types::rejection::{Code, Rejection};

use crate::support::route::Goal;
use crate::support::world::{Ask, World};

/// Codes of a proposal whose key another one has, whose key is free, and whose key is free below the floor.
#[track_caller]
fn codes(world: &World, proposal: &Proposal) -> [String; 3] {
    let free = || Ok(0);
    let pruned = || Ok(u64::MAX / 2);
    [Key::Taken, Key::Free { floor: &free }, Key::Free { floor: &pruned }].map(|key| {
        let Refused { rejection, .. } = world.judge_with(proposal, &key).expect_err("it is accepted");
        rejection.code.to_string()
    })
}

/// The pipeline and the dry run each had the order once.
#[test]
fn the_first_check_in_the_documented_order_answers() {
    let mut world = World::new();
    world.drive(Goal::new(Region::Council, "READY"));
    let good = world.proposal(&Ask::new(Transition::ControlPause));
    let with = |change: &dyn Fn(&mut Proposal)| {
        let mut proposal = good.clone();
        // Later checks refuse it too: the head is stale and the clock went back.
        proposal.current_state_hash = Hash::ZERO;
        proposal.hlc = Default::default();
        change(&mut proposal);
        proposal
    };
    let stranger = world.hands.get("stranger").key();
    let stranger = with(&|proposal| proposal.signer = stranger);
    assert_eq!(codes(&world, &stranger), ["identity_unknown"; 3]);
    let worker = world.hands.get("worker").key();
    assert_eq!(codes(&world, &with(&|proposal| proposal.signer = worker)), ["role_not_allowed"; 3]);
    let class = good.idem_key.to_string().replace(":control:", ":council:");
    let misplaced = with(&|proposal| proposal.idem_key = class.parse().unwrap());
    assert_eq!(codes(&world, &misplaced), ["op_class_mismatch"; 3]);
    assert_eq!(codes(&world, &with(&|_| {})), ["idem_key_conflict", "stale_head", "idem_key_expired"]);
    let late = with(&|proposal| proposal.current_state_hash = good.current_state_hash);
    assert_eq!(codes(&world, &late)[1], "hlc_not_after");
}

/// A look-up that fails would show an unknown signer that the project's rows are damaged.
#[test]
fn the_floor_of_keys_is_looked_up_only_for_those_who_may_propose() {
    let mut world = World::new();
    world.drive(Goal::new(Region::Council, "READY"));
    let mut proposal = world.proposal(&Ask::new(Transition::ControlPause));
    let damaged = || Err(Rejection::new(Code::ProjectDamaged, "a row is damaged"));
    let code = |proposal: &Proposal| {
        let key = Key::Free { floor: &damaged };
        world.judge_with(proposal, &key).expect_err("it is accepted").rejection.code.to_string()
    };
    assert_eq!(code(&proposal), "project_damaged");
    proposal.signer = world.hands.get("stranger").key();
    assert_eq!(code(&proposal), "identity_unknown");
}
