//! Grants: what unsigned callers of WHOOSH may do as operator, voter or human, and where that ends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swoosh::platform::keyfile;
use swoosh::types::keys::{PublicKey, SecretKey};
use swoosh::types::legacy_grant::LegacyGrant;
use swoosh::types::names::Transition;

use super::{Move, Running, Script, body, delegate, post};
use crate::support::daemon::Site;
use crate::support::driver::{Project, bytes};
use crate::support::http::Answer;
use crate::support::world::Ask;

/// A time that no test reaches, as `GET /migration` shows it.
const LATER: &str = "2099-01-01T00:00:00.000+00:00#0";
/// A time that is over.
const OVER: &str = "2020-01-01T00:00:00.000+00:00#0";
const CI: &str = "authorization: Bearer token-of-ci";
const OPS: &str = "authorization: Bearer token-of-ops";

/// The delegate that signs for the second caller.
fn second() -> SecretKey {
    SecretKey::from_bytes(&[78; 32])
}

/// Two callers, each with a token and a delegate of its own; the settings know a human.
fn two_callers() -> Move {
    let moved = Move::with(|settings| {
        settings["migration"]["callers"] = json!({
            "ci": {"key": "delegate.key", "token": "secret:ci"}, "ops": {"key": "second.key", "token": "secret:ops"},
        });
        let classes = json!({"op_classes": ["ingestion", "council", "environment", "execution"]});
        settings["identities"][second().public().to_string()] =
            json!({"name": "second", "roles": ["agent"], "delegate": classes});
        settings["secrets"] = json!({"file": "secrets.age", "identity": "identity.age"});
    });
    let human = moved.site.hands.get("human").key().to_string();
    moved
        .site
        .change_settings(|settings| settings["identities"][&human] = json!({"name": "human", "roles": ["human"]}));
    keyfile::store(&moved.site.file("second.key"), &second()).unwrap();
    seal(&moved.site, "ci: token-of-ci\nops: token-of-ops\n");
    moved
}

fn seal(site: &Site, plain: &str) {
    let path = |name: &str| site.file(name).to_str().unwrap().to_owned();
    let made = site.tool(&["secrets", "identity", "--out", &path("identity.age")]);
    let recipient = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    std::fs::write(site.file("plain.yaml"), plain).unwrap();
    let sealed = ["secrets", "encrypt", &path("plain.yaml"), "--recipient", &recipient, "--out", &path("secrets.age")];
    assert!(site.tool(&sealed).status.success());
}

fn grant(caller: &str, roles: &[&str], classes: &[&str]) -> Value {
    let delegate = if caller == "ci" { delegate() } else { second() };
    json!({
        "caller": caller, "delegate": delegate.public(), "roles": roles, "projects": ["p"], "op_classes": classes,
        "until": LATER,
    })
}

fn seated(mut grant: Value, seat: PublicKey) -> Value {
    grant["seat"] = json!(seat);
    grant
}

/// Writes grants into the settings of a running node, which reads them at SIGHUP.
fn put(running: &Running<'_>, grants: Value) {
    running.moved.site.change_settings(|settings| settings["migration"]["grants"] = grants.clone());
    running.daemon.signal("HUP");
    let read = |grants: &Value| serde_json::from_value::<BTreeMap<String, LegacyGrant>>(grants.clone()).unwrap();
    running
        .daemon
        .wait_for("/migration", |answer| read(answer.json().get("grants").unwrap_or(&json!({}))) == read(&grants));
}

#[track_caller]
fn ask(running: &Running<'_>, token: &str, transition: Transition, inputs: &Value) -> Answer {
    post(running.clients, &body("p", transition, inputs), &[token.to_owned()])
}

#[track_caller]
fn accepted(running: &Running<'_>, token: &str, transition: Transition, inputs: &Value) {
    let answer = ask(running, token, transition, inputs);
    assert_eq!(answer.status, 202, "{transition}: {}", answer.text());
}

/// Is refused with this code and a reason that says so.
#[track_caller]
fn refused(running: &Running<'_>, (token, code, why): (&str, &str, &str), transition: Transition, inputs: &Value) {
    let before = running.daemon.last_index();
    let answer = ask(running, token, transition, inputs);
    let said = answer.json();
    assert_eq!((answer.status, &said["code"]), (400, &json!(code)), "{transition}: {}", answer.text());
    assert!(said["reason"].as_str().unwrap().contains(why), "{transition}: {}", answer.text());
    assert_eq!(running.daemon.last_index(), before, "{transition} changes nothing");
}

