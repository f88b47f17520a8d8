//! Good signatures that the sequencer must refuse all the same: who, which key, when, and in which state.

use serde_json::json;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use super::Table;
use crate::support::daemon::now_ms;
use crate::support::driver::{Project, bytes};
use crate::support::http::proposal;
use crate::support::world::Ask;

fn pause() -> Ask {
    Ask::new(Transition::ControlPause)
}

fn beat(project: &Project<'_>) -> u64 {
    project.schedule.position(project.clock()).beat
}

pub(super) fn identities(table: &mut Table<'_>) {
    let mut project = table.project("people", Region::Boot, "LICENSED");
    table.unknown("unknown signer", &project, &pause().by("stranger"), "identity_unknown");
    table.rejected("role not allowed", &project, &pause().by("worker"), "role_not_allowed");
    table.rejected("reader proposes", &project, &pause().by("reader"), "role_not_allowed");
    let license = Ask::new(Transition::LicenseExpired).by("operator");
    table.rejected("the node's own transition", &project, &license, "role_not_allowed");
    project.accept(table.daemon, Transition::BootIdentityRevoked);
    table.unknown("revoked identity", &project, &pause().by("reader"), "identity_revoked");
    let mut rotated = table.project("rotated", Region::Boot, "LICENSED");
    rotated.accept(table.daemon, Transition::BootIdentityRotated);
    table.unknown("identity that was rotated away", &rotated, &pause().by("reader"), "identity_revoked");
    let unborn = Project::new(table.site, "unborn");
    let config = Ask::new(Transition::BootConfigOk).by("human");
    table.unknown("a key outside the settings", &unborn, &config, "identity_unknown");
}

pub(super) fn keys(table: &mut Table<'_>) {
    let mut project = table.project("keys", Region::Boot, "LICENSED");
    let now = beat(&project);
    let reserved = pause().under(&format!("swoosh.mine:{now}:control:key-reserved"));
    table.rejected("goal of the node's own", &project, &reserved, "reserved_goal");
    let other_class = pause().under(&format!("goal-1:{now}:council:key-class"));
    table.rejected("op class not the transition's", &project, &other_class, "op_class_mismatch");
    table.rejected(
        "key behind the horizon",
        &project,
        &pause().under("goal-1:1:control:key-behind"),
        "idem_key_expired",
    );
    let ahead = format!("goal-1:{}:control:key-ahead", now + 3000);
    table.rejected("key far ahead", &project, &pause().under(&ahead), "idem_key_expired");
    let key = format!("goal-1:{now}:control:key-reused");
    project.propose(table.daemon, &pause().under(&key)).receipt();
    let other_inputs = pause().under(&key).with(json!({"rationale": "another"}));
    table.rejected("key reused with other inputs", &project, &other_inputs, "idem_key_conflict");
    let resume = Ask::new(Transition::ControlResume).under(&key);
    table.rejected("key reused for another transition", &project, &resume, "idem_key_conflict");
    project.accept(table.daemon, Transition::ControlResume);
    let key = format!("goal-1:{now}:council:key-reused");
    let profiles = Ask::new(Transition::CouncilProfilesLoaded).under(&key);
    project.propose(table.daemon, &profiles.clone().by("operator")).receipt();
    table.rejected("key reused by another signer", &project, &profiles.by("agent"), "idem_key_conflict");
}

pub(super) fn clocks(table: &mut Table<'_>) {
    let mut project = table.project("clocks", Region::Boot, "LICENSED");
    let genesis = swoosh::machine::head::Head::genesis(&project.name).hash();
    let mut stale = pause();
    stale.head = Some(genesis);
    table.rejected("stale head", &project, &stale, "stale_head");
    stale.head = Some(swoosh::types::hash::Hash::of(b"no head at all"));
    table.rejected("a head that never was", &project, &stale, "stale_head");
    let at = |ms: u64| Hlc::new(ms, 0).unwrap();
    table.rejected("clock too far ahead", &project, &pause().at(at(now_ms() + 60_000)), "hlc_ahead");
    let now = beat(&project);
    let key = |uuid: &str| format!("goal-1:{now}:control:{uuid}");
    let last = project.clock();
    project.propose(table.daemon, &pause().at(last).under(&key("key-middle"))).receipt();
    let before = at(last.physical_ms() - 1);
    table.rejected("clock behind the last one", &project, &pause().at(before), "hlc_not_after");
    let smaller = pause().at(last).under(&key("key-a-smaller"));
    table.rejected("equal clock with a smaller key", &project, &smaller, "hlc_not_after");
    let larger = Ask::new(Transition::ControlResume).at(last).under(&key("key-z-larger"));
    project.propose(table.daemon, &larger).receipt();
    equal_clock_of_a_smaller_signer(table, &mut project);
    let unborn = Project::new(table.site, "unborn");
    let behind = Ask::new(Transition::BootConfigOk).at(at(now_ms() - 3_600_000));
    table.rejected("clock too far behind", &unborn, &behind, "hlc_behind");
}

fn equal_clock_of_a_smaller_signer(table: &mut Table<'_>, project: &mut Project<'_>) {
    let mut signers = ["agent", "v1"];
    signers.sort_by_key(|name| table.site.hands.get(name).key());
    let [smaller, larger] = signers;
    let last = project.clock();
    project.propose(table.daemon, &Ask::new(Transition::CouncilProfilesLoaded).by(larger).at(last)).receipt();
    let certificate = Ask::new(Transition::CouncilQuorumCert).by(smaller).at(last);
    table.rejected("equal clock of a smaller signer", project, &certificate, "hlc_not_after");
}

pub(super) fn states(table: &mut Table<'_>) {
    let unborn = Project::new(table.site, "unborn");
    table.rejected("pause before the beginning", &unborn, &pause(), "not_enabled");
    let checked = table.project("checked", Region::Boot, "LICENSE_CHECK");
    for transition in
        [Transition::CouncilProfilesLoaded, Transition::IngestionSourcesResolved, Transition::ExecutionAllReady]
    {
        // Before the project's own document, only operators can be known identities.
        let ask = Ask::new(transition);
        table.rejected(&format!("{transition} before the license"), &checked, &ask, "not_licensed");
    }
    let mut project = table.project("states", Region::Boot, "LICENSED");
    table.rejected("configured twice", &project, &Ask::new(Transition::BootConfigOk), "not_enabled");
    table.rejected("not enabled", &project, &Ask::new(Transition::CouncilQuorumCert), "not_enabled");
    table.rejected("release of what is clear", &project, &Ask::new(Transition::PolicyRelease), "not_enabled");
    project.accept(table.daemon, Transition::ControlPause);
    let profiles = Ask::new(Transition::CouncilProfilesLoaded);
    let problem = table.rejected("while paused", &project, &profiles, "blocked");
    assert!(problem["retry_after_ms"].as_u64().is_some(), "{problem}");
    project.accept(table.daemon, Transition::PolicyQuarantine);
    let problem = table.rejected("while paused and quarantined", &project, &profiles, "blocked");
    assert_eq!(problem["reasons"].as_array().unwrap().len(), 2, "every block is reported: {problem}");
    let mut ended = table.project("ended", Region::Boot, "LICENSED");
    ended.accept(table.daemon, Transition::ControlTerminate);
    table.rejected("after the end", &ended, &Ask::new(Transition::ControlResume), "terminated");
    let body = bytes(&ended.signed(&Ask::new(Transition::BootConfigOk)));
    table.refused("a new beginning after the end", &proposal(&body, &[]), 400, "terminated");
}
