//! Processes and instances of the engine: start, kill, end and start again.

use std::sync::Arc;

use swoosh_cluster::engine::{Engine, Setup};
use swoosh_cluster::ports::EndReason;
use swoosh_cluster::types::MemberId;

use super::disk::Directory;
use super::net::SimPeers;
use super::reigns::SimReigns;
use super::world::World;
use crate::runtime::{self, Process, SimRuntime};

/// A member whose rows a majority refused does not campaign for so long.
const HUMBLED_MS: u64 = 10_000;

/// Starts the process of a member on its directory.
pub(super) async fn start(world: &Arc<World>, member: MemberId) {
    let Some(directory) = world.directory(member) else { return };
    let process = world.new_process();
    if let Some(node) = world.lock().nodes.get_mut(&member) {
        (node.process, node.reign) = (process, None);
    }
    runtime::trace(|| format!("member {member} starts as process {process}"));
    runtime::spawn_in(process, directory.clone().log_thread());
    start_instance(world, process, directory, true).await;
}

/// Starts an instance in a running process. A process that was killed meanwhile gets none.
pub(super) async fn start_instance(world: &Arc<World>, process: Process, directory: Directory, campaigns: bool) {
    let member = directory.member;
    let setup = Setup {
        me: member,
        timing: world.timing,
        campaigns,
        log: Arc::new(directory.clone()),
        machine: Arc::new(directory),
        peers: Arc::new(SimPeers { world: world.clone(), from: member }),
        reigns: Arc::new(SimReigns { world: world.clone(), member, process }),
    };
    let started = runtime::spawn_in(process, Engine::<SimRuntime>::start(setup)).await;
    match started {
        Ok(Ok(engine)) => {
            let mut inside = world.lock();
            let node = inside.nodes.get_mut(&member).filter(|node| node.process == process);
            if let Some(node) = node {
                node.engine = Some(engine);
            }
        }
        Ok(Err(error)) => world.oracle.fault(format!("member {member} does not start: {error}")),
        // Killed while it started.
        Err(_) => {}
    }
}

/// Ends a process without notice, as the loss of power does.
pub(super) fn kill(world: &World, member: MemberId) {
    let (process, engine, directory) = {
        let mut inside = world.lock();
        let Some(node) = inside.nodes.get_mut(&member) else { return };
        node.reign = None;
        (std::mem::take(&mut node.process), node.engine.take(), node.directory.clone())
    };
    let tasks = runtime::kill(process);
    drop(engine);
    directory.crash();
    runtime::trace(|| format!("member {member} is killed with {tasks} tasks"));
}

/// An instance ended by itself: another one starts from the disk, as the node's supervisor would do it.
pub(super) async fn replace(world: Arc<World>, member: MemberId, process: Process, why: EndReason) {
    runtime::trace(|| format!("member {member}: the instance ended: {why:?}"));
    world.lock().self_ended.push(format!("{why:?}"));
    let (engine, directory) = {
        let mut inside = world.lock();
        let Some(node) = inside.nodes.get_mut(&member).filter(|node| node.process == process) else { return };
        (node.engine.take(), node.directory.clone())
    };
    if let Some(engine) = engine {
        engine.stop().await;
    }
    let campaigns = match why {
        EndReason::TransferStuck { .. } => true,
        EndReason::RefusedByMajority { .. } => false,
        // A member whose disk fails waits for its restart.
        EndReason::Storage(_) => return,
        EndReason::Stopped | EndReason::Panicked => {
            return world.oracle.fault(format!("member {member}: the instance ended: {why:?}"));
        }
    };
    start_instance(&world, process, directory, campaigns).await;
    if !campaigns {
        runtime::sleep_ms(HUMBLED_MS).await;
        if let Some(engine) = world.engine(member) {
            engine.set_campaigns(true);
        }
    }
}