/// Steps of the lifecycle by `ci`.
fn drive(running: &Running<'_>, script: &Script) {
    for (transition, inputs) in &script.steps {
        accepted(running, CI, *transition, inputs);
    }
}

fn shown<'a>(running: &Running<'a>) -> Project<'a> {
    let mut project = Project::new(&running.moved.site, "p");
    project.refresh(&running.daemon);
    project
}

fn because() -> Value {
    json!({"rationale": "The legacy caller says so."})
}

/// The decision record of the last record.
fn decision(running: &Running<'_>) -> Value {
    running.daemon.get(&format!("/decisions/p/{}", running.daemon.last_index())).json()
}

/// Every operator's and voter's call of an unsigned client was refused after the cut-over.
#[test]
fn a_granted_caller_begins_approves_pauses_releases_and_compensates_after_the_cut_over() {
    let moved = two_callers();
    let running = moved.start();
    running.switch(&["cutover"]);
    let document = Project::new(&moved.site, "p").valid(Transition::BootConfigOk);
    refused(&running, (CI, "role_not_allowed", "delegate"), Transition::BootConfigOk, &document);
    let lead =
        grant("ci", &["operator", "human"], &["boot", "control", "policy", "council", "environment", "ingestion"]);
    put(&running, json!({"lead": lead}));
    refused(&running, (OPS, "role_not_allowed", "delegate"), Transition::BootConfigOk, &document);
    accepted(&running, CI, Transition::BootConfigOk, &document);
    accepted(&running, CI, Transition::BootLicensed, &json!({}));
    drive(&running, &Script::lifecycle(&moved.site, "p"));

    approve(&running, &lead);
    accepted(&running, CI, Transition::ExecutionApprovalsThreshold, &json!({}));

    let tail = [
        (Transition::ControlPause, because()),
        (Transition::CouncilReElect, because()),
        (Transition::EnvironmentDeprovision, because()),
        (Transition::ControlResume, because()),
        (Transition::PolicyQuarantine, because()),
        (Transition::PolicyRelease, json!({"justification": "Looked at it."})),
    ];
    for (transition, inputs) in tail {
        accepted(&running, CI, transition, &inputs);
        let decision = decision(&running);
        assert_eq!((&decision["grant"], &decision["on_behalf_of"]), (&json!("lead"), &json!("ci")), "{decision}");
        let identity = &decision["guard_outcomes"][1];
        let reason = identity["reasons"][0].as_str().unwrap();
        assert!(reason.contains("by the grant lead until 2099-01-01") && reason.contains("acts for ci as"), "{reason}");
    }
    follows(&running);
}

/// Two callers approve for the seats that their grants map them to, and for no other.
fn approve(running: &Running<'_>, lead: &Value) {
    let project = shown(running);
    let members: Vec<PublicKey> = project.head.state().council.members.keys().copied().collect();
    let approval = project.valid(Transition::ExecutionApprove);
    let approve = Transition::ExecutionApprove;
    refused(running, (CI, "role_not_allowed", "the grant lead of ci is for"), approve, &approval);
    let seat = |caller, member: usize| seated(grant(caller, &["voter"], &["execution"]), members[member]);
    put(running, json!({"lead": lead, "seat-1": seat("ci", 0), "seat-2": seat("ops", 1)}));
    let elsewhere = |member: usize| {
        let mut inputs = approval.clone();
        inputs["seat"] = json!(members[member]);
        inputs
    };
    refused(running, (CI, "guard_member", "maps ci to the seat of"), approve, &elsewhere(1));
    accepted(running, CI, approve, &approval);
    assert_eq!(decision(running)["grant"], "seat-1");
    refused(running, (CI, "guard_member", "approved already"), approve, &approval);
    refused(
        running,
        (CI, "guard_threshold", "1 approval; 2 are needed"),
        Transition::ExecutionApprovalsThreshold,
        &json!({}),
    );
    accepted(running, OPS, approve, &approval);
    // An approval counts while its grant does.
    let mut over = seat("ops", 1);
    over["until"] = json!(OVER);
    put(running, json!({"lead": lead, "seat-1": seat("ci", 0), "seat-2": over}));
    let threshold = Transition::ExecutionApprovalsThreshold;
    refused(running, (CI, "guard_threshold", "1 approval does not count"), threshold, &json!({}));
    refused(running, (OPS, "role_not_allowed", "ended at 2020-01-01"), approve, &approval);
    put(running, json!({"lead": lead, "seat-1": seat("ci", 0), "seat-2": seat("ops", 1)}));
}

