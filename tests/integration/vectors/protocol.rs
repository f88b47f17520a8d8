//! `election.json`, `keys.json` and `events.json`: the ranking of an election and its votes, key files, data of events.
//! docs/protocol.md describes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use swoosh::ingress::{EffectView, transition_event};
use swoosh::machine::election;
use swoosh::machine::head::Head;
use swoosh::machine::state::State;
use swoosh::types::canonical::canonical_bytes;
use swoosh::types::council::member_set_hash;
use swoosh::types::event_id::EventId;
use swoosh::types::hash::Hash;
use swoosh::types::incarnation::Incarnation;
use swoosh::types::inputs::{Members, RoleSpec, Vote, VoteBody};
use swoosh::types::keys::{PublicKey, SecretKey};
use swoosh::types::record::Record;
use swoosh::types::text::{ClusterId, ProjectName};

use super::{hex, items, read, text, unhex};

const CLUSTER: &str = "test";

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}

/// Six candidates: three can lead, one of the others may not vote.
fn council() -> State {
    let mut state = State::genesis(&"default".parse::<ProjectName>().unwrap());
    let council = Arc::make_mut(&mut state.council);
    council.election_seed = Some(Hash::of(b"the council section that Council_ProfilesLoaded left"));
    let can = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    council.candidates = [
        (key(1).public(), can(&["lead", "rust"])),
        (key(2).public(), can(&["lead"])),
        (key(3).public(), can(&["lead", "docs"])),
        (key(4).public(), can(&["docs"])),
        (key(5).public(), can(&[])),
        (key(6).public(), can(&["lead", "rust", "docs"])),
    ]
    .into();
    council.roles = [
        ("builder".parse().unwrap(), RoleSpec { capabilities: can(&["lead", "rust"]), seats: 1 }),
        ("reviewer".parse().unwrap(), RoleSpec { capabilities: can(&["docs"]), seats: 2 }),
    ]
    .into();
    state
}

fn make_election() -> Value {
    let state = council();
    let (project, cluster) = ("default".parse::<ProjectName>().unwrap(), CLUSTER.parse::<ClusterId>().unwrap());
    // The sixth candidate may not vote.
    let electorate = state.council.candidates.keys().copied().filter(|known| *known != key(6).public()).collect();
    let head = Head::of(state);
    let members = election::propose(&head, &electorate);
    let body = VoteBody::new(&project, 3, &members);
    let votes: Vec<Vote> = members.keys().map(|member| sign(&body, &cluster, member)).collect();
    let council = &head.state().council;
    json!({
        "cluster": cluster, "seed": election::seed(&head), "roles": council.roles, "candidates": council.candidates,
        "electorate": electorate, "members": members, "member_set_hash": member_set_hash(&members), "vote": body,
        "message_hex": hex(&body.message(&cluster).unwrap()), "votes": votes,
    })
}

fn sign(body: &VoteBody, cluster: &ClusterId, voter: &PublicKey) -> Vote {
    let secret = (1..=6).map(key).find(|secret| secret.public() == *voter).unwrap();
    body.sign(cluster, &secret).unwrap()
}

fn make_keys() -> Value {
    let accepted: Vec<Value> = [1, 7, 255]
        .map(|n| {
            let secret = key(n);
            json!({"file": format!("{}\n", secret.expose()), "seed_hex": hex(&[n; 32]), "public": secret.public()})
        })
        .into();
    let good = key(1).expose();
    let refused = [
        "".to_owned(),
        good.replace("hmmm:secret:", ""),
        good.replace("secret", "pubkey"),
        format!("{good}="),
        good[..good.len() - 1].to_owned(),
        format!("{good}\n{good}\n"),
        good.replace("hmmm", "HMMM"),
    ];
    json!({"accepted": accepted, "refused": refused})
}

fn make_events() -> Value {
    let record: Record = serde_json::from_value(read("chain.json")["records"][3]["record"].clone()).unwrap();
    let event = transition_event(&record);
    let data: Value = serde_json::from_str(&event.data).unwrap();
    let effect = EffectView {
        id: "default/17-0123456789abcdef/fetch".parse().unwrap(),
        project: "default".parse().unwrap(),
        effect: "fetch".parse().unwrap(),
        opened_at: Some("2025-10-19T01:23:45.678+00:00#0".parse().unwrap()),
        mode: "builtin",
        phase: "running",
        attempt: 2,
        begun_ms: Some(1_760_837_026_000),
        next_ms: None,
        reason: Some("the mirror answered 503".to_owned()),
        step: Some("app: receiving".to_owned()),
        done: Some(7),
        total: Some(9),
    };
    let incarnation = |number, after| json!({"number": number, "after": after});
    json!({
        "transition": {"record": record, "data": data},
        "effect": {"data": effect},
        "health": {"data": {"status": "degraded", "mode": "accepting", "reason": "the clock went back"}},
        "gap": {"data": {"reason": "this log ends at record 6", "last_event_id": "1-9", "incarnation": 2, "next_index": 7}},
        "ids": [
            {"index": 4, "incarnations": [], "id": "1-4"},
            {"index": 4, "incarnations": [incarnation(2, 4)], "id": "1-4"},
            {"index": 5, "incarnations": [incarnation(2, 4)], "id": "2-5"},
            {"index": 9, "incarnations": [incarnation(2, 4), incarnation(3, 8)], "id": "3-9"},
        ],
    })
}

