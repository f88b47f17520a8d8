//! Seeded worlds: faults for a while; then everything is healed, and the members must elect a leader and agree.

mod faults;
mod members;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use swoosh_cluster::types::MemberId;

use super::Plant;
use super::disk::SOUND_SYNC_US;
use super::instance::{kill, start};
use super::oracle::Counts;
use super::world::{World, until};
use crate::runtime::{self, Panic, below, sleep_ms};

#[cfg(test)]
pub(super) use members::{found, set_voters};

/// One world. It follows from these values alone.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    pub seed: u64,
    /// Voters at the beginning.
    pub voters: u64,
    /// Faults, one after the other.
    pub rounds: u64,
    /// Every fourth fault is followed by a change of members.
    pub changes_members: bool,
    /// Faults that aim at elections, in the place of all others.
    pub aims_at_elections: bool,
    pub plant: Option<Plant>,
}

impl Script {
    pub fn new(seed: u64, voters: u64, rounds: u64) -> Script {
        Script { seed, voters, rounds, changes_members: false, aims_at_elections: false, plant: None }
    }
}

/// What a world came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// A hash of all turns and events.
    pub digest: u64,
    pub turns: u64,
    pub counts: Counts,
    /// States that were sent.
    pub transfers: u64,
    /// Broken invariants; empty in a sound world.
    pub faults: Vec<String>,
}

/// Runs a world to its end.
pub fn run(script: Script) -> Report {
    runtime::run(script.seed, false, play(script))
}

/// Runs a world again, and returns all its events beside the report.
pub fn trace(script: Script) -> (Report, Vec<String>) {
    runtime::run(script.seed, true, async {
        let report = play(script).await;
        (report, runtime::lines())
    })
}

async fn play(script: Script) -> Report {
    let world = World::new(script.plant);
    members::found(&world, script.voters).await;
    let mut live: BTreeSet<MemberId> = (1..=script.voters).map(MemberId).collect();
    let mut next = MemberId(script.voters + 1);
    for round in 0..script.rounds {
        if script.aims_at_elections {
            faults::disturb_election(&world, &live).await;
            continue;
        }
        faults::disturb(&world, &live).await;
        if script.changes_members && round % 4 == 3 {
            members::exchange(&world, &mut live, next).await;
            next = MemberId(next.0 + 1);
        }
    }
    settle(&world, &live).await;
    report(&world, &live)
}

/// The second phase: nothing is wrong any more, so the members must agree.
async fn settle(world: &Arc<World>, live: &BTreeSet<MemberId>) {
    world.heal();
    for member in live {
        if let Some(directory) = world.directory(*member) {
            directory.set_sync_us(SOUND_SYNC_US);
        }
        if !world.is_up(*member) {
            start(world, *member).await;
        }
    }
    if !until(Duration::from_secs(60), || world.reigning().is_some()).await {
        world.oracle.fault("no leader within 60 s of health".to_owned());
    }
    sleep_ms(3_000).await;
    world.lock().has_load = false;
    let agree = until(Duration::from_secs(30), || {
        let ends: BTreeSet<u64> = live.iter().map(|member| world.state(*member).index()).collect();
        ends.len() == 1
    });
    if !agree.await {
        world.oracle.fault("the members do not reach one end within 30 s of health".to_owned());
    }
}

fn report(world: &Arc<World>, live: &BTreeSet<MemberId>) -> Report {
    let states: Vec<_> = live.iter().map(|member| (*member, world.state(*member))).collect();
    world.oracle.check_end(&states);
    for Panic { process, text } in runtime::panics() {
        world.oracle.fault(format!("process {process} panicked: {text}"));
    }
    let transfers = world.lock().transfers;
    let report = Report {
        digest: runtime::digest(),
        turns: runtime::turns(),
        counts: world.oracle.counts(),
        transfers,
        faults: world.oracle.faults(),
    };
    world.close();
    report
}

/// One of several members.
fn pick(members: &BTreeSet<MemberId>) -> MemberId {
    let at = usize::try_from(below(members.len() as u64)).unwrap_or(0);
    members.iter().nth(at).copied().unwrap_or_default()
}

/// Kills a member and starts it again after a while.
async fn restart(world: &Arc<World>, member: MemberId, within_ms: u64) {
    kill(world, member);
    sleep_ms(below(within_ms)).await;
    start(world, member).await;
}
