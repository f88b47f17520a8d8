//! Replay of random streams. Every record leads to the same head again. A record with one changed field is refused:
//! either the step does not follow, or the chain breaks.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError};
use serde_json::{Value, json};
use swoosh::machine::head::Head;
use swoosh::machine::replay::{Divergence, step};
use swoosh::types::canonical::from_slice;
use swoosh::types::hash::Hash;
use swoosh::types::record::Record;

use crate::model::{Tally, deeds, perform, starts};
use crate::support::strict;
use crate::support::world::{Kept, World};

thread_local! {
    static STARTS: Vec<crate::model::Pair> = starts();
}

fn stream(start: usize, deeds: &[crate::model::Deed]) -> Result<World, TestCaseError> {
    let mut pair = STARTS.with(|starts| starts[start % starts.len()].clone());
    let tally: Tally = RefCell::default();
    deeds.iter().try_for_each(|deed| perform(&mut pair, deed, &tally))?;
    Ok(pair.world)
}

proptest! {
    #![proptest_config(Config {
        cases: 100,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    })]

    #[test]
    fn every_record_of_every_stream_replays_and_no_changed_one_does((start, deeds) in deeds(60)) {
        let world = stream(start, &deeds)?;
        let (mut head, mut chain) = (Head::genesis(&world.head.state().meta.project), Hash::ZERO);
        for (n, kept) in world.records.iter().enumerate() {
            let decoded: Record = from_slice(&kept.record.encode()).unwrap();
            prop_assert_eq!(&decoded, &kept.record);
            if n + 3 >= world.records.len() {
                changed_records_are_refused(&head, &chain, kept)?;
            }
            head = step(&head, &kept.record, &kept.inputs).map_err(|why| TestCaseError::fail(why.to_string()))?;
            chain = Record::chain(&chain, &kept.record.encode());
            prop_assert_eq!(chain, kept.chain);
        }
        prop_assert!(head == world.head);
    }
}

/// Whether a record is taken after this head and this link.
fn taken(head: &Head, previous: &Hash, record: &Record, kept: &Kept) -> bool {
    let chained = Record::chain(previous, &record.encode()) == kept.chain;
    chained && step(head, record, &kept.inputs).is_ok()
}

fn changed_records_are_refused(head: &Head, previous: &Hash, kept: &Kept) -> Result<(), TestCaseError> {
    prop_assert!(taken(head, previous, &kept.record, kept));
    let document = serde_json::to_value(&kept.record).unwrap();
    for name in document.as_object().unwrap().keys() {
        for changed in changes(&document, name) {
            // A document that is no record is refused before its chain is checked.
            let Ok(record) = from_slice::<Record>(&strict(&changed).canonical()) else { continue };
            if record == kept.record {
                continue;
            }
            prop_assert!(!taken(head, previous, &record, kept), "{name} may be changed");
            follows_only_where_the_state_does_not_care(head, name, &record, kept)?;
        }
    }
    let other = strict(&json!({"other": true}));
    let swapped = step(head, &kept.record, &other);
    prop_assert!(matches!(swapped, Err(Divergence::InputsHash { .. })), "{:?}", swapped.err());
    Ok(())
}

/// The chain covers every field; the step by itself covers those that the state follows from.
fn follows_only_where_the_state_does_not_care(
    head: &Head,
    name: &str,
    record: &Record,
    kept: &Kept,
) -> Result<(), TestCaseError> {
    let reduced = ["state_pre_hash", "transition", "inputs_hash", "signer", "idem_key", "hlc", "state_post_hash"];
    if reduced.contains(&name) {
        prop_assert!(step(head, record, &kept.inputs).is_err(), "replay does not see that {name} changed");
    }
    Ok(())
}

/// Documents with one member changed, or left out.
fn changes(document: &Value, name: &str) -> Vec<Value> {
    let old = &document[name];
    let values = match old {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(count) => vec![json!(count.as_u64().unwrap() + 1)],
        Value::Array(items) if name == "evidence" => vec![json!(["bubble://dr/other"]), json!(items[..0])],
        Value::Array(items) => vec![json!(items[1..]), json!(items.iter().rev().collect::<Vec<_>>())],
        Value::String(text) => texts(name, text).into_iter().map(|text| json!(text)).collect(),
        other => panic!("{name} is {other}"),
    };
    let mut documents: Vec<Value> = values.into_iter().map(|value| with(document, name, Some(value))).collect();
    documents.push(with(document, name, None));
    documents
}

fn with(document: &Value, name: &str, value: Option<Value>) -> Value {
    let mut changed = document.clone();
    match value {
        Some(value) => changed[name] = value,
        None => drop(changed.as_object_mut().unwrap().remove(name)),
    }
    changed
}

fn texts(name: &str, text: &str) -> Vec<String> {
    match name {
        "transition" => vec!["Control_Pause".into(), "Control_Resume".into(), "Environment_Recheck".into()],
        "hlc" | "timestamp" => vec![text.replacen("T1", "T0", 1), format!("{text}1")],
        "window_id" => vec!["backbeat:W-2025-10-20-00".into()],
        "project" | "policy_engine" => vec![format!("{text}x")],
        "idem_key" => vec![format!("{text}x"), text.replacen("goal-1", "goal-2", 1)],
        // One character in the middle of a hash, a key or a signature.
        _ => {
            let (at, other) = (text.len() - 20, if text.as_bytes()[text.len() - 20] == b'a' { "b" } else { "a" });
            vec![format!("{}{other}{}", &text[..at], &text[at + 1..])]
        }
    }
}