/// A second node reduces the log to the same hashes, and judges it again with the same reasons.
fn follows(running: &Running<'_>) {
    let (site, node) = (&running.moved.site, &running.daemon);
    let follower = site.file("follower");
    let following = site.follow(node.address, &follower).unwrap();
    let last = node.last_index();
    following.wait_for("/health", |answer| answer.json()["last_index"].as_u64() == Some(last));
    let hash = |answer: Answer| answer.json()["hash"].clone();
    assert_eq!(hash(following.get("/state?project=p")), hash(node.get("/state?project=p")));
    following.terminate();
    let replayed = site.run_in(&follower, &["--json", "replay", "--reguard"]);
    let said = String::from_utf8(replayed.stdout).unwrap();
    assert!(replayed.status.success(), "{said}");
}

/// A grant allows only what it names, and no right outlasts it.
#[test]
fn a_grant_ends_at_its_project_its_class_its_role_its_time_and_its_caller() {
    let moved = two_callers();
    let running = moved.start();
    running.switch(&["cutover"]);
    let mut project = Project::new(&moved.site, "p");
    project.accept(&running.daemon, Transition::BootConfigOk);
    project.accept(&running.daemon, Transition::BootLicensed);
    let mut elsewhere = Project::new(&moved.site, "q");
    elsewhere.accept(&running.daemon, Transition::BootConfigOk);
    let (pause, resume) = (Transition::ControlPause, Transition::ControlResume);

    refused(&running, (CI, "role_not_allowed", "not for control"), pause, &because());
    let operator = |classes: &[&str]| json!({"ops-week": grant("ci", &["operator"], classes)});
    put(&running, operator(&["policy", "boot"]));
    refused(
        &running,
        (CI, "role_not_allowed", "the grant ops-week of ci is for boot, policy, not for control"),
        pause,
        &because(),
    );
    put(&running, operator(&["control", "policy", "boot"]));
    let other = post(running.clients, &body("q", pause, &because()), &[CI.to_owned()]);
    assert!(other.text().contains("is for other projects, not for q"), "{}", other.text());
    assert_eq!(other.json()["code"], "role_not_allowed");
    refused(&running, (OPS, "role_not_allowed", "not for control"), pause, &because());
    accepted(&running, CI, pause, &because());
    accepted(&running, CI, resume, &because());
    accepted(&running, CI, Transition::PolicyQuarantine, &because());
    let release = json!({"justification": "Looked at it."});
    refused(&running, (CI, "role_not_allowed", "gives operator, and not human"), Transition::PolicyRelease, &release);

    // It hands out no right that outlasts it.
    let fresh = moved.site.hands.get("fresh").key();
    let identity = json!({"name": "fresh", "roles": ["operator"]});
    let granted = json!({"key": fresh, "identity": identity});
    refused(&running, (CI, "role_not_allowed", "changes no identities"), Transition::BootIdentityGranted, &granted);
    let revoked = json!({"key": moved.site.hands.get("v1").key(), "rationale": "x"});
    refused(&running, (CI, "role_not_allowed", "changes no identities"), Transition::BootIdentityRevoked, &revoked);

    let mut over = operator(&["control", "policy", "boot"]);
    over["ops-week"]["until"] = json!(OVER);
    put(&running, over);
    refused(&running, (CI, "role_not_allowed", "the grant ops-week of ci ended at 2020-01-01"), pause, &because());
}

/// A caller that begins a project must not name its own operator, who would stay when the grant ends.
#[test]
fn a_granted_caller_begins_no_project_of_its_own_operators() {
    let moved = two_callers();
    let running = moved.start();
    running.switch(&["cutover"]);
    put(&running, json!({"begin": grant("ci", &["operator"], &["boot"])}));
    let valid = Project::new(&moved.site, "p").valid(Transition::BootConfigOk);
    for (name, role) in [("stranger", "operator"), ("stranger", "human"), ("human", "operator")] {
        let mut inputs = valid.clone();
        let key = moved.site.hands.get(name).key().to_string();
        inputs["document"]["identities"][&key] = json!({"name": "mine", "roles": [role]});
        let why = format!("{key} is no {role} of the node's settings");
        refused(&running, (CI, "guard_document", &why), Transition::BootConfigOk, &inputs);
    }
    accepted(&running, CI, Transition::BootConfigOk, &valid);
}

