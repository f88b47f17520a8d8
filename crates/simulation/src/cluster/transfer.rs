//! State for a member behind the purged rows: taken when it is sent. The receiver stops its instance, switches its directory and starts
//! another instance with its own vote.

use std::sync::Arc;

use swoosh_cluster::messages::{Append, Appended, Reply, Request};
use swoosh_cluster::ports::PeerError;
use swoosh_cluster::types::{Ballot, MemberId, Position};

use super::disk::Directory;
use super::instance::start_instance;
use super::memory::{Content, State};
use super::net::unreachable;
use super::world::World;
use crate::runtime;

pub(super) async fn send(world: Arc<World>, from: MemberId, to: MemberId, ballot: Ballot) -> Result<Ballot, PeerError> {
    // The checkpoint takes its time, and so does its way.
    runtime::sleep_ms(5 + runtime::below(40)).await;
    let state = world.state(from);
    runtime::trace(|| format!("member {from} sends its state at {:?} to member {to}", state.at()));
    runtime::sleep_ms(10 + runtime::below(200)).await;
    if world.link(from, to).is_cut || world.link(to, from).is_cut {
        return Err(unreachable("the link is cut"));
    }
    let process = world.lock().nodes.get(&to).map(|node| node.process).filter(|process| *process != 0);
    let process = process.ok_or_else(|| unreachable("it is down"))?;
    let taking = take(world.clone(), to, ballot, state);
    // It happens in the receiver's process, and goes on if the sender gives up.
    let taken = runtime::spawn_in(process, taking).await;
    taken.ok().flatten().ok_or_else(|| unreachable("it took no state"))
}

/// The receiver's part. Returns its vote afterwards.
async fn take(world: Arc<World>, member: MemberId, ballot: Ballot, state: State) -> Option<Ballot> {
    let at = state.at()?;
    let engine = world.engine(member)?;
    if let Some(later) = later_ballot(&engine.hear(heartbeat(ballot)).await.ok()?) {
        return Some(later);
    }
    let (process, old) = {
        let mut inside = world.lock();
        let node = inside.nodes.get_mut(&member)?;
        // Another transfer may have begun meanwhile.
        node.engine.take()?;
        node.reign = None;
        (node.process, node.directory.clone())
    };
    engine.stop().await;
    while !old.is_written() {
        runtime::sleep_us(200).await;
    }
    let directory = if old.state().at() < Some(at) { switch(&world, &old, state, at) } else { old };
    let vote = directory.seen(|content| content.ballot);
    start_instance(&world, process, directory, true).await;
    vote
}

/// As any message of the leader, so that the living instance takes the leader's vote first.
fn heartbeat(ballot: Ballot) -> Request {
    Request::Append(Append { ballot, previous: None, rows: Vec::new(), committed: None })
}

fn later_ballot(reply: &Reply) -> Option<Ballot> {
    match reply {
        Reply::Append(Appended::Later(ballot)) => Some(*ballot),
        _ => None,
    }
}

/// Puts the state in the place of the member's own, and keeps its vote and what it acknowledged beyond the state.
fn switch(world: &Arc<World>, old: &Directory, state: State, at: Position) -> Directory {
    let content = old.seen(|held| {
        let agrees = held.rows.get(&at.index).is_some_and(|row| row.at == at) || held.purged == Some(at);
        let beyond = held.rows.range(at.index + 1..).filter(|_| agrees);
        Content {
            rows: beyond.map(|(index, row)| (*index, row.clone())).collect(),
            ballot: held.ballot,
            committed: Some(at),
            purged: Some(at),
            state,
        }
    });
    // The switch is inside of the directory: its id stays.
    let directory = world.new_directory(old.member).with_id(old.id);
    directory.fill(content);
    world.oracle.register(directory.clone());
    let mut inside = world.lock();
    inside.transfers += 1;
    if let Some(node) = inside.nodes.get_mut(&old.member) {
        node.directory = directory.clone();
        runtime::spawn_in(node.process, directory.clone().log_thread());
    }
    directory
}
