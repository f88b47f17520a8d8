//! `chain.json`: a whole project from genesis to REVERB. It has every record with its inputs, its link in the chain and
//! the section hashes after it, the facts that its guards read, and both end states.

use serde_json::{Map, Value, json};
use swoosh::machine::head::Head;
use swoosh::machine::replay::step;
use swoosh::machine::state::{Section, State};
use swoosh::types::canonical::{canonical_hash, from_canonical};
use swoosh::types::fact::Fact;
use swoosh::types::hash::Hash;
use swoosh::types::names::Region;
use swoosh::types::record::Record;
use swoosh::types::text::ClusterId;

use super::{items, read, text};
use crate::support::route::Goal;
use crate::support::strict;
use crate::support::world::World;

fn sections(head: &Head) -> Value {
    let hashes = Section::ALL.iter().map(|section| (section.as_str().to_owned(), json!(head.section_hash(*section))));
    json!(hashes.collect::<Map<_, _>>())
}

/// The state as JSON. What is absent in a section is `null` there, and hashed as such.
fn state(state: &State) -> Value {
    serde_json::to_value(state).unwrap()
}

pub(super) fn make() -> Value {
    let mut world = World::new();
    let genesis = world.head.clone();
    world.drive(Goal::new(Region::Execution, "REVERB"));
    let mut head = genesis.clone();
    let records: Vec<Value> = world
        .records
        .iter()
        .map(|kept| {
            head = step(&head, &kept.record, &kept.inputs).unwrap();
            json!({"record": kept.record, "inputs": kept.inputs, "chain": kept.chain, "sections": sections(&head)})
        })
        .collect();
    let facts: Vec<Value> =
        world.outside.facts().iter().map(|known| json!({"hash": known.hash, "fact": known.fact})).collect();
    json!({
        "cluster": world.cluster,
        "project": "default",
        "facts": facts,
        "genesis": {"hash": genesis.hash(), "sections": sections(&genesis), "state": state(genesis.state())},
        "records": records,
        "end": {"hash": head.hash(), "sections": sections(&head), "state": state(head.state())},
    })
}

/// The state hash out of section hashes alone, by the rule of docs/design.md#state-document.
fn state_hash(sections: &Value) -> Hash {
    Hash::of_parts([b"swoosh/state/v1\n".as_slice(), &strict(sections).canonical()])
}

#[test]
fn the_chain_of_the_vectors_replays_link_by_link() {
    let vectors = read("chain.json");
    let cluster: ClusterId = text(&vectors["cluster"]).parse().unwrap();
    let mut head = Head::genesis(&text(&vectors["project"]).parse().unwrap());
    let mut chain = Hash::ZERO;
    assert_eq!(head.hash().to_string(), text(&vectors["genesis"]["hash"]));
    for vector in items(&vectors, "records") {
        let record: Record = from_canonical(&strict(&vector["record"]).canonical()).unwrap();
        let inputs = strict(&vector["inputs"]);
        let signed = record.proposal(inputs.clone());
        assert!(record.signer.verify(&signed.proposal.message(&cluster), &signed.signature), "{record:?}");
        head = step(&head, &record, &inputs).unwrap();
        chain = Record::chain(&chain, &strict(&vector["record"]).canonical());
        assert_eq!(chain.to_string(), text(&vector["chain"]));
        assert_eq!(sections(&head), vector["sections"]);
        assert_eq!(state_hash(&vector["sections"]), record.state_post_hash);
    }
    assert_eq!(state(head.state()), vectors["end"]["state"]);
    assert_eq!(head.state().execution.phase.as_str(), "REVERB");
}

#[test]
fn the_states_of_the_vectors_have_the_hashes_of_their_sections() {
    let vectors = read("chain.json");
    for end in ["genesis", "end"] {
        let vector = &vectors[end];
        for section in Section::ALL {
            let name = section.as_str();
            // Sections may hold null, which no strict document does.
            assert_eq!(canonical_hash(&vector["state"][name]).to_string(), text(&vector["sections"][name]), "{name}");
        }
        assert_eq!(state_hash(&vector["sections"]).to_string(), text(&vector["hash"]));
        let read: State = serde_json::from_value(vector["state"].clone()).unwrap();
        assert_eq!(Head::of(read).hash().to_string(), text(&vector["hash"]));
    }
}

#[test]
fn the_facts_of_the_vectors_are_signed_and_are_those_that_guards_read() {
    let vectors = read("chain.json");
    let cluster: ClusterId = text(&vectors["cluster"]).parse().unwrap();
    let mut hashes = Vec::new();
    for vector in items(&vectors, "facts") {
        let fact: Fact = from_canonical(&strict(&vector["fact"]).canonical()).unwrap();
        assert!(fact.verify(&cluster) && fact.hash().to_string() == text(&vector["hash"]));
        hashes.push(fact.hash());
    }
    for vector in items(&vectors, "records") {
        let record: Record = from_canonical(&strict(&vector["record"]).canonical()).unwrap();
        assert!(record.facts().iter().all(|hash| hashes.contains(hash)));
    }
}
