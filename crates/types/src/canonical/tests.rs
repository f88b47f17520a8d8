use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::hlc::Hlc;
use crate::ids::{DecisionId, IdemKey, WindowId};
use crate::json::MAX_INTEGER;
use crate::keys::SecretKey;
use crate::names::{GuardName, Transition};
use crate::receipt::{BatchRoot, BatchSeal, EncodedSeal, Receipt};
use crate::record::{GuardOutcome, Record};

fn reference<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

/// Text with every escape, with characters on both sides of the surrogates, and beyond the basic plane.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range('a', 'e'),
        2 => prop::char::range('\0', '\u{7f}'),
        1 => prop::char::range('\u{d000}', '\u{10ffff}'),
        1 => prop::sample::select(vec!['"', '\\', '/', 'é', '\u{2028}', '\u{e000}', '\u{ffff}', '\u{10000}']),
    ];
    vec(character, 0..24).prop_map(String::from_iter)
}

fn document() -> impl Strategy<Value = Json> {
    let number = prop_oneof![0..200u64, 0..=MAX_INTEGER, Just(MAX_INTEGER)];
    let leaf =
        prop_oneof![any::<bool>().prop_map(Json::Bool), number.prop_map(Json::Integer), text().prop_map(Json::String),];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let object = btree_map(text(), inner.clone(), 0..8).prop_map(Json::Object);
        prop_oneof![vec(inner, 0..8).prop_map(Json::Array), object]
    })
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

fn clock() -> impl Strategy<Value = Hlc> {
    (0..crate::civil::MAX_MS, any::<u16>()).prop_map(|(ms, logical)| Hlc::new(ms, logical).unwrap())
}

fn key() -> impl Strategy<Value = IdemKey> {
    (0..=MAX_INTEGER).prop_map(|beat| format!("goal-7:{beat}:control:0b8e7a52").parse().unwrap())
}

fn transition() -> impl Strategy<Value = Transition> {
    prop::sample::select(Transition::ALL.to_vec())
}

