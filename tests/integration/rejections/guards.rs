//! A row for each guard: a project is brought to where the guard is asked, and fails it.

use serde_json::{Value, json};
use swoosh::types::hash::Hash;
use swoosh::types::names::{Region, Transition};
use swoosh::types::text::ClusterId;

use super::{Table, facts_of_projects};
use crate::support::daemon::{Daemon, always_open};
use crate::support::driver::Project;
use crate::support::hands::VOTERS;
use crate::support::inputs::{self, Maker, certificate, hash};
use crate::support::world::Ask;
use swoosh::types::fact::FactKind;

/// The valid inputs, changed.
fn changed(project: &Project<'_>, transition: Transition, change: impl FnOnce(&mut Value)) -> Ask {
    let mut inputs = project.valid(transition);
    change(&mut inputs);
    Ask::new(transition).with(inputs)
}

pub(super) fn boot(table: &mut Table<'_>) {
    let unborn = Project::new(table.site, "unborn");
    type Change = fn(&mut Value);
    let documents: [(&str, Change); 7] = [
        ("threshold below a majority", |document| document["approval_threshold"] = json!(1)),
        ("threshold above all seats", |document| document["approval_threshold"] = json!(4)),
        ("no source", |document| document["sources"] = json!({})),
        ("a floating source", |document| document["sources"]["app"]["ref"] = json!("trunk")),
        ("a transport that is not allowed", |document| {
            document["sources"]["app"]["url"] = json!("http://git.example/app")
        }),
        ("no operator", |document| document["identities"] = json!({})),
        ("too few seats", |document| document["council"]["min_members"] = json!(9)),
    ];
    for (name, change) in documents {
        let ask = changed(&unborn, Transition::BootConfigOk, |inputs| change(&mut inputs["document"]));
        table.rejected(name, &unborn, &ask, "guard_document");
    }
    let unlicensed = table.project("unlicensed", Region::Boot, "LICENSE_CHECK");
    table.rejected("a license of another scope", &unlicensed, &Ask::new(Transition::BootLicensed), "guard_license");
    let project = table.project("boot", Region::Boot, "LICENSED");
    let operator = table.site.hands.get("operator").key();
    let ask = changed(&project, Transition::BootIdentityRevoked, |inputs| inputs["key"] = json!(operator));
    table.rejected("no operator would remain", &project, &ask, "guard_operators");
    let ask =
        changed(&project, Transition::BootIdentityGranted, |inputs| inputs["identity"]["roles"] = json!(["node"]));
    table.rejected("the node's role is granted", &project, &ask, "guard_operators");
    let reader = table.site.hands.get("reader").key();
    let ask = changed(&project, Transition::BootIdentityRotated, |inputs| inputs["new"] = json!(reader));
    table.rejected("rotation to a known key", &project, &ask, "guard_rotation");
    let ask = changed(&project, Transition::BootIdentityRotated, |inputs| inputs["old"] = json!(operator));
    table.rejected("a proof for another key", &project, &ask, "guard_rotation");
    // A holder of the node's key has no more rights than the node.
    let chart = Ask::new(Transition::BootChartUpgraded).by("node");
    table.rejected("a chart that does not follow", &project, &chart, "guard_chart");
    let expired = Ask::new(Transition::LicenseExpired).by("node");
    table.rejected("a license status that is not so", &project, &expired, "guard_license_status");
}