pub fn make() -> [(&'static str, Value); 3] {
    [("election.json", make_election()), ("keys.json", make_keys()), ("events.json", make_events())]
}

/// The ranking by the words of docs/protocol.md, without the machine's code.
#[test]
fn the_ranking_of_the_vectors_follows_from_the_documented_formula() {
    let election = read("election.json");
    let list = |value: &Value| value.as_array().unwrap().iter().map(|v| text(v).to_owned()).collect::<Vec<_>>();
    let seed = unhex(text(&election["seed"]).trim_start_matches("sha256-"));
    let electorate = list(&election["electorate"]);
    let mut members: BTreeMap<String, String> = BTreeMap::new();
    for (role, spec) in election["roles"].as_object().unwrap() {
        let wanted = list(&spec["capabilities"]);
        let mut ranked: Vec<(usize, Vec<u8>, String)> = Vec::new();
        for (candidate, can) in election["candidates"].as_object().unwrap() {
            if !electorate.contains(candidate) || members.contains_key(candidate) {
                continue;
            }
            let can = list(can);
            let misses = wanted.iter().filter(|capability| !can.contains(capability)).count();
            let public: PublicKey = candidate.parse().unwrap();
            let hash = Sha256::digest([seed.as_slice(), public.as_bytes()].concat()).to_vec();
            ranked.push((misses, hash, candidate.clone()));
        }
        ranked.sort();
        let seats = spec["seats"].as_u64().unwrap() as usize;
        members.extend(ranked.into_iter().take(seats).map(|(.., candidate)| (candidate, role.clone())));
    }
    assert_eq!(json!(members), election["members"]);
    let parsed: Members = serde_json::from_value(election["members"].clone()).unwrap();
    assert_eq!(text(&election["member_set_hash"]), Hash::of(&canonical_bytes(&parsed)).to_string());
}

#[test]
fn votes_of_the_vectors_sign_the_documented_bytes() {
    let election = read("election.json");
    let document = canonical_bytes(&election["vote"]);
    let message = [b"swoosh/vote/v1\n", text(&election["cluster"]).as_bytes(), b"\n", document.as_slice()].concat();
    assert_eq!(hex(&message), text(&election["message_hex"]));
    for vote in items(&election, "votes") {
        let (voter, signature) = (text(&vote["voter"]).parse::<PublicKey>(), text(&vote["signature"]).parse());
        assert!(voter.unwrap().verify(&message, &signature.unwrap()));
    }
}

#[test]
fn key_files_of_the_vectors_are_read_and_refused() {
    let keys = read("keys.json");
    for known in items(&keys, "accepted") {
        let secret: SecretKey = text(&known["file"]).parse().unwrap();
        assert_eq!(secret.public().to_string(), text(&known["public"]));
        assert_eq!(
            secret.public(),
            SecretKey::from_bytes(&unhex(text(&known["seed_hex"])).try_into().unwrap()).public()
        );
    }
    items(&keys, "refused").iter().for_each(|file| assert!(text(file).parse::<SecretKey>().is_err(), "{file}"));
}

#[test]
fn ids_of_events_name_the_incarnation_of_the_record() {
    for known in items(&read("events.json"), "ids") {
        let incarnations: Vec<Incarnation> = known["incarnations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| Incarnation {
                number: entry["number"].as_u64().unwrap(),
                after: entry["after"].as_u64().unwrap(),
                link: Hash::ZERO,
                at: "2025-10-19T01:23:45.678+00:00#0".parse().unwrap(),
                reason: String::new(),
            })
            .collect();
        assert_eq!(EventId::of(known["index"].as_u64().unwrap(), &incarnations).to_string(), text(&known["id"]));
    }
}

/// The page lists the members of each event that the vectors have.
#[test]
fn the_page_of_the_protocol_has_every_member_of_the_data_of_events() {
    let page = include_str!("../../../docs/protocol.md");
    let events = read("events.json");
    for kind in ["transition", "effect", "health", "gap"] {
        let section = page.split(&format!("`{kind}` |")).nth(1).and_then(|rest| rest.lines().next());
        let section = section.unwrap_or_else(|| panic!("docs/protocol.md has no row of {kind}"));
        for member in events[kind]["data"].as_object().unwrap().keys() {
            assert!(section.contains(&format!("`{member}`")), "docs/protocol.md: {kind} lacks `{member}`");
        }
    }
}
