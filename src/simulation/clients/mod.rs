//! Clients of the node: they read a durable head, propose what a project needs next, mostly, and repeat what
//! was not answered, byte for byte.

pub mod hands;
pub mod inputs;
pub mod route;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::hands::{Hands, VOTERS};
use self::inputs::Maker;
use self::route::Goal;
use super::outside::{BEAT_MS, EPOCH_MS, Outside};
use super::random::Random;
use super::well_formed::{known, strict, text};
use crate::machine::chart;
use crate::machine::head::Head;
use crate::machine::state::State;
use crate::types::backbeat::Schedule;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::keys::PublicKey;
use crate::types::names::*;
use crate::types::proposal::{Proposal, SignedProposal};
use crate::types::text::ClusterId;

/// What every client knows.
pub struct Common<'a> {
    /// The cluster.
    pub cluster: &'a ClusterId,
    /// Everybody's keys.
    pub hands: &'a Hands,
    /// The world outside.
    pub outside: &'a Outside,
    /// The schedule that is announced.
    pub schedule: &'a Schedule,
    /// The client's clock, in milliseconds.
    pub now_ms: u64,
}

/// How far a proposal is from one that would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// As it should be.
    None,
    /// Another head, clock, key, window or signer.
    Misplaced(u64),
    /// An outcome of an effect that is not open.
    Effect,
}

/// What a client proposes.
pub struct Ask {
    /// The transition.
    pub transition: Transition,
    /// What is wrong with it.
    pub twist: Twist,
    /// A number that no other key has.
    pub number: u64,
    /// Inputs that breached a policy before.
    pub breach_inputs: Option<Value>,
}

/// The present beat.
fn beat(now_ms: u64) -> u64 {
    now_ms.saturating_sub(EPOCH_MS) / BEAT_MS
}

/// Builds and signs a proposal on a head.
pub fn build(head: &Head, ask: &Ask, common: &Common<'_>, random: &mut Random) -> SignedProposal {
    let (state, hands) = (head.state(), common.hands);
    let spec = chart::spec(ask.transition);
    let alive = alive(state, common);
    let bundle = common.outside.bundle();
    let bundle = (bundle.0, Hash::of(bundle.1.as_bytes()));
    let maker =
        Maker { hands, cluster: common.cluster, alive: &alive, bundle, breach_inputs: ask.breach_inputs.as_ref() };
    let mut inputs = inputs::valid(ask.transition, head, maker);
    if ask.twist == Twist::Effect && spec.closes.is_some() {
        let effect = known(spec.closes, "effect");
        let (project, index) = (&state.meta.project, random.below(60));
        inputs["effect"] = json!(format!("{project}/{index}/{effect}"));
    }
    if ask.transition == Transition::ExecutionSubmit && random.below(24) == 0 {
        inputs["submission"] = json!("ucxl://agent:dev@default/out/key.pem");
    }
    let inputs = strict(&inputs);
    let last = state.hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
    let hlc = last.tick(common.now_ms).unwrap_or(last);
    let signer = inputs::signer(ask.transition, state, hands);
    let proposal = Proposal {
        project: Some(state.meta.project.clone()),
        current_state_hash: head.hash(),
        transition: ask.transition,
        inputs_hash: Hash::of(&inputs.canonical()),
        inputs,
        signer: signer.public,
        idem_key: text(&format!("goal-1:{}:{}:key-{:08}", beat(common.now_ms), spec.op_class, ask.number)),
        hlc,
        window_id: spec.window.map(|_| common.schedule.position(hlc).window_id),
        evidence: Vec::new(),
    };
    let proposal = match ask.twist {
        Twist::Misplaced(how) => misplaced(proposal, how, common, random),
        Twist::None | Twist::Effect => proposal,
    };
    let hand = known(hands.of(&proposal.signer), "signer");
    proposal.sign(common.cluster, &hand.secret)
}