pub(super) fn ingestion(table: &mut Table<'_>) {
    let mut project = table.project("corpus", Region::Boot, "LICENSED");
    let other =
        changed(&project, Transition::IngestionSourcesResolved, |inputs| inputs["effect"] = json!("corpus/0/resolve"));
    table.rejected("an outcome for an effect that is not open", &project, &other, "guard_effect");
    let foreign =
        changed(&project, Transition::IngestionSourcesResolved, |inputs| inputs["effect"] = json!("boot/2/resolve"));
    table.rejected("an outcome for another project's effect", &project, &foreign, "guard_effect");
    table.rejected("discovery is under way", &project, &Ask::new(Transition::IngestionRetry), "guard_retryable");
    let fewer = changed(&project, Transition::IngestionSourcesResolved, |inputs| {
        inputs["resolved"].as_object_mut().unwrap().remove("docs");
    });
    table.rejected("a source is left out", &project, &fewer, "guard_coverage");
    let moved = changed(&project, Transition::IngestionSourcesResolved, |inputs| {
        inputs["resolved"]["app"]["commit"] = json!(inputs::commit('e'));
    });
    table.rejected("another commit than the pinned one", &project, &moved, "guard_coverage");
    let answered = project.valid(Transition::IngestionSourcesResolved);
    project.drive(table.daemon, Region::Ingestion, "READY");
    let again = Ask::new(Transition::IngestionSourcesResolved).with(answered);
    table.rejected("an outcome once more, later", &project, &again, "not_enabled");
    let floating = json!({"sources": {"app": {"url": "https://git.example/app", "ref": "trunk"}}});
    let ask = Ask::new(Transition::IngestionNewVersion).with(floating);
    table.rejected("a new version that floats", &project, &ask, "guard_sources");
    let ask = changed(&project, Transition::IngestionRollbackIndex, |inputs| inputs["version"] = json!(7));
    table.rejected("back to a version that never was", &project, &ask, "guard_retained");
}

pub(super) fn council(table: &mut Table<'_>) {
    let mut project = table.project("council", Region::Boot, "LICENSED");
    let twice = changed(&project, Transition::CouncilProfilesLoaded, |inputs| {
        inputs["candidates"][1] = inputs["candidates"][0].clone();
    });
    table.rejected("a duplicate candidate", &project, &twice, "guard_roster");
    let two = changed(&project, Transition::CouncilProfilesLoaded, |inputs| {
        inputs["candidates"].as_array_mut().unwrap().truncate(2);
    });
    table.rejected("fewer candidates than seats", &project, &two, "guard_roster");
    project.drive(table.daemon, Region::Council, "READY");
    let other = changed(&project, Transition::CouncilReaffirm, |inputs| inputs["version"] = json!(9));
    table.rejected("another version than the current one", &project, &other, "guard_versions");
    let operator = table.site.hands.get("operator").key();
    let ask = changed(&project, Transition::CouncilEject, |inputs| inputs["member"] = json!(operator));
    table.rejected("ejecting a non-member", &project, &ask, "guard_roster");
    let roles = changed(&project, Transition::CouncilReplan, |inputs| inputs["approval_threshold"] = json!(9));
    table.rejected("a threshold above all seats", &project, &roles, "guard_document");
    for name in ["untooled", "unreachable"] {
        let project = table.project(name, Region::Council, "TOOLING_SYNC");
        table.rejected(name, &project, &Ask::new(Transition::CouncilMcpGreen), "guard_tooling");
    }
}

