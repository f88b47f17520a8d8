//! The reducer: computes the state after an accepted transition.
//!
//! It reads the state, the proposal, its inputs and the node's stamp. Guards decide before whether a proposal may be
//! applied; reducing is total. The states before and after hold the open effects: [`Delta`] is their difference.

mod boot;
mod control;
mod council;
mod environment;
mod execution;
mod ingestion;
mod policy;

use std::sync::Arc;

use super::chart::{self, Inputs, TransitionSpec};
use super::head::Head;
use super::state::{Effects, HlcLast, OpenEffect, State};
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::names::{EffectName as Name, Region, Transition};
use swoosh_types::proposal::Proposal;

/// The node's addition to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub index: u64,
    /// The node's monotone clock.
    pub at: Hlc,
}

/// Input of a reducer arm, beside the state that it changes.
struct Step<'a> {
    head: &'a Head,
    proposal: &'a Proposal,
    stamp: Stamp,
}

impl Step<'_> {
    /// Opens an effect under the id of this record.
    fn open(&self, effects: &mut Effects, effect: Name) {
        let project = self.head.state().meta.project.clone();
        let Stamp { index, at } = self.stamp;
        let digest = self.head.state().is_under(2).then(|| EffectId::digest_of(index, at, self.proposal));
        let id = EffectId { project, index, digest, effect };
        effects.insert(effect, OpenEffect { id, opened_at: self.stamp.at });
    }
}

/// The state after a transition.
pub fn reduce(head: &Head, proposal: &Proposal, inputs: &Inputs, stamp: Stamp) -> State {
    let spec = chart::spec(inputs.transition());
    let mut next = head.state().clone();
    for &effect in spec.cancels.iter().chain(&spec.closes) {
        close(&mut next, effect);
    }
    apply(&mut next, inputs, &Step { head, proposal, stamp });
    if voids_approvals(head.state(), spec) && !next.execution.approvals.is_empty() {
        Arc::make_mut(&mut next.execution).approvals.clear();
    }
    *Arc::make_mut(&mut next.epoch).of_mut(spec.region) += 1;
    let last = HlcLast { hlc: proposal.hlc, signer: proposal.signer, idem_key: proposal.idem_key.clone() };
    next.hlc_last = Arc::new(Some(last));
    next
}

/// Whether the approvals given so far are of what is there no more. Those of another council epoch never count again;
/// from version 2 on, neither do those of an environment that is taken down, because another may be built in its place.
fn voids_approvals(before: &State, spec: &TransitionSpec) -> bool {
    spec.region == Region::Council || (before.is_under(2) && spec.transition == Transition::EnvironmentDeprovision)
}

/// How many entries a list of a failure may keep. From chart version 2 on, the rest is left out, so that a failure is
/// recorded however much it says; its record still holds all of it.
fn most(state: &State, bound: usize) -> usize {
    if state.is_under(2) { bound } else { usize::MAX }
}

fn close(next: &mut State, effect: Name) {
    let region = chart::effect(effect).region;
    if next.effects(region).contains_key(&effect)
        && let Some(effects) = next.effects_mut(region)
    {
        effects.remove(&effect);
    }
}

// A transition's reducer is the function of its name in the module of its region; without one it does not compile.
include!(concat!(env!("OUT_DIR"), "/reduce.rs"));

/// The effects that a transition opened and those that it ended, for the runner of effects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Effects that are open now and were not before.
    pub opened: Vec<EffectId>,
    /// Effects that were open before and are not any more, by outcome or by compensation.
    pub closed: Vec<EffectId>,
}

impl Delta {
    /// Compares the states before and after.
    pub fn between(before: &State, after: &State) -> Delta {
        let ids = |state: &State| state.open_effects().map(|effect| effect.id.clone()).collect::<Vec<_>>();
        let (old, new) = (ids(before), ids(after));
        let closed = old.iter().filter(|id| !new.contains(id)).cloned().collect();
        let opened = new.into_iter().filter(|id| !old.contains(id)).collect();
        Delta { opened, closed }
    }
}
