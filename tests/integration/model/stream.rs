//! Random streams: each deed is three numbers, read against the state of the moment, so that most
//! proposals could pass and shrinking keeps its meaning.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;
use swoosh::machine::state::State;
use swoosh::types::fact::FactKind;
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{ExecutionState, IngestionState, PolicyState, Region, Transition};

use super::{Pair, Tally, table, twist};
use crate::support::hands::VOTERS;
use crate::support::outside::{self, LONG_MS, Said};
use crate::support::route::{self, Goal};
use crate::support::world::{Ask, World};

/// A step: kind, choice and variant.
pub type Deed = (u8, u16, u16);

/// Streams of deeds, and where they start.
pub fn deeds(steps: usize) -> impl Strategy<Value = (usize, Vec<Deed>)> {
    (0..64usize, prop::collection::vec(any::<Deed>(), steps))
}

/// Places to start from: driven through machine and model alike.
pub fn starts() -> Vec<Pair> {
    let goals = [
        (Region::Boot, "UNINITIALIZED"),
        (Region::Boot, "LICENSED"),
        (Region::Ingestion, "VALIDATE"),
        (Region::Council, "READY"),
        (Region::Environment, "READY"),
        (Region::Execution, "PLAN"),
        (Region::Execution, "WORK"),
        (Region::Execution, "REVIEW"),
        (Region::Execution, "REVERB"),
    ];
    let mut starts = goals.map(|goal| start(&[goal])).to_vec();
    starts.push(start(&[(Region::Ingestion, "READY"), (Region::Council, "READY"), (Region::Environment, "READY")]));
    let next_version = [(Region::Execution, "PLAN"), (Region::Ingestion, "DISCOVER"), (Region::Ingestion, "READY")];
    starts.push(start(&next_version));
    starts
}

fn start(goals: &[(Region, &str)]) -> Pair {
    let (mut pair, tally) = (Pair::new(), Tally::default());
    for goal in goals.iter().map(|(region, state)| Goal::new(*region, state)) {
        walk(&mut pair, goal, &tally);
    }
    pair
}

/// Takes both sides to a goal by proposals that must be accepted.
pub fn walk(pair: &mut Pair, goal: Goal<'_>, tally: &Tally) {
    while let Some(transition) = route::next(pair.world.head.state(), goal) {
        let proposal = pair.world.proposal(&Ask::new(transition));
        assert!(pair.put(proposal, tally).unwrap(), "{transition} on the way to {goal:?}");
    }
}

/// Does one deed to both sides.
pub fn perform(pair: &mut Pair, deed: &Deed, tally: &Tally) -> Result<(), TestCaseError> {
    let (kind, pick, how) = *deed;
    match kind {
        0..20 => change_facts(&mut pair.world, pick, how),
        20..36 => pair.world.now_ms += [1, 1_000, 20_000, 60_000, 600_000, 1_200_000, 3_600_000][usize::from(pick) % 7],
        36..50 => repair(&mut pair.world),
        _ => {
            let ask = ask(pair, kind, pick, how);
            let proposal = pair.world.proposal(&ask);
            pair.put(proposal, tally)?;
        }
    }
    Ok(())
}

fn ask(pair: &Pair, kind: u8, pick: u16, how: u16) -> Ask {
    let transition = match kind {
        0..58 => any_of(Transition::ALL, pick),
        58..90 => forward(pair, pick),
        _ => plausible(pair, kind, pick),
    };
    let mut ask = Ask::new(transition);
    if how.is_multiple_of(3) {
        let named = |n: u16| format!("ucxl://chorus:spec@council/{}/*", (how % 101 + n) % 101).parse().unwrap();
        ask.evidence = (0..how % 29).map(named).collect();
    }
    match kind {
        200..230 => ask.inputs = Some(twist::twisted(&pair.world, transition, how)),
        230..240 => {
            let names: Vec<_> = pair.world.hands.all().map(|hand| hand.name).filter(|name| *name != "fresh").collect();
            ask.by = Some(any_of(&names, how).to_owned());
        }
        240..250 => misplace(&mut ask, &pair.world, how),
        // Beside who is asked by default, others may sign as well.
        _ if how % 4 == 0 => {
            let spec = swoosh::machine::chart::spec(transition);
            let role = any_of(spec.signers, how / 4);
            let hand = pair.world.hands.all().find(|hand| hand.roles.contains(&role)).unwrap();
            ask.by = (transition != Transition::ExecutionApprove).then(|| hand.name.to_owned());
        }
        _ => {}
    }
    ask
}

