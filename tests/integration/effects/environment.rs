//! ALLOCATE to READY with the real packer, and back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{EffectName, EnvironmentState, Region, Transition};

use super::{Yard, count, insist, records, state_where};
use crate::support::daemon::{Site, now_ms, platform};
use crate::support::driver::Project;
use crate::support::http::request;
use crate::support::strict;
use crate::support::world::Ask;

pub const ENVIRONMENT: [&str; 4] = ["allocate", "provision", "healthcheck", "release"];

/// A node that provisions a file with packer's `file` builder.
pub fn yard() -> Yard {
    Yard::new(&ENVIRONMENT, |settings| {
        settings["effects"]["builds"] = json!([{"environment": "dev", "builder": "source.file.linux-image"}]);
        // No other source gives health facts of assets.
        settings["facts"]["sources"]["health"] = json!([]);
    })
}

/// Files below a folder whose path has this in it.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().contains(part) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn an_environment_is_provisioned_checked_and_taken_down_by_itself() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    assert!(!state.environment.assets.is_empty());
    let node = yard.site.hands.get("node").key().to_string();
    let own: Vec<_> = records(&daemon).into_iter().filter(|(_, signer, _)| *signer == node).map(|one| one.0).collect();
    assert_eq!(own, ["Environment_CapacityOk", "Environment_Installed", "Environment_Green"]);
    let folder = yard.workspace().join("environment");
    assert!(!files(&folder, "runs").is_empty());
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentDeprovision));
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_Released") == 1);
    // It is asked for again, and comes again.
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    assert_eq!(count(&daemon, "Environment_Installed"), 2);
}

/// A restored or promoted node has recorded assets without the runs that made them. It recorded "released", removed
/// nothing, and cleared them from the state.
#[test]
fn assets_that_no_run_here_made_are_never_recorded_as_released() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let asset = state.environment.assets.keys().next().unwrap().to_string();
    daemon.terminate();
    let backups = yard.site.file("backups");
    let made = yard.site.run(&["--json", "backup", "create", "--to", backups.to_str().unwrap()]);
    let made = String::from_utf8(made.stdout).unwrap();
    assert!(made.contains("\"workspaces/p/environment/state/runs/"), "the reports of runs are left out: {made}");
    fs::remove_dir_all(yard.workspace().join("environment")).unwrap();
    let daemon = yard.site.start();
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentDeprovision));
    let state = state_where(&daemon, |state| state.environment.last_failure.is_some());
    let detail = state.environment.last_failure.clone().unwrap().detail.to_string();
    assert!(detail.contains("no run in this workspace made") && detail.contains(&asset), "{detail}");
    assert!(!state.environment.assets.is_empty(), "they stay on record");
    assert_eq!(count(&daemon, "Environment_Released"), 0);
    // A worker that took them down where they are says so.
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentReleased).by("worker"));
    assert_eq!(count(&daemon, "Environment_Released"), 1);
}

fn set(yard: &Yard, mode: &str) {
    yard.site.change_settings(|settings| {
        ["provision", "healthcheck", "release"].iter().for_each(|name| settings["effects"][name] = json!(mode));
    });
}

/// If provisioning changed from external to builtin while it was open, the node silently repeated a build that a worker
/// had begun.
#[test]
fn provisioning_that_a_worker_may_have_begun_is_reported_as_unknown_before_the_node_builds() {
    let yard = yard();
    set(&yard, "external");
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.environment.effects.contains_key(&EffectName::Provision));
    daemon.terminate();
    set(&yard, "builtin");
    let daemon = yard.site.start();
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let wal = daemon.get("/wal?project=p&limit=1000").text();
    assert_eq!(wal.matches("\"unknown\":true").count(), 1, "{wal}");
    assert!(wal.contains("others had this effect before the node"), "{wal}");
    // From here on the node executes the effects.
    assert_eq!((count(&daemon, "Environment_ProvisionFailed"), count(&daemon, "Environment_Installed")), (1, 1));
    let mut project = Project::new(&yard.site, "p");
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentDeprovision));
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_Installed") == 2);
    assert_eq!(count(&daemon, "Environment_ProvisionFailed"), 1);
}

/// The other way round: a worker would have built a second time what the node had begun.
#[test]
fn provisioning_that_the_node_began_is_reported_as_unknown_before_workers_have_it() {
    let yard = yard();
    let daemon = yard.site.start_by(&["env", "SWOOSH_CRASH_AT=note:provision"]).unwrap();
    yard.begin(&daemon, yard.document("v1.0"));
    assert!(daemon.wait().0.code().is_none(), "it did not die");
    set(&yard, "external");
    let daemon = yard.site.start();
    let state = state_where(&daemon, |state| state.environment.last_failure.is_some());
    let failure = state.environment.last_failure.clone().unwrap();
    assert!(failure.unknown && failure.detail.to_string().contains("before others"), "{failure:?}");
    assert!(state.environment.effects.contains_key(&EffectName::Provision), "workers are asked for it");
    assert_eq!((state.environment.tries, yard.ledger().len()), (1, 0));
}

