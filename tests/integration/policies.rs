//! Signed policy bundles: read from a file while the node runs, in force across restarts, never taken back.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use swoosh::types::fact::{Fact, FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open, now_ms, platform};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, request};
use crate::support::strict;
use crate::support::world::Ask;

/// A site whose node reads a signed bundle, and what signs it.
pub struct Desk {
    pub site: Site,
    folder: PathBuf,
}

impl Desk {
    /// Nothing is signed yet.
    pub fn new() -> Desk {
        let site = Site::with(always_open(), |settings| settings["policies"] = json!({"bundle": "bundle.json"}));
        let folder = site.data().parent().unwrap().to_owned();
        swoosh::platform::keyfile::store(&folder.join("shhh.key"), &platform()).unwrap();
        Desk { site, folder }
    }

    pub fn policy(&self, arguments: &[&str]) -> Output {
        crate::support::program().arg("policy").args(arguments).current_dir(&self.folder).output().unwrap()
    }

    /// Signs the built-in policies with a further one.
    pub fn sign(&self, serial: u64, further: &str) {
        let signed = self.try_sign(serial, further);
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    }

    /// The same, whether or not it can be done.
    pub fn try_sign(&self, serial: u64, further: &str) -> Output {
        let text = format!("{}\n{further}\n", swoosh::settings::default_policies());
        std::fs::write(self.folder.join("next.cedar"), text).unwrap();
        let serial = serial.to_string();
        self.policy(&[
            "sign",
            "next.cedar",
            "--serial",
            &serial,
            "--key",
            "shhh.key",
            "--cluster",
            "test",
            "--out",
            "bundle.json",
        ])
    }
}

const NO_PAUSE: &str = r#"@id("no-pause") forbid (principal, action == Action::"Control_Pause", resource);"#;

/// The bundle that the node believes.
pub fn believed(daemon: &Daemon) -> Value {
    let facts = daemon.get("/facts").json();
    let facts = facts.as_array().or_else(|| facts["facts"].as_array()).unwrap().clone();
    facts.into_iter().find(|fact| fact["kind"] == "policy").unwrap()
}

fn wait_denied(daemon: &Daemon, project: &mut Project<'_>) {
    let project = std::cell::RefCell::new(project);
    daemon.wait_for("/health", |_| {
        let mut project = project.borrow_mut();
        let answer = project.propose(daemon, &Ask::new(Transition::ControlPause));
        if answer.status == 202 {
            project.accept(daemon, Transition::ControlResume);
        }
        answer.status == 400 && answer.text().contains("policy no-pause forbids it")
    });
}

#[test]
fn a_newer_bundle_counts_while_the_node_runs_and_an_older_one_never_again() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    project.accept(&daemon, Transition::ControlPause);
    project.accept(&daemon, Transition::ControlResume);
    desk.sign(7, NO_PAUSE);
    daemon.signal("HUP");
    wait_denied(&daemon, &mut project);
    let kept = desk.site.data().join("policy-bundles.json");
    daemon.wait_for("/health", |_| kept.exists());
    // Older, and properly signed.
    desk.sign(6, "");
    daemon.signal("HUP");
    daemon.wait_for("/health", |_| daemon.log().iter().any(|line| line.contains("does not follow bundle 7")));
    wait_denied(&daemon, &mut project);
    let before = believed(&daemon);
    daemon.kill();
    std::fs::remove_file(desk.folder.join("bundle.json")).unwrap();
    let daemon = desk.site.start();
    assert_eq!(believed(&daemon)["hash"], before["hash"], "the bundle is gone with its file");
    project.refresh(&daemon);
    wait_denied(&daemon, &mut project);
}

/// The bundle that each record was judged by, as the log tells it: its serial in the reasons, its fact by its hash.
fn bundles(daemon: &Daemon) -> Vec<(u64, Value)> {
    let records = daemon.get("/wal?from=1&limit=1000").json()["records"].as_array().unwrap().clone();
    let judged = records.iter().map(|entry| entry.get("record").unwrap_or(entry)).map(|record| {
        let outcomes = record["guard_outcomes"].as_array().unwrap();
        let policy = outcomes.iter().find(|outcome| outcome["guard"] == "policy").unwrap();
        let reason = policy["reasons"][0].as_str().unwrap();
        let serial = reason.strip_prefix("bundle ").and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(record["policy_engine"].as_str().unwrap().starts_with("cedar"), "{record}");
        (serial.parse().unwrap(), policy["facts"].clone())
    });
    judged.collect()
}

