//! A newer program on an older data directory, and an older one on a newer: the statechart's barrier.

use std::sync::Arc;

use serde_json::json;
use swoosh::journal::{FoldError, Journal, VersionChange, Written};
use swoosh::machine::replay::Divergence;
use swoosh::machine::upgrade::PRESENT;
use swoosh::types::names::Transition;

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::older::{self, BOOT, Writer};
use crate::support::world::Ask;

/// A site whose data directory holds these projects, licensed under the chart before this program's.
fn older_site<'a>(site: &'a Site, names: &[&str]) -> Vec<Project<'a>> {
    let mut writer = Writer::new(site);
    let mut projects: Vec<_> = names.iter().map(|name| older::project(site, name, PRESENT.version - 1)).collect();
    for project in &mut projects {
        BOOT.iter().for_each(|transition| writer.accept(project, &Ask::new(*transition)));
    }
    if let Some(paused) = projects.get_mut(1) {
        writer.accept(paused, &Ask::new(Transition::ControlPause));
    }
    projects
}

fn version(daemon: &Daemon, project: &str) -> serde_json::Value {
    daemon.get(&format!("/state?project={project}")).json()["projection"]["meta"]["chart_version"].clone()
}

fn barriers(daemon: &Daemon) -> Vec<serde_json::Value> {
    let page = daemon.get("/wal?from=1").json();
    let records = page["records"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
    records.into_iter().filter(|one| one.to_string().contains("\"Boot_ChartUpgraded\"")).collect()
}

#[test]
fn a_project_of_an_older_chart_goes_over_once_with_a_record_of_the_node_s() {
    let site = Site::new();
    let mut project = older_site(&site, &["alpha"]).remove(0);
    let daemon = site.start();
    daemon.wait_for("/state?project=alpha", |answer| {
        answer.json()["projection"]["meta"]["chart_version"] == json!(PRESENT.version)
    });
    let found = barriers(&daemon);
    assert_eq!(found.len(), 1, "{found:#?}");
    let node = site.hands.get("node").key().to_string();
    assert!(found[0].to_string().contains(&node), "{found:#?}");
    let before = project.head.clone();
    project.refresh(&daemon);
    let mut state = project.head.state().clone();
    let meta = Arc::make_mut(&mut state.meta);
    assert_eq!((meta.chart_version, meta.schema_hash), (PRESENT.version, PRESENT.schema_hash));
    *meta = (*before.state().meta).clone();
    assert_eq!(state.boot.identities, before.state().boot.identities);
    project.accept(&daemon, Transition::ControlPause);
    let log = daemon.terminate();
    let lines_with = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines_with("goes over to this program's statechart"), 1, "{log:#?}");
    let daemon = site.start();
    project.accept(&daemon, Transition::ControlResume);
    assert_eq!(barriers(&daemon).len(), 1);
    daemon.kill();
    let verified = site.run(&["wal", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let journal = Journal::open_read_only(site.journal()).unwrap();
    let listed = journal.barriers(&mut |_| ()).unwrap();
    let of_charts = listed.iter().filter(|one| matches!(one.change, VersionChange::Statechart { .. }));
    let (name, schema_hash) = (project.name.clone(), PRESENT.schema_hash);
    let (from, to) = (PRESENT.version - 1, PRESENT.version);
    let expected = VersionChange::Statechart { project: name, from, to, schema_hash };
    assert_eq!(of_charts.map(|one| (one.index, &one.change)).collect::<Vec<_>>(), [(3, &expected)]);
    assert_eq!(journal.written().unwrap(), Some(Written::by_this_program()));
    assert_eq!(journal.latest_head(&project.name).unwrap().unwrap().head.hash(), project.head.hash());
}

/// A tenant paused its project before the program was replaced; the old rules held on in it, and it took the platform's
/// operator its rights.
#[test]
fn a_project_that_is_blocked_goes_over_like_any_other() {
    let site = Site::new();
    let mut projects = older_site(&site, &["alpha", "beta"]);
    let mut paused = projects.remove(1);
    let daemon = site.start();
    let grant = json!({"key": site.hands.get("operator").key(), "identity": {"name": "operator", "roles": ["reader"]}});
    let ask = Ask::new(Transition::BootIdentityGranted).with(grant);
    // By the old head the caller raced; by the new one the new rules hold.
    assert_eq!(paused.propose(&daemon, &ask).code(), "stale_head");
    assert_eq!(version(&daemon, "beta"), json!(PRESENT.version));
    paused.refresh(&daemon);
    assert_eq!(paused.propose(&daemon, &ask).code(), "guard_operators");
    paused.accept(&daemon, Transition::ControlResume);
    daemon.terminate();
}

#[test]
fn a_program_with_an_older_chart_refuses_to_start_and_says_what_to_do() {
    let site = Site::new();
    older_site(&site, &["alpha"]);
    let enter = |written: &Written| {
        let writer = Journal::open(swoosh::journal::JournalOptions {
            path: site.journal(),
            node: site.hands.get("node").key(),
            cluster: site.cluster.clone(),
            snapshot_every: 1_000,
            durability: swoosh::journal::Durability::Sync,
            store: swoosh::journal::StoreLimits::default(),
            medium: None,
        });
        writer.unwrap().enter(written).unwrap();
    };
    enter(&Written { chart_version: PRESENT.version + 1, ..Written::by_this_program() });
    let (code, said) = site.start_refused();
    assert_eq!(code, Some(1));
    for part in ["a project never goes back", "restore a backup from before the upgrade", "docs/upgrade.md"] {
        assert!(said.contains(part), "{said}");
    }
    let journal = Journal::open_read_only(site.journal()).unwrap();
    assert_eq!(journal.last().0, 2, "nothing was written");
}

#[test]
fn a_record_of_a_newer_chart_is_not_reduced_by_a_program_that_does_not_know_it() {
    let site = Site::new();
    let mut writer = Writer::new(&site);
    let mut project = Project::new(&site, "alpha");
    BOOT.iter().for_each(|transition| writer.accept(&mut project, &Ask::new(*transition)));
    let newer =
        json!({"from_version": PRESENT.version, "to_version": PRESENT.version + 1, "schema_hash": PRESENT.schema_hash});
    writer.accept(&mut project, &Ask::new(Transition::BootChartUpgraded).by("node").with(newer));
    let replayed = swoosh::journal::replay::replay(&writer.journal, &mut |_| (), None);
    let Some(FoldError::Diverged(Divergence::Newer { index: 3, version, .. })) = replayed.fault else {
        panic!("{:?}", replayed.fault)
    };
    assert_eq!(version, PRESENT.version + 1);
}