/// A provisioning that the node had finished was discarded, and a worker had to repeat it.
#[test]
fn provisioning_that_the_node_finished_is_recorded_also_where_workers_have_it_by_now() {
    let yard = yard();
    let daemon = yard.site.start_by(&["env", "SWOOSH_CRASH_AT=record:provision"]).unwrap();
    yard.begin(&daemon, yard.document("v1.0"));
    assert!(daemon.wait().0.code().is_none(), "it did not die");
    set(&yard, "external");
    let daemon = yard.site.start();
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Healthcheck);
    assert_eq!((count(&daemon, "Environment_ProvisionFailed"), count(&daemon, "Environment_Installed")), (0, 1));
}

#[test]
fn a_node_builds_with_the_packer_that_its_environment_names() {
    let yard = yard();
    let mine = yard.program("mine", "exec packer \"$@\"");
    let named = format!("SWOOSH_PACKER={}", mine.display());
    let daemon = yard.site.start_by(&["env", &named]).unwrap();
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    assert!(!yard.ledger().is_empty(), "another packer was run");
}

#[test]
fn a_changed_asset_fails_the_check_until_it_is_rebuilt() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let asset = state.environment.assets.keys().next().unwrap().to_string();
    let name = asset.rsplit('/').next().unwrap();
    let artifacts = files(&yard.workspace().join("environment/state/runs"), name);
    assert!(!artifacts.is_empty(), "{asset}");
    for path in &artifacts {
        fs::write(path, "changed").unwrap();
    }
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentRecheck));
    let state = state_where(&daemon, |state| state.environment.last_failure.is_some());
    assert_eq!(state.environment.phase, EnvironmentState::Healthcheck);
    assert!(state.environment.effects.contains_key(&EffectName::Healthcheck), "it is checked again");
    assert_eq!(count(&daemon, "Environment_Green"), 1);
}

#[test]
fn a_build_that_fails_half_way_leaves_what_it_made_on_record_and_is_taken_down_past_the_limit() {
    let yard = yard();
    // The second of two builds is one that there is not.
    yard.site.change_settings(|settings| {
        settings["effects"]["builds"] = json!([
            {"environment": "dev", "builder": "source.file.linux-image"},
            {"environment": "dev", "builder": "source.file.no-such"},
        ]);
    });
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.environment.tries == 1);
    assert!(!state.environment.assets.is_empty(), "what the first build made");
    let detail = state.environment.last_failure.clone().unwrap().detail.to_string();
    assert!(detail.contains("no-such"), "{detail}");
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_Released") > 0);
    assert_eq!(count(&daemon, "Environment_ProvisionFailed"), 3);
}

#[test]
fn a_project_has_built_what_its_document_names_instead_of_the_nodes_default() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut document = yard.document("v1.0");
    document["builds"] = json!([{"environment": "prod", "builder": "file.linux-image", "variant": "hardened"}]);
    yard.begin(&daemon, document);
    let state = state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let assets: Vec<_> = state.environment.assets.keys().map(ToString::to_string).collect();
    assert!(assets.iter().all(|asset| asset.starts_with("file.linux-image.hardened/")), "{assets:?}");
    assert!(yard.workspace().join("environment/configs/prod").is_dir());
    assert!(!yard.workspace().join("environment/configs/dev").exists());
}

#[test]
fn a_build_that_the_nodes_definitions_do_not_have_fails_with_those_that_they_have() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut document = yard.document("v1.0");
    document["builds"] = json!([{"environment": "dev", "builder": "file.no-such"}]);
    yard.begin(&daemon, document);
    let state = state_where(&daemon, |state| state.environment.last_failure.is_some());
    let detail = state.environment.last_failure.clone().unwrap().detail.to_string();
    assert!(detail.contains("file.no-such") && detail.contains("file.linux-image"), "{detail}");
}

#[test]
fn a_document_that_names_a_build_twice_is_refused() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut document = yard.document("v1.0");
    let build = json!({"environment": "dev", "builder": "file.linux-image"});
    document["builds"] = json!([build, build]);
    let config = Ask::new(Transition::BootConfigOk).with(json!({"document": document}));
    let answer = Project::new(&yard.site, "p").propose(&daemon, &config);
    assert_eq!(answer.code(), "guard_document", "{}", answer.text());
    assert!(answer.text().contains("occurs twice"), "{}", answer.text());
}

