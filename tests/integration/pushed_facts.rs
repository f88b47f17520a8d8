//! Facts that integrations push to a real daemon: believed, kept over a restart, refused when they are not to be.

use serde_json::{Value, json};
use swoosh::client::Client;
use swoosh::types::fact::{Fact, FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::Project;
use crate::support::http::request;
use crate::support::inputs;
use crate::support::strict;
use crate::support::world::Ask;

fn probe() -> SecretKey {
    SecretKey::from_bytes(&[55; 32])
}

/// A site whose only source of capacity and health facts is the probe.
fn site() -> Site {
    Site::with(always_open(), |settings| {
        settings["facts"]["sources"]["capacity"] = json!([probe().public()]);
        settings["facts"]["sources"]["health"] = json!([probe().public()]);
    })
}

fn capacity(site: &Site, key: &SecretKey, seen_ms: u64, lasts_ms: u64, vcpu: u64) -> Fact {
    let claim = FactClaim {
        kind: FactKind::Capacity,
        project: None,
        source: key.public(),
        observed_at: Hlc::new(seen_ms, 0).unwrap(),
        valid_until: Hlc::new(seen_ms + lasts_ms, 0).unwrap(),
        body: strict(&json!({"resources": {"vcpu": vcpu, "memory_mib": 65_536}})),
    };
    claim.sign(&site.cluster, key)
}

fn push(daemon: &Daemon, fact: &Fact) -> (u16, Value) {
    let body = serde_json::to_vec(fact).unwrap();
    let length = format!("content-length: {}", body.len());
    let answer = daemon.send(&request("POST", "/facts", &["content-type: application/json", &length], &body));
    (answer.status, answer.json())
}

#[test]
fn a_pushed_fact_is_judged_by_at_once_and_after_a_kill() {
    let site = site();
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let refused = project.propose(&daemon, &Ask::new(Transition::EnvironmentCapacityOk)).json();
    assert_eq!(refused["code"], "guard_capacity");
    assert!(refused["detail"].as_str().unwrap().contains("there is no capacity fact"), "{refused}");
    assert!(daemon.get("/facts").json()["missing"].as_array().unwrap().contains(&json!("capacity")));
    let fact = capacity(&site, &probe(), now_ms(), 3_600_000, 8);
    let (status, pushed) = push(&daemon, &fact);
    assert_eq!((status, &pushed["held"], &pushed["hash"]), (200, &json!(true), &json!(fact.hash())));
    daemon.kill();
    let daemon = site.start();
    let shown = daemon.get("/facts?kind=capacity").json();
    assert_eq!(shown["facts"][0]["hash"], json!(fact.hash()), "{shown}");
    assert_eq!(shown["facts"][0]["source"], json!(probe().public()));
    let receipt = project.propose(&daemon, &Ask::new(Transition::EnvironmentCapacityOk)).receipt();
    let decision = daemon.get(&format!("/decisions/default/{}", receipt.index)).text();
    assert!(decision.contains(&fact.hash().to_string()), "the record names the fact that was read");
}

#[test]
fn old_news_is_left_alone_and_what_ends_in_the_past_takes_back() {
    let site = site();
    let daemon = site.start();
    let now = now_ms();
    assert_eq!(push(&daemon, &capacity(&site, &probe(), now, 3_600_000, 8)).1["held"], true);
    let (status, old) = push(&daemon, &capacity(&site, &probe(), now - 1, 3_600_000, 16));
    assert_eq!((status, &old["held"]), (200, &json!(false)));
    assert!(old["reason"].as_str().unwrap().contains("only a newer one"), "{old}");
    let back =
        FactClaim { valid_until: Hlc::new(now - 1_000, 0).unwrap(), ..capacity(&site, &probe(), now + 1, 0, 8).claim };
    assert_eq!(push(&daemon, &back.sign(&site.cluster, &probe())).1["held"], true);
    let shown = daemon.get("/facts?kind=capacity").json();
    assert_eq!(shown["facts"][0]["believed"], false);
    assert!(shown["missing"].as_array().unwrap().contains(&json!("capacity")));
}

/// The file of an expired take-back was deleted at the first start after it. Anybody could then push the old signed
/// license again: it was believed, and the network gate opened.
#[test]
fn a_license_that_was_taken_back_does_not_return_after_restarts() {
    let site = Site::with(always_open(), |settings| {
        settings["facts"]["sources"]["license"] = json!([probe().public()]);
        settings["license"]["grace_ms"] = json!(0);
    });
    std::fs::write(site.file("facts.json"), "[]").unwrap();
    let now = now_ms();
    let license = |seen_ms, until_ms| {
        let claim = FactClaim {
            kind: FactKind::License,
            valid_until: Hlc::new(until_ms, 0).unwrap(),
            body: strict(&json!({"id": "license-9", "scopes": ["swoosh"]})),
            ..capacity(&site, &probe(), seen_ms, 0, 1).claim
        };
        claim.sign(&site.cluster, &probe())
    };
    let (old, back) = (license(now - 10_000, now + 3_600_000), license(now - 5_000, now - 4_000));
    let mut daemon = site.start();
    assert_eq!(push(&daemon, &old).1["held"], true);
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    assert_eq!(push(&daemon, &back).1["held"], true);
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == false);
    // A record after the end of the take-back: only what ended before the last record may be deleted.
    let config = json!({"document": inputs::document(&site.hands)});
    let mut project = Project::new(&site, "default");
    project.propose(&daemon, &Ask::new(Transition::BootConfigOk).with(config)).receipt();
    for _ in 0..2 {
        daemon.terminate();
        daemon = site.start();
        let (status, again) = push(&daemon, &old);
        assert_eq!((status, &again["held"]), (200, &json!(false)), "{again}");
        let facts = daemon.get("/facts").json();
        assert_eq!(facts["network"]["open"], false, "{facts}");
        assert!(facts["missing"].as_array().unwrap().contains(&json!("license")), "{facts}");
    }
}