fn outcome() -> impl Strategy<Value = GuardOutcome> {
    let guard = prop::sample::select(GuardName::ALL.to_vec());
    (guard, any::<bool>(), vec(text(), 0..4), vec(hash(), 0..4)).prop_map(|(guard, ok, reasons, facts)| GuardOutcome {
        guard,
        ok,
        reasons,
        facts,
        grant: (!ok).then(|| "helper".parse().unwrap()),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let window = prop::option::of((0..20_000u64, 0..200u64));
    let whole = (0..=MAX_INTEGER, any::<bool>(), transition(), key(), window);
    let parts = (vec(hash(), 3), any::<[u8; 32]>(), clock(), clock(), vec(outcome(), 0..4), text(), text());
    (whole, parts).prop_map(|((index, implied, transition, idem_key, window), parts)| {
        let (hashes, secret, hlc, timestamp, guard_outcomes, policy_engine, signed) = parts;
        let secret = SecretKey::from_bytes(&secret);
        Record {
            index,
            project: if index % 2 == 0 { "default" } else { "a-b.c_9" }.parse().unwrap(),
            project_implied: implied,
            state_pre_hash: hashes[0],
            transition,
            inputs_hash: hashes[1],
            signer: secret.public(),
            idem_key,
            hlc,
            window_id: window.map(|(day, ordinal)| WindowId { day_ms: day * crate::civil::DAY_MS, ordinal }),
            guard_outcomes,
            policy_engine,
            evidence: vec!["ucxl://chorus:spec@council/…".parse().unwrap()],
            signature: secret.sign(signed.as_bytes()),
            timestamp,
            state_post_hash: hashes[2],
        }
    })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let whole = (0..=MAX_INTEGER, transition(), key(), clock(), clock());
    (whole, vec(hash(), 4), vec(hash(), 0..6), any::<[u8; 32]>()).prop_map(|(whole, hashes, path, secret)| {
        let (index, transition, idem_key, hlc, timestamp) = whole;
        let (project, secret) = ("default".parse().unwrap(), SecretKey::from_bytes(&secret));
        Receipt {
            decision: DecisionId::of(&project, index, &hashes[2]),
            project,
            index,
            transition,
            idem_key,
            state_pre_hash: hashes[0],
            state_post_hash: hashes[1],
            hlc,
            timestamp,
            chain: hashes[2],
            path,
            seal: BatchSeal {
                batch: BatchRoot { first: index, last: index, root: hashes[3], term: None },
                node: secret.public(),
                signature: secret.sign(b"batch"),
            },
        }
    })
}

proptest! {
    #[test]
    fn strict_documents_are_written_as_the_reference_writes_them(document in document()) {
        let expected = reference(&document);
        prop_assert_eq!(&canonical_bytes(&document), &expected);
        prop_assert_eq!(&document.canonical(), &expected);
    }

    #[test]
    fn keys_in_any_order_are_written_as_the_reference_writes_them(members in vec((text(), document()), 0..12)) {
        // This map keeps the order in which members arrive.
        let arrived: serde_json::Map<String, serde_json::Value> =
            members.into_iter().map(|(key, value)| (key, serde_json::to_value(value).unwrap())).collect();
        prop_assert_eq!(canonical_bytes(&arrived), reference(&arrived));
    }

    #[test]
    fn records_are_written_as_the_reference_writes_them(record in record()) {
        prop_assert_eq!(record.encode(), reference(&record));
    }

    #[test]
    fn receipts_are_written_as_the_reference_writes_them(receipt in receipt()) {
        prop_assert_eq!(canonical_bytes(&receipt), reference(&receipt));
    }

    /// A receipt is written in order out of its record, around the seal of its batch.
    #[test]
    fn receipts_of_records_are_written_as_the_reference_writes_them(record in record(), other in receipt()) {
        let (chain, path, seal) = (other.chain, other.path, other.seal);
        let receipt = Receipt::of(&record, chain, path.clone(), seal.clone());
        prop_assert_eq!(Receipt::encode(&record, &chain, &path, &EncodedSeal::of(seal)), reference(&receipt));
    }
}

/// Every shape that serde knows and a document may take.
#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(Option<u8>),
    Tuple(u16, char),
    Struct { zulu: (), alpha: Wrapped, mike: [i32; 2] },
}

#[derive(Serialize)]
struct Wrapped(BTreeMap<u64, Shape>);

#[test]
fn every_shape_is_written_as_the_reference_writes_it() {
    let inner = [(2, Shape::Unit), (10, Shape::Tuple(7, '"')), (1, Shape::Newtype(None))].into();
    let shapes = [Shape::Newtype(Some(3)), Shape::Struct { zulu: (), alpha: Wrapped(inner), mike: [0, 9] }];
    assert_eq!(canonical_bytes(&shapes), reference(&shapes));
    let expected = r#"[{"Newtype":3},{"Struct":{"alpha":{"1":{"Newtype":null},"10":{"Tuple":[7,"\""]},"2":"Unit"},"mike":[0,9],"zulu":null}}]"#;
    assert_eq!(canonical_bytes(&shapes), expected.as_bytes());
}

/// A value that writes another one while it is written.
struct Nested(u8);

impl Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner =
            if self.0 == 0 { "[]".into() } else { String::from_utf8(canonical_bytes(&[Nested(self.0 - 1)])).unwrap() };
        serializer.serialize_str(&inner)
    }
}

