//! A user's first steps: a daemon without settings, its reads, its log, and the SDK against it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swoosh::client::{Client, Draft};
use swoosh::machine::chart;
use swoosh::types::decision::Decision;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::request;
use crate::support::wal;
use crate::support::world::Ask;

/// The names that the requirements fix.
const METRICS: [&str; 7] = [
    "swoosh_transition_total",
    "swoosh_guard_fail_total",
    "swoosh_state_advance_latency_seconds",
    "swoosh_retry_count",
    "swoosh_quarantine_total",
    "swoosh_recovery_time_seconds",
    "swoosh_wal_lag_records",
];

#[test]
fn an_empty_directory_and_no_flag_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::bare(folder.path());
    let health = daemon.get("/health").json();
    assert_eq!((&health["status"], &health["consensus"]), (&json!("ok"), &json!("single")));
    assert_eq!((&health["lastSnapshotHLC"], &health["walLag"]), (&Value::Null, &json!(0)));
    assert_eq!(health["cluster"], "swoosh");
    assert_eq!((daemon.get("/health/live").status, daemon.get("/health/ready").status), (200, 200));
    let metrics = daemon.get("/metrics").text();
    METRICS.iter().for_each(|name| assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is missing"));
    let openapi = daemon.get("/openapi.json").json();
    for path in [
        "/transition",
        "/state",
        "/health",
        "/transitions",
        "/windows",
        "/projects",
        "/records",
        "/statechart",
        "/wal",
        "/decisions/{id}",
        "/rejections",
        "/facts",
        "/metrics",
    ] {
        assert!(openapi["paths"][path].is_object(), "{path} is not described");
    }
    assert_eq!((daemon.get("/docs").status, daemon.get("/").status), (200, 200));
    let explained = daemon.get("/transitions").json();
    assert_eq!(
        (&explained["exists"], explained["transitions"].as_array().unwrap().len()),
        (&json!(false), Transition::ALL.len())
    );
    daemon.terminate();
    let again = Daemon::bare(folder.path());
    assert_eq!(again.get("/health").json()["node"], health["node"], "the key is made once");
}

#[cfg(unix)]
#[test]
fn the_node_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(Daemon::bare(folder.path()));
    let key = folder.path().join("data/node.key");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Drives a project and keeps the head after each record.
fn driven<'a>(site: &'a Site, daemon: &Daemon) -> (Project<'a>, BTreeMap<u64, String>) {
    let mut project = Project::new(site, "story");
    let mut heads = BTreeMap::new();
    for (region, state) in [(Region::Boot, "LICENSED"), (Region::Execution, "REVERB")] {
        let goal = crate::support::route::Goal::new(region, state);
        while let Some(transition) = crate::support::route::next(project.head.state(), goal) {
            let receipt = project.accept(daemon, transition);
            heads.insert(receipt.index, project.head.hash().to_string());
        }
    }
    (project, heads)
}

#[test]
fn every_record_has_its_log_line_its_decision_and_its_state() {
    let site = Site::new();
    let daemon = site.start();
    let (project, heads) = driven(&site, &daemon);
    let log = wal::read(&daemon);
    assert_eq!(log.len(), heads.len());
    for entry in &log {
        let (index, record) = (entry.record.index, &entry.record);
        let shown = daemon.get(&format!("/state?project=story&at={index}&projection=Epoch,HLC_LAST")).json();
        assert_eq!((&shown["hash"], &shown["index"]), (&json!(heads[&index]), &json!(index)));
        let by_index = daemon.get(&format!("/decisions/story/{index}"));
        let decision: Decision = serde_json::from_slice(&by_index.body).unwrap();
        assert_eq!((decision.chain, decision.index, decision.transition), (entry.chain, index, record.transition));
        assert_eq!(
            (decision.state_pre_hash, decision.state_post_hash),
            (record.state_pre_hash, record.state_post_hash)
        );
        assert_eq!((decision.signer, &decision.idem_key), (record.signer, &record.idem_key));
        assert_eq!(decision.guard_outcomes, record.guard_outcomes);
        assert!(decision.guard_outcomes.iter().all(|outcome| outcome.ok && !outcome.reasons.is_empty()), "{index}");
        assert!(!decision.ucxl.is_empty() && !decision.justification.is_empty(), "{index}");
        assert_eq!(daemon.get(&format!("/decisions/{}", decision.id)).body, by_index.body);
    }
    let projects = daemon.get("/projects").json();
    assert_eq!(projects["projects"][0]["hash"], project.head.hash().to_string());
    lines_tell_every_transition(&daemon.terminate(), &log);
}