/// The node signs facts from its providers. A client that kept such a fact could push it after a restart.
#[test]
fn facts_that_the_node_signed_are_not_taken_from_others() {
    let site = site();
    let daemon = site.start();
    let own = capacity(&site, &site.hands.get("node").secret, now_ms(), 3_600_000, 64);
    let (status, problem) = push(&daemon, &own);
    assert_eq!((status, &problem["code"]), (400, &json!("fact_source")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("signed by the node itself"), "{problem}");
}

#[test]
fn facts_of_an_unauthorized_source_are_refused_and_change_nothing() {
    let site = site();
    let daemon = site.start();
    // The node renews facts of its own meanwhile.
    let shown = || daemon.get("/facts?kind=capacity").json();
    let before = shown();
    let good = capacity(&site, &probe(), now_ms(), 3_600_000, 8);
    let stranger = site.hands.get("stranger").secret.clone();
    let mut forged = good.clone();
    forged.claim.body = strict(&json!({"resources": {"vcpu": 64}}));
    let mut shapeless = good.claim.clone();
    shapeless.body = strict(&json!({"cpus": 8}));
    let early = capacity(&site, &probe(), now_ms() + 600_000, 3_600_000, 8);
    let elsewhere = good.claim.clone().sign(&"other".parse().unwrap(), &probe());
    for (fact, code) in [
        (capacity(&site, &stranger, now_ms(), 3_600_000, 8), "fact_source"),
        (forged, "signature_invalid"),
        (elsewhere, "signature_invalid"),
        (shapeless.sign(&site.cluster, &probe()), "fact_body"),
        (early, "fact_ahead"),
    ] {
        let (status, problem) = push(&daemon, &fact);
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{problem}");
    }
    assert_eq!(shown(), before);
    assert_eq!(std::fs::read_dir(site.data().join("facts")).unwrap().count(), 0);
}

#[test]
fn the_command_line_and_the_sdk_push_and_show_facts() {
    let site = site();
    let daemon = site.start();
    let node = format!("http://{}", daemon.address);
    let key = site.data().join("probe.key");
    swoosh::platform::keyfile::store(&key, &probe()).unwrap();
    let run = |arguments: &[&str]| {
        let output = crate::support::program().args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let body = r#"{"resources": {"vcpu": 8}}"#;
    let cluster = site.cluster.to_string();
    let (_, signed) =
        run(&["fact", "sign", "--kind", "capacity", "--key", key.to_str().unwrap(), "--cluster", &cluster, body]);
    let file = site.data().join("capacity.json");
    std::fs::write(&file, &signed).unwrap();
    let post = ["fact", "post", file.to_str().unwrap(), "--node", &node];
    assert!(run(&post).0);
    let (good, said) = run(&post);
    assert!(!good && said.contains("only a newer one"), "{said}");
    let (_, shown) = run(&["fact", "show", "--kind", "capacity", "--node", &node]);
    assert!(
        shown.contains("capacity") && shown.contains("yes") && shown.contains("the network gate is open"),
        "{shown}"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::reader(&node).unwrap();
        let fact: Fact = serde_json::from_str(&signed).unwrap();
        assert!(!client.push_fact(&fact).await.unwrap().held);
        let view = client.beliefs(Some(FactKind::Capacity), None).await.unwrap();
        assert_eq!(view.facts.len(), 1);
        assert!(view.network.open && !view.missing.contains(&"capacity".to_owned()));
    });
}
