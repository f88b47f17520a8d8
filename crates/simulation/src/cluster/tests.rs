//! Worlds of three and five members, single failures, and planted bugs.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::channel::oneshot;
use swoosh_cluster::engine::Submission;
use swoosh_cluster::engine::testing::{Fresh, store_suite};
use swoosh_cluster::ports::Settled;
use swoosh_cluster::types::{Batch, DirectoryId, MemberId};
use swoosh_types::hash::Hash;

use super::disk::Directory;
use super::instance::{kill, start};
use super::script::{self, Script};
use super::world::{World, until};
use super::{Plant, Report};
use crate::runtime::{self, SimRuntime, sleep_ms};

/// The engine's own tests of a store, over the directories of these worlds.
#[test]
fn the_directories_pass_the_suite_of_the_engine() {
    let outcome = runtime::run(1, false, async {
        let numbers = std::sync::atomic::AtomicU8::new(0);
        store_suite::<SimRuntime, _, _, _>(|| {
            let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move {
                let directory = Directory::new(DirectoryId([number; 16]), MemberId(1), Weak::new(), None);
                runtime::spawn_in(0, directory.clone().log_thread());
                Fresh { log: Arc::new(directory.clone()), machine: Arc::new(directory), guard: () }
            }
        })
        .await
    });
    assert_eq!(outcome, Ok(()));
}

fn sound(report: &Report) {
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.counts.acknowledged > 100, "{:?}", report.counts);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let script = Script { changes_members: true, ..Script::new(11, 3, 4) };
    let (first, second) = (script::run(script), script::run(script));
    sound(&first);
    assert_eq!(first, second);
    assert_ne!(script::run(Script { seed: 12, ..script }).digest, first.digest);
}

#[test]
fn three_members_agree_through_kills_cuts_and_changes_of_members() {
    for seed in 0..3 {
        let report = script::run(Script { changes_members: true, ..Script::new(seed, 3, 8) });
        sound(&report);
        assert!(report.counts.terms > 1 && report.transfers > 0, "{report:?}");
    }
}

#[test]
fn five_members_agree_through_kills_cuts_and_changes_of_members() {
    let report = script::run(Script { changes_members: true, ..Script::new(21, 5, 8) });
    sound(&report);
}

#[test]
fn elections_with_kills_in_the_middle_elect_one_leader_in_a_term() {
    let report = script::run(Script { aims_at_elections: true, ..Script::new(5, 3, 6) });
    sound(&report);
}

/// Whether one of these worlds shows a planted bug.
fn is_found(plant: Plant, scripts: impl Iterator<Item = Script>) -> bool {
    scripts.into_iter().any(|script| !script::run(Script { plant: Some(plant), ..script }).faults.is_empty())
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    assert!(is_found(Plant::AckBeforeSync, (0..3).map(|seed| Script::new(seed, 3, 6))));
}

/// Kills at random never found it; kills in the middle of elections do.
#[test]
fn a_vote_that_is_given_before_its_sync_is_found() {
    let aimed = |seed| Script { aims_at_elections: true, ..Script::new(seed, 3, 6) };
    assert!(is_found(Plant::UnsyncedVote, (0..20).map(aimed)));
}

/// Runs a test in a world of three, and checks that nothing broke.
fn in_three<F, W>(seed: u64, test: F)
where
    F: FnOnce(Arc<World>) -> W,
    W: Future<Output = ()>,
{
    runtime::run(seed, false, async {
        let world = World::new(None);
        script::found(&world, 3).await;
        sleep_ms(2_000).await;
        test(world.clone()).await;
        assert_eq!(world.oracle.faults(), Vec::<String>::new());
        assert_eq!(runtime::panics(), []);
        world.close();
    });
}

fn others(member: MemberId) -> BTreeSet<MemberId> {
    [1, 2, 3].map(MemberId).into_iter().filter(|other| *other != member).collect()
}

async fn reigns_again(world: &World, but: Option<MemberId>) -> bool {
    until(Duration::from_secs(30), || world.reigning().is_some_and(|leader| Some(leader) != but)).await
}

async fn acknowledges_more(world: &World) -> bool {
    let before = world.oracle.counts().acknowledged;
    until(Duration::from_secs(10), || world.oracle.counts().acknowledged > before + 10).await
}

#[test]
fn another_member_leads_after_the_leader_is_killed() {
    in_three(31, async |world| {
        let leader = world.reigning().unwrap();
        kill(&world, leader);
        assert!(reigns_again(&world, Some(leader)).await);
        assert!(acknowledges_more(&world).await);
    });
}

