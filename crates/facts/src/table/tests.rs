//! Facts that a table accepts, by source and order.

use super::*;
use crate::fixture::*;
use swoosh_types::keys::SecretKey;

#[test]
fn a_fact_of_an_allowed_source_is_held_with_its_bytes() {
    let table = table();
    let fact = license(&kaching(), NOW_MS).sign(&cluster(), &kaching());
    let Inserted::Held(hash) = table.insert(fact.clone()).unwrap() else { panic!("not held") };
    assert_eq!(hash, fact.hash());
    assert_eq!(Hash::of(&table.bytes(&hash).unwrap()), hash);
    let facts = table.load();
    assert_eq!(facts.set().get(FactKind::License, &"default".parse().unwrap()).unwrap().fact, fact);
}

#[test]
fn strangers_forgeries_and_the_future_are_refused() {
    let table = table();
    let stranger = license(&stranger(), NOW_MS).sign(&cluster(), &stranger());
    assert!(matches!(table.insert(stranger), Err(FactRefusal::Source { kind: FactKind::License, .. })));
    let capacity = FactKind::Capacity;
    let mut wrong_kind = license(&kaching(), NOW_MS);
    wrong_kind.kind = capacity;
    let wrong_kind = wrong_kind.sign(&cluster(), &kaching());
    assert!(matches!(table.insert(wrong_kind), Err(FactRefusal::Source { kind: FactKind::Capacity, .. })));
    let forged = license(&kaching(), NOW_MS).sign(&cluster(), &node());
    assert!(matches!(table.insert(forged), Err(FactRefusal::Signature { .. })));
    let elsewhere = license(&kaching(), NOW_MS).sign(&"other".parse().unwrap(), &kaching());
    assert!(matches!(table.insert(elsewhere), Err(FactRefusal::Signature { .. })));
    let early = license(&kaching(), NOW_MS + 5_001).sign(&cluster(), &kaching());
    assert!(matches!(table.insert(early), Err(FactRefusal::Future { ahead_ms: 5_001, .. })));
    let mut shapeless = license(&kaching(), NOW_MS);
    shapeless.body = Json::empty_object();
    assert!(matches!(table.insert(shapeless.sign(&cluster(), &kaching())), Err(FactRefusal::Body(_))));
    assert_eq!(table.load().set().iter().count(), 0);
}

#[test]
fn the_later_fact_of_a_source_counts() {
    let table = table();
    let at = |ms| license(&kaching(), ms).sign(&cluster(), &kaching());
    assert!(matches!(table.insert(at(NOW_MS)), Ok(Inserted::Held(_))));
    let held = Hlc::new(NOW_MS, 0).unwrap();
    assert_eq!(table.insert(at(NOW_MS)).unwrap(), Inserted::NotNewer { held });
    assert_eq!(table.insert(at(NOW_MS - 1)).unwrap(), Inserted::NotNewer { held });
    let first = table.facts();
    let newer = at(NOW_MS + 1);
    assert_eq!(table.insert(newer.clone()).unwrap(), Inserted::Held(newer.hash()));
    assert!(table.bytes(&at(NOW_MS).hash()).is_none());
    assert!(first.bytes(&at(NOW_MS).hash()).is_some(), "a judgement by it still finds the bytes");
}

#[test]
fn a_fact_of_a_project_is_kept_beside_the_one_for_all() {
    let table = table();
    let mut own = license(&kaching(), NOW_MS);
    own.project = Some("alpha".parse().unwrap());
    let own = own.sign(&cluster(), &kaching());
    let all = license(&kaching(), NOW_MS).sign(&cluster(), &kaching());
    let outcomes = table.insert_all(vec![own.clone(), all.clone()]);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Inserted::Held(_)))));
    let facts = table.load();
    let hash = |project: &str| facts.set().get(FactKind::License, &project.parse().unwrap()).unwrap().hash;
    assert_eq!((hash("alpha"), hash("beta")), (own.hash(), all.hash()));
    assert!(facts.bytes(&own.hash()).is_some() && facts.bytes(&all.hash()).is_some());
}

