//! `receipts.json`: receipts as they follow from records, chain, path and seal. The journal stores no receipt: a repeat
//! gets one that is rebuilt, and these are its bytes.

use std::sync::Arc;

use serde_json::{Value, json};
use swoosh::journal::{
    Batch, BoundKey, Durability, Journal, JournalOptions, LogEntry, ReceiptSum, StoreLimits, Write, fingerprint,
};
use swoosh::types::canonical::{canonical_bytes, from_canonical};
use swoosh::types::hash::Hash;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::Region;
use swoosh::types::receipt::{BatchSeal, EncodedSeal, Receipt, SealedBatch};
use swoosh::types::record::{Linked, Record};
use swoosh::types::text::ClusterId;

use super::{items, read, text};
use crate::support::route::Goal;
use crate::support::strict;
use crate::support::world::World;

/// Records of each batch: paths of every length up to three, and records without a sibling.
const BATCHES: [usize; 4] = [1, 2, 3, 5];

pub(super) fn make() -> Value {
    let mut world = World::new();
    world.drive(Goal::new(Region::Execution, "REVERB"));
    let (key, mut records, mut first, mut made) = (SecretKey::from_bytes(&[7; 32]), &world.records[..], 1, Vec::new());
    for size in BATCHES {
        let (batch, rest) = records.split_at(size);
        let chains: Vec<Hash> = batch.iter().map(|kept| kept.chain).collect();
        let sealed = SealedBatch::seal(&world.cluster, &key, first, &chains).unwrap();
        for (position, kept) in batch.iter().enumerate() {
            let path = sealed.path(position);
            let receipt = Receipt::of(&kept.record, kept.chain, path.clone(), sealed.seal.clone());
            let receipt = String::from_utf8(canonical_bytes(&receipt)).unwrap();
            let (record, chain) = (&kept.record, kept.chain);
            made.push(json!({"record": record, "chain": chain, "path": path, "seal": sealed.seal, "receipt": receipt}));
        }
        (records, first) = (rest, first + size as u64);
    }
    let refused = refused(&made);
    json!({"cluster": world.cluster, "node": key.public(), "receipts": made, "refused": refused})
}

/// Receipts that prove nothing: the third of the batch of five with one member changed, and one of another cluster or node.
fn refused(made: &[Value]) -> Value {
    let good: Value = serde_json::from_str(text(&made[8]["receipt"])).unwrap();
    let other = Hash::of(b"other");
    let changed = |name: &str, pointer: &str, value: Value| {
        let mut receipt = good.clone();
        *receipt.pointer_mut(pointer).unwrap() = value;
        json!({"name": name, "receipt": receipt})
    };
    let mut path = good["path"].as_array().unwrap().clone();
    let (short, swapped) = (path[1..].to_vec(), path.iter().rev().cloned().collect::<Vec<_>>());
    path.push(json!(other));
    let index = good["index"].as_u64().unwrap();
    let node = SecretKey::from_bytes(&[8; 32]).public();
    json!([
        changed("another sibling", "/path/0", json!(other)),
        changed("siblings in another order", "/path", json!(swapped)),
        changed("a sibling is missing", "/path", json!(short)),
        changed("a sibling too many", "/path", json!(path)),
        changed("another chain value", "/chain", json!(other)),
        changed("another index in the batch", "/index", json!(index + 1)),
        changed("an index after the batch", "/index", json!(index + 5)),
        changed("an index before the batch", "/index", json!(1)),
        changed("another root", "/seal/batch/root", json!(other)),
        changed("another end of the batch", "/seal/batch/last", json!(index + 3)),
        changed("another node", "/seal/node", json!(node)),
        {"name": "another cluster", "receipt": good, "cluster": "prod"},
        {"name": "not the pinned node", "receipt": good, "node": node},
    ])
}

struct Vector {
    record: Record,
    chain: Hash,
    path: Vec<Hash>,
    seal: BatchSeal,
    receipt: Vec<u8>,
}

