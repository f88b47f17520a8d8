//! DISCOVER to READY on real repositories.

use std::fs;

use serde_json::{Value, json};
use swoosh::effects::Index;
use swoosh::types::names::{EffectName, IngestionState, PolicyState, Transition};

use super::{INGESTION, Yard, count, hash, insist, records, state_where};
use crate::support::world::Ask;

#[test]
fn ingestion_goes_from_names_to_an_index_by_itself_and_the_node_signs_each_step() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    let state = state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    let node = yard.site.hands.get("node").key().to_string();
    let own: Vec<_> = records(&daemon).into_iter().filter(|(_, signer, _)| *signer == node).collect();
    let names: Vec<_> = own.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        ["Ingestion_SourcesResolved", "Ingestion_BytesOk", "Ingestion_SchemaOk", "Ingestion_CorpusBuilt"]
    );
    assert!(own.iter().all(|(_, _, key)| key.starts_with("swoosh.effect:0:ingestion:")), "{own:?}");
    let index = Index::load(&yard.workspace().join("indexes/1")).unwrap();
    assert_eq!(Some(index.content_hash()), state.ingestion.content_hash);
    assert_eq!(index.sources[&"app".parse().unwrap()].files, 1);
    let files = fs::read_to_string(yard.workspace().join("indexes/1/app.files")).unwrap();
    let line: Value = serde_json::from_str(files.lines().next().unwrap()).unwrap();
    assert_eq!((line["path"].as_str(), line["bytes"].as_u64()), (Some("a.txt"), Some(4)));
    let open = daemon.get("/effects?project=p").json();
    let open: Vec<_> = open["effects"].as_array().unwrap().iter().map(|effect| &effect["effect"]).collect();
    assert_eq!(open, ["allocate"], "what is external stays open");
}

#[test]
fn the_same_content_has_the_same_hash_whatever_its_commit_and_version_are() {
    let yard = Yard::new(&INGESTION, |_| {});
    yard.repository.git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    yard.repository.git(&["tag", "v1.1"]);
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    let sources = json!({"sources": {"app": {"url": yard.url(), "ref": "v1.1"}}});
    insist(&mut project, &daemon, &Ask::new(Transition::IngestionNewVersion).with(sources));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready && state.ingestion.version == 2);
    let content = |version: u64| {
        let index = Index::load(&yard.workspace().join(format!("indexes/{version}"))).unwrap();
        index.sources.values().next().unwrap().clone()
    };
    assert_eq!(content(1).content, content(2).content);
    assert_ne!(content(1).commit, content(2).commit);
}

#[test]
fn a_rollback_makes_an_earlier_index_the_current_one_again() {
    let yard = Yard::new(&INGESTION, |_| {});
    yard.repository.commit("b.txt", b"two\n");
    yard.repository.git(&["tag", "v2.0"]);
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let current = yard.workspace().join("indexes/current");
    let is_current = |version: &str| fs::read_to_string(&current).is_ok_and(|held| held.trim() == version);
    let first = state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready && is_current("1"));
    let sources = json!({"sources": {"app": {"url": yard.url(), "ref": "v2.0"}}});
    insist(&mut project, &daemon, &Ask::new(Transition::IngestionNewVersion).with(sources));
    state_where(&daemon, |state| state.ingestion.version == 2 && is_current("2"));
    let back = json!({"version": 1, "rationale": "v2.0 is wrong"});
    insist(&mut project, &daemon, &Ask::new(Transition::IngestionRollbackIndex).with(back));
    let state = state_where(&daemon, |state| state.ingestion.version == 1 && is_current("1"));
    assert_eq!(state.ingestion.content_hash, first.ingestion.content_hash);
    assert_eq!(hash(&state), daemon.get("/state?project=p").json()["hash"]);
}

#[test]
fn a_missing_reference_is_reported_with_similar_ones_and_stops_at_the_retry_limit() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.9"));
    let state = state_where(&daemon, |state| state.ingestion.tries == 3);
    let failure = state.ingestion.last_failure.clone().unwrap();
    assert!(failure.detail.as_str().contains("v1.0") && !failure.unknown, "{failure:?}");
    assert!(state.ingestion.effects.is_empty());
    assert_eq!(count(&daemon, "Ingestion_ResolveFailed"), 3, "once for each try, and not once more");
    let sources = json!({"sources": {"app": {"url": yard.url(), "ref": "v1.0"}}});
    insist(&mut project, &daemon, &Ask::new(Transition::IngestionRetry).with(sources));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
}

