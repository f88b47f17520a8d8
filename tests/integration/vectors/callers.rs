//! `reads.json`, `drafts.json`, `state.json` and `streams.json`: bytes and answers that every client makes and reads.

use serde_json::{Value, json};
use swoosh::client::{Prepared, StateView, op_class};
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::ids::IdemKey;
use swoosh::types::keys::{PublicKey, SecretKey};
use swoosh::types::names::Transition;
use swoosh::types::proposal::{Proposal, SignedProposal};
use swoosh::types::read::SignedRead;
use swoosh::types::server_events::{EventReader, ServerEvent};
use swoosh::types::text::ClusterId;

use super::{hex, items, read, text, unhex};
use crate::support::strict;

const CLUSTER: &str = "test";
const HLC: &str = "2025-10-19T01:23:45.678+00:00#1234";

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

fn cluster() -> ClusterId {
    CLUSTER.parse().unwrap()
}

/// Targets as they are in the first line of a request.
const TARGETS: [&str; 7] = [
    "/state",
    "/state?project=alpha",
    "/state?project=alpha&projection=Council,Ingestion",
    "/state?project=alpha&projection=Council%2CIngestion",
    "/decisions/bubble:%2F%2Fdr%2Falpha%2F17-0123456789abcdef",
    "/windows?project=alpha&at=2025-10-19T01%3A23%3A45.678%2B00%3A00%230&count=0",
    "/swoosh/wal?from=1&limit=100&project=",
];

fn make_reads() -> Value {
    let signed = TARGETS.map(|target| {
        let read = SignedRead { hlc: HLC.parse().unwrap(), signer: key().public(), target: target.to_owned() };
        json!({
            "target": target, "hlc": HLC, "signer": key().public(), "seed_hex": hex(&[7; 32]),
            "message_hex": hex(&read.message(&cluster())), "signature": read.sign(&cluster(), &key()),
        })
    });
    json!({"cluster": CLUSTER, "signed": signed})
}

#[test]
fn reads_are_signed_over_the_target_as_it_is_sent() {
    let vectors = read("reads.json");
    let cluster: ClusterId = text(&vectors["cluster"]).parse().unwrap();
    for vector in items(&vectors, "signed") {
        let (hlc, target) = (text(&vector["hlc"]), text(&vector["target"]));
        let signer: PublicKey = text(&vector["signer"]).parse().unwrap();
        let read = SignedRead { hlc: hlc.parse().unwrap(), signer, target: target.to_owned() };
        let document = format!("{{\"hlc\":\"{hlc}\",\"signer\":\"{signer}\",\"target\":\"{target}\"}}");
        let message = format!("swoosh/read/v1\n{cluster}\n{document}");
        assert_eq!(hex(message.as_bytes()), text(&vector["message_hex"]));
        assert!(read.is_signed_by(&cluster, &text(&vector["signature"]).parse().unwrap()), "{vector}");
    }
}

/// A draft with all that a client fills in, and the document that follows.
struct Filled {
    name: &'static str,
    project: Option<&'static str>,
    transition: Transition,
    inputs: Value,
    window: Option<&'static str>,
    evidence: &'static [&'static str],
    last: &'static str,
    wall_ms: u64,
}

fn drafts() -> [Filled; 5] {
    let filled = |name, transition, inputs| Filled {
        name,
        project: Some("alpha"),
        transition,
        inputs,
        window: None,
        evidence: &[],
        last: "1970-01-01T00:00:00.000+00:00#0",
        wall_ms: 1_760_837_025_678,
    };
    let hash = Hash::of(b"plan");
    [
        Filled { project: None, ..filled("the project is left out", Transition::ControlResume, json!({})) },
        Filled {
            window: Some("backbeat:W-2025-10-19-02"),
            last: HLC,
            ..filled(
                "a window, and a wall that is behind the last reading",
                Transition::ExecutionPlanLocked,
                json!({"plan_hash": hash}),
            )
        },
        Filled {
            evidence: &["ucxl://chorus:spec@council/\u{2026}", "ucxl://a:b@c/now"],
            ..filled(
                "text beyond ASCII, and evidence",
                Transition::ControlPause,
                json!({"rationale": "d\u{e9}j\u{e0} \u{2714} \u{1f600}\n"}),
            )
        },
        Filled {
            last: "2025-10-19T01:23:45.678+00:00#65535",
            ..filled("a license belongs to control", Transition::LicenseGraceEntered, json!({}))
        },
        filled(
            "inputs with keys out of order",
            Transition::CouncilProfilesLoaded,
            json!({"candidates": {"hmmm:pubkey:z": ["b", "a"], "hmmm:pubkey:a": []}, "a": {"\u{e000}": 1, "\u{10000}": 2}}),
        ),
    ]
}