/// Certificates that are not covered by enough votes.
pub(super) fn votes(table: &mut Table<'_>) {
    let mut project = table.project("votes", Region::Council, "ELECT");
    project.accept(table.daemon, Transition::CouncilReplan);
    let before = project.head.clone();
    project.accept(table.daemon, Transition::CouncilProfilesLoaded);
    let state = project.head.state();
    let members = swoosh::machine::election::propose(&project.head, &inputs::electorate(state));
    let by = |voters: &[&str]| certificate(state, project.maker(), &members, voters);
    let good = by(&["v1", "v2", "v3"]);
    let with = |name: &str, value: Value| {
        let mut inputs = good.clone();
        inputs[name] = value;
        inputs
    };
    let elsewhere: ClusterId = "elsewhere".parse().unwrap();
    let foreign = Maker { cluster: &elsewhere, ..project.maker() };
    let voters = ["v1", "v2", "v3"];
    let mut fewer = members.clone();
    fewer.pop_first();
    let mut stranger = members.clone();
    let (_, role) = stranger.pop_first().unwrap();
    stranger.insert(table.site.hands.get("stranger").key(), role);
    let earlier = inputs::votes(before.state(), project.maker(), &members, &voters);
    let rows: Vec<(&str, Value, &str)> = vec![
        ("vote by a stranger", by(&["v1", "v2", "stranger"]), "is not a candidate"),
        ("vote by a stranger beside a quorum", by(&["v1", "v2", "v3", "stranger"]), "is not a candidate"),
        ("vote twice", by(&["v1", "v2", "v2"]), "votes twice"),
        ("vote twice beside a quorum", by(&["v1", "v2", "v3", "v3"]), "votes twice"),
        ("quorum one short", by(&["v1", "v2"]), "2 valid votes of 5"),
        ("no vote", by(&[]), "0 valid votes"),
        ("member set mismatch", with("member_set_hash", json!(hash("another set"))), "member_set_hash must be"),
        ("votes of an earlier epoch", with("votes", earlier), "is not its signature"),
        (
            "votes for another cluster",
            with("votes", inputs::votes(state, foreign, &members, &voters)),
            "is not its signature",
        ),
        (
            "votes for another set",
            with("votes", inputs::votes(state, project.maker(), &fewer, &voters)),
            "is not its signature",
        ),
        ("a member short", certificate(state, project.maker(), &fewer, &voters), "fewer than council.min_members"),
        ("a stranger as member", certificate(state, project.maker(), &stranger, &voters), "is not a candidate"),
    ];
    for (name, inputs, reason) in rows {
        let problem =
            table.rejected(name, &project, &Ask::new(Transition::CouncilQuorumCert).with(inputs), "guard_quorum");
        if !problem["detail"].as_str().unwrap_or_default().contains(reason) {
            table.wrong.push(format!("{name}: it does not say {reason:?}: {problem}"));
        }
    }
}

pub(super) fn environment(table: &mut Table<'_>) {
    let crowded = table.project("crowded", Region::Boot, "LICENSED");
    table.rejected("too little capacity", &crowded, &Ask::new(Transition::EnvironmentCapacityOk), "guard_capacity");
    let mut project = table.project("environment", Region::Environment, "PROVISION");
    let unhashed =
        changed(&project, Transition::EnvironmentInstalled, |inputs| inputs["manifest_hash"] = json!(hash("x")));
    table.rejected("a manifest of other assets", &project, &unhashed, "guard_coverage");
    let assets: std::collections::BTreeMap<String, Hash> = (0..257).map(|n| (format!("vm/{n}"), hash("vm"))).collect();
    let many = changed(&project, Transition::EnvironmentInstalled, |inputs| {
        inputs["assets"] = json!(assets);
        inputs["manifest_hash"] = json!(swoosh::types::canonical::canonical_hash(&assets));
    });
    table.rejected("more assets than the state holds", &project, &many, "bound_exceeded");
    project.accept(table.daemon, Transition::EnvironmentDeprovision);
    let release = project.head.state().environment.effects.values().next().unwrap().id.to_string();
    let ask = changed(&project, Transition::EnvironmentCapacityOk, |inputs| inputs["effect"] = json!(release));
    // While a release is open no allocation is, so that the effect fails as well, and first.
    let problem = table.rejected("capacity while a release is open", &project, &ask, "guard_effect");
    assert!(problem["detail"].as_str().unwrap().contains("wait for Environment_Released"), "{problem}");
    let sick = table.project("sick", Region::Environment, "HEALTHCHECK");
    table.rejected("an asset is known to have failed", &sick, &Ask::new(Transition::EnvironmentGreen), "guard_health");
    let degraded =
        changed(&sick, Transition::EnvironmentGreen, |inputs| inputs["outcomes"]["image/base"] = json!("degraded"));
    table.rejected("green, but degraded", &sick, &degraded, "guard_coverage");
}

