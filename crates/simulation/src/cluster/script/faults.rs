//! One fault after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use swoosh_cluster::types::MemberId;

use super::super::disk::SOUND_SYNC_US;
use super::super::instance::{kill, start};
use super::super::world::{Link, World, until};
use super::{pick, restart};
use crate::runtime::{below, sleep_ms};

/// One fault of any kind, and a while of health.
pub(super) async fn disturb(world: &Arc<World>, live: &BTreeSet<MemberId>) {
    let member = pick(live);
    match below(14) {
        0 | 1 => restart(world, member, 6_000).await,
        2 | 3 => restart(world, world.reigning().unwrap_or(member), 8_000).await,
        4 => cut_one_way(world, member, pick(live)).await,
        5 => isolate(world, member).await,
        6 => isolate(world, world.reigning().unwrap_or(member)).await,
        7 => bad_links(world).await,
        8 => slow_disk(world, member).await,
        9 => transfer(world, member),
        10 => purge(world, member).await,
        11 => slow_applying(world, member).await,
        12 => failed_write(world, member).await,
        _ => power_loss(world, live).await,
    }
    sleep_ms(below(3_000)).await;
}

async fn cut_one_way(world: &World, from: MemberId, to: MemberId) {
    if from != to {
        world.cut(from, to, true);
        sleep_ms(below(9_000)).await;
        world.cut(from, to, false);
    }
}

async fn isolate(world: &World, member: MemberId) {
    world.isolate(member, true);
    sleep_ms(500 + below(12_000)).await;
    world.isolate(member, false);
}

async fn bad_links(world: &World) {
    let (lost, doubled, delay_us) = (50 + below(250), below(100), (200, 500 + below(60_000)));
    world.set_usual(Link { is_cut: false, lost, doubled, delay_us });
    sleep_ms(below(8_000)).await;
    world.heal();
}

async fn slow_disk(world: &World, member: MemberId) {
    let Some(directory) = world.directory(member) else { return };
    directory.set_sync_us((20_000, 400_000));
    sleep_ms(below(5_000)).await;
    directory.set_sync_us(SOUND_SYNC_US);
}

async fn slow_applying(world: &World, member: MemberId) {
    let Some(directory) = world.directory(member) else { return };
    directory.set_apply_us(3_000);
    sleep_ms(below(5_000)).await;
    directory.set_apply_us(0);
}

/// Writes fail until the member starts again.
async fn failed_write(world: &Arc<World>, member: MemberId) {
    let Some(directory) = world.directory(member) else { return };
    directory.set_broken(true);
    sleep_ms(below(4_000)).await;
    kill(world, member);
    directory.set_broken(false);
    start(world, member).await;
}

fn transfer(world: &World, to: MemberId) {
    if let Some(engine) = world.reigning().and_then(|leader| world.engine(leader)) {
        // The leader itself, or one that is deposed meanwhile, refuses.
        let _ = engine.transfer(to);
    }
}

/// All but a few applied rows of one member are purged: a peer that is behind needs its state then.
async fn purge(world: &World, member: MemberId) {
    let upto = world.state(member).index().saturating_sub(below(20));
    if let Some(engine) = world.engine(member) {
        let _ = engine.purge(upto).await;
    }
}

async fn power_loss(world: &Arc<World>, live: &BTreeSet<MemberId>) {
    for member in live {
        kill(world, *member);
    }
    for member in live {
        sleep_ms(below(2_000)).await;
        start(world, *member).await;
    }
}

/// Two candidates ask for the votes of one term while a voter dies with a vote on its way to the disk.
pub(super) async fn disturb_election(world: &Arc<World>, live: &BTreeSet<MemberId>) {
    until(Duration::from_secs(30), || world.reigning().is_some()).await;
    world.set_usual(Link { is_cut: false, lost: 0, doubled: 300, delay_us: (200, 200_000) });
    for directory in live.iter().filter_map(|member| world.directory(*member)) {
        directory.set_sync_us((5_000, 60_000));
    }
    // Logs are equal, and all leases are over, before two members ask for the same term.
    world.lock().has_load = false;
    sleep_ms(1_500).await;
    let leader = world.reigning().unwrap_or_else(|| pick(live));
    live.iter().for_each(|member| world.isolate(*member, true));
    sleep_ms(1_700).await;
    kill(world, leader);
    start(world, leader).await;
    world.set_usual(Link { is_cut: false, lost: 0, doubled: 300, delay_us: (200, 200_000) });
    world.lock().has_load = true;
    let voter = pick(live);
    for candidate in live.iter().filter(|member| **member != voter) {
        if let Some(engine) = world.engine(*candidate) {
            let _ = engine.campaign().await;
        }
    }
    sleep_ms(below(250)).await;
    kill(world, voter);
    start(world, voter).await;
    sleep_ms(500 + below(4_000)).await;
}