fn lines_tell_every_transition(lines: &[String], log: &[swoosh::client::WalEntry]) {
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let transitions: Vec<&Value> = lines.iter().filter(|line| line["target"] == "swoosh::transition").collect();
    assert_eq!(transitions.len(), log.len());
    for (line, entry) in transitions.into_iter().zip(log) {
        let record = &entry.record;
        assert_eq!(line["state_pre_hash"], record.state_pre_hash.to_string());
        assert_eq!(line["state_post_hash"], record.state_post_hash.to_string());
        assert_eq!(line["transition"], record.transition.as_str());
        assert_eq!(line["hlc"], record.hlc.to_string());
        assert_eq!(line["window_id"], record.window_id.map(|window| window.to_string()).unwrap_or_default());
    }
}

#[test]
fn a_projection_proves_itself_in_any_case_and_the_transitions_are_explained() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "proof");
    project.drive(&daemon, Region::Council, "ELECT");
    let answer = daemon.get("/state?project=proof&projection=COUNCIL,ingestion,Hlc_Last");
    let view: swoosh::client::StateView = serde_json::from_slice(&answer.body).unwrap();
    assert!(view.proves_projection());
    assert_eq!((view.projection.len(), view.sections.len()), (3, 10));
    assert_eq!(view.hash, project.head.hash());
    let explained = daemon.get("/transitions?project=proof").json();
    assert_eq!(explained["head"], project.head.hash().to_string());
    for entry in explained["transitions"].as_array().unwrap() {
        let transition: Transition = entry["transition"].as_str().unwrap().parse().unwrap();
        let spec = chart::spec(transition);
        // The project is not paused, so it cannot be resumed; nothing is provisioned yet.
        let enabled = spec.from.contains(&project.head.state().region_state(spec.region))
            && !matches!(transition, Transition::ControlResume | Transition::EnvironmentDeprovision);
        assert_eq!(entry["enabled"], enabled, "{entry}");
        assert_eq!(entry["reasons"].as_array().unwrap().is_empty(), enabled, "{entry}");
    }
}

#[test]
fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "dry");
    let dry_run = |project: &Project<'_>, ask: &Ask| {
        let body = bytes(&project.signed(ask));
        let length = format!("content-length: {}", body.len());
        let answer = daemon.send(&request(
            "POST",
            "/transition?dry_run=true",
            &["content-type: application/json", &length],
            &body,
        ));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    assert_eq!(dry_run(&project, &Ask::new(Transition::BootConfigOk))["accepted"], true);
    assert_eq!(daemon.get("/state?project=dry").code(), "unknown_project");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let before = (daemon.last_index(), daemon.get("/projects").body);
    let pause = Ask::new(Transition::ControlPause).at(project.clock());
    let key = project.proposal(&pause).idem_key.to_string();
    let predicted = dry_run(&project, &pause.clone().under(&key));
    let refused = dry_run(&project, &Ask::new(Transition::CouncilQuorumCert));
    assert_eq!((&refused["accepted"], &refused["problem"]["code"]), (&json!(false), &json!("not_enabled")));
    assert_eq!((daemon.last_index(), daemon.get("/projects").body), before);
    let receipt = project.propose(&daemon, &pause.under(&key)).receipt();
    assert_eq!(predicted["state_post_hash"], receipt.state_post_hash.to_string());
}

