//! Breaches of policies are recorded: whatever would keep a project CLEAR is seen, counted, and holds the project.

use serde_json::{Value, json};
use swoosh::types::canonical::to_json;
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::json::Json;
use swoosh::types::names::{Region, Transition};

use crate::policies::{Desk, believed};
use crate::support::daemon::{Daemon, Site, always_open, now_ms, platform};
use crate::support::driver::Project;
use crate::support::http::request;
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

/// A rule that calls any pause a breach, with a reason of its own.
fn pause_is_a_breach(n: usize, reason: &str) -> String {
    format!(
        "@id(\"no-pause-{n}\") @breach(\"{reason}\") forbid (principal, action == Action::\"Control_Pause\", resource);"
    )
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is no metric {name}")).parse().unwrap()
}

fn policy_of(daemon: &Daemon, project: &str) -> Value {
    daemon.get(&format!("/state?project={project}&projection=policy")).json()["projection"]["policy"].clone()
}

fn in_force(desk: &Desk, daemon: &Daemon, serial: u64, further: &str) {
    desk.sign(serial, further);
    daemon.signal("HUP");
    daemon.wait_for("/facts", |_| believed(daemon)["serial"] == serial);
}

/// With more than 16 rules that struck, the quarantine was over a bound, and the project stayed CLEAR.
#[test]
fn a_breach_of_many_rules_is_recorded_with_the_first_16_and_a_count() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let rules: Vec<String> = (10..30).map(|n| pause_is_a_breach(n, &format!("reason {n}"))).collect();
    in_force(&desk, &daemon, 7, &rules.join("\n"));
    assert_eq!(project.propose(&daemon, &Ask::new(Transition::ControlPause)).code(), "policy_breach");
    let policy = policy_of(&daemon, "alpha");
    assert_eq!(policy["phase"], "QUARANTINED", "{policy}");
    assert_eq!(policy["breach"]["reasons"].as_array().unwrap().len(), 16);
    assert_eq!((&policy["breach"]["reasons"][0], &policy["breach"]["more"]), (&json!("reason 10"), &json!(4)));
    let rationale = policy["rationale"].as_str().unwrap();
    assert!(rationale.starts_with("20 rules struck: reason 10; "), "{rationale}");
    assert_eq!(metric(&daemon, "swoosh_breaches_unrecorded"), 0);
    daemon.terminate();
}

/// A reason that begins with more blanks than a rationale holds characters left a blank rationale, which is none.
#[test]
fn a_reason_of_blanks_does_not_keep_a_breach_from_being_recorded() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    in_force(&desk, &daemon, 7, &pause_is_a_breach(1, &format!("{}too late", " ".repeat(450))));
    assert_eq!(project.propose(&daemon, &Ask::new(Transition::ControlPause)).code(), "policy_breach");
    assert_eq!(policy_of(&daemon, "alpha")["rationale"], "too late");
}

/// A reason that is not in NFC could not stand in the quarantine, so there was none. Names of policies stand in records too.
#[test]
fn texts_of_policies_are_checked_wherever_a_bundle_comes_in() {
    let bad = [
        pause_is_a_breach(1, "e\\u{301}"),
        pause_is_a_breach(1, "cafe\u{301}"),
        "@id(\"cafe\\u{301}\") forbid (principal, action == Action::\"Control_Pause\", resource);".to_owned(),
    ];
    for further in &bad {
        let desk = Desk::new();
        let signed = desk.try_sign(7, further);
        let said = String::from_utf8_lossy(&signed.stderr).into_owned();
        let refused = said.contains("NFC") || said.contains("normalisation form C");
        assert!(!signed.status.success() && refused, "{said}");
        let policies = format!("{}\n{further}\n", swoosh::settings::default_policies());
        // As a pushed fact, by a source that signs whatever it likes; JSON itself keeps out what is not escaped.
        if let Ok(body) = to_json(&json!({"serial": 7, "policies": policies})) {
            is_not_believed(&desk, body);
        }
        // In the settings, the node does not start.
        let site =
            Site::with(always_open(), |settings| settings["policies"] = json!({"path": "own.cedar", "serial": 7}));
        std::fs::write(site.data().parent().unwrap().join("own.cedar"), policies).unwrap();
        let (_, said) = site.start_refused();
        assert!(said.contains("NFC") || said.contains("normalisation form C"), "{said}");
    }
}

fn is_not_believed(desk: &Desk, body: Json) {
    let daemon = desk.site.start();
    let claim = FactClaim {
        kind: FactKind::Policy,
        project: None,
        source: platform().public(),
        observed_at: Hlc::new(now_ms(), 0).unwrap(),
        valid_until: Hlc::new(now_ms() + 3_600_000, 0).unwrap(),
        body,
    };
    let fact = claim.sign(&"test".parse().unwrap(), &platform());
    let body = serde_json::to_vec(&fact).unwrap();
    let length = format!("content-length: {}", body.len());
    let answer = daemon.send(&request("POST", "/facts", &["content-type: application/json", &length], &body));
    assert_eq!((answer.status, answer.code().as_str()), (400, "fact_body"), "{}", answer.text());
    assert_eq!(believed(&daemon)["serial"], 1);
    daemon.terminate();
}

/// A policy that forbids the node Policy_Quarantine left the project CLEAR, and the next proposal passed.
#[test]
fn a_policy_that_forbids_quarantines_does_not_keep_a_breach_from_being_recorded() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let frozen = "@id(\"frozen\") forbid (principal, action == Action::\"Policy_Quarantine\", resource);";
    in_force(&desk, &daemon, 7, &format!("{}\n{frozen}", pause_is_a_breach(1, "no pause")));
    assert_eq!(project.propose(&daemon, &Ask::new(Transition::ControlPause)).code(), "policy_breach");
    let policy = policy_of(&daemon, "alpha");
    assert_eq!((&policy["phase"], &policy["origin"]), (&json!("QUARANTINED"), &json!("proposal")), "{policy}");
    assert_eq!(metric(&daemon, "swoosh_breaches_unrecorded"), 0);
    project.refresh(&daemon);
    assert_eq!(project.propose(&daemon, &Ask::new(Transition::BootIdentityGranted)).code(), "blocked");
    project.accept(&daemon, Transition::PolicyRelease);
    project.accept(&daemon, Transition::BootIdentityGranted);
    daemon.terminate();
}

/// A caller that went to the very bound of the clock kept the node, whose clock is the next one, from proposing at all.
#[test]
fn a_caller_at_the_bound_of_the_clock_does_not_keep_the_node_from_a_quarantine() {
    let mut world = World::new();
    world.drive(Goal::new(Region::Boot, "LICENSED"));
    let mut ask = Ask::new(Transition::ControlPause);
    ask.hlc = Hlc::new(world.now_ms + 5_000, u16::MAX);
    world.propose(&ask).unwrap();
    world.propose(&Ask::new(Transition::PolicyQuarantine).by("node")).unwrap();
}