#[test]
fn a_planned_transfer_gives_the_leadership_to_the_named_member() {
    in_three(32, async |world| {
        let leader = world.reigning().unwrap();
        let next = *others(leader).first().unwrap();
        let engine = world.engine(leader).unwrap();
        assert!(engine.transfer(leader).is_err(), "to itself");
        assert!(engine.transfer(MemberId(9)).is_err(), "to a stranger");
        engine.transfer(next).unwrap();
        assert!(until(Duration::from_secs(3), || world.reigning() == Some(next)).await);
        assert!(acknowledges_more(&world).await);
        assert_eq!(world.lock().self_ended, Vec::<String>::new());
    });
}

/// The engine never takes the leadership back from a member that cannot take it; it stays a leader that does nothing.
#[test]
fn a_transfer_to_a_member_that_is_away_ends_the_instance_and_service_returns() {
    in_three(33, async |world| {
        let leader = world.reigning().unwrap();
        let away = *others(leader).first().unwrap();
        world.isolate(away, true);
        // It lacks rows, so it cannot be asked to campaign.
        sleep_ms(500).await;
        world.engine(leader).unwrap().transfer(away).unwrap();
        let stuck = until(Duration::from_secs(20), || {
            let ended = world.lock().self_ended.clone();
            ended.iter().any(|why| why.contains("TransferStuck"))
        });
        let elsewhere = until(Duration::from_secs(20), || world.reigning().is_some_and(|other| other != leader));
        let (stuck, elsewhere) = futures::join!(stuck, elsewhere);
        assert!(stuck || elsewhere, "either ends the standstill");
        assert!(reigns_again(&world, None).await);
        assert!(acknowledges_more(&world).await);
    });
}

/// Alone, nothing but the end of the instance ends the standstill.
#[test]
fn a_transfer_by_a_leader_without_a_majority_ends_the_instance() {
    in_three(34, async |world| {
        let leader = world.reigning().unwrap();
        let next = *others(leader).first().unwrap();
        others(leader).iter().for_each(|other| kill(&world, *other));
        world.engine(leader).unwrap().transfer(next).unwrap();
        let ended = until(Duration::from_secs(20), || !world.lock().self_ended.is_empty()).await;
        assert!(ended);
        assert!(world.lock().self_ended[0].contains("TransferStuck"), "{:?}", world.lock().self_ended);
        for other in others(leader) {
            start(&world, other).await;
        }
        assert!(reigns_again(&world, None).await && acknowledges_more(&world).await);
    });
}

/// Heartbeats pass, so the engine would lead for ever without a commit.
#[test]
fn a_leader_whose_rows_a_majority_refuses_ends_and_another_leads() {
    in_three(35, async |world| {
        let leader = world.reigning().unwrap();
        world.lock().refusing = others(leader);
        let ended = until(Duration::from_secs(30), || !world.lock().self_ended.is_empty()).await;
        assert!(ended);
        assert!(world.lock().self_ended[0].contains("RefusedByMajority"), "{:?}", world.lock().self_ended);
        world.lock().refusing.clear();
        assert!(reigns_again(&world, Some(leader)).await && acknowledges_more(&world).await);
    });
}

/// One refusing member is no majority: the leader goes on.
#[test]
fn a_leader_that_one_member_refuses_goes_on() {
    in_three(36, async |world| {
        let leader = world.reigning().unwrap();
        let refuser = *others(leader).first().unwrap();
        world.lock().refusing = BTreeSet::from([refuser]);
        sleep_ms(15_000).await;
        assert_eq!((world.reigning(), world.lock().self_ended.len()), (Some(leader), 0));
        assert!(acknowledges_more(&world).await);
    });
}

/// The engine keeps term and leader; the reign ends nevertheless, and a later one in the same term has a barrier of its own.
#[test]
fn a_cut_off_leader_falls_when_its_lease_is_over() {
    in_three(37, async |world| {
        let leader = world.reigning().unwrap();
        [1, 2, 3].map(MemberId).iter().for_each(|member| world.isolate(*member, true));
        assert!(until(Duration::from_secs(4), || world.reigning().is_none()).await, "{leader} still reigns");
        world.heal();
        assert!(reigns_again(&world, None).await && acknowledges_more(&world).await);
    });
}