pub(super) fn execution(table: &mut Table<'_>) {
    let early = table.project("early", Region::Boot, "LICENSED");
    table.rejected("nothing is ready", &early, &Ask::new(Transition::ExecutionAllReady), "guard_prerequisites");
    let closed = table.project("closed", Region::Execution, "WORK");
    let gate = || Ask::new(Transition::ExecutionBeatReviewGate);
    let problem = table.rejected("the window is closed", &closed, &gate(), "guard_window");
    assert!(problem["retry_after_ms"].as_u64().is_some_and(|wait_ms| wait_ms > 60_000), "{problem}");
    let work = table.project("work", Region::Execution, "WORK");
    let mut ask = gate();
    ask.window = Some(None);
    table.rejected("no window is named", &work, &ask, "guard_window");
    ask.window = Some(Some("backbeat:W-2025-10-19-02".parse().unwrap()));
    table.rejected("another window is named", &work, &ask, "guard_window");
    for transition in [
        Transition::EnvironmentDeprovision,
        Transition::CouncilReElect,
        Transition::CouncilReplan,
        Transition::CouncilEject,
    ] {
        table.rejected(&format!("{transition} in WORK"), &work, &Ask::new(transition), "guard_entered");
    }
    table.rejected("no member is lost", &work, &Ask::new(Transition::ControlQuorumLost), "guard_liveness");
    let mut planned = table.project("planned", Region::Execution, "PLAN");
    let again = Ask::new(Transition::ExecutionPlanChange);
    table.rejected("the same version again", &planned, &again, "guard_prerequisites");
    planned.accept(table.daemon, Transition::CouncilReElect);
    table.rejected("the council is gone", &planned, &Ask::new(Transition::ExecutionPlanLocked), "guard_pin");
}

pub(super) fn approvals(table: &mut Table<'_>) {
    let mut project = table.project("review", Region::Execution, "REVIEW");
    let threshold = Ask::new(Transition::ExecutionApprovalsThreshold);
    table.rejected("no approval yet", &project, &threshold, "guard_threshold");
    let elected = |name: &&str| project.head.state().council.members.contains_key(&table.site.hands.get(name).key());
    let member = VOTERS.iter().copied().find(|name| elected(name)).unwrap();
    let outsider = VOTERS.iter().copied().find(|name| !elected(name)).unwrap();
    let approve = || Ask::new(Transition::ExecutionApprove);
    table.rejected("approval by no member", &project, &approve().by(outsider), "guard_member");
    let bindings = [
        ("plan_hash", json!(hash("other"))),
        ("beat", json!(9)),
        ("rework_round", json!(9)),
        ("council_epoch", json!(99)),
    ];
    for (name, value) in bindings {
        let ask = changed(&project, Transition::ExecutionApprove, |inputs| inputs[name] = value).by(member);
        table.rejected(&format!("approval of another {name}"), &project, &ask, "guard_binding");
    }
    project.propose(table.daemon, &approve().by(member)).receipt();
    table.rejected("approval twice", &project, &approve().by(member), "guard_member");
    table.rejected("one approval short", &project, &threshold, "guard_threshold");
    project.drive(table.daemon, Region::Execution, "REVERB");
    table.rejected("the same window again", &project, &Ask::new(Transition::ExecutionNextWindow), "guard_fresh_window");
    a_new_window_without_an_environment(table);
}

fn a_new_window_without_an_environment(table: &mut Table<'_>) {
    let mut project = Project::new(table.site, "relay");
    project.schedule = serde_json::from_value(crate::support::daemon::long_cycle()).unwrap();
    project.drive(table.daemon, Region::Execution, "REVERB");
    project.accept(table.daemon, Transition::EnvironmentRecheck);
    let schedule = always_open();
    let mut facts = facts_of_projects();
    facts.push((FactKind::Windows, Some("relay".to_owned()), schedule.clone()));
    table.site.tell(&facts);
    project.schedule = serde_json::from_value(schedule).unwrap();
    let window = project.schedule.position(project.clock()).window_id.to_string();
    learn(table.daemon, "relay", &window);
    table.rejected("no environment", &project, &Ask::new(Transition::ExecutionNextWindow), "guard_ready");
}

/// Waits until the daemon has read the fact file again.
fn learn(daemon: &Daemon, project: &str, window: &str) {
    for _ in 0..600 {
        daemon.signal("HUP");
        if daemon.get(&format!("/transitions?project={project}")).json()["window_id"] == window {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the facts are not learned");
}
