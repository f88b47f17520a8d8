//! Outcomes that workers bring while the project is blocked: kept on disk, and recorded when it goes on.

use serde_json::{Value, json};
use swoosh::types::council::rotation_proof;
use swoosh::types::names::{IngestionState, Transition};

use super::super::support::daemon::Daemon;
use super::super::support::driver::{Project, bytes};
use super::super::support::world::Ask;
use super::{Yard, count, state_where};

const RESOLVED: Transition = Transition::IngestionSourcesResolved;

/// A project in DISCOVER, blocked, whose effects are all external.
fn blocked<'a>(yard: &'a Yard, daemon: &Daemon, by: Transition) -> Project<'a> {
    let mut project = yard.begin(daemon, yard.document("v1.0"));
    project.accept(daemon, by);
    project
}

/// Posts this outcome as a worker; code and text of the refusal.
fn refusal(daemon: &Daemon, project: &Project<'_>, ask: &Ask) -> (String, String) {
    let answer = daemon.post(&bytes(&project.signed(ask)));
    assert_eq!(answer.status, 400, "{}", answer.text());
    (answer.code(), answer.text())
}

fn phase_of(daemon: &Daemon, effect: &str) -> String {
    let effects = daemon.get("/effects?project=p").json()["effects"].clone();
    let found = effects.as_array().unwrap().iter().find(|open| open["effect"] == effect).unwrap().clone();
    assert_eq!(found["mode"], "external", "{found}");
    found["phase"].as_str().unwrap().to_owned()
}

#[test]
fn an_outcome_for_a_paused_project_survives_a_kill_and_is_recorded_once_after_resume() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let project = blocked(&yard, &daemon, Transition::ControlPause);
    let resolved = Ask::new(RESOLVED).by("worker");
    let (code, text) = refusal(&daemon, &project, &resolved);
    assert!(code == "outcome_held" && text.contains("need not be sent again"), "{text}");
    assert_eq!(refusal(&daemon, &project, &resolved).0, "outcome_held", "sent again, it is harmless");
    let other = Ask::new(Transition::IngestionResolveFailed).by("worker");
    let (code, text) = refusal(&daemon, &project, &other);
    assert!(code == "blocked" && text.contains("that one counts"), "{text}");
    daemon.kill();
    let daemon = yard.site.start();
    daemon.wait_for("/effects?project=p", |_| phase_of(&daemon, "resolve") == "reporting");
    assert_eq!(count(&daemon, RESOLVED.as_str()), 0, "nothing is recorded before the project goes on");
    let mut project = Project::new(&yard.site, "p");
    super::insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Fetch);
    assert_eq!(count(&daemon, RESOLVED.as_str()), 1);
    assert_eq!(phase_of(&daemon, "fetch"), "external");
    assert_eq!(evidence_of(&daemon, RESOLVED), worker(&yard));
}

/// The agent that the first evidence of the record names.
fn evidence_of(daemon: &Daemon, transition: Transition) -> String {
    let records = daemon.get("/wal?project=p&limit=1000").json()["records"].clone();
    let records = records.as_array().unwrap();
    let record = records.iter().find(|record| record["record"]["transition"] == transition.as_str()).unwrap();
    let address = record["record"]["evidence"][0].as_str().unwrap().to_owned();
    assert!(address.contains("@p/") && address.contains("/proposals/sha256-"), "{address}");
    address.trim_start_matches("ucxl://").split(":worker@").next().unwrap().to_owned()
}

fn worker(yard: &Yard) -> String {
    yard.site.hands.get("worker").key().to_string().rsplit(':').next().unwrap().to_owned()
}

#[test]
fn an_outcome_for_a_quarantined_project_is_recorded_after_the_release() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let mut project = blocked(&yard, &daemon, Transition::PolicyQuarantine);
    let resolved = Ask::new(RESOLVED).by("worker");
    assert_eq!(refusal(&daemon, &project, &resolved).0, "outcome_held");
    super::insist(&mut project, &daemon, &Ask::new(Transition::PolicyRelease));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Fetch);
}

#[test]
fn an_outcome_that_would_not_pass_anyway_is_not_kept() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let project = blocked(&yard, &daemon, Transition::ControlPause);
    let mut inputs: Value = project.valid(RESOLVED);
    inputs["resolved"] = json!({});
    let (code, text) = refusal(&daemon, &project, &Ask::new(RESOLVED).by("worker").with(inputs));
    assert_eq!(code, "blocked", "{text}");
    let mut inputs: Value = project.valid(RESOLVED);
    inputs["effect"] = json!("p/9/resolve");
    assert_eq!(refusal(&daemon, &project, &Ask::new(RESOLVED).by("worker").with(inputs)).0, "blocked");
    assert_eq!(phase_of(&daemon, "resolve"), "external");
}