fn any_of<T: Copy>(items: &[T], pick: u16) -> T {
    items[usize::from(pick) % items.len()]
}

/// A transition that may start from here; mostly of the lifecycle and the loop, seldom the end.
fn plausible(pair: &Pair, kind: u8, pick: u16) -> Transition {
    let begun = pair.model.is("boot", "LICENSED");
    let works = |region| matches!(region, "ingestion" | "council" | "environment" | "execution");
    let starts = |line: &&table::Line| line.from.contains(&pair.model.regions[line.region].as_str());
    let wanted = |line: &&table::Line| kind % 4 == 0 || works(line.region) == begun;
    let here: Vec<_> = table::lines().iter().filter(starts).filter(wanted).collect();
    let line = here[usize::from(pick) % here.len()];
    let seldom = match line.name {
        "Control_Terminate" => 16,
        "Council_Replan" | "Council_ReElect" | "Environment_Deprovision" | "Ingestion_RollbackIndex" => 3,
        _ => 1,
    };
    if kind / 4 % seldom == 0 { line.name.parse().unwrap() } else { forward(pair, pick) }
}

/// A step of the way that a project should go: what blocks it is lifted first.
fn forward(pair: &Pair, pick: u16) -> Transition {
    let state = pair.world.head.state();
    let license = pair.world.license_change().map(|(transition, _)| transition);
    let blocks = [
        (state.policy.phase == PolicyState::Quarantined, Transition::PolicyRelease),
        (state.policy.phase == PolicyState::Quarantined, Transition::PolicyUpdated),
        (state.control.recovery, Transition::ControlRecovered),
        (state.control.paused, Transition::ControlResume),
    ];
    let lifts: Vec<_> = license.into_iter().chain(blocks.into_iter().filter(|it| it.0).map(|it| it.1)).collect();
    if !lifts.is_empty() {
        return any_of(&lifts, pick);
    }
    let region = any_of(&[Region::Ingestion, Region::Council, Region::Environment, Region::Execution], pick);
    let goal = if region == Region::Execution { "REVERB" } else { "READY" };
    let loop_ =
        if state.execution.phase == ExecutionState::Reverb { Transition::ExecutionNextWindow } else { catch_up(state) };
    route::next(state, Goal::new(region, goal)).unwrap_or(loop_)
}

/// To what is there now: the council, the environment, the plan; else an outage.
fn catch_up(state: &State) -> Transition {
    let version = Some(state.ingestion.version);
    if state.ingestion.phase != IngestionState::Ready {
        return Transition::ControlQuorumLost;
    }
    match (state.council.version == version, state.environment.version == version) {
        (false, _) => Transition::CouncilReaffirm,
        (_, false) => Transition::EnvironmentReaffirm,
        _ if route::pin_moved(state) => Transition::ExecutionPlanChange,
        _ => Transition::ControlQuorumLost,
    }
}