/// It would follow the barrier of the next reign: the engine takes it, because term and leader are the same.
#[test]
fn a_batch_of_an_earlier_reign_is_refused() {
    in_three(43, async |world| {
        let leader = world.reigning().unwrap();
        let reign = || world.lock().nodes[&leader].reign;
        let engine = world.engine(leader).unwrap();
        let earlier = reign().unwrap();
        engine.abandon(earlier);
        assert!(until(Duration::from_secs(5), || reign().is_some_and(|next| next != earlier)).await);
        let later = reign().unwrap();
        assert_eq!((later.term, later.epoch), (earlier.term, earlier.epoch + 1));
        let (sender, settled) = oneshot::channel();
        let batch = Batch {
            first: 1,
            before: Hash::ZERO,
            after: Hash::ZERO,
            frames: Vec::new(),
            objects: Vec::new(),
            notes: Vec::new(),
        };
        let waiter = Box::new(move |end| drop(sender.send(end)));
        assert_eq!(engine.submit(earlier, Arc::new(batch), waiter).await, Ok(Submission::Refused));
        assert_eq!(settled.await, Ok(Settled::Refused { leader: None }));
        assert!(acknowledges_more(&world).await);
    });
}

#[test]
fn a_member_behind_the_purged_rows_gets_the_present_state() {
    in_three(38, async |world| {
        let leader = world.reigning().unwrap();
        let late = *others(leader).first().unwrap();
        kill(&world, late);
        sleep_ms(3_000).await;
        let before = world.lock().transfers;
        world.engine(leader).unwrap().purge(world.state(leader).index()).await.unwrap();
        sleep_ms(3_000).await;
        start(&world, late).await;
        let goal = world.state(leader).index();
        assert!(until(Duration::from_secs(60), || world.state(late).index() >= goal).await);
        assert_eq!(world.lock().transfers, before + 1);
    });
}

#[test]
fn a_failed_write_ends_the_instance_and_another_member_leads() {
    in_three(39, async |world| {
        let leader = world.reigning().unwrap();
        let directory = world.directory(leader).unwrap();
        directory.set_broken(true);
        assert!(reigns_again(&world, Some(leader)).await);
        assert!(world.lock().self_ended[0].contains("Storage"), "{:?}", world.lock().self_ended);
        kill(&world, leader);
        directory.set_broken(false);
        start(&world, leader).await;
        let goal = world.state(world.reigning().unwrap()).index();
        assert!(until(Duration::from_secs(20), || world.state(leader).index() >= goal).await);
    });
}

/// A stopped engine returned while its state machine still applied rows.
#[test]
fn nothing_is_applied_after_an_instance_has_stopped() {
    in_three(40, async |world| {
        let leader = world.reigning().unwrap();
        let member = *others(leader).first().unwrap();
        let directory = world.directory(member).unwrap();
        directory.set_apply_us(20_000);
        sleep_ms(2_000).await;
        let engine = world.engine(member).unwrap();
        world.lock().nodes.get_mut(&member).unwrap().engine = None;
        engine.stop().await;
        let at = directory.state().index();
        sleep_ms(3_000).await;
        assert_eq!(directory.state().index(), at);
    });
}

/// A read is answered by a quorum, and by no leader that is cut off.
#[test]
fn a_read_position_needs_a_quorum() {
    in_three(41, async |world| {
        let leader = world.reigning().unwrap();
        let engine = world.engine(leader).unwrap();
        let at = engine.read_position().await.unwrap();
        assert!(world.state(leader).at() >= Some(at));
        let follower = world.engine(*others(leader).first().unwrap()).unwrap();
        assert!(follower.read_position().await.is_err());
        world.isolate(leader, true);
        assert!(engine.read_position().await.is_err());
    });
}

/// The engine finishes no change that another leader began.
#[test]
fn a_member_may_remove_the_leader_and_service_goes_on() {
    in_three(42, async |world| {
        let leader = world.reigning().unwrap();
        assert!(script::set_voters(&world, others(leader)).await);
        assert!(reigns_again(&world, Some(leader)).await && acknowledges_more(&world).await);
    });
}

/// `SWOOSH_CLUSTER_WORLDS=40` runs 40 worlds of each kind, and prints a line for each.
#[test]
fn as_many_worlds_as_are_asked_for_are_sound() {
    let worlds = std::env::var("SWOOSH_CLUSTER_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut turns = 0;
    for seed in 0..worlds {
        let three = Script { changes_members: true, ..Script::new(seed, 3, 16) };
        let five = Script { voters: 5, ..three };
        let elections = Script { aims_at_elections: true, ..Script::new(seed, 3, 8) };
        for script in [three, five, elections] {
            let report = script::run(script);
            println!("{script:?}: {report:?}");
            sound(&report);
            turns += report.turns;
        }
    }
    println!("{turns} turns");
}
