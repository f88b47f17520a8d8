//! `hlc.json`: forms and order of clock readings. `windows.json`: times in a window schedule.

use serde_json::{Value, json};
use swoosh::machine::state::HlcLast;
use swoosh::types::backbeat::Schedule;
use swoosh::types::canonical::from_canonical;
use swoosh::types::hlc::{Hlc, HlcError};
use swoosh::types::keys::SecretKey;
use swoosh::types::names::WindowClass;

use super::{items, read, text};
use crate::support::{outside, strict};

const FORMS: [&str; 10] = [
    "2025-10-19T01:23:45.678+00:00#1234",
    "2025-10-19T03:23:45.678+02:00#1234",
    "2025-10-18T18:53:45.678-06:30#0",
    "2025-10-19T01:23:45.678Z#65535",
    "2025-10-19t01:23:45.678z#1",
    "2025-10-19 01:23:45.678Z#1",
    "2025-10-19T01:23:45Z#1",
    "2025-10-19T01:23:45.6Z#1",
    "1970-01-01T00:00:00Z#0",
    "9999-12-31T23:59:59.999Z#65535",
];

const REFUSED: [&str; 17] = [
    "",
    "2025-10-19T01:23:45.678Z",
    "2025-10-19T01:23:45.678Z#",
    "2025-10-19T01:23:45.678Z#01",
    "2025-10-19T01:23:45.678Z#-1",
    "2025-10-19T01:23:45.678Z#+1",
    "2025-10-19T01:23:45.678Z#1#2",
    "2025-10-19T01:23:45.678Z# 1",
    "2025-10-19T01:23:45.678Z#65536",
    "2025-10-19T01:23:45.6789Z#1",
    "2025-10-19T01:23:60Z#1",
    "2025-10-19T24:00:00Z#1",
    "2025-02-29T00:00:00Z#1",
    "2025-10-19T01:23:45.678#1",
    "2025-10-19T01:23:45.678+2:00#1",
    "1969-12-31T23:59:59.999Z#1",
    "10000-01-01T00:00:00Z#1",
];

fn class(error: &HlcError) -> &'static str {
    match error {
        HlcError::Form(_) => "form",
        HlcError::LogicalOverflow(_) => "logical_overflow",
        HlcError::Exhausted(_) => "exhausted",
    }
}

/// Triples in rising order: by reading, then by the signer's bytes, then by key (goal, beat as a number, op
/// class, uuid).
fn order() -> Vec<Value> {
    let mut signers: Vec<_> = [1u8, 2].map(|seed| SecretKey::from_bytes(&[seed; 32]).public()).into();
    signers.sort();
    let triple = |hlc: &str, signer: usize, key: &str| json!({"hlc": hlc, "signer": signers[signer], "idem_key": key});
    vec![
        triple("2025-10-19T01:00:00.000+00:00#9", 1, "goal:9:council:abcdefgh"),
        triple("2025-10-19T01:00:00.000+00:00#10", 0, "goal:9:council:abcdefgh"),
        triple("2025-10-19T01:00:00.000+00:00#10", 0, "goal:9:council:abcdefgi"),
        triple("2025-10-19T01:00:00.000+00:00#10", 0, "goal:9:environment:abcdefgh"),
        triple("2025-10-19T01:00:00.000+00:00#10", 0, "goal:10:boot:abcdefgh"),
        triple("2025-10-19T01:00:00.000+00:00#10", 0, "goal.b:1:boot:abcdefgh"),
        triple("2025-10-19T01:00:00.000+00:00#10", 1, "a:1:boot:abcdefgh"),
        triple("2025-10-19T01:00:00.001+00:00#0", 0, "a:1:boot:abcdefgh"),
    ]
}

