//! Floods: what one caller or one project sends too much of is not taken from the others.

use serde_json::{Value, json};
use swoosh::types::names::Transition;

use super::{address, assert_turned_away, from, metric, site};
use crate::support::daemon::{Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, Wire, proposal, request};
use crate::support::world::Ask;

fn post(wire: &mut Wire, body: &[u8]) -> Answer {
    wire.exchange(&proposal(body, &[])).unwrap()
}

/// A proposal with the signature of another key.
fn forged(project: &Project<'_>) -> Vec<u8> {
    let mut document: Value =
        serde_json::from_slice(&bytes(&project.signed(&Ask::new(Transition::BootConfigOk)))).unwrap();
    let other = project.signed(&Ask::new(Transition::BootConfigOk)).signature;
    document["signature"] = json!(other);
    serde_json::to_vec(&document).unwrap()
}

#[test]
fn a_flood_of_bad_signatures_shuts_out_only_its_own_peer() {
    let site = site("limits", json!({"failures": 8, "failures_forgiven_per_second": 1}));
    let daemon = site.start();
    let mut project = Project::new(&site, "honest");
    let mut flood = from(address(2), &daemon);
    let mut answers = Vec::new();
    while answers.last().is_none_or(|last: &Answer| last.status == 400) {
        assert!(answers.len() < 1_000, "the peer is never shut out");
        answers.push(post(&mut flood, &forged(&project)));
    }
    let last = answers.pop().unwrap();
    assert_turned_away(&last, 429, "too_many_requests");
    assert!(last.json()["retry_after_ms"].as_u64().is_some());
    assert!(answers.len() >= 8 && answers.iter().all(|answer| answer.code() == "signature_invalid"));
    // Health can still be read, and other peers are served.
    assert!(super::is_served(&mut flood));
    let mut honest = from(address(3), &daemon);
    let signed = project.signed(&Ask::new(Transition::BootConfigOk));
    let receipt = post(&mut honest, &bytes(&signed)).receipt();
    project.advance(&signed.proposal, &receipt);
    assert_eq!(receipt.index, 1);
    // Of what was forged, the reason alone is kept.
    let listed = daemon.get("/rejections?limit=1000").json()["rejections"].as_array().unwrap().clone();
    assert!((8..=100).contains(&listed.len()), "{}", listed.len());
    let is_bare = |entry: &serde_json::Value| {
        entry["code"] == "signature_invalid" && entry["guard"] == "signature" && entry.get("project").is_none()
    };
    assert!(listed.iter().all(is_bare), "{listed:?}");
    let of_project = daemon.get(&format!("/rejections?project={}", project.name)).json();
    assert_eq!(of_project["rejections"], json!([]));
    assert_eq!(daemon.last_index(), 1);
    assert!(metric(&daemon, "swoosh_rejection_total{code=\"too_many_requests\"}") >= 1);
}

#[test]
fn signatures_of_unknown_keys_count_as_forged_ones() {
    let site = site("limits", json!({"failures": 4, "failures_forgiven_per_second": 1}));
    let daemon = site.start();
    let mut wire = from(address(2), &daemon);
    let mut codes = Vec::new();
    for n in 100..200 {
        let project = Project::new(&site, &format!("made-up-{n}"));
        let mut proposal = project.proposal(&Ask::new(Transition::BootConfigOk));
        let unknown_key = swoosh::types::keys::SecretKey::from_bytes(&[n; 32]);
        proposal.signer = unknown_key.public();
        codes.push(post(&mut wire, &bytes(&proposal.sign(&site.cluster, &unknown_key))).code());
        if codes.last().is_some_and(|code| code == "too_many_requests") {
            break;
        }
    }
    assert_eq!(codes.pop().as_deref(), Some("too_many_requests"));
    assert!(codes.len() >= 4 && codes.iter().all(|code| code == "identity_unknown"), "{codes:?}");
}

/// A pause of this project, signed by an unknown key.
fn unknown(site: &Site, name: &str, n: u8) -> Vec<u8> {
    let stranger = swoosh::types::keys::SecretKey::from_bytes(&[n; 32]);
    let ask = Ask::new(Transition::ControlPause).with(json!({"rationale": "x"}));
    let mut proposal = Project::new(site, name).proposal(&ask);
    proposal.signer = stranger.public();
    bytes(&proposal.sign(&site.cluster, &stranger))
}

/// An unknown signer read from the answer whether a project exists, and its head.
#[test]
fn an_unknown_signer_learns_nothing_of_a_project_not_even_that_it_exists() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "real").accept(&daemon, Transition::BootConfigOk);
    let mut wire = daemon.connect();
    let mut hear = |name: &str| {
        let answer = post(&mut wire, &unknown(&site, name, 101));
        assert_eq!(answer.code(), "identity_unknown", "{}", answer.text());
        answer.text().replace(name, "PROJECT")
    };
    assert_eq!(hear("real"), hear("none"));
    assert!(!hear("real").contains("sha256"), "no hash is there");
    let tried = wire
        .exchange(&super::request(
            "POST",
            "/transition?dry_run=true",
            &["content-type: application/json", &format!("content-length: {}", unknown(&site, "real", 101).len())],
            &unknown(&site, "real", 101),
        ))
        .unwrap();
    assert!(tried.text().contains("identity_unknown") && !tried.text().contains("\"head\""), "{}", tried.text());
}