#[test]
fn the_log_tells_by_which_policies_each_record_was_judged_and_they_only_go_forward() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    desk.sign(7, "");
    daemon.signal("HUP");
    daemon.wait_for("/facts", |_| believed(&daemon)["serial"] == 7);
    for _ in 0..2 {
        project.accept(&daemon, Transition::ControlPause);
        project.accept(&daemon, Transition::ControlResume);
    }
    let bundles_seen = bundles(&daemon);
    let serials: Vec<u64> = bundles_seen.iter().map(|(serial, _)| *serial).collect();
    assert!(serials.is_sorted() && serials.first() == Some(&1) && serials.last() == Some(&7), "{serials:?}");
    for pair in bundles_seen.windows(2) {
        assert_eq!(pair[0].0 == pair[1].0, pair[0].1 == pair[1].1, "one serial, one fact: {pair:?}");
    }
    daemon.terminate();
    // The log's own list has the same barrier, and the engine that asked.
    let listed = desk.site.run(&["--json", "wal", "barriers"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |what: &str| -> Vec<Value> {
        let all = listed["barriers"].as_array().unwrap().iter();
        all.filter(|barrier| barrier["version_of"] == what).cloned().collect()
    };
    let first_by_seven = serials.iter().position(|serial| *serial == 7).unwrap() as u64 + 1;
    let bundles: Vec<_> =
        of("policies").iter().map(|one| (one["index"].clone(), one["from"].clone(), one["to"].clone())).collect();
    assert_eq!(bundles, [(json!(1), Value::Null, json!(1)), (json!(first_by_seven), json!(1), json!(7))]);
    let engines = of("policy_engine");
    assert!(engines.len() == 1 && engines[0]["to"].as_str().unwrap().starts_with("cedar"), "{listed}");
    assert_eq!(listed["ok"], true);
    let shown = String::from_utf8(desk.site.run(&["wal", "barriers"]).stdout).unwrap();
    assert!(
        shown.contains("bundle 1 ") && shown.contains("bundle 7 (") && shown.contains("(the log begins)"),
        "{shown}"
    );
    // Long after, and without the bundle's file, every record is judged again by the policies that it names.
    std::fs::remove_file(desk.folder.join("bundle.json")).unwrap();
    let again = desk.site.run(&["--json", "replay", "--reguard"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

#[test]
fn a_node_does_not_start_with_policies_that_were_replaced() {
    let desk = Desk::new();
    desk.sign(7, NO_PAUSE);
    let daemon = desk.site.start();
    let kept = desk.site.data().join("policy-bundles.json");
    daemon.wait_for("/health", |_| kept.exists());
    daemon.terminate();
    let path = desk.folder.join("swoosh.yaml");
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = settings.clone();
        change(&mut changed);
        std::fs::write(&path, changed.to_string()).unwrap();
    };
    with(&|settings| drop(settings["facts"]["sources"].as_object_mut().unwrap().remove("policy")));
    let (_, said) = desk.site.start_refused();
    assert!(said.contains("raise policies.serial"), "{said}");
    with(&|settings| settings["policies"] = json!({"serial": 8}));
    desk.site.start().terminate();
}

/// Bundles were kept only beside the log. A promoted follower, or a node whose file was deleted, silently accepted
/// proposals that a newer bundle forbids.
#[test]
fn the_policies_that_judged_the_last_records_stay_in_force_without_their_files() {
    let desk = Desk::new();
    desk.sign(7, NO_PAUSE);
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    assert_eq!(bundles(&daemon).last().unwrap().0, 7);
    let follower = desk.site.file("follower");
    let following = desk.site.follow(daemon.address, &follower).unwrap();
    let last = daemon.last_index();
    following.wait_for("/health", |answer| answer.json()["last_index"].as_u64() == Some(last));
    following.terminate();
    let kept = desk.site.data().join("policy-bundles.json");
    daemon.wait_for("/health", |_| kept.exists());
    daemon.kill();
    std::fs::remove_file(desk.folder.join("bundle.json")).unwrap();
    std::fs::remove_file(kept).unwrap();
    assert!(desk.site.run_in(&follower, &["promote", "--yes", "--reason", "a test"]).status.success());
    std::fs::copy(desk.site.data().join("node.key"), follower.join("node.key")).unwrap();
    for data in [desk.site.data(), follower] {
        let daemon = desk.site.start_in(&data).unwrap();
        assert_eq!(believed(&daemon)["serial"], 7, "{}", data.display());
        project.refresh(&daemon);
        wait_denied(&daemon, &mut project);
        daemon.terminate();
    }
}

/// Bundles of the settings themselves were not kept at all: serial 8, and then 7, started.
#[test]
fn a_lower_serial_in_the_settings_does_not_start_once_a_record_was_judged() {
    let desk = Desk::new();
    let serial = |serial: u64| desk.site.change_settings(|settings| settings["policies"] = json!({"serial": serial}));
    serial(8);
    desk.site.start().terminate();
    serial(7);
    let daemon = desk.site.start();
    Project::new(&desk.site, "alpha").drive(&daemon, Region::Boot, "LICENSED");
    daemon.terminate();
    serial(6);
    let (_, said) = desk.site.start_refused();
    assert!(said.contains("judged by policy bundle 7") && said.contains("raise policies.serial"), "{said}");
    serial(8);
    desk.site.start().terminate();
}

#[test]
fn a_bundle_that_does_not_fit_the_statechart_is_not_signed() {
    let desk = Desk::new();
    std::fs::write(
        desk.folder.join("bad.cedar"),
        r#"@id("p") permit (principal in Role::"operatr", action, resource);"#,
    )
    .unwrap();
    let refused = desk.policy(&["sign", "bad.cedar", "--serial", "2", "--key", "shhh.key", "--cluster", "test"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("operatr"));
    let checked = desk.policy(&["check", "bad.cedar"]);
    assert_eq!(checked.status.code(), Some(1));
    desk.sign(2, NO_PAUSE);
    let checked = desk.policy(&["check", "bundle.json", "--config", "swoosh.yaml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("signed by hmmm:pubkey:"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("Control_Pause") && line.trim_end().ends_with("operator")),
        "{said}"
    );
}

#[test]
fn it_is_explained_who_may_do_what_and_why_not() {
    let desk = Desk::new();
    let explain = |arguments: &[&str]| {
        let output = desk.policy(&[&["explain"], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = explain(&["--role", "operator", "--transition", "Control_Pause"]);
    assert!(code == Some(0) && said.contains("yes, by operators-act-everywhere"), "{said}");
    let (code, said) = explain(&["--role", "worker", "--role", "voter", "--transition", "Execution_Approve"]);
    assert!(code == Some(1) && said.contains("policy workers-do-not-approve forbids it"), "{said}");
    let (code, said) = explain(&["--role", "worker", "--transition", "Control_Pause"]);
    assert!(code == Some(1) && said.contains("Control_Pause is for operator"), "{said}");
    let inputs = r#"{"submission": "ucxl://a:b@c/now/id_rsa"}"#;
    let (code, said) = explain(&["--role", "agent", "--transition", "Execution_Submit", "--inputs", inputs]);
    assert!(code == Some(1) && said.contains("quarantined"), "{said}");
    let operator = desk.site.hands.get("operator").key().to_string();
    let (code, said) = explain(&["--config", "swoosh.yaml", "--signer", &operator, "--transition", "Control_Pause"]);
    assert!(code == Some(0) && said.contains("by operator"), "{said}");
}

/// Policies with a condition of this form in place of `CONDITION`, which is true.
fn with_condition(condition: &str) -> String {
    format!(
        "{}\n@id(\"deep\") forbid (principal, action == Action::\"Control_Pause\", resource) unless {{ {condition} }};\n",
        swoosh::settings::default_policies()
    )
}

fn alternatives(n: usize) -> String {
    let others: Vec<_> = (1..n).map(|n| format!("principal == Identity::\"hmmm:pubkey:{n:043}\"")).collect();
    format!("{} || true", others.join(" || "))
}

/// The forms that killed a node: alternatives, a sum, parentheses.
fn too_deep() -> [String; 3] {
    let sum = format!("{} > 0", vec!["1"; 5_000].join(" + "));
    let parentheses = format!("{}true{}", "(".repeat(1_000), ")".repeat(1_000));
    [alternatives(1_000), sum, parentheses].map(|condition| with_condition(&condition))
}

fn bundle(serial: u64, policies: &str) -> Fact {
    let seen_ms = now_ms();
    let claim = FactClaim {
        kind: FactKind::Policy,
        project: None,
        source: platform().public(),
        observed_at: Hlc::new(seen_ms, 0).unwrap(),
        valid_until: Hlc::new(seen_ms + 3_600_000, 0).unwrap(),
        body: strict(&json!({"serial": serial, "policies": policies})),
    };
    claim.sign(&"test".parse().unwrap(), &platform())
}

fn push(daemon: &Daemon, fact: &Fact) -> Answer {
    let body = serde_json::to_vec(fact).unwrap();
    let length = format!("content-length: {}", body.len());
    daemon.send(&request("POST", "/facts", &["content-type: application/json", &length], &body))
}

/// It overflowed the sequencer's stack at the first proposal, and again after each restart; the commands aborted.
#[test]
fn a_bundle_that_is_too_deep_is_refused_wherever_it_comes_in() {
    let desk = Desk::new();
    let settings_with = |name: &str| json!({"path": name, "serial": 2});
    for (number, text) in too_deep().iter().enumerate() {
        std::fs::write(desk.folder.join("deep.cedar"), text).unwrap();
        let refused = |output: Output| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("more than 600 levels"), "{number}: {said}");
            assert!(output.status.code().is_some(), "{number}: a signal ended it");
        };
        refused(desk.policy(&["check", "deep.cedar"]));
        refused(desk.policy(&["sign", "deep.cedar", "--serial", "7", "--key", "shhh.key", "--cluster", "test"]));
        desk.site.change_settings(|settings| settings["policies"] = settings_with("deep.cedar"));
        refused(desk.site.tool(&["settings", "check", desk.site.config().to_str().unwrap()]));
        let (code, said) = desk.site.start_refused();
        assert!(code.is_some() && said.contains("more than 600 levels"), "{number}: {said}");
        desk.site.change_settings(|settings| settings["policies"] = json!({"bundle": "bundle.json"}));
    }
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    for text in too_deep() {
        let answer = push(&daemon, &bundle(7, &text));
        assert_eq!((answer.status, answer.code().as_str()), (400, "fact_body"), "{}", answer.text());
        assert!(answer.text().contains("more than 600 levels"));
    }
    std::fs::write(desk.folder.join("bundle.json"), json!([bundle(8, &too_deep()[0])]).to_string()).unwrap();
    daemon.signal("HUP");
    daemon.wait_for("/health", |_| daemon.log().iter().any(|line| line.contains("more than 600 levels")));
    project.accept(&daemon, Transition::ControlPause);
}

/// A bundle that an older program accepted is refused with the remedy, instead of crashing the start.
#[test]
fn a_bundle_held_since_before_that_is_too_deep_stops_the_start_until_a_newer_one_is_set() {
    let desk = Desk::new();
    desk.site.start().terminate();
    let kept = json!([bundle(8, &too_deep()[0])]).to_string();
    std::fs::write(desk.site.data().join("policy-bundles.json"), kept).unwrap();
    let (code, said) = desk.site.start_refused();
    assert!(
        code.is_some() && said.contains("more than 600 levels") && said.contains("raise policies.serial"),
        "{said}"
    );
    desk.site.change_settings(|settings| settings["policies"] = json!({"serial": 9}));
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    project.accept(&daemon, Transition::ControlPause);
}

/// As many alternatives as before the bound was there are judged by still, on the sequencer's thread and in a dry run.
#[test]
fn a_bundle_near_the_bound_is_judged_by() {
    let desk = Desk::new();
    let daemon = desk.site.start();
    let mut project = Project::new(&desk.site, "alpha");
    project.drive(&daemon, Region::Boot, "LICENSED");
    assert_eq!(push(&daemon, &bundle(7, &with_condition(&alternatives(590)))).status, 200);
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let body = bytes(&signed);
    let length = format!("content-length: {}", body.len());
    let dry =
        daemon.send(&request("POST", "/transition?dry_run=true", &["content-type: application/json", &length], &body));
    assert_eq!(dry.status, 200, "{}", dry.text());
    project.accept(&daemon, Transition::ControlPause);
    project.accept(&daemon, Transition::ControlResume);
    daemon.terminate();
    let output = desk.site.run(&["replay", "--reguard"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// It was called good and had no effect.
#[test]
fn a_template_is_refused_by_name() {
    let desk = Desk::new();
    let text =
        "@id(\"template-pause\") forbid (principal == ?principal, action == Action::\"Control_Pause\", resource);";
    let signed = desk.try_sign(7, text);
    let said = String::from_utf8_lossy(&signed.stderr).into_owned();
    assert!(!signed.status.success() && said.contains("policy template-pause is a template"), "{said}");
    let checked = desk.policy(&["check", "next.cedar"]);
    assert!(!checked.status.success());
    let daemon = desk.site.start();
    let answer = push(&daemon, &bundle(7, text));
    assert_eq!(answer.code(), "fact_body", "{}", answer.text());
}
