//! Polled capacity, health and liveness, and what the node proposes when a quorum is lost.

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use super::{eventually, site};
use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::Project;
use crate::support::outside;
use crate::support::world::Ask;
use swoosh_standins::Manner;
use swoosh_standins::teller::Teller;

fn polled(teller: &Teller, format: &str) -> Value {
    json!({"url": teller.once(), "format": format, "interval_ms": 100, "timeout_ms": 500})
}

/// A site that takes all facts from the platform, except of these kinds.
fn site_but_for(kinds: &[&str], change: impl FnOnce(&mut Value)) -> Site {
    site(always_open(), |settings| {
        let platform = settings["facts"]["sources"]["license"].clone();
        for kind in ["tooling", "capacity", "health", "liveness"].iter().filter(|kind| !kinds.contains(kind)) {
            settings["facts"]["sources"][kind] = platform.clone();
        }
        change(settings);
    })
}

fn believed(daemon: &Daemon, kind: &str) -> Option<Value> {
    let facts = daemon.get("/facts").json()["facts"].clone();
    facts.as_array().unwrap().iter().find(|fact| fact["kind"] == kind && fact["believed"] == true).cloned()
}

#[test]
fn plain_answers_are_signed_by_the_node_and_bad_ones_change_nothing() {
    let teller = Teller::start(&json!({"resources": {"vcpu": 2}}).to_string()).unwrap();
    let site = site_but_for(&["capacity"], |settings| settings["capacity"] = polled(&teller, "plain"));
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    eventually("it is believed", || believed(&daemon, "capacity").is_some());
    assert_eq!(believed(&daemon, "capacity").unwrap()["source"], site.hands.get("node").key().to_string());
    project.drive(&daemon, Region::Boot, "LICENSED");
    let short = project.propose(&daemon, &Ask::new(Transition::EnvironmentCapacityOk)).json();
    assert!(short["detail"].as_str().unwrap().contains("vcpu: 4 wanted, 2 there"), "{short}");
    for manner in [Manner::Hangs, Manner::Floods, Manner::Garbage, Manner::Fails] {
        teller.behave(manner);
        let before = teller.requests();
        eventually("it is asked on", || teller.requests() > before);
        assert!(believed(&daemon, "capacity").is_some(), "{manner:?}");
    }
    teller.say(&json!({"resources": {"vcpu": "many"}}).to_string());
    teller.behave(Manner::Well);
    eventually("a bad body is logged", || daemon.log().iter().any(|line| line.contains("not of its form")));
    // With a byte-order mark before it, which readers of JSON may pass over.
    teller.say(&format!("\u{feff}{}", json!({"resources": {"vcpu": 8, "memory_mib": 16384}})));
    eventually("there is enough", || {
        project.propose(&daemon, &Ask::new(Transition::EnvironmentCapacityOk)).status == 202
    });
}

#[test]
fn signed_answers_are_believed_for_their_source_and_kind_alone() {
    let (platform, teller) = (swoosh::types::keys::SecretKey::from_bytes(&[55; 32]), Teller::start("[]").unwrap());
    let site = site_but_for(&["health"], |settings| {
        settings["facts"]["sources"]["health"] = json!([platform.public()]);
        settings["health"] = polled(&teller, "signed");
    });
    let daemon = site.start();
    let fact = |kind: &str, key: &swoosh::types::keys::SecretKey, body: Value| {
        let (now, until) =
            (swoosh::types::hlc::Hlc::new(now_ms(), 0), swoosh::types::hlc::Hlc::new(now_ms() + 60_000, 0));
        let claim =
            json!({"kind": kind, "source": key.public(), "observed_at": now, "valid_until": until, "body": body});
        let claim: swoosh::types::fact::FactClaim = serde_json::from_value(claim).unwrap();
        json!(claim.sign(&site.cluster, key))
    };
    let well = json!({"assets": {"image/base": "ok"}});
    teller.say(&fact("health", &swoosh::types::keys::SecretKey::from_bytes(&[56; 32]), well.clone()).to_string());
    eventually("an unknown source is logged", || {
        daemon.log().iter().any(|line| line.contains("is no source of health facts"))
    });
    teller.say(&json!([fact("license", &platform, json!({"id": "x", "scopes": []}))]).to_string());
    eventually("another kind is logged", || daemon.log().iter().any(|line| line.contains("polled for health alone")));
    assert_eq!(believed(&daemon, "health"), None);
    teller.say(&json!([fact("health", &platform, well)]).to_string());
    eventually("it is believed", || believed(&daemon, "health").is_some());
    assert_eq!(believed(&daemon, "health").unwrap()["source"], platform.public().to_string());
}

fn recovery(daemon: &Daemon, project: &str) -> bool {
    daemon.get(&format!("/state?project={project}&projection=control")).json()["projection"]["control"]["recovery"]
        == true
}

#[test]
fn the_node_acts_on_a_lost_quorum_and_on_its_return_without_any_caller() {
    let teller = Teller::start("{}").unwrap();
    let site = site_but_for(&["liveness"], |settings| {
        settings["liveness"] = polled(&teller, "plain");
        settings["liveness"]["lost_after_ms"] = json!(1_000);
        settings["liveness"]["back_after_ms"] = json!(0);
    });
    let voters = crate::support::hands::VOTERS;
    let say = |silent: &[&str]| teller.say(&outside::liveness(&site.hands, silent, now_ms() - 500).to_string());
    say(&[]);
    let daemon = site.start();
    let (mut looping, mut idle) = (Project::new(&site, "looping"), Project::new(&site, "idle"));
    looping.drive(&daemon, Region::Execution, "PLAN");
    idle.drive(&daemon, Region::Council, "READY");
    let before = daemon.last_index();
    say(&voters);
    eventually("the quorum is lost", || recovery(&daemon, "looping"));
    assert!(!recovery(&daemon, "idle"), "a project outside of EXECUTION is left alone");
    looping.refresh(&daemon);
    let blocked = looping.propose(&daemon, &Ask::new(Transition::ExecutionPlanLocked)).json();
    assert_eq!(blocked["code"], "blocked", "{blocked}");
    // Facts go on coming in; one loss is one record.
    let asked = teller.requests();
    eventually("it is polled on", || teller.requests() > asked + 20);
    assert_eq!(daemon.last_index(), before + 1);
    say(&[]);
    eventually("the quorum is back", || !recovery(&daemon, "looping"));
    assert_eq!(daemon.last_index(), before + 2);
    looping.refresh(&daemon);
    looping.accept(&daemon, Transition::ExecutionPlanLocked);
    let wal = daemon.get(&format!("/wal?from={}", before + 1)).json();
    let transitions: Vec<_> =
        wal["records"].as_array().unwrap().iter().map(|entry| entry["record"]["transition"].clone()).collect();
    assert_eq!(transitions[..2], [json!("Control_QuorumLost"), json!("Control_Recovered")]);
    assert_eq!(wal["records"][0]["record"]["signer"], site.hands.get("node").key().to_string());
}
