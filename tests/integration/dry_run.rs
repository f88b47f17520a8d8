//! A dry run says what the proposal would be answered, whatever the state of node, project and facts.

use serde_json::json;
use swoosh::types::fact::FactKind;
use swoosh::types::names::{Region, Transition};

use crate::growth::tamper;
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::{Project, bytes};
use crate::support::http::request;
use crate::support::world::Ask;

/// The code that a dry run reports; `accepted` where it would be.
#[track_caller]
fn tried(daemon: &Daemon, body: &[u8]) -> String {
    let length = format!("content-length: {}", body.len());
    let headers = ["content-type: application/json", length.as_str()];
    let answer = daemon.send(&request("POST", "/transition?dry_run=true", &headers, body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = answer.json();
    if found["accepted"] == true {
        "accepted".to_owned()
    } else {
        found["problem"]["code"].as_str().unwrap().to_owned()
    }
}

/// The code of the answer to the proposal; `accepted` where it was.
#[track_caller]
fn proposed(daemon: &Daemon, body: &[u8]) -> String {
    let answer = daemon.post(body);
    if answer.status == 202 { "accepted".to_owned() } else { answer.code() }
}

#[track_caller]
fn agree(daemon: &Daemon, body: &[u8], expected: &str) {
    let before = (daemon.last_index(), daemon.get("/rejections").body);
    let found = tried(daemon, body);
    assert_eq!((daemon.last_index(), daemon.get("/rejections").body), before, "a dry run changes nothing");
    assert_eq!([found, proposed(daemon, body)], [expected, expected]);
}

/// Enabled transitions, by `GET /transitions`.
fn is_enabled(daemon: &Daemon, project: &str, transition: Transition) -> bool {
    let explained = daemon.get(&format!("/transitions?project={project}")).json();
    let all = explained["transitions"].as_array().unwrap();
    all.iter().find(|one| one["transition"] == transition.as_str()).unwrap()["enabled"] == true
}

/// The node changes the license's status right before the next proposal, which is then stale. A dry run said that the
/// proposal would be accepted.
#[test]
fn a_license_that_ran_out_counts_in_a_dry_run_as_in_the_proposal() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    assert!(is_enabled(&daemon, "p", Transition::CouncilProfilesLoaded));
    let pause = bytes(&project.signed(&Ask::new(Transition::ControlPause)));
    assert_eq!(tried(&daemon, &pause), "accepted");
    site.tell(&[(FactKind::License, None, json!({"id": "license-2", "scopes": ["other"]}))]);
    daemon.wait_for("/facts?kind=license", |answer| answer.text().contains("does not cover"));
    assert!(!is_enabled(&daemon, "p", Transition::CouncilProfilesLoaded), "the next proposal meets an expired license");
    agree(&daemon, &pause, "stale_head");
}

#[test]
fn an_outcome_for_a_paused_project_is_said_to_be_held_and_is_not_kept_by_a_dry_run() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    project.accept(&daemon, Transition::ControlPause);
    let first = bytes(&project.signed(&Ask::new(Transition::IngestionSourcesResolved).by("worker")));
    let other = bytes(&project.signed(&Ask::new(Transition::IngestionResolveFailed).by("worker")));
    assert_eq!([tried(&daemon, &first), tried(&daemon, &other)], ["outcome_held", "outcome_held"]);
    agree(&daemon, &first, "outcome_held");
    agree(&daemon, &other, "blocked");
}

#[test]
fn a_damaged_project_is_said_to_be_damaged() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "ill");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause).with(json!({"rationale": "to be damaged"})));
    let receipt = daemon.post(&bytes(&signed)).receipt();
    project.advance(&signed.proposal, &receipt);
    daemon.kill();
    tamper(&site, "objects", |_, value| {
        let text = String::from_utf8_lossy(value);
        text.contains("to be damaged").then(|| text.replace("damaged", "changed").into_bytes())
    });
    let daemon = site.start();
    agree(&daemon, &bytes(&project.signed(&Ask::new(Transition::ControlResume))), "project_damaged");
}

#[test]
fn a_follower_says_that_it_takes_no_proposal_and_enables_no_transition() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let follower = site.follow(daemon.address, &folder.path().join("follower")).unwrap();
    let last = daemon.last_index();
    follower.wait_for("/health", |_| follower.last_index() >= last);
    let pause = bytes(&project.signed(&Ask::new(Transition::ControlPause)));
    agree(&follower, &pause, "follower");
    assert!(!is_enabled(&follower, "p", Transition::ControlPause));
}