/// Another head, clock, key or window than would fit.
fn misplace(ask: &mut Ask, world: &World, how: u16) {
    let now = world.now_ms;
    let key = |text: String| Some(text.parse().unwrap());
    let class = swoosh::machine::chart::spec(ask.transition).op_class;
    match how % 8 {
        0 => ask.head = Some(Hash::of(b"another")),
        1 => ask.hlc = Hlc::new(now + 5_001 + u64::from(how), 0),
        2 => ask.hlc = Hlc::new(now - 300_001 - u64::from(how), 0),
        3 => ask.hlc = world.head.state().hlc_last.as_ref().as_ref().map(|last| last.hlc),
        4 => ask.key = key(format!("goal-1:1:{class}:key-{how:08}")),
        5 => ask.key = key("goal-1:1:boot:abcdefgh".into()),
        6 => ask.key = key(format!("swoosh.x:1:{class}:key-{how:08}")),
        _ => ask.window = Some(None),
    }
}

fn change_facts(world: &mut World, pick: u16, how: u16) {
    let now = world.now_ms;
    let number = u64::from(how);
    let mut say = |kind, body, lasts_ms| world.outside.say_for(kind, Said { body, observed_ms: now, lasts_ms });
    let license = |scope: &str| json!({"id": "license-3", "scopes": [scope]});
    let health = any_of(&["ok", "degraded", "failed"], how);
    match pick % 16 {
        0 => say(FactKind::License, license("swoosh"), [1_000, 600_000, LONG_MS][how as usize % 3]),
        1 => say(FactKind::License, license(any_of(&["elsewhere", "swoosh"], how)), LONG_MS),
        2 => {
            let schedule = if how % 2 == 0 { outside::hourly() } else { outside::always_open() };
            say(FactKind::Windows, schedule, if how % 6 == 0 { 600_000 } else { LONG_MS });
        }
        3 => say(FactKind::Tooling, outside::tooling(how % 3 != 0, any_of(&["1.2.0", "1.3.0"], how)), LONG_MS),
        4 => say(FactKind::Capacity, json!({"resources": {"vcpu": number % 8, "memory_mib": 16384}}), LONG_MS),
        5 => say(FactKind::Health, json!({"assets": {"image/base": "ok", "image/tools": health}}), LONG_MS),
        6 => say(FactKind::Health, json!({"assets": {"image/base": health}}), LONG_MS),
        7..10 => {
            let silent: Vec<&str> = (0..5).filter(|n| how >> n & 1 == 1).map(|n| VOTERS[n]).collect();
            let since = now - [1_000, 30_000, 60_000, 120_000][usize::from(how >> 5) % 4];
            let body = outside::liveness(&world.hands, &silent, since);
            world.outside.say_for(FactKind::Liveness, Said { body, observed_ms: now, lasts_ms: LONG_MS });
        }
        10..13 => {
            let serial = world.bundle().0 + number % 2;
            let mut policies = outside::POLICIES.to_owned();
            match how >> 1 & 3 {
                0 => policies = policies.replace("@id(\"secrets\")", "@id(\"others\")").replace("*.pem", "*.none"),
                1 => {
                    let name = any_of(Transition::ALL, how >> 3);
                    policies += &format!("@id(\"no\") forbid (principal, action == Action::\"{name}\", resource);");
                }
                _ => {}
            }
            let body = json!({"serial": serial.max(1), "policies": policies});
            world.outside.say_for(FactKind::Policy, Said { body, observed_ms: now, lasts_ms: LONG_MS });
        }
        _ => {
            let kind = any_of(FactKind::ALL, how);
            world.outside.forget(kind);
        }
    }
}

/// All is well again outside: whatever is not, is said again.
fn repair(world: &mut World) {
    let (serial, now) = (world.bundle().0, world.now_ms);
    for (kind, mut body) in outside::all_well(&world.hands) {
        let said = world.outside.said(kind);
        if kind == FactKind::Policy {
            let same = said.is_some_and(|said| said.body["policies"] == body["policies"]);
            body["serial"] = json!(if same { serial } else { serial + 1 });
        }
        let stale = |said: &Said| said.body != body || said.observed_ms + said.lasts_ms.min(43_200_000) < now;
        if said.is_none_or(stale) {
            world.outside.say_for(kind, Said { body, observed_ms: now, lasts_ms: LONG_MS });
        }
    }
}
