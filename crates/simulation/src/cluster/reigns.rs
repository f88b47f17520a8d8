//! The simulated sequencer: batches of one line, several of them under way.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::channel::oneshot;
use swoosh_cluster::engine::{Engine, Submission};
use swoosh_cluster::ports::{EndReason, FallReason, Reign, Reigns, Settled};
use swoosh_cluster::types::{Barrier, Batch, MemberId, PlacedConfiguration, Position};
use swoosh_types::hash::Hash;

use super::instance::replace;
use super::oracle::Line;
use super::world::World;
use crate::runtime::{self, Process, SimRuntime};

/// Batches that are submitted and not settled.
const WINDOW: usize = 8;

pub(super) struct SimReigns {
    pub(super) world: Arc<World>,
    pub(super) member: MemberId,
    pub(super) process: Process,
}

impl SimReigns {
    fn set_reign(&self, reign: Option<Reign>) {
        let mut inside = self.world.lock();
        let node = inside.nodes.get_mut(&self.member).filter(|node| node.process == self.process);
        if let Some(node) = node {
            node.reign = reign;
        }
    }
}

impl Reigns for SimReigns {
    fn began(&self, reign: Reign, barrier: Position) {
        runtime::trace(|| format!("member {} reigns: {reign:?}, barrier {barrier}", self.member));
        self.set_reign(Some(reign));
        runtime::spawn_in(self.process, sequence(self.world.clone(), self.member, reign));
    }

    fn fell(&self, reign: Reign, why: FallReason) {
        runtime::trace(|| format!("member {} falls: {reign:?}: {why:?}", self.member));
        self.set_reign(None);
    }

    fn leader(&self, leader: Option<MemberId>, term: u64) {
        runtime::trace(|| format!("member {} knows leader {leader:?} of term {term}", self.member));
        if leader == Some(self.member) {
            self.world.oracle.leads(self.member, term);
        }
    }

    fn members(&self, members: PlacedConfiguration) {
        runtime::trace(|| format!("member {} knows voters {:?}", self.member, members.configuration.voters));
    }

    fn ended(&self, why: EndReason) {
        // An instance that its owner stopped is replaced by the owner.
        if why != EndReason::Stopped {
            runtime::spawn_in(self.process, replace(self.world.clone(), self.member, self.process, why));
        }
    }
}

/// A submitted batch.
struct Open {
    record: u64,
    link: Hash,
    settled: oneshot::Receiver<Settled>,
}

/// The work of one reign: each batch follows the one before it, and the first follows the state at the barrier.
async fn sequence(world: Arc<World>, member: MemberId, reign: Reign) {
    let Some(engine) = world.engine(member) else { return };
    let state = world.state(member);
    let barrier = Barrier { member, epoch: reign.epoch };
    let mut open: VecDeque<Open> = VecDeque::new();
    let (mut record, mut link, mut number) = (state.record, state.link, 0);
    while world.lock().nodes.get(&member).is_some_and(|node| node.reign == Some(reign)) {
        let has_load = world.lock().has_load;
        if open.len() >= WINDOW || (!has_load && !open.is_empty()) {
            let Some(first) = open.pop_front() else { continue };
            if !settle(&world, first).await {
                break;
            }
            continue;
        }
        if !has_load {
            runtime::sleep_ms(20).await;
            continue;
        }
        number += 1;
        let frame = Line { term: reign.term, barrier, number }.frame();
        let after = Hash::of_parts([link.to_text().as_slice(), frame.as_slice()]);
        let batch = batch(record + 1, link, after, frame);
        let Some(settled) = submit(&engine, reign, batch).await else { break };
        (record, link) = (record + 1, after);
        open.push_back(Open { record, link, settled });
        runtime::sleep_us(500 + runtime::below(20_000)).await;
    }
    // What is open was refused, or its fate is unknown: the reign ends, and the next one begins from the applied state.
    engine.abandon(reign);
    for batch in open {
        settle(&world, batch).await;
    }
}

fn batch(first: u64, before: Hash, after: Hash, frame: Vec<u8>) -> Batch {
    Batch { first, before, after, frames: vec![frame], objects: Vec::new(), notes: Vec::new() }
}

/// Submits a batch, and returns when it is in the log; `None` if it is refused.
async fn submit(engine: &Engine<SimRuntime>, reign: Reign, batch: Batch) -> Option<oneshot::Receiver<Settled>> {
    let (sender, settled) = oneshot::channel();
    let waiter = Box::new(move |end| drop(sender.send(end)));
    match engine.submit(reign, Arc::new(batch), waiter).await {
        Ok(Submission::Appended) => Some(settled),
        Ok(Submission::Refused) | Err(_) => None,
    }
}

/// Waits for the end of a batch. True if it was applied, and so acknowledged.
async fn settle(world: &World, batch: Open) -> bool {
    let applied = matches!(batch.settled.await, Ok(Settled::Applied(_)));
    if applied {
        world.oracle.acknowledged(batch.record, batch.link);
    }
    applied
}