pub(super) fn make_hlc() -> Value {
    let forms = FORMS.map(|text| {
        let hlc: Hlc = text.parse().unwrap();
        json!({"text": text, "physical_ms": hlc.physical_ms(), "logical": hlc.logical(), "written": hlc})
    });
    let refused = REFUSED.map(|text| json!({"text": text, "reason": class(&text.parse::<Hlc>().unwrap_err())}));
    let successors = ["2025-10-19T01:23:45.678+00:00#0", "2025-10-19T01:23:45.999+00:00#65535"].map(|text| {
        let hlc: Hlc = text.parse().unwrap();
        json!({"after": hlc, "next": hlc.successor().unwrap()})
    });
    json!({"forms": forms, "refused": refused, "successors": successors, "rising": order()})
}

#[test]
fn clock_readings_are_read_written_and_ordered_as_the_vectors_say() {
    let vectors = read("hlc.json");
    for vector in items(&vectors, "forms") {
        let hlc: Hlc = text(&vector["text"]).parse().unwrap();
        let numbers = (vector["physical_ms"].as_u64().unwrap(), vector["logical"].as_u64().unwrap());
        assert_eq!((hlc.physical_ms(), u64::from(hlc.logical())), numbers);
        assert_eq!(hlc.to_string(), text(&vector["written"]));
        assert_eq!(text(&vector["written"]).parse::<Hlc>().unwrap(), hlc);
    }
    for vector in items(&vectors, "refused") {
        assert_eq!(class(&text(&vector["text"]).parse::<Hlc>().unwrap_err()), text(&vector["reason"]), "{vector}");
    }
    for vector in items(&vectors, "successors") {
        let after: Hlc = text(&vector["after"]).parse().unwrap();
        assert_eq!(after.successor().unwrap().to_string(), text(&vector["next"]));
    }
    let decode = |vector: &Value| from_canonical::<HlcLast>(&strict(vector).canonical()).unwrap();
    let rising: Vec<HlcLast> = items(&vectors, "rising").iter().map(decode).collect();
    assert!(rising.is_sorted_by(|a, b| a < b), "{rising:#?}");
}

const TIMES: [&str; 8] = [
    "2025-01-01T00:00:00.000Z#0",
    "2025-10-19T02:00:00.000Z#0",
    "2025-10-19T02:19:59.999Z#7",
    "2025-10-19T02:20:00.000Z#0",
    "2025-10-19T02:30:00.000Z#0",
    "2025-10-19T02:45:00.000Z#0",
    "2025-10-19T23:59:59.999Z#0",
    "2025-10-20T00:00:00.000Z#0",
];

fn schedules() -> [Value; 3] {
    let mut tides = outside::hourly();
    tides["amplitude"] = json!([{"phase_beats": 20, "pressure": 300}, {"phase_beats": 50, "pressure": 1000}]);
    let mut odd = outside::hourly();
    (odd["epoch"], odd["beat_ms"]) = (json!("2025-01-01T00:00:00.000+00:00#0"), json!(420_000));
    [outside::always_open(), tides, odd]
}

fn place(schedule: &Schedule, time: &str) -> Value {
    let at: Hlc = time.parse().unwrap();
    let position = schedule.position(at);
    let open: Vec<_> = WindowClass::ALL.iter().filter(|class| schedule.is_open(**class, at)).collect();
    json!({
        "at": time, "beat": position.beat, "cycle": position.cycle, "phase_beats": position.phase_beats,
        "window_id": position.window_id, "open": open, "pressure": schedule.pressure(at),
    })
}

fn schedule(document: &Value) -> Schedule {
    from_canonical(&strict(document).canonical()).unwrap()
}

pub(super) fn make_windows() -> Value {
    let one = |document: Value| {
        let places = TIMES.map(|time| place(&schedule(&document), time));
        json!({"schedule": document, "times": places})
    };
    json!({"schedules": schedules().map(one)})
}

#[test]
fn times_lie_in_the_windows_of_the_vectors() {
    for vector in items(&read("windows.json"), "schedules") {
        let schedule = schedule(&vector["schedule"]);
        assert_eq!(schedule.validate(), Ok(()));
        for expected in items(vector, "times") {
            assert_eq!(&place(&schedule, text(&expected["at"])), expected);
        }
    }
}
