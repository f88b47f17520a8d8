//! Policies: what they deny, and what they deny as a breach, which quarantines.

use serde_json::json;
use swoosh::types::names::{PolicyState, Region, Transition};

use super::Table;
use crate::support::driver::{Project, bytes};
use crate::support::world::Ask;

pub(super) fn rows(table: &mut Table<'_>) {
    let mut project = table.project("denied", Region::Boot, "LICENSED");
    let both =
        json!({"key": table.site.hands.get("fresh").key(), "identity": {"name": "both", "roles": ["agent", "human"]}});
    project.propose(table.daemon, &Ask::new(Transition::BootIdentityGranted).with(both)).receipt();
    project.accept(table.daemon, Transition::PolicyQuarantine);
    let release = Ask::new(Transition::PolicyRelease).by("fresh");
    table.rejected("an agent judges a quarantine", &project, &release, "guard_policy");
    table.rejected(
        "a declared quarantine and a bundle",
        &project,
        &Ask::new(Transition::PolicyUpdated),
        "guard_breach",
    );
    let older = project.valid(Transition::PolicyUpdated)["bundle_hash"].clone();
    let older = Ask::new(Transition::PolicyUpdated).with(json!({"serial": 0, "bundle_hash": older}));
    table.rejected("a bundle that is not in force", &project, &older, "guard_bundle");
    let leak = Ask::new(Transition::PolicyConfirmedBlock).with(json!({"rationale": "it is hmmm:secret:AAAA"}));
    table.rejected("a breach while quarantined", &project, &leak, "policy_breach");
    a_breach_quarantines(table);
}

/// The only refusal that moves a head: by a proposal of the node's own.
fn a_breach_quarantines(table: &mut Table<'_>) {
    let mut project = table.project("breach", Region::Execution, "REVERB");
    let before = project.head.hash();
    let secret = json!({"submission": "ucxl://agent:dev@breach/out/id.pem", "submission_hash": before});
    let submit = Ask::new(Transition::ExecutionSubmit).with(secret);
    let answer = table.daemon.post(&bytes(&project.signed(&submit)));
    assert_eq!((answer.status, answer.code().as_str()), (400, "policy_breach"), "{}", answer.text());
    project.refresh(table.daemon);
    assert_eq!(project.head.state().policy.phase, PolicyState::Quarantined);
    assert_eq!(answer.json()["head"], project.head.hash().to_string(), "the head to go on from");
    let entry = crate::support::wal::read(table.daemon).pop().unwrap();
    assert_eq!((entry.record.transition, entry.record.state_pre_hash), (Transition::PolicyQuarantine, before));
    assert_eq!(entry.record.signer, table.site.hands.get("node").key());
    let submission = serde_json::to_value(project.proposal(&submit).inputs).unwrap();
    let mut same = project.valid(Transition::PolicyUpdated);
    same["breach_inputs"] = submission;
    let same = Ask::new(Transition::PolicyUpdated).with(same);
    table.rejected("the bundle that struck", &project, &same, "guard_breach");
    table.rejected("after the breach", &project, &Ask::new(Transition::ExecutionSubmit), "blocked");
    released(table, &mut project);
}

fn released(table: &mut Table<'_>, project: &mut Project<'_>) {
    project.accept(table.daemon, Transition::PolicyRelease);
    project.accept(table.daemon, Transition::ExecutionSubmit);
}