fn sign(draft: &Filled, idem_key: IdemKey, hlc: Hlc) -> SignedProposal {
    let inputs = strict(&draft.inputs);
    let proposal = Proposal {
        project: draft.project.map(|project| project.parse().unwrap()),
        current_state_hash: Hash::of(b"head"),
        transition: draft.transition,
        inputs_hash: Hash::of(&inputs.canonical()),
        inputs,
        signer: key().public(),
        idem_key,
        hlc,
        window_id: draft.window.map(|window| window.parse().unwrap()),
        evidence: draft.evidence.iter().map(|address| address.parse().unwrap()).collect(),
    };
    proposal.sign(&cluster(), &key())
}

fn make_drafts() -> Value {
    let made = drafts().map(|draft| {
        let last: Hlc = draft.last.parse().unwrap();
        let hlc = last.tick(draft.wall_ms).unwrap();
        let class = op_class(draft.transition);
        let idem_key: IdemKey = format!("goal-7:42:{class}:0b8e7a52-11").parse().unwrap();
        let posted = Prepared::of(sign(&draft, idem_key.clone(), hlc)).unwrap();
        let mut vector = json!({
            "name": draft.name, "transition": draft.transition, "inputs": draft.inputs, "goal": "goal-7", "beat": 42,
            "uuid": "0b8e7a52-11", "head": Hash::of(b"head"), "evidence": draft.evidence, "last_hlc": last,
            "wall_ms": draft.wall_ms, "hlc": hlc, "idem_key": idem_key,
            "body": String::from_utf8(posted.body().to_vec()).unwrap(),
        });
        for (name, value) in [("project", draft.project), ("window_id", draft.window)] {
            value.into_iter().for_each(|value| vector[name] = json!(value));
        }
        vector
    });
    json!({"cluster": CLUSTER, "seed_hex": hex(&[7; 32]), "drafts": made})
}

#[test]
fn the_documents_of_drafts_are_signed_by_their_seed() {
    let vectors = read("drafts.json");
    let cluster: ClusterId = text(&vectors["cluster"]).parse().unwrap();
    let seed: [u8; 32] = unhex(text(&vectors["seed_hex"])).try_into().unwrap();
    for vector in items(&vectors, "drafts") {
        let body = swoosh::types::json::Json::parse(text(&vector["body"]).as_bytes()).unwrap();
        assert_eq!(body.canonical(), text(&vector["body"]).as_bytes(), "the document is posted in its canonical form");
        let signed = SignedProposal::from_json(body).unwrap();
        assert!(SecretKey::from_bytes(&seed).public().verify(&signed.proposal.message(&cluster), &signed.signature));
        assert_eq!(json!(signed.proposal.idem_key), vector["idem_key"]);
        let last: Hlc = text(&vector["last_hlc"]).parse().unwrap();
        assert_eq!(last.tick(vector["wall_ms"].as_u64().unwrap()), Ok(signed.proposal.hlc));
    }
}

/// An answer of `GET /state` with some sections of an end of the chain.
fn answer(end: &Value, shown: &[&str]) -> Value {
    let section = |name: &&str| ((*name).to_owned(), end["state"][name.to_ascii_lowercase()].clone());
    let projection: serde_json::Map<_, _> = shown.iter().map(section).collect();
    json!({
        "project": "default", "hash": end["hash"], "index": 17, "hlc_last": null, "phase": "EXECUTION",
        "sections": end["sections"], "projection": projection,
    })
}

