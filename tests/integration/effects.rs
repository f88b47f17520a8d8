//! Effects that the node runs itself: real repositories, real packer, a daemon that is killed.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use swoosh::machine::head::Head;
use swoosh::machine::state::State;
use swoosh::types::names::Transition;

use super::support::daemon::{Daemon, Site, always_open};
use super::support::driver::Project;
use super::support::git_server::GitRepository;
use super::support::inputs;
use super::support::world::Ask;

mod content;
mod crashes;
mod environment;
mod events;
mod external;
mod fenced;
mod incarnations;
mod ingestion;
mod outside;
mod watch;

/// A node that runs effects, and a repository.
struct Yard {
    site: Site,
    repository: GitRepository,
}

impl Yard {
    /// The tag v1.0 at the first commit; these effects are the node's.
    fn new(builtin: &[&str], change: impl FnOnce(&mut Value)) -> Yard {
        let site = Site::with(always_open(), |settings| {
            settings["effects"] = json!({"retry_min_ms": 20, "retry_max_ms": 200});
            settings["sources"]["transports"] = json!(["file", "https", "ssh"]);
            settings["sources"]["file_prefixes"] = json!(["served"]);
            builtin.iter().for_each(|effect| settings["effects"][effect] = json!("builtin"));
            change(settings);
        });
        let repository = GitRepository::make(site.file("served/app.git"));
        repository.commit("a.txt", b"one\n");
        repository.git(&["tag", "v1.0"]);
        Yard { site, repository }
    }

    fn url(&self) -> String {
        format!("file://{}", self.repository.folder.display())
    }

    /// The project document, with one source at this reference.
    fn document(&self, reference: &str) -> Value {
        let mut document = inputs::document(&self.site.hands);
        document["sources"] = json!({"app": {"url": self.url(), "ref": reference}});
        document["upstreams"] = json!({});
        document
    }

    /// Creates a project and licenses it; its effects begin.
    fn begin<'a>(&'a self, daemon: &Daemon, document: Value) -> Project<'a> {
        daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
        let mut project = Project::new(&self.site, "p");
        let config = Ask::new(Transition::BootConfigOk).with(json!({"document": document}));
        project.propose(daemon, &config).receipt();
        project.accept(daemon, Transition::BootLicensed);
        project
    }

    fn workspace(&self) -> PathBuf {
        self.site.data().join("workspaces/p")
    }

    /// A file that a program of a test writes a line to whenever it runs.
    fn ledger(&self) -> Vec<String> {
        let text = fs::read_to_string(self.site.file("ledger")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A program beside the settings that does this after it wrote its line.
    fn program(&self, name: &str, body: &str) -> PathBuf {
        let path = self.site.file(name);
        let ledger = self.site.file("ledger");
        crate::support::write_program(&path, &format!("#!/bin/sh\necho ran >> {}\n{body}\n", ledger.display()));
        path
    }
}

/// The project's state on the node, once it is as wanted.
#[track_caller]
fn state_where(daemon: &Daemon, wanted: impl Fn(&State) -> bool) -> State {
    let mut found = None;
    daemon.wait_for("/state?project=p", |answer| {
        let state: State = serde_json::from_value(answer.json()["projection"].clone()).unwrap();
        let is_wanted = wanted(&state);
        found = Some(state);
        is_wanted
    });
    found.unwrap()
}

/// Proposes until it is accepted: the node moves the head meanwhile.
#[track_caller]
fn insist(project: &mut Project<'_>, daemon: &Daemon, ask: &Ask) {
    for _ in 0..100 {
        project.refresh(daemon);
        let signed = project.signed(ask);
        let answer = daemon.post(&super::support::driver::bytes(&signed));
        match answer.status {
            202 => return project.refresh(daemon),
            _ if answer.code() == "stale_head" || answer.code() == "hlc_not_after" => {}
            _ => panic!("{}", answer.text()),
        }
    }
    panic!("the head never stood still");
}

/// Every record of the project: transition, signer, key.
fn records(daemon: &Daemon) -> Vec<(String, String, String)> {
    let records = daemon.get("/wal?project=p&limit=1000").json()["records"].clone();
    let text = |record: &Value, member: &str| record["record"][member].as_str().unwrap().to_owned();
    let one = |record: &Value| (text(record, "transition"), text(record, "signer"), text(record, "idem_key"));
    records.as_array().unwrap().iter().map(one).collect()
}

/// How often a transition occurs in the log.
fn count(daemon: &Daemon, transition: &str) -> usize {
    records(daemon).iter().filter(|(name, ..)| name == transition).count()
}

const INGESTION: [&str; 4] = ["resolve", "fetch", "validate", "index"];

/// The head that a state has.
fn hash(state: &State) -> String {
    Head::of(state.clone()).hash().to_string()
}