#[test]
fn values_that_write_others_and_failures_leave_nothing_behind() {
    assert_eq!(canonical_bytes(&(1, Nested(1), 2)), br#"[1,"[\"[]\"]",2]"#);
    assert!(try_canonical_bytes(&BTreeMap::from([("a", BTreeMap::from([("b", -1)]))])).is_err());
    assert_eq!(canonical_bytes(&BTreeMap::from([("b", 1), ("a", 2)])), br#"{"a":2,"b":1}"#);
    assert_eq!(canonical_bytes(&"x".repeat(100_000)).len(), 100_002);
    assert_eq!(canonical_hash(&"x"), Hash::of(b"\"x\""));
}

#[test]
fn a_key_comes_before_its_extensions() {
    let map: serde_json::Map<String, serde_json::Value> =
        ["a!", "a", "", "a#", "a\"", "a\u{1}"].map(|key| (key.to_owned(), true.into())).into_iter().collect();
    assert_eq!(canonical_bytes(&map), reference(&map));
}

#[test]
fn numbers_that_are_not_exact_everywhere_are_refused() {
    let number = |text: &str| Err(CanonicalError::Number(text.to_owned()));
    assert_eq!(try_canonical_bytes(&MAX_INTEGER).unwrap(), b"9007199254740991");
    assert_eq!(try_canonical_bytes(&(MAX_INTEGER + 1)), number("9007199254740992"));
    assert_eq!(try_canonical_bytes(&-1), number("-1"));
    assert_eq!(try_canonical_bytes(&[1.0]), number("1.0"));
    assert_eq!(to_json(&u64::MAX), Err(JsonError::Number("18446744073709551615".into())));
    assert_eq!(to_json(&None::<u8>), Err(JsonError::Null));
}

#[test]
fn keys_that_are_no_text_or_stand_twice_are_refused() {
    assert_eq!(try_canonical_bytes(&BTreeMap::from([(true, 1)])), Err(CanonicalError::Key("true".into())));
    assert_eq!(try_canonical_bytes(&BTreeMap::from([([1], 1)])), Err(CanonicalError::Key("[1]".into())));
    assert_eq!(try_canonical_bytes(&Twice("a")), Err(CanonicalError::DuplicateKey("a".into())));
    assert_eq!(try_canonical_bytes(&Twice("é")), Err(CanonicalError::DuplicateKey("é".into())));
}

/// A map that holds the same key twice.
struct Twice(&'static str);

impl Serialize for Twice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, 1), (self.0, 2)])
    }
}

/// The fuzzer found that a snapshot whose bytes held a number beyond 2^53−1 was read, and that writing it again to
/// hash it panicked.
#[test]
fn what_is_read_from_stored_bytes_can_be_written_again() {
    let read = |text: &str| from_canonical::<BTreeMap<String, u64>>(text.as_bytes());
    assert_eq!(
        read(r#"{"n":9007199254740991}"#).map(|map| canonical_bytes(&map)).ok(),
        Some(br#"{"n":9007199254740991}"#.to_vec())
    );
    for text in [r#"{"n":9007199254740992}"#, r#"{"n":18446744073709551615}"#, r#"{"\"":1,"n\\":90071992547409921}"#] {
        let refused = read(text).unwrap_err().to_string();
        assert!(refused.contains("9007199254740991"), "{refused}");
    }
    let in_text = from_canonical::<Vec<String>>(br#"["99999999999999999999\"","\\","9007199254740992"]"#);
    assert_eq!(in_text.map(|texts| texts.len()).ok(), Some(3));
    assert!(from_canonical::<u64>(b"1 1").is_err(), "bytes after the document are passed over");
}

/// `POST /facts` said "invalid type: string, expected a whole number", and not of which member.
#[test]
fn a_document_of_another_shape_is_refused_with_the_path_of_the_member() {
    type Members = BTreeMap<String, crate::inputs::RoleSpec>;
    for (text, said) in [
        (r#"{"lead": {"capabilities": [], "seats": "1"}}"#, "lead.seats: invalid type: string"),
        (r#"{"lead": {"capabilities": [true], "seats": 1}}"#, "lead.capabilities[0]: "),
        (r#"{"lead": {"capabilities": []}}"#, "lead.seats: missing field `seats`"),
        (r#"{"lead": {"capabilities": [], "seats": 1, "colour": 1}}"#, "lead.colour: unknown field `colour`"),
        (r#"{"lead": 1}"#, "lead: invalid type: integer `1`, expected an object"),
        ("1", "invalid type: integer `1`, expected an object"),
    ] {
        let error = from_slice::<Members>(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}