fn make_state() -> Value {
    let chain = read("chain.json");
    let end = &chain["end"];
    let named = |name: &str, answer: Value| json!({"name": name, "answer": answer});
    let changed = |name: &str, pointer: &str, value: Value| {
        let mut answer = answer(end, &["Council", "Execution"]);
        *answer.pointer_mut(pointer).unwrap() = value;
        named(name, answer)
    };
    let proven = [
        named("two sections", answer(end, &["Council", "Execution"])),
        named("no section", answer(end, &[])),
        named("names in small letters", answer(end, &["boot", "control"])),
        named("the beginning, with members that are null", answer(&chain["genesis"], &["Ingestion", "Environment"])),
    ];
    let mut unnamed = answer(end, &["Council"]);
    unnamed["projection"]["Weather"] = json!({});
    let mut short = answer(end, &["Council"]);
    short["sections"].as_object_mut().unwrap().remove("policy");
    let refused = [
        changed("a member of a section is another", "/projection/Execution/phase", json!("PLAN")),
        changed("the hash of a section is another", "/sections/council", json!(Hash::of(b"council"))),
        changed("the head is another", "/hash", json!(Hash::of(b"head"))),
        named("a section without a hash", unnamed),
        named("a hash is missing", short),
    ];
    json!({"proven": proven, "refused": refused})
}

#[test]
fn answers_of_state_are_proven_by_the_head_or_not() {
    let vectors = read("state.json");
    for (list, is_proven) in [("proven", true), ("refused", false)] {
        for vector in items(&vectors, list) {
            let view: StateView = serde_json::from_value(vector["answer"].clone()).unwrap();
            assert_eq!(view.proves_projection(), is_proven, "{}", vector["name"]);
        }
    }
}

const STREAMS: [(&str, &str); 4] = [
    (
        "a stream of the node",
        ": listening\nid: 1-6\n\nid: 1-7\nevent: transition\ndata: {\"index\":7}\n\n:\n\nevent: health\ndata: {\"status\":\"ok\"}\n\n",
    ),
    (
        "line ends of three kinds, data of two lines, no blank after the colon",
        "id:2-8\r\nevent:transition\r\ndata:{\"index\":\r\ndata:8}\r\n\r\ndata: a\rdata: b\r\revent: effect\ndata: {}\n\n",
    ),
    (
        "a byte-order mark, a field without a colon, an unknown field",
        "\u{feff}data\nretry: 5\ncolour: red\n\ndata:  two blanks\n\n",
    ),
    (
        "the last event is not whole",
        "event: effect\ndata: {\"a\":1}\n\nid: 3-1\nevent: transition\ndata: {\"index\":1}\n",
    ),
];

fn events(stream: &str, size: usize) -> Vec<ServerEvent> {
    let mut reader = EventReader::new(1 << 20).giving_ids_alone();
    stream.as_bytes().chunks(size).flat_map(|bytes| reader.push(bytes).unwrap()).collect()
}

fn event(event: &ServerEvent) -> Value {
    let mut made = json!({"event": event.event, "data": event.data});
    event.id.iter().for_each(|id| made["id"] = json!(id));
    made
}

fn make_streams() -> Value {
    let streams = STREAMS.map(|(name, stream)| {
        let events: Vec<Value> = events(stream, stream.len()).iter().map(event).collect();
        json!({"name": name, "stream": stream, "events": events})
    });
    json!({"streams": streams})
}

#[test]
fn streams_give_their_events_wherever_they_are_cut() {
    for vector in items(&read("streams.json"), "streams") {
        let stream = text(&vector["stream"]);
        for size in 1..=stream.len() {
            let found: Vec<Value> = events(stream, size).iter().map(event).collect();
            assert_eq!(json!(found), vector["events"], "{} in pieces of {size}", vector["name"]);
        }
    }
}

pub(super) fn make() -> [(&'static str, Value); 4] {
    [
        ("reads.json", make_reads()),
        ("drafts.json", make_drafts()),
        ("state.json", make_state()),
        ("streams.json", make_streams()),
    ]
}