#[test]
fn pause_stops_the_work_that_runs_and_resume_lets_it_go_on() {
    let yard = Yard::new(&INGESTION, |settings| settings["effects"]["scan_command"] = json!(["./scan"]));
    let scan = yard.program("scan", "while [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.05; done");
    yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let phase = |wanted: &'static str| {
        move |answer: &crate::support::http::Answer| {
            let effects = answer.json()["effects"].clone();
            effects.as_array().unwrap().iter().any(|one| one["effect"] == "validate" && one["phase"] == wanted)
        }
    };
    daemon.wait_for("/effects", |answer| phase("running")(answer) && !yard.ledger().is_empty());
    insist(&mut project, &daemon, &Ask::new(Transition::ControlPause));
    daemon.wait_for("/effects", phase("suspended"));
    fs::write(yard.site.file("go"), "").unwrap();
    assert_eq!((yard.ledger().len(), count(&daemon, "Ingestion_SchemaOk")), (1, 0));
    insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    assert_eq!(yard.ledger().len(), 2);
    assert_eq!(count(&daemon, "Ingestion_ValidateFailed"), 0, "a requested stop is no failure");
}

#[test]
fn the_end_of_a_project_stops_its_work_and_nothing_is_recorded_any_more() {
    let yard = Yard::new(&INGESTION, |_| {});
    let scan = yard.program("scan", "echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
    yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    let pid_of = || fs::read_to_string(yard.site.file("pid")).ok().filter(|pid| pid.ends_with('\n'));
    daemon.wait_for("/effects", |_| pid_of().is_some());
    let pid = pid_of().unwrap();
    insist(&mut project, &daemon, &Ask::new(Transition::ControlTerminate));
    let is_alive = || std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
    daemon.wait_for("/effects", |answer| answer.json()["effects"] == json!([]) && !is_alive());
    assert_eq!(records(&daemon).last().unwrap().0, "Control_Terminate");
}

#[test]
fn content_that_a_policy_calls_a_breach_quarantines_and_is_validated_again_after_the_release() {
    let breach = r#"@id("no-keys") @breach("private keys are in the content")
        forbid (principal, action in Action::"ingestion", resource)
        when { context has content && context.content.flags.contains("private-key") };"#;
    let yard = Yard::new(&INGESTION, |settings| settings["policies"] = json!({"path": "own.cedar"}));
    let policies = format!("{}\n{breach}\n", swoosh::settings::default_policies());
    fs::write(yard.site.file("own.cedar"), policies).unwrap();
    yard.repository.commit("id", b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n");
    yard.repository.git(&["tag", "v2.0"]);
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v2.0"));
    let state = state_where(&daemon, |state| state.policy.phase == PolicyState::Quarantined);
    assert_eq!(state.ingestion.phase, IngestionState::Validate);
    assert_eq!(count(&daemon, "Ingestion_PolicyViolation"), 1);
    assert!(state.policy.rationale.clone().unwrap().to_string().contains("private keys"));
    insist(&mut project, &daemon, &Ask::new(Transition::PolicyRelease));
    state_where(&daemon, |state| state.policy.phase == PolicyState::Quarantined && state.epoch.policy >= 1);
    daemon.wait_for("/wal?project=p&limit=1000", |_| count(&daemon, "Ingestion_PolicyViolation") == 2);
}

#[test]
fn a_tree_that_was_changed_in_the_workspace_does_not_pass() {
    let yard = Yard::new(&INGESTION, |_| {});
    let scan = yard.program("scan", "");
    yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    fs::write(yard.workspace().join("sources/app/a.txt"), "changed\n").unwrap();
    insist(&mut project, &daemon, &Ask::new(Transition::IngestionNewVersion).with(json!({})));
    let state = state_where(&daemon, |state| state.ingestion.last_failure.is_some());
    let detail = state.ingestion.last_failure.clone().unwrap().detail.to_string();
    assert!(detail.contains("a.txt"), "{detail}");
    assert!(!state.ingestion.effects.contains_key(&EffectName::Index));
}