#[test]
fn cancelling_an_effect_drops_its_kept_outcome() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let mut project = blocked(&yard, &daemon, Transition::ControlPause);
    assert_eq!(refusal(&daemon, &project, &Ask::new(RESOLVED).by("worker")).0, "outcome_held");
    project.accept(&daemon, Transition::ControlTerminate);
    daemon.kill();
    let daemon = yard.site.start();
    assert_eq!(daemon.get("/effects").json()["effects"], json!([]));
    assert_eq!(count(&daemon, RESOLVED.as_str()), 0);
}

/// A worker that was revoked while its project was paused: the node recorded its outcome under its own signature.
#[test]
fn an_outcome_of_a_worker_that_may_no_longer_bring_it_is_dropped_when_the_project_goes_on() {
    // The key is revoked, retired by a rotation, or loses the role.
    for taken in [Transition::BootIdentityRevoked, Transition::BootIdentityRotated, Transition::BootIdentityGranted] {
        let yard = Yard::new(&[], |_| {});
        let daemon = yard.site.start();
        let mut project = blocked(&yard, &daemon, Transition::ControlPause);
        assert_eq!(refusal(&daemon, &project, &Ask::new(RESOLVED).by("worker")).0, "outcome_held");
        let worker = yard.site.hands.get("worker").key().to_string();
        let mut inputs = project.valid(taken);
        match taken {
            Transition::BootIdentityRevoked => inputs["key"] = json!(worker),
            Transition::BootIdentityGranted => {
                inputs = json!({"key": worker, "identity": {"name": "worker", "roles": ["reader"]}});
            }
            _ => {
                let (old, fresh) = (yard.site.hands.get("worker").key(), yard.site.hands.get("fresh"));
                let proof = rotation_proof(&yard.site.cluster, &project.name, &old, &fresh.secret);
                inputs = json!({"old": old, "new": fresh.key(), "proof": proof});
            }
        }
        project.propose(&daemon, &Ask::new(taken).with(inputs)).receipt();
        super::insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
        daemon.wait_for("/metrics", |answer| answer.text().contains("swoosh_outcomes_dropped_total 1"));
        assert_eq!(count(&daemon, RESOLVED.as_str()), 0, "{taken}");
        daemon.wait_for("/effects?project=p", |_| phase_of(&daemon, "resolve") == "external");
        // The effect stays open for an authorized worker.
        let second = yard.site.hands.get("stranger").key();
        let grant = json!({"key": second, "identity": {"name": "second", "roles": ["worker"]}});
        super::insist(&mut project, &daemon, &Ask::new(Transition::BootIdentityGranted).with(grant));
        super::insist(&mut project, &daemon, &Ask::new(RESOLVED).by("stranger"));
        assert_eq!(count(&daemon, RESOLVED.as_str()), 1, "{taken}");
    }
}

/// The outcome of a worker that was revoked during the pause was kept. So the next worker's outcome was refused, and
/// the kept one was dropped on resume.
#[test]
fn an_outcome_of_a_worker_that_may_no_longer_bring_it_gives_its_place_to_another() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let mut project = blocked(&yard, &daemon, Transition::ControlPause);
    let (worker, second) = (yard.site.hands.get("worker").key(), yard.site.hands.get("stranger").key());
    let grant = json!({"key": second, "identity": {"name": "second", "roles": ["worker"]}});
    super::insist(&mut project, &daemon, &Ask::new(Transition::BootIdentityGranted).with(grant));
    assert_eq!(refusal(&daemon, &project, &Ask::new(RESOLVED).by("worker")).0, "outcome_held");
    let by_second = Ask::new(RESOLVED).by("stranger");
    let (code, text) = refusal(&daemon, &project, &by_second);
    assert!(code == "blocked" && text.contains("that one counts"), "{text}");
    let revoked = json!({"key": worker, "rationale": "stolen"});
    super::insist(&mut project, &daemon, &Ask::new(Transition::BootIdentityRevoked).with(revoked));
    let (code, text) = refusal(&daemon, &project, &by_second);
    assert!(code == "outcome_held" && text.contains("need not be sent again"), "{text}");
    daemon.wait_for("/metrics", |answer| answer.text().contains("swoosh_outcomes_dropped_total 1"));
    daemon.kill();
    let daemon = yard.site.start();
    let mut project = Project::new(&yard.site, "p");
    super::insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Fetch);
    assert_eq!(count(&daemon, RESOLVED.as_str()), 1);
    assert_eq!(evidence_of(&daemon, RESOLVED), second.to_string().rsplit(':').next().unwrap());
}