fn vectors() -> (ClusterId, Vec<Vector>) {
    let vectors = read("receipts.json");
    let vector = |vector: &Value| Vector {
        record: from_canonical(&strict(&vector["record"]).canonical()).unwrap(),
        chain: text(&vector["chain"]).parse().unwrap(),
        path: serde_json::from_value(vector["path"].clone()).unwrap(),
        seal: from_canonical(&strict(&vector["seal"]).canonical()).unwrap(),
        receipt: text(&vector["receipt"]).as_bytes().to_vec(),
    };
    (text(&vectors["cluster"]).parse().unwrap(), items(&vectors, "receipts").iter().map(vector).collect())
}

#[test]
fn the_receipts_of_the_vectors_prove_themselves_and_are_those_of_their_records() {
    let (cluster, vectors) = vectors();
    for Vector { record, chain, path, seal, receipt } in vectors {
        let read: Receipt = from_canonical(&receipt).unwrap();
        assert_eq!(read.verify(&cluster), Ok(()));
        assert_eq!(read, Receipt::of(&record, chain, path, seal));
    }
}

#[test]
fn receipts_that_prove_nothing_are_refused() {
    let vectors = read("receipts.json");
    for vector in items(&vectors, "refused") {
        let receipt: Receipt = from_canonical(&strict(&vector["receipt"]).canonical()).unwrap();
        let given = |name: &str| text(vector.get(name).unwrap_or(&vectors[name])).to_owned();
        let verified = receipt.verify(&given("cluster").parse().unwrap());
        assert!(verified.is_err() || receipt.seal.node != given("node").parse().unwrap(), "{}", vector["name"]);
    }
}

/// The entry of a vector's record behind the link of the record before it.
fn entry(previous: &mut Hash, vector: &Vector) -> Option<LogEntry> {
    let linked = Linked::of(*previous, vector.record.encode());
    *previous = linked.chain();
    assert_eq!(linked.chain(), vector.chain);
    let seal = EncodedSeal::of(vector.seal.clone());
    assert_eq!(Receipt::encode(&vector.record, &vector.chain, &vector.path, &seal), vector.receipt);
    Some(LogEntry {
        index: vector.record.index,
        project: vector.record.project.clone(),
        linked: Arc::new(linked),
        seal: Arc::new(seal),
        path: vector.path.clone(),
    })
}

fn binding(vector: &Vector) -> Write {
    let record = &vector.record;
    Write::Key {
        project: record.project.clone(),
        key: record.idem_key.clone(),
        fingerprint: fingerprint(record.transition, &record.inputs_hash, &record.signer),
        index: record.index,
        receipt: ReceiptSum::of(&vector.receipt),
    }
}

#[test]
fn a_journal_rebuilds_the_receipts_of_the_vectors_byte_for_byte() {
    let (cluster, vectors) = vectors();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let journal = Journal::open(JournalOptions {
        path: folder.path().join("journal"),
        node: vectors[0].seal.node,
        cluster,
        snapshot_every: 1_000,
        durability: Durability::Sync,
        store: StoreLimits::default(),
        medium: None,
    });
    let journal = journal.unwrap();
    journal.recover().unwrap();
    let (entries, writes) = (vectors.iter().scan(Hash::ZERO, entry).collect(), vectors.iter().map(binding).collect());
    journal.append(&Batch { entries, writes }).unwrap();
    for Vector { record, receipt, .. } in vectors {
        let bound: BoundKey = journal.bound_key(&record.project, &record.idem_key).unwrap().unwrap();
        assert_eq!(bound.index, record.index);
        let rebuilt = journal.receipt(&record.project, &record.idem_key, bound).unwrap().unwrap();
        assert_eq!(String::from_utf8(rebuilt).unwrap(), String::from_utf8(receipt).unwrap());
    }
}