/// 1,200 proposals of made-up keys pushed every other rejection out of the list.
#[test]
fn proposals_of_unknown_signers_push_no_other_rejection_out_of_the_list() {
    let site = site("limits", json!({"failures": 100_000}));
    let daemon = site.start();
    let mut project = Project::new(&site, "real");
    project.accept(&daemon, Transition::BootConfigOk);
    let ask = Ask::new(Transition::ControlResume).with(json!({"rationale": "x"}));
    assert_eq!(daemon.post(&bytes(&project.signed(&ask))).code(), "not_enabled");
    let mut wire = daemon.connect();
    let junk = unknown(&site, "real", 102);
    for _ in 0..1_200 {
        assert_eq!(post(&mut wire, &junk).code(), "identity_unknown");
    }
    let listed = daemon.get("/rejections").json();
    let codes: Vec<&str> =
        listed["rejections"].as_array().unwrap().iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"not_enabled") && codes.contains(&"identity_unknown"), "{codes:?}");
}

/// Such refusals were counted and listed nowhere, which hid attempts with other keys or versions and proxies that change
/// documents.
#[test]
fn refusals_before_the_sequencer_are_listed_with_their_guard() {
    let site = site("limits", json!({"failures": 100_000}));
    let daemon = site.start();
    let mut project = Project::new(&site, "real");
    project.accept(&daemon, Transition::BootConfigOk);
    let ask = Ask::new(Transition::ControlResume).with(json!({"rationale": "x"}));
    let good = project.signed(&ask);
    assert_eq!(daemon.post(&bytes(&good)).code(), "not_enabled");
    let broken = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document: serde_json::Value = serde_json::from_slice(&bytes(&good)).unwrap();
        change(&mut document);
        serde_json::to_vec(&document).unwrap()
    };
    let mut expected = vec!["not_enabled".to_owned()];
    let bodies = [
        broken(&|document| document["signature"] = json!("ed25519:!!!!")),
        broken(&|document| document["inputs_hash"] = json!(swoosh::types::hash::Hash::of(b"elsewhere"))),
        broken(&|document| document["surprise"] = json!(1)),
        b"{".to_vec(),
    ];
    for body in &bodies {
        let answer = daemon.post(body);
        assert_eq!(answer.status, 400);
        expected.push(answer.code().to_owned());
    }
    let mut wire = daemon.connect();
    let requests = [
        request("POST", "/transition", &["content-type: text/plain", "content-length: 2"], b"{}"),
        proposal(&bytes(&good), &["idempotency-key: another"]),
    ];
    for asked in &requests {
        let answer = wire.exchange(asked).unwrap();
        assert!((400..500).contains(&answer.status));
        expected.push(answer.code().to_owned());
    }
    let refused = bodies.len() + requests.len();
    let listed = daemon.get("/rejections").json()["rejections"].as_array().unwrap().clone();
    let mut codes: Vec<&str> = listed.iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    codes.reverse();
    assert_eq!(codes, expected);
    for entry in &listed[..refused] {
        assert!(entry["guard"].is_string() && entry["reasons"][0].is_string(), "{entry}");
        assert!(entry.get("project").is_none() && entry.get("transition").is_none(), "{entry}");
    }
    assert_eq!(listed[refused]["project"], "real");
    // 1,200 more push out neither the known nor the unknown signers.
    post(&mut wire, &unknown(&site, "real", 102));
    for _ in 0..1_200 {
        post(&mut wire, &bodies[0]);
    }
    let listed = daemon.get("/rejections?limit=1000").json();
    let count =
        |code: &str| listed["rejections"].as_array().unwrap().iter().filter(|entry| entry["code"] == code).count();
    assert_eq!((count("not_enabled"), count("identity_unknown")), (1, 1));
    assert!((2..=100).contains(&count("signature_invalid")));
}

#[test]
fn a_flood_on_one_project_leaves_the_others_their_turn() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 300});
        settings["sequencer"] = json!({"queue": 16, "project_queue": 2, "batch_max": 1});
    });
    let daemon = site.start();
    let (hot, calm) = (Project::new(&site, "hot"), Project::new(&site, "calm"));
    let flood: Vec<_> = (0..24).map(|_| bytes(&hot.signed(&Ask::new(Transition::BootConfigOk)))).collect();
    let calm = bytes(&calm.signed(&Ask::new(Transition::BootConfigOk)));
    let (answers, served) = std::thread::scope(|scope| {
        let daemon = &daemon;
        let sent = |body| scope.spawn(move || post(&mut from(address(2), daemon), body));
        let flood: Vec<_> = flood.iter().map(|body| sent(body)).collect();
        let served = post(&mut from(address(3), daemon), &calm);
        (flood.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>(), served)
    });
    assert_eq!(served.status, 202, "{}", served.text());
    let turned_away: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!turned_away.is_empty(), "the project's share was never full");
    for answer in turned_away {
        assert_turned_away(answer, 429, "too_many_requests");
        assert!(answer.text().contains("2 proposals of project hot wait already"), "{}", answer.text());
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1, "one of them made the project");
}

#[test]
fn one_peer_has_so_many_requests_under_way_and_no_more() {
    let daemon = site("limits", json!({"requests_per_peer": 1})).start();
    let _held = super::busy(from(address(2), &daemon));
    let refused = post(&mut from(address(2), &daemon), b"{}");
    assert_turned_away(&refused, 429, "too_many_requests");
    assert_eq!(post(&mut from(address(3), &daemon), b"{}").code(), "schema");
}
