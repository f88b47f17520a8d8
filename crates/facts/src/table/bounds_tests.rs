//! How much of facts about single projects the table holds.

use super::*;
use crate::fixture::*;
use swoosh_types::fact::FactClaim;

/// Capacity of a project whose number this is, seen at a moment, for an hour.
fn capacity(number: u64, seen_ms: u64) -> Fact {
    let claim = FactClaim {
        kind: FactKind::Capacity,
        project: Some(format!("project-{number}").parse().unwrap()),
        source: node().public(),
        observed_at: Hlc::new(seen_ms, 0).unwrap(),
        valid_until: Hlc::new(seen_ms + 3_600_000, 0).unwrap(),
        body: Json::Object([("resources".to_owned(), Json::empty_object())].into()),
    };
    claim.sign(&cluster(), &node())
}

/// Places were never dropped, so that a source that names new projects made the table grow for as long as the
/// node ran.
#[test]
fn facts_about_single_projects_have_a_bound_and_those_that_ended_long_ago_make_room() {
    let day_ms = FactKind::Capacity.max_lifetime_ms();
    let mut table = table();
    table.room.places = 100;
    let fill = |from: u64, seen_ms: u64| (from..from + 100).map(|n| capacity(n, seen_ms)).collect::<Vec<_>>();
    let held = |outcomes: &[Result<Inserted, FactRefusal>]| outcomes.iter().filter(|it| it.is_ok()).count();
    assert_eq!(held(&table.insert_all(fill(0, NOW_MS - day_ms - 1))), 100);
    assert_eq!(held(&table.insert_all(fill(100, NOW_MS))), 100, "the first ones ended more than a day ago");
    let refused = table.insert(capacity(200, NOW_MS));
    assert!(matches!(refused, Err(FactRefusal::Full { places: 100, .. })), "{refused:?}");
    assert!(matches!(table.insert(capacity(150, NOW_MS + 1)), Ok(Inserted::Held(_))), "a place that is held stays");
    let all = license(&kaching(), NOW_MS).sign(&cluster(), &kaching());
    assert!(matches!(table.insert(all), Ok(Inserted::Held(_))), "a fact for all projects has room");
    let facts = table.facts();
    assert_eq!((facts.set().iter().count(), facts.bytes.len()), (101, 101));
    let ledger = table.ledger();
    assert_eq!((ledger.since_ms.len(), ledger.newest.len()), (101, 101));
    let of_projects = facts.set().iter().filter(|fact| fact.fact.claim.project.is_some());
    assert_eq!(ledger.bytes, of_projects.map(|fact| facts.bytes(&fact.hash).unwrap().len()).sum::<usize>());
}

/// A source takes a fact back with one that ends in the past. To forget that one would let the first one return.
#[test]
fn a_fact_that_was_taken_back_is_not_forgotten_while_an_earlier_one_could_be_believed() {
    let mut table = table();
    table.room.places = 1;
    let first = capacity(1, NOW_MS - 10_000);
    let back = FactClaim { observed_at: Hlc::new(NOW_MS - 5_000, 0).unwrap(), ..first.claim.clone() };
    let back = FactClaim { valid_until: Hlc::new(NOW_MS - 4_000, 0).unwrap(), ..back };
    table.insert(first.clone()).unwrap();
    table.insert(back.sign(&cluster(), &node())).unwrap();
    assert!(matches!(table.insert(capacity(2, NOW_MS)), Err(FactRefusal::Full { .. })));
    assert!(matches!(table.insert(first), Ok(Inserted::NotNewer { .. })));
}

#[test]
fn facts_about_single_projects_have_a_bound_in_bytes() {
    let mut table = table();
    let one = canonical_bytes(&capacity(1, NOW_MS)).len();
    table.room.bytes = 3 * one;
    let outcomes = table.insert_all((1..=4).map(|n| capacity(n, NOW_MS)).collect());
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert!(matches!(table.insert(capacity(2, NOW_MS + 1)), Ok(Inserted::Held(_))));
}