/// Approvals and pauses of unsigned callers were divergences, and the switch was refused for ever.
#[test]
fn shadow_follows_granted_callers_and_lets_the_switch_pass() {
    let moved = two_callers();
    let running = moved.start();
    let lead = grant("ci", &["operator", "human"], &["boot", "control", "environment"]);
    put(&running, json!({"lead": lead}));
    moved.whoosh.add("p");
    let document = Project::new(&moved.site, "p").valid(Transition::BootConfigOk);
    accepted(&running, CI, Transition::BootConfigOk, &document);
    accepted(&running, CI, Transition::BootLicensed, &json!({}));
    drive(&running, &Script::lifecycle(&moved.site, "p"));
    running.agree("p");
    let project = shown(&running);
    let members: Vec<PublicKey> = project.head.state().council.members.keys().copied().collect();
    let seat = |caller, member: usize| seated(grant(caller, &["voter"], &["execution"]), members[member]);
    put(&running, json!({"lead": lead, "seat-1": seat("ci", 0), "seat-2": seat("ops", 1)}));
    let approval = project.valid(Transition::ExecutionApprove);
    accepted(&running, CI, Transition::ExecutionApprove, &approval);
    accepted(&running, OPS, Transition::ExecutionApprove, &approval);
    accepted(&running, CI, Transition::ExecutionApprovalsThreshold, &json!({}));
    for transition in [Transition::ControlPause, Transition::EnvironmentDeprovision, Transition::ControlResume] {
        accepted(&running, CI, transition, &because());
    }
    running.agree("p");
    let approvals = running.daemon.get("/state?project=p&projection=execution").json();
    assert_eq!(approvals["projection"]["execution"]["phase"], "REVERB");
    running.switch(&["cutover"]);
    assert_eq!(running.divergences(), Vec::<Value>::new());
    accepted(&running, CI, Transition::ControlPause, &because());
    // And back: WHOOSH is not sent the seat, which it does not know.
    assert_eq!(running.switch(&["bypass"])["passed_on"], 1);
    running.agree("p");
}

/// Only the shim signs for a caller: who holds another key, or another caller's delegate, gains nothing by its name.
#[test]
fn only_the_delegate_of_its_caller_uses_a_grant() {
    let moved = two_callers();
    let running = moved.start();
    running.switch(&["cutover"]);
    let mut project = Project::new(&moved.site, "p");
    project.accept(&running.daemon, Transition::BootConfigOk);
    project.accept(&running.daemon, Transition::BootLicensed);
    put(&running, json!({"lead": grant("ci", &["operator", "human"], &["control", "policy", "boot"])}));
    let named = |caller: &str| format!("ucxl://{caller}:whoosh@p:decided/*").parse().unwrap();
    let hands = |name: &str| moved.site.hands.get(name).secret.clone();
    // Another delegate names the granted caller; the caller's delegate names no caller, another one, or one too late.
    let attempts = [
        (second(), vec![named("ci")]),
        (hands("agent"), vec![named("ci")]),
        (delegate(), vec![]),
        (delegate(), vec![named("ops")]),
        (delegate(), vec![named("CI")]),
        (delegate(), vec![named("ops"), named("ci")]),
    ];
    for (key, evidence) in attempts {
        let mut ask = Ask::new(Transition::ControlPause);
        ask.evidence = evidence;
        let mut proposal = project.proposal(&ask);
        proposal.signer = key.public();
        let answer = running.daemon.post(&bytes(&proposal.sign(&moved.site.cluster, &key)));
        let code = answer.code();
        assert!(["role_not_allowed", "identity_unknown"].contains(&code.as_str()), "{}", answer.text());
    }
    // A member names a seat that is not its own.
    project.drive(&running.daemon, swoosh::types::names::Region::Execution, "REVIEW");
    let members: Vec<PublicKey> = project.head.state().council.members.keys().copied().collect();
    let mut inputs = project.valid(Transition::ExecutionApprove);
    inputs["seat"] = json!(members[1]);
    let name = moved.site.hands.of(&members[0]).unwrap().name;
    let answer = project.propose(&running.daemon, &Ask::new(Transition::ExecutionApprove).with(inputs).by(name));
    assert_eq!(answer.code(), "guard_member", "{}", answer.text());
    // The token of one caller does not reach the grant of the other, whatever evidence it sends.
    let posed = json!({
        "project": "p", "transition": "Control_Pause", "inputs": because(), "evidence": ["ucxl://ci:whoosh@p:decided/*"],
    });
    let answer = post(running.clients, posed.to_string().as_bytes(), &[OPS.to_owned()]);
    assert_eq!(answer.json()["code"], "role_not_allowed", "{}", answer.text());
}

