//! Clients of the node: they read a durable head, propose what a project needs next, mostly, and repeat what
//! was not answered, byte for byte.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::hands::{Hands, VOTERS};
use self::inputs::{Choice, Maker};
use self::route::Goal;
use super::outside::{BEAT_MS, EPOCH_MS, Outside};
use super::well_formed::{known, strict, text};
use swoosh_machine::chart;
use swoosh_machine::head::Head;
use swoosh_machine::state::{LicenseStatus, State};
use swoosh_testkit::random::Random;
pub use swoosh_testkit::{hands, inputs, route, voters};
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::*;
use swoosh_types::proposal::{Proposal, SignedProposal};
use swoosh_types::text::ClusterId;

/// A submission that every policy forbids.
pub const SECRET: &str = "ucxl://agent:dev@default/out/key.pem";

pub struct Common<'a> {
    pub cluster: &'a ClusterId,
    pub hands: &'a Hands,
    /// The world outside.
    pub outside: &'a Outside,
    /// The schedule that is announced.
    pub schedule: &'a Schedule,
    /// The client's clock, in milliseconds.
    pub now_ms: u64,
}

/// How far a proposal is from one that would pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Twist {
    /// As it should be.
    None,
    /// Another head, clock, key, window, signer or inputs; or another transition at the wrong time.
    Misplaced(u64),
    /// The outcome of this effect, open or not.
    Effect(EffectId),
    /// A grant that gives the worker its role, or takes it.
    Worker(bool),
}

/// A client's proposal.
pub struct Ask {
    pub transition: Transition,
    /// The deliberate fault in it.
    pub twist: Twist,
    /// A number that no other key has.
    pub number: u64,
    /// Inputs that breached a policy before.
    pub breach_inputs: Option<Value>,
}

/// Ways in which a proposal may be misplaced.
const WAYS: u64 = 9;

/// A client refused by a policy asks a human once in this many turns; otherwise it waits for a newer policy.
const PATIENT: u64 = 16;

/// The present beat.
fn beat(now_ms: u64) -> u64 {
    now_ms.saturating_sub(EPOCH_MS) / BEAT_MS
}

/// Builds and signs a proposal on a head.
pub fn build(head: &Head, ask: &Ask, common: &Common<'_>, random: &mut Random) -> SignedProposal {
    let (state, hands) = (head.state(), common.hands);
    let spec = chart::spec(ask.transition);
    let inputs = inputs_of(head, ask, common, random);
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
        Twist::None | Twist::Effect(_) | Twist::Worker(_) => proposal,
    };
    let hand = known(hands.of(&proposal.signer), "signer");
    proposal.sign(common.cluster, &hand.secret)
}

/// The inputs of what a client asks for, on a head.
pub fn inputs_of(head: &Head, ask: &Ask, common: &Common<'_>, random: &mut Random) -> Json {
    let alive = alive(head.state(), common);
    let bundle = common.outside.bundle();
    let bundle = (bundle.0, Hash::of(bundle.1.as_bytes()));
    let (hands, breach_inputs) = (common.hands, ask.breach_inputs.as_ref());
    let choice = if random.below(4) == 0 { Choice::Careless } else { Choice::Varied };
    let maker = Maker { hands, cluster: common.cluster, alive: &alive, bundle, breach_inputs, choice };
    let mut inputs = inputs::valid(ask.transition, head, maker);
    match &ask.twist {
        Twist::Effect(effect) => inputs["effect"] = json!(effect.to_string()),
        Twist::Misplaced(how) if how % WAYS == 7 => bend(&mut inputs),
        Twist::Worker(works) => {
            let roles = if *works { json!(["worker"]) } else { json!(["reader"]) };
            inputs = json!({"key": hands.get("worker").key(), "identity": {"name": "worker", "roles": roles}});
        }
        Twist::Misplaced(_) | Twist::None => {}
    }
    if ask.transition == Transition::ExecutionSubmit && random.below(8) == 0 {
        inputs["submission"] = json!(SECRET);
    }
    strict(&inputs)
}

/// One of the outcomes that an effect may have, mostly a good one.
pub fn outcome_of(effect: EffectName, random: &mut Random) -> Transition {
    let spec = chart::effect(effect);
    let outcomes = match random.below(8) {
        0 => spec.failure,
        1 => return spec.unknown,
        _ => spec.success,
    };
    outcomes.get(random.index(outcomes.len())).copied().unwrap_or(spec.unknown)
}

