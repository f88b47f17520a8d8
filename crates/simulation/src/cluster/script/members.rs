//! The foundation of a cluster, and changes of its members.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft_rt::AsyncRuntime as _;
use swoosh_cluster::types::{Applied, Ballot, Configuration, MemberId, PlacedConfiguration, Position};

use super::super::instance::{kill, start};
use super::super::memory::{Content, State};
use super::super::world::{World, until};
use super::{pick, restart};
use crate::runtime::{self, SimRuntime, below, sleep_ms};

/// The log of a new cluster begins purged here, so that every joiner gets state.
const BEGINNING: Position = Position { term: 1, index: 1 };

/// A founder alone; then the others join by state and become voters.
pub(in super::super) async fn found(world: &Arc<World>, voters: u64) {
    let founder = MemberId(1);
    for number in 1..=voters {
        world.add(MemberId(number));
    }
    let members = world.identity(founder).map(|member| (founder, member));
    let configuration =
        Configuration { voters: vec![BTreeSet::from([founder])], members: members.into_iter().collect() };
    let members = PlacedConfiguration { at: Some(BEGINNING), configuration };
    let state = State { applied: Applied { at: Some(BEGINNING), members }, ..State::default() };
    let ballot = Ballot { term: BEGINNING.term, member: founder, elected: true };
    let content = Content { ballot: Some(ballot), purged: Some(BEGINNING), state, ..Content::default() };
    if let Some(directory) = world.directory(founder) {
        directory.fill(content);
    }
    start(world, founder).await;
    if !until(Duration::from_secs(10), || world.reigning() == Some(founder)).await {
        return world.oracle.fault("the founder alone does not reign".to_owned());
    }
    for number in 2..=voters {
        start(world, MemberId(number)).await;
        join(world, MemberId(number)).await;
    }
    set_voters(world, (1..=voters).map(MemberId).collect()).await;
}

/// Asks the reigning member again and again until it is done, for half a minute.
async fn insist<F, W>(world: &World, mut ask: F) -> bool
where
    F: FnMut(swoosh_cluster::engine::Engine<SimRuntime>) -> W,
    W: Future<Output = bool> + Send,
{
    for _ in 0..60 {
        if let Some(engine) = world.reigning().and_then(|leader| world.engine(leader))
            && SimRuntime::timeout(Duration::from_secs(8), ask(engine)).await == Ok(true)
        {
            return true;
        }
        sleep_ms(500).await;
    }
    false
}

/// Adds a learner and waits until it has caught up.
pub(in super::super) async fn join(world: &Arc<World>, joiner: MemberId) -> bool {
    let Some(member) = world.identity(joiner) else { return false };
    let added = insist(world, |engine| {
        let member = member.clone();
        async move { engine.add_learner(joiner, member).await.is_ok() }
    });
    if !added.await {
        world.oracle.fault(format!("member {joiner} cannot join"));
        return false;
    }
    let goal = world.reigning().map_or(0, |leader| world.state(leader).index());
    let caught_up = until(Duration::from_secs(60), || world.state(joiner).index() >= goal).await;
    if !caught_up {
        world.oracle.fault(format!("member {joiner} does not catch up"));
    }
    caught_up
}

pub(in super::super) async fn set_voters(world: &Arc<World>, voters: BTreeSet<MemberId>) -> bool {
    runtime::trace(|| format!("voters shall be {voters:?}"));
    let set = insist(world, |engine| {
        let voters = voters.clone();
        async move { engine.set_voters(voters).await.is_ok() }
    });
    let set = set.await;
    if !set {
        world.oracle.fault(format!("the voters cannot be changed to {voters:?}"));
    }
    set
}

/// One member joins and another leaves. In every third change a member dies in the middle.
pub(super) async fn exchange(world: &Arc<World>, live: &mut BTreeSet<MemberId>, joiner: MemberId) {
    world.add(joiner);
    start(world, joiner).await;
    if !join(world, joiner).await {
        return kill(world, joiner);
    }
    let (leaver, victim) = (pick(live), pick(live));
    let mut voters = live.clone();
    voters.remove(&leaver);
    voters.insert(joiner);
    let disturber = world.clone();
    let disturbance = runtime::spawn_in(0, async move {
        sleep_ms(below(60)).await;
        if below(3) == 0 {
            restart(&disturber, victim, 3_000).await;
        }
    });
    let changed = set_voters(world, voters.clone()).await;
    drop(disturbance.await);
    if changed {
        sleep_ms(2_000).await;
        kill(world, leaver);
        *live = voters;
    }
}