/// If the settings gave a caller a token and a grant at once, the grant applied to requests without a token until a
/// restart.
#[test]
fn a_grant_for_a_caller_that_the_running_shim_knows_by_no_token_waits_for_a_restart() {
    let moved = two_callers();
    let token = json!("secret:ops");
    moved.site.change_settings(|settings| {
        settings["migration"]["callers"]["ops"].as_object_mut().unwrap().remove("token");
    });
    let running = moved.start();
    running.switch(&["cutover"]);
    let mut project = Project::new(&moved.site, "p");
    project.accept(&running.daemon, Transition::BootConfigOk);
    moved.site.change_settings(|settings| settings["migration"]["callers"]["ops"]["token"] = token);
    let grants = json!({
        "a": grant("ops", &["operator"], &["control"]), "b": grant("ci", &["operator"], &["control"]),
    });
    moved.site.change_settings(|settings| settings["migration"]["grants"] = grants);
    running.daemon.signal("HUP");
    running.daemon.wait_for("/migration", |answer| answer.json()["grants"].get("b").is_some());
    let pause = body("p", Transition::ControlPause, &because());
    let answer = post(running.clients, &pause, &[]);
    assert_eq!(answer.json()["code"], "role_not_allowed", "{}", answer.text());
    accepted(&running, CI, Transition::ControlPause, &because());
    drop(running);
    let running = moved.start();
    assert_eq!(post(running.clients, &pause, &[]).code(), "caller_unknown");
    accepted(&running, OPS, Transition::ControlResume, &because());
}

/// A grant names the key that signs for its caller; a node with another key there does not start.
#[test]
fn a_node_with_a_grant_for_another_key_does_not_start() {
    let moved = two_callers();
    let lead = grant("ci", &["operator"], &["control"]);
    moved.site.change_settings(|settings| settings["migration"]["grants"] = json!({"lead": lead}));
    keyfile::store(&moved.site.file("other.key"), &SecretKey::from_bytes(&[79; 32])).unwrap();
    moved.site.change_settings(|settings| settings["migration"]["callers"]["ci"]["key"] = json!("other.key"));
    let (code, said) = moved.site.start_refused();
    assert!(code == Some(1) && said.contains("migration.grants.lead") && said.contains("another key"), "{said}");
    keyfile::store(&moved.site.file("copy.key"), &delegate()).unwrap();
    moved.site.change_settings(|settings| {
        settings["migration"]["callers"]["ci"]["key"] = json!("delegate.key");
        settings["migration"]["callers"]["ops"]["key"] = json!("copy.key");
    });
    let (code, said) = moved.site.start_refused();
    assert!(code == Some(1) && said.contains("ci and ops have the same key"), "{said}");
}

/// The end of a grant was visible in `migration status` only, so its caller noticed first.
#[test]
fn grants_and_their_first_end_are_measured() {
    let moved = two_callers();
    let running = moved.start();
    let pause = |until: &str| {
        let mut pause = grant("ci", &["operator"], &["control"]);
        pause["until"] = json!(until);
        pause
    };
    let measures = |[in_force, ended]: [u64; 2]| {
        running.measures(&format!("swoosh_migration_grants{{state=\"in_force\"}} {in_force}"))
            && running.measures(&format!("swoosh_migration_grants{{state=\"ended\"}} {ended}"))
    };
    assert!(measures([0, 0]) && running.measures("swoosh_migration_grant_ends_seconds 0"));
    put(
        &running,
        json!({"first": pause(LATER), "second": pause("2098-01-01T00:00:00.000+00:00#0"), "third": pause(OVER)}),
    );
    assert!(measures([2, 1]));
    assert!(running.measures("swoosh_migration_grant_ends_seconds 4039372800"));
    put(&running, json!({}));
    assert!(measures([0, 0]) && running.measures("swoosh_migration_grant_ends_seconds 0"));
}