/// An open effect of a paused project, whose worker is done and brings the outcome all the same.
pub fn answers_while_blocked(state: &State, random: &mut Random) -> Option<EffectId> {
    if !state.control.paused || random.below(3) != 0 {
        return None;
    }
    let open: Vec<&EffectId> = state.open_effects().map(|open| &open.id).collect();
    open.get(random.index(open.len())).map(|id| (*id).clone())
}

/// The effect whose outcome a proposal brings.
pub fn effect_of(proposal: &Proposal) -> Option<EffectId> {
    chart::spec(proposal.transition).closes?;
    proposal.inputs.as_object()?.get("effect")?.as_str()?.parse().ok()
}

/// Whether the worker of a project lost its role.
fn is_barred(state: &State, hands: &Hands) -> bool {
    let worker = state.boot.identities.get(&hands.get("worker").key());
    worker.is_some_and(|worker| !worker.roles.contains(&Role::Worker))
}

/// The twist of a transition in this state: a worker that lost its role is granted it again.
pub fn twist_of(transition: Transition, state: &State, common: &Common<'_>) -> Twist {
    match transition == Transition::BootIdentityGranted && is_barred(state, common.hands) {
        true => Twist::Worker(true),
        false => Twist::None,
    }
}

/// A vote or an outcome too few, and hashes of something else.
fn bend(inputs: &mut Value) {
    for list in ["votes", "outcomes"] {
        inputs.get_mut(list).and_then(Value::as_array_mut).and_then(Vec::pop);
    }
    for hash in ["content_hash", "member_set_hash", "assets_hash", "plan_hash"] {
        inputs.get_mut(hash).into_iter().for_each(|value| *value = json!(Hash::of(b"another")));
    }
}

fn misplaced(mut proposal: Proposal, how: u64, common: &Common<'_>, random: &mut Random) -> Proposal {
    let hlc = |ms| Hlc::new(ms, 0).unwrap_or_default();
    match how % WAYS {
        0 => proposal.current_state_hash = Hash::of(b"another"),
        1 => proposal.hlc = hlc(common.now_ms + 5_001 + random.below(90_000)),
        2 => proposal.hlc = hlc(common.now_ms.saturating_sub(300_001 + random.below(90_000))),
        3 => proposal.idem_key.beat = random.below(5),
        4 => proposal.idem_key.goal = text("swoosh.x"),
        5 => proposal.window_id = None,
        6 | 7 => {}
        _ => proposal.signer = common.hands.get(["stranger", "reader", "v1", "worker"][random.index(4)]).public,
    }
    proposal
}

/// Members that count as alive by what is said of them.
fn alive(state: &State, common: &Common<'_>) -> BTreeSet<PublicKey> {
    let Some(body) = common.outside.body(FactKind::Liveness) else { return BTreeSet::new() };
    let recovering = state.control.recovery;
    let counts = |key: &&PublicKey| {
        let pulse = &body["members"][key.to_string()];
        let since: Hlc = pulse["since"].as_str().and_then(|since| since.parse().ok()).unwrap_or_default();
        let lasted = common.now_ms.saturating_sub(since.physical_ms());
        let alive = pulse["alive"].as_bool().unwrap_or(false);
        if recovering { alive && lasted >= 60_000 } else { alive || lasted < 30_000 }
    };
    // A pulse may come from any key that a member had, and counts while the last of them may vote.
    let voter = |key: &&PublicKey| voters::may_vote(state, &voters::holder(state, key));
    let answers = |key: &&PublicKey| counts(key) || counts(&&voters::holder(state, key));
    state.council.members.keys().filter(voter).filter(answers).copied().collect()
}