fn misplaced(mut proposal: Proposal, how: u64, common: &Common<'_>, random: &mut Random) -> Proposal {
    let hlc = |ms| Hlc::new(ms, 0).unwrap_or_default();
    match how % 7 {
        0 => proposal.current_state_hash = Hash::of(b"another"),
        1 => proposal.hlc = hlc(common.now_ms + 5_001 + random.below(90_000)),
        2 => proposal.hlc = hlc(common.now_ms.saturating_sub(300_001 + random.below(90_000))),
        3 => proposal.idem_key.beat = random.below(5),
        4 => proposal.idem_key.goal = text("swoosh.x"),
        5 => proposal.window_id = None,
        _ => proposal.signer = common.hands.get(["stranger", "reader", "v1", "worker"][random.index(4)]).public,
    }
    proposal
}

/// Members that count as alive by what is said of them.
fn alive(state: &State, common: &Common<'_>) -> BTreeSet<PublicKey> {
    let Some(body) = common.outside.body(crate::types::fact::FactKind::Liveness) else { return BTreeSet::new() };
    let recovering = state.control.recovery;
    let counts = |key: &&PublicKey| {
        let pulse = &body["members"][key.to_string()];
        let since: Hlc = pulse["since"].as_str().and_then(|since| since.parse().ok()).unwrap_or_default();
        let lasted = common.now_ms.saturating_sub(since.physical_ms());
        let alive = pulse["alive"].as_bool().unwrap_or(false);
        if recovering { alive && lasted >= 60_000 } else { alive || lasted < 30_000 }
    };
    state.council.members.keys().filter(counts).copied().collect()
}

/// What a project needs next: what blocks it is lifted first. `None` where it is best to wait.
pub fn forward(state: &State, common: &Common<'_>, random: &mut Random) -> Option<Transition> {
    if state.policy.phase == PolicyState::Quarantined {
        return Some(random.pick([Transition::PolicyRelease, Transition::PolicyRelease, Transition::PolicyUpdated]));
    }
    if state.control.recovery && random.below(2) == 0 {
        return Some(Transition::ControlRecovered);
    }
    if state.control.paused {
        return Some(Transition::ControlResume);
    }
    let region = random.pick([
        Region::Execution,
        Region::Execution,
        Region::Execution,
        Region::Ingestion,
        Region::Council,
        Region::Environment,
    ]);
    let goal = if region == Region::Execution { "REVERB" } else { "READY" };
    let next = match route::next(state, Goal::new(region, goal)) {
        Some(next) => next,
        None if state.execution.phase == ExecutionState::Reverb => Transition::ExecutionNextWindow,
        None => route::next(state, Goal::new(Region::Execution, "REVERB"))?,
    };
    let open = |class| is_open(class, common.now_ms);
    // Some come too early all the same.
    chart::spec(next).window.is_none_or(|class| open(class) || random.below(12) == 0).then_some(next)
}

/// Whether a class's window is open by the announced schedule.
pub fn is_open(class: WindowClass, at_ms: u64) -> bool {
    let (phase, length) = super::outside::windows(class);
    let beat = beat(at_ms) % super::outside::CYCLE_BEATS;
    (phase..phase + length).contains(&beat)
}

/// A transition that may start from here; the end seldom, what throws back sometimes.
pub fn plausible(state: &State, random: &mut Random) -> Transition {
    let here: Vec<Transition> = Transition::ALL
        .iter()
        .copied()
        .filter(|transition| {
            chart::spec(*transition).from.contains(&state.region_state(chart::spec(*transition).region))
        })
        .collect();
    let seldom = |transition| match transition {
        Transition::ControlTerminate | Transition::PolicyConfirmedBlock => 60,
        Transition::CouncilReplan
        | Transition::CouncilReElect
        | Transition::CouncilEject
        | Transition::EnvironmentDeprovision
        | Transition::PolicyQuarantine
        | Transition::IngestionRollbackIndex => 3,
        _ => 1,
    };
    let pick = here.get(random.index(here.len())).copied().unwrap_or(Transition::ControlPause);
    if random.below(seldom(pick)) == 0 { pick } else { Transition::ControlPause }
}

/// Keys of the candidates.
pub fn voters(hands: &Hands) -> [PublicKey; 5] {
    VOTERS.map(|name| hands.get(name).public)
}
