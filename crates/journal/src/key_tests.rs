//! Idempotency keys: how they age, and the floors of their projects.

use super::layout::{Family, key_floor_key, meta, wal_key};
use super::testing::{Node, name};
use super::{Journal, NextIncarnation, PruneReport, verify};
use swoosh_types::hlc::Hlc;

fn is_bound(node: &Node, index: u64) -> bool {
    let record = node.journal.record(index).unwrap().unwrap().record;
    node.journal.bound_key(&record.project, &record.idem_key).unwrap().is_some()
}

fn bound(node: &Node) -> Vec<u64> {
    (1..=node.last()).filter(|&index| is_bound(node, index)).collect()
}

fn floors(node: &Node) -> [u64; 2] {
    ["a", "b"].map(|project| node.journal.key_floor(&name(project)).unwrap())
}

/// Six records of two projects. The beats of `a` count seconds since 1970, those of `b` are a handful.
fn two_schedules() -> Node {
    let mut node = Node::new();
    node.beats = [1, 3, 5].map(|index| (index, 1_760_000_000 + index)).into();
    node.commit(&["a", "b", "a", "b", "a", "b"]);
    node
}

#[test]
fn keys_age_by_the_stamps_of_their_records_and_floors_only_rise() {
    let node = two_schedules();
    assert_eq!(node.prune_keys(2), PruneReport { aged: 3, keys: 3, ahead: 0 });
    assert_eq!((bound(&node), floors(&node)), (vec![4, 5, 6], [1_760_000_004, 3]));
    assert_eq!(node.prune_keys(5).keys, 0);
    let node = node.reopen();
    node.journal.recover().unwrap();
    assert_eq!((bound(&node), floors(&node)), (vec![4, 5, 6], [1_760_000_004, 3]));
    assert!(verify::verify(&node.journal, &mut |_| ()).is_good());
    assert_eq!(node.prune_keys(1), PruneReport { aged: 4, keys: 1, ahead: 0 });
}

/// A scrub called every forgotten key of a project lost when it could not read the floor, also where the disk failed once: a node then
/// refused backups of a good journal.
#[test]
fn a_floor_that_cannot_be_read_is_the_damage_and_its_forgotten_keys_are_not() {
    let node = two_schedules();
    node.prune_keys(2);
    assert_eq!(verify::scrub(&node.journal, &|| true), []);
    node.overwrite(Family::Meta, &key_floor_key(&name("a")), b"no number");
    let found = verify::scrub(&node.journal, &|| true);
    assert_eq!(found.iter().map(|finding| finding.table).collect::<Vec<_>>(), [Family::Meta.name()], "{found:?}");
}

/// One floor for the whole node, counted by the common schedule, took every key of a project with a schedule of its
/// own: its beats are other numbers.
#[test]
fn a_project_with_small_beats_keeps_its_keys_while_those_of_another_age() {
    let mut node = two_schedules();
    node.commit(&["b"; 20]);
    assert_eq!(node.prune_keys(21).aged, 4);
    assert_eq!(bound(&node), (5..=26).collect::<Vec<_>>());
    assert_eq!(floors(&node), [1_760_000_004, 5]);
}

/// A key that an older program bound may name any beat: a floor above it would refuse every key from then on.
#[test]
fn a_key_that_names_a_beat_ahead_stays_and_raises_no_floor_until_beats_reach_it() {
    let mut node = Node::new();
    node.beats = [(1, 1 << 50)].into();
    node.commit(&["a", "a", "a"]);
    let round = |newest: u64| node.journal.prune_keys(0, &|_| newest, &|| true).unwrap();
    assert_eq!(round(100), PruneReport { aged: 2, keys: 1, ahead: 1 });
    assert_eq!((bound(&node), floors(&node)[0]), (vec![1, 3], 3));

    node.beats = [(4, (1 << 50) + 1)].into();
    node.commit(&["a", "a"]);
    assert_eq!(node.prune_keys(0).keys, 3, "the two that are old, and the one that was left");
    assert_eq!((bound(&node), floors(&node)[0]), (vec![5], (1 << 50) + 2));
}

#[test]
fn a_record_that_cannot_be_read_keeps_its_key_and_the_others_age() {
    let mut node = Node::new();
    node.commit(&["a", "a", "a", "a"]);
    node.overwrite(Family::Wal, &wal_key(2), b"not a frame");
    let report = node.prune_keys(0);
    // The next record's link cannot be checked either.
    assert_eq!((report.aged, report.keys), (1, 1));
    assert_eq!(floors(&node)[0], 2);
}

/// The floor that programs before this one kept holds for every project: keys below it are gone.
#[test]
fn a_floor_of_all_projects_that_an_older_program_left_still_holds() {
    let mut node = two_schedules();
    node.overwrite(Family::Meta, meta::PRUNE_FLOOR, b"4");
    node = node.reopen();
    node.journal.recover().unwrap();
    assert_eq!(floors(&node), [4, 4]);
    node.prune_keys(0);
    assert_eq!(floors(&node), [1_760_000_006, 5]);
}

#[test]
fn records_that_take_the_place_of_lost_ones_bind_young_keys() {
    let node = two_schedules();
    node.prune_keys(0);
    let Node { directory, journal, .. } = node;
    drop(journal);
    let at = Hlc::new(1_760_000_001_000, 0).unwrap();
    let next = NextIncarnation { number: 2, at, reason: "a test", last: Some(3) };
    Journal::begin_incarnation(directory.path(), &next).unwrap();
    let journal = Journal::open_read_only(directory.path()).unwrap();
    assert_eq!(journal.keys_aged().unwrap(), 3);
    assert_eq!(journal.key_floor(&name("b")).unwrap(), 5, "a floor never falls");
}