#[test]
fn the_allocation_reaches_the_build_and_is_in_its_record() {
    let yard = yard();
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    let folder = yard.workspace().join("environment");
    let read = |part: &str| fs::read_to_string(files(&folder, part).first().unwrap()).unwrap();
    let run: serde_json::Value = serde_json::from_str(&read("run.json")).unwrap();
    assert_eq!(run["recipe"]["allocation"], json!({"vcpu": 4, "memory_mib": 8192}));
    let made = run["artifacts"][0]["files"][0]["path"].as_str().unwrap();
    let made = fs::read_to_string(folder.join(made)).unwrap();
    assert!(made.contains("allocation: memory_mib=8192, vcpu=4\n"), "{made}");
}

/// A build that made more than a state can hold failed, and its failure was refused for ever.
#[test]
fn a_failure_is_recorded_however_many_assets_it_names() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Environment, "PROVISION");
    let mut inputs = project.valid(Transition::EnvironmentProvisionFailed);
    let hash = Hash::of(b"made").to_string();
    inputs["assets"] = (0..300).map(|n| (format!("image/{n:03}"), json!(hash))).collect();
    project.propose(&daemon, &Ask::new(Transition::EnvironmentProvisionFailed).with(inputs)).receipt();
    assert_eq!(project.head.state().environment.assets.len(), 256);
    // Recorded assets stay; at 256 assets, further ones are dropped.
    let mut inputs = project.valid(Transition::EnvironmentProvisionFailed);
    inputs["assets"] = json!({"a-new-one": hash, "image/000": Hash::of(b"another")});
    project.propose(&daemon, &Ask::new(Transition::EnvironmentProvisionFailed).with(inputs)).receipt();
    let assets = &project.head.state().environment.assets;
    assert_eq!((assets.len(), assets.keys().any(|name| name.as_str() == "a-new-one")), (256, false));
}

/// The built-in check said green whatever the platform reported, so that DEGRADED was never reached.
#[test]
fn an_asset_that_the_platform_reports_as_degraded_makes_the_environment_degraded() {
    let yard = yard();
    yard.site.change_settings(|settings| {
        settings["facts"]["sources"]["health"] = json!([platform().public()]);
        settings["effects"]["retry_min_ms"] = json!(50);
        settings["effects"]["retry_max_ms"] = json!(200);
    });
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let report = |health: &str| {
        let state = state_where(&daemon, |state| !state.environment.assets.is_empty());
        let assets: serde_json::Map<_, _> =
            state.environment.assets.keys().map(|asset| (asset.to_string(), json!(health))).collect();
        let claim = FactClaim {
            kind: FactKind::Health,
            project: Some("p".parse().unwrap()),
            source: platform().public(),
            observed_at: Hlc::new(now_ms(), 0).unwrap(),
            valid_until: Hlc::new(now_ms() + 3_600_000, 0).unwrap(),
            body: strict(&json!({ "assets": assets })),
        };
        let body = serde_json::to_vec(&claim.sign(&yard.site.cluster, &platform())).unwrap();
        let length = format!("content-length: {}", body.len());
        let pushed = daemon.send(&request("POST", "/facts", &["content-type: application/json", &length], &body));
        assert_eq!(pushed.status, 200, "{}", pushed.text());
    };
    report("degraded");
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Degraded);
    report("ok");
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentRecheck));
    state_where(&daemon, |state| state.environment.phase == EnvironmentState::Ready);
    report("failed");
    let failed = count(&daemon, "Environment_HealthFailed");
    insist(&mut project, &daemon, &Ask::new(Transition::EnvironmentRecheck));
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_HealthFailed") > failed);
}

/// A check says that all is well, and the health guard refuses it: the failure was recorded thirty times in half a minute.
#[test]
fn a_check_that_the_guard_refuses_again_and_again_backs_off() {
    let yard = yard();
    yard.site.change_settings(|settings| {
        // The platform's health facts do not cover assets that are built here.
        let platform = settings["facts"]["sources"]["capacity"].clone();
        settings["facts"]["sources"]["health"] = platform;
        settings["effects"]["retry_min_ms"] = json!(50);
        settings["effects"]["retry_max_ms"] = json!(60_000);
    });
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Environment_HealthFailed") >= 3);
    std::thread::sleep(std::time::Duration::from_secs(5));
    let failed = count(&daemon, "Environment_HealthFailed");
    // After 50, 100, 200 ms and so on: the ninth comes after more than 12 s.
    assert!((3..=9).contains(&failed), "{failed}");
}
