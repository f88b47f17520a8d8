//! A damaged row of one project, while batches of another one are committed.

use super::faults::Rates;
use super::run::Looking;
use super::world::World;
use swoosh_sequencer::Mode;
use swoosh_testkit::random::Random;
use swoosh_types::names::Transition;

fn settled(world: &mut World) {
    let Some(node) = &mut world.node else { panic!("no node") };
    while node.single.judge(true) | node.single.commit() {}
}

/// A head of a project whose last record cannot be read leaves memory: there is no snapshot of it, and the node went
/// read-only for that.
#[test]
fn a_damaged_record_of_an_idle_project_fails_no_batch_of_another_one() {
    let mut world = World::new(Rates::none(), None, 8, Looking::Closely);
    let random = &mut Random::of(7, 1);
    world.start(random).unwrap();
    for client in [0, 1] {
        assert_eq!(world.try_step(client, Transition::BootConfigOk, random).unwrap(), None);
    }
    assert!(world.site.disk.spoil("wal", &1_u64.to_be_bytes()));
    for _ in 0..6 {
        world.node.as_ref().unwrap().single.handle().tidy();
        settled(&mut world);
    }
    let status = world.node.as_ref().unwrap().single.handle().status();
    assert_eq!((status.mode, status.heads), (Mode::Accepting, 0));
    let named: Vec<_> = status.damage.projects.keys().map(ToString::to_string).collect();
    assert_eq!(named, ["p0"]);
    assert_eq!(world.try_step(1, Transition::ControlPause, random).unwrap(), None, "the other project goes on");
    let refused = world.try_step(0, Transition::ControlPause, random).unwrap();
    assert!(refused.is_none_or(|why| why.contains("project_damaged") || why.contains("not built")));
    // A voter is known to its project alone, which cannot be read. It was answered `not_durable`, and sent again for ever.
    let refused = world.try_step(0, Transition::ExecutionApprove, random).unwrap();
    assert!(refused.as_ref().is_some_and(|why| why.contains("project_damaged")), "{refused:?}");
}