#[test]
fn interval_durability_loses_nothing_that_was_answered() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 20});
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "interval");
    project.drive(&daemon, Region::Execution, "PLAN");
    let before = daemon.get("/wal?limit=1000").body;
    daemon.kill();
    let daemon = site.start();
    assert_eq!(daemon.get("/wal?limit=1000").body, before);
    project.drive(&daemon, Region::Execution, "REVERB");
}

/// A full queue turns lifecycle proposals away; what must stop a project still gets through.
#[test]
fn a_full_queue_is_reported_and_control_transitions_bypass_it() {
    let site = Site::with(always_open(), |settings| {
        settings["journal"] = json!({"durability": "interval", "interval_ms": 700});
        settings["sequencer"] = json!({"queue": 1, "batch_max": 1});
    });
    let daemon = site.start();
    let mut projects: Vec<_> = (0..6).map(|n| Project::new(&site, &format!("queue-{n}"))).collect();
    projects[0].drive(&daemon, Region::Boot, "LICENSED");
    let pause = bytes(&projects[0].signed(&Ask::new(Transition::ControlPause)));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let bodies: Vec<_> =
            projects[1..].iter().map(|new| bytes(&new.signed(&Ask::new(Transition::BootConfigOk)))).collect();
        let daemon = &daemon;
        let posted: Vec<_> = bodies.into_iter().map(|body| scope.spawn(move || daemon.post(&body))).collect();
        let paused = scope.spawn(|| daemon.post(&pause));
        assert_eq!(paused.join().unwrap().status, 202);
        posted.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let turned_away: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!turned_away.is_empty(), "the queue was never full");
    for answer in turned_away {
        assert_eq!(answer.code(), "overloaded");
        assert!(answer.header("retry-after").is_some());
    }
    assert!(answers.iter().all(|answer| matches!(answer.status, 202 | 503)));
}

/// The SDK over the real thing: genesis head, keys, windows, clock and stale heads.
#[test]
fn the_sdk_drives_a_project() {
    let site = Site::new();
    let daemon = site.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let operator = site.hands.get("operator").secret.clone();
        let address = format!("http://{}", daemon.address);
        let client = Client::new(&address, site.cluster.clone(), operator).unwrap();
        let document = json!({"document": crate::support::inputs::document(&site.hands)});
        client.propose(Draft::new(Transition::BootConfigOk, &document).unwrap()).await.unwrap();
        let licensed = client.propose(Draft::new(Transition::BootLicensed, &json!({})).unwrap()).await.unwrap();
        let licensed = licensed.accepted().unwrap();
        let words = json!({"rationale": "tea"});
        let stale = licensed.receipt.state_pre_hash;
        let paused =
            client.propose(Draft::new(Transition::ControlPause, &words).unwrap().from_head(stale)).await.unwrap();
        let paused = paused.accepted().unwrap();
        assert_eq!(paused.attempts, 2, "the stale head was read again");
        let project = "default".parse().unwrap();
        let view = client.state(&project, Some("Control")).await.unwrap();
        assert!(view.proves_projection() && view.section("control").unwrap()["paused"] == true);
        let decision = client.decision(&paused.receipt.decision).await.unwrap();
        assert_eq!((decision.justification.as_str(), decision.index), ("tea", paused.receipt.index));
        assert_eq!(client.decision_at(&project, paused.receipt.index).await.unwrap(), decision);
        let problem = client.propose(Draft::new(Transition::CouncilQuorumCert, &json!({})).unwrap()).await.unwrap_err();
        assert_eq!(problem.problem().unwrap().code.to_string(), "schema");
        let facts = client.facts().await.unwrap();
        assert!(facts.len() >= 8, "{facts:?}");
        assert_eq!(client.wal(1, 10).await.unwrap().records.len(), 3);
    });
}