#[test]
fn of_two_sources_the_one_that_saw_later_is_believed_while_it_may_be() {
    let table = table();
    let at = |key: &SecretKey, ms| license(key, ms).sign(&cluster(), key);
    table.insert(at(&kaching(), NOW_MS - 10)).unwrap();
    let (by, held) = (kaching().public(), Hlc::new(NOW_MS - 10, 0).unwrap());
    assert_eq!(table.insert(at(&node(), NOW_MS - 20)).unwrap(), Inserted::Outdone { by, held });
    assert_eq!(table.weigh(&at(&node(), NOW_MS - 20)).unwrap(), Inserted::Outdone { by, held });
    let mut ended = license(&kaching(), NOW_MS - 5);
    ended.valid_until = Hlc::new(NOW_MS - 1, 0).unwrap();
    table.insert(ended.sign(&cluster(), &kaching())).unwrap();
    let older = at(&node(), NOW_MS - 20);
    assert_eq!(table.insert(older.clone()).unwrap(), Inserted::Held(older.hash()), "an expired fact does not count");
}

#[test]
fn the_nodes_own_default_yields_to_whatever_else_is_said() {
    let table = table();
    table.insert_default(license(&node(), NOW_MS).sign(&cluster(), &node())).unwrap();
    let said = license(&kaching(), NOW_MS - 60_000).sign(&cluster(), &kaching());
    assert_eq!(table.insert(said.clone()).unwrap(), Inserted::Held(said.hash()));
    let late = license(&kaching(), NOW_MS - 59_000).sign(&cluster(), &kaching());
    assert_eq!(table.weigh(&late).unwrap(), Inserted::Held(late.hash()), "and weighing changes nothing");
    assert!(table.bytes(&said.hash()).is_some());
}

#[test]
fn policy_serials_only_rise() {
    let table = table();
    let bundle = |serial, text: &str, ms| policy(serial, text, ms).sign(&cluster(), &node());
    let permit = "permit (principal, action, resource);";
    assert!(table.insert(bundle(2, permit, NOW_MS)).is_ok());
    assert!(table.insert(bundle(2, permit, NOW_MS + 1)).is_ok(), "said again");
    let other = "forbid (principal, action, resource);";
    assert!(matches!(table.insert(bundle(1, other, NOW_MS + 2)), Err(FactRefusal::Serial { found: 1, held: 2 })));
    assert!(matches!(table.insert(bundle(2, other, NOW_MS + 3)), Err(FactRefusal::Serial { found: 2, held: 2 })));
    assert!(table.insert(bundle(3, other, NOW_MS + 2)).is_ok(), "a refused fact leaves no trace");
    assert!(matches!(table.insert(bundle(4, "permit", NOW_MS + 5)), Err(FactRefusal::Body(_))));
}

#[test]
fn a_bundle_that_is_said_again_is_not_compiled_again_and_another_one_is() {
    let table = table();
    let held = |serial, text: &str, ms| {
        table.insert(policy(serial, text, ms).sign(&cluster(), &node())).unwrap();
        let facts = table.facts();
        let FactBody::Policy(held) = &facts.set().at(FactKind::Policy, None).unwrap().body else { panic!() };
        held.clone()
    };
    let (permit, forbid) = ("permit (principal, action, resource);", "forbid (principal, action, resource);");
    let first = held(2, permit, NOW_MS);
    assert!(Arc::ptr_eq(&first, &held(2, permit, NOW_MS + 1)));
    let other = held(3, forbid, NOW_MS + 2);
    assert_eq!((other.serial(), other.hash()), (3, Hash::of(forbid.as_bytes())));
    // More than the cache holds: the others are compiled again.
    (4..4 + BUNDLES as u64).for_each(|serial| drop(held(serial, permit, NOW_MS + serial)));
    assert_eq!(held(9, forbid, NOW_MS + 20).hash(), other.hash());
}