/// A project's next transition: blocks are lifted first. `None` where it is best to wait.
pub fn forward(state: &State, common: &Common<'_>, random: &mut Random) -> Option<Transition> {
    if state.policy.phase == PolicyState::Quarantined {
        return lifts(state, common, random);
    }
    if voters::is_void(state) && (state.council.phase == CouncilState::Ready || state.control.recovery) {
        return Some(replaces_the_council(state));
    }
    if state.control.recovery {
        let members = state.council.members.len();
        let back = alive(state, common).len() > members / 2;
        if random.below(if back { 2 } else { 12 }) == 0 {
            return Some(Transition::ControlRecovered);
        }
        // While a majority is missing, only council transitions pass; clients that try others are rejected.
        if !back && members > 0 && random.below(4) != 0 {
            return None;
        }
    }
    if state.control.paused {
        return Some(Transition::ControlResume);
    }
    if is_barred(state, common.hands) && random.below(2) == 0 {
        return Some(Transition::BootIdentityGranted);
    }
    // Without a license, clients only probe now and then for a new one.
    if state.control.license == LicenseStatus::Expired && random.below(12) != 0 {
        return None;
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
    let next = match next {
        Transition::EnvironmentGreen => as_it_is_found(common),
        Transition::CouncilMcpGreen if !tooling_answers(common) => {
            // Some believe that the servers are there all the same.
            *[Transition::CouncilMcpGreen, Transition::CouncilMcpRed].get(random.index(16))?
        }
        // Some count approvals that do not count any more.
        Transition::ExecutionApprove
            if state.execution.approvals.len() as u64 >= state.execution.approval_threshold && random.below(2) == 0 =>
        {
            Transition::ExecutionApprovalsThreshold
        }
        next => next,
    };
    let open = |class| is_open(class, common.now_ms);
    // Some come too early all the same.
    chart::spec(next).window.is_none_or(|class| open(class) || random.below(12) == 0).then_some(next)
}

/// The transition towards a new council after the elected one lost its vote. In the middle of the loop, it takes a
/// recovery.
fn replaces_the_council(state: &State) -> Transition {
    use ExecutionState::{Reverb, Review, Work};
    let busy = matches!(state.execution.phase, Work | Review | Reverb);
    match state.control.recovery || !busy {
        true if state.control.paused => Transition::ControlResume,
        true => Transition::CouncilReElect,
        false => Transition::ControlQuorumLost,
    }
}

/// The transition that lifts a quarantine: a later policy, which is waited for a while, and else a human.
fn lifts(state: &State, common: &Common<'_>, random: &mut Random) -> Option<Transition> {
    match state.policy.struck_serial {
        Some(struck) if struck < common.outside.bundle().0 && random.below(4) != 0 => Some(Transition::PolicyUpdated),
        Some(_) if random.below(PATIENT) != 0 => None,
        _ => Some(random.pick([Transition::PolicyRelease, Transition::PolicyRelease, Transition::PolicyUpdated])),
    }
}

/// Whether a project waits for a license, for its council to come back, or for a newer policy.
pub fn is_held_up(state: &State) -> bool {
    state.control.license == LicenseStatus::Expired
        || state.control.recovery
        || state.policy.phase == PolicyState::Quarantined
}

/// Whether outcomes of the project's effects are rejected until the block is lifted.
pub fn is_blocked(state: &State) -> bool {
    is_held_up(state) || state.control.paused
}

/// Whether the MCP servers are there as the project pins them.
fn tooling_answers(common: &Common<'_>) -> bool {
    let server = common.outside.body(FactKind::Tooling).map(|body| &body["servers"][super::outside::SERVER_URL]);
    server.is_some_and(|server| server["reachable"] == true && server["version"] == "1.2.0")
}

/// The result of a health check of the environment.
fn as_it_is_found(common: &Common<'_>) -> Transition {
    let health = common.outside.body(FactKind::Health).and_then(|body| body["assets"]["image/tools"].as_str());
    match health {
        Some("degraded") => Transition::EnvironmentAmber,
        Some("failed") => Transition::EnvironmentHealthFailed,
        _ => Transition::EnvironmentGreen,
    }
}

/// Whether a class's window is open by the announced schedule.
pub fn is_open(class: WindowClass, at_ms: u64) -> bool {
    let (phase, length) = super::outside::windows(class);
    let beat = beat(at_ms) % super::outside::CYCLE_BEATS;
    (phase..phase + length).contains(&beat)
}

/// A transition that may start from here; the end seldom, what throws back sometimes.
pub fn plausible(state: &State, random: &mut Random) -> Option<Transition> {
    let here: Vec<Transition> = Transition::ALL
        .iter()
        .copied()
        .filter(|transition| {
            chart::spec(*transition).from.contains(&state.region_state(chart::spec(*transition).region))
        })
        .collect();
    let seldom = |transition| match transition {
        Transition::ControlTerminate => 60,
        Transition::PolicyConfirmedBlock => 12,
        Transition::ControlPause => 6,
        Transition::CouncilReplan
        | Transition::CouncilReElect
        | Transition::CouncilEject
        | Transition::EnvironmentDeprovision
        | Transition::PolicyQuarantine
        | Transition::IngestionRollbackIndex => 3,
        // Hardly ever true, and the node's own to say.
        Transition::LicenseExpired
        | Transition::LicenseGraceEntered
        | Transition::LicenseRenewed
        | Transition::ControlQuorumLost
        | Transition::ControlRecovered => 4,
        _ => 1,
    };
    let pick = here.get(random.index(here.len())).copied()?;
    (random.below(seldom(pick)) == 0).then_some(pick)
}

/// Keys of the candidates.
pub fn voters(hands: &Hands) -> [PublicKey; 5] {
    VOTERS.map(|name| hands.get(name).public)
}
