//! Taking WHOOSH's place: one unchanged client script through every stage of docs/migration.md and back, and what goes wrong on
//! the way. The daemon, the command line and the sockets are real; WHOOSH is a stand-in with a state machine of its own.

mod faults;
mod grants;
mod orders;
mod outage;
mod outcomes;
mod paths;
mod stages;

use std::net::SocketAddr;

use serde_json::{Value, json};
use swoosh::platform::keyfile;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::http::{Answer, Wire, request};
use crate::support::route::{self, Goal};
use crate::support::whoosh::{Phases, Whoosh};
use crate::support::world::Ask;

/// The delegate that signs for clients without a token.
fn delegate() -> SecretKey {
    SecretKey::from_bytes(&[77; 32])
}

/// A WHOOSH, and a site whose daemon runs in front of it.
pub(crate) struct Move {
    pub site: Site,
    pub whoosh: Whoosh,
}

impl Move {
    pub fn new() -> Move {
        Move::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Value)) -> Move {
        let whoosh = Whoosh::start();
        let site = Site::with(always_open(), |settings| {
            settings["migration"] = json!({
                "upstream": whoosh.url(), "listen": "127.0.0.1:0", "callers": {"ci": {"key": "delegate.key"}},
            });
            settings["identities"][delegate().public().to_string()] = json!({
                "name": "shim", "roles": ["agent", "worker"],
                "delegate": {"op_classes": ["ingestion", "council", "environment", "execution"]},
            });
            change(settings);
        });
        keyfile::store(&site.file("delegate.key"), &delegate()).unwrap();
        keyfile::store(&site.file("operator.key"), &site.hands.get("operator").secret).unwrap();
        Move { site, whoosh }
    }

    pub fn start(&self) -> Running<'_> {
        let daemon = self.site.start();
        let listens =
            |answer: &Answer| answer.json()["listen"].as_str().is_some_and(|text| text.starts_with("http://"));
        let view = daemon.wait_for("/migration", listens).json();
        let clients = view["listen"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Running { moved: self, daemon, clients }
    }
}

/// The daemon of a move.
pub(crate) struct Running<'a> {
    moved: &'a Move,
    pub daemon: Daemon,
    /// Where WHOOSH's clients are served.
    pub clients: SocketAddr,
}

impl Running<'_> {
    /// Begins a project on both sides: WHOOSH has it, and an operator makes it known to SWOOSH.
    pub fn begin(&self, name: &str) {
        self.moved.whoosh.add(name);
        let mut project = Project::new(&self.moved.site, name);
        project.accept(&self.daemon, Transition::BootConfigOk);
        project.accept(&self.daemon, Transition::BootLicensed);
    }

    /// Runs `swoosh migration …` against the daemon.
    fn command(&self, arguments: &[&str]) -> (bool, String) {
        let node = format!("http://{}", self.daemon.address);
        let output = self.moved.site.tool(&[&["--json", "migration"], arguments, &["--node", &node]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Switches as the operator; the answer.
    fn try_switch(&self, arguments: &[&str]) -> (bool, String) {
        let key = self.moved.site.file("operator.key");
        let by = ["--rationale", "The plan says so.", "--key", key.to_str().unwrap()];
        self.command(&[&["mode"], arguments, &by].concat())
    }

    #[track_caller]
    pub fn switch(&self, arguments: &[&str]) -> Value {
        let (good, said) = self.try_switch(arguments);
        assert!(good, "{arguments:?}: {said}");
        let mut switch: Value = serde_json::from_str(&said).unwrap();
        // The command names the cluster beside the switch.
        assert_eq!(switch.as_object_mut().unwrap().remove("cluster").unwrap(), "test");
        switch
    }

    fn view(&self) -> Value {
        self.daemon.get("/migration").json()
    }

    fn divergences(&self) -> Vec<Value> {
        self.daemon.get("/migration/divergences").json()["divergences"].as_array().unwrap().clone()
    }

    /// Phases of a project as SWOOSH has them, in WHOOSH's words.
    fn phases(&self, project: &str) -> Vec<(String, String)> {
        let shown = self.daemon.get(&format!("/state?project={project}")).json();
        let phase = |section: &str| shown["projection"][section]["phase"].as_str().unwrap().to_owned();
        ["Council", "Environment", "Execution", "Ingestion"]
            .map(|section| (section.to_owned(), phase(&section.to_lowercase())))
            .to_vec()
    }

    /// Waits until SWOOSH and WHOOSH are in the same phases.
    #[track_caller]
    pub fn agree(&self, project: &str) {
        let agrees = |_: &Answer| self.phases(project) == words(&self.moved.whoosh.phases(project));
        self.daemon.wait_for(&format!("/state?project={project}&projection=meta"), agrees);
    }

    /// Waits until so many divergences were found.
    #[track_caller]
    fn diverges(&self, found: usize) -> Vec<Value> {
        self.daemon.wait_for("/migration", |answer| answer.json()["divergences"].as_u64() >= Some(found as u64));
        self.divergences()
    }

    fn measures(&self, line: &str) -> bool {
        self.daemon.measures(line)
    }
}

fn words(phases: &Phases) -> Vec<(String, String)> {
    phases.iter().map(|(section, phase)| ((*section).to_owned(), (*phase).to_owned())).collect()
}

/// The posts of a client of WHOOSH, in order, with the same bytes in every stage. They contain nothing of SWOOSH: no hash,
/// no signature, no effect.
pub(crate) struct Script {
    pub project: String,
    pub steps: Vec<(Transition, Value)>,
}

impl Script {
    /// A project's way through its lifecycle into review.
    pub fn lifecycle(site: &Site, name: &str) -> Script {
        let mut project = Project::new(site, name);
        let mut steps = Vec::new();
        while let Some(transition) = route::next(project.head.state(), Goal::new(Region::Execution, "REVIEW")) {
            let mut inputs = project.valid(transition);
            let proposal = project.proposal(&Ask::new(transition).with(inputs.clone()));
            project.foresee(&proposal);
            inputs.as_object_mut().unwrap().remove("effect");
            if !transition.as_str().starts_with("Boot_") {
                steps.push((transition, inputs));
            }
        }
        Script { project: name.to_owned(), steps }
    }

    /// Runs it against an address; every answer must be WHOOSH's word for «accepted». With keys, each request brings
    /// its own: the one thing that the migration adds to clients.
    #[track_caller]
    pub fn run(&self, address: SocketAddr, keys: Option<&Site>) {
        for (number, (transition, inputs)) in self.steps.iter().enumerate() {
            let key = keys.map(|site| key(site, &self.project, *transition, number));
            let headers: Vec<String> = key.into_iter().map(|key| format!("idempotency-key: {key}")).collect();
            let answer = post(address, &body(&self.project, *transition, inputs), &headers);
            assert_eq!(answer.status, 202, "{} {transition}: {}", self.project, answer.text());
            assert_eq!(answer.json()["status"], "accepted");
            assert_eq!(answer.json()["transition"], transition.as_str());
        }
    }
}

pub(crate) fn body(project: &str, transition: Transition, inputs: &Value) -> Vec<u8> {
    json!({"project": project, "transition": transition, "inputs": inputs}).to_string().into_bytes()
}

/// A key in the form of docs/design.md#idempotency.
fn key(site: &Site, project: &str, transition: Transition, number: usize) -> String {
    let clock = swoosh::types::hlc::Hlc::new(crate::support::daemon::now_ms(), 0).unwrap();
    let (beat, class) = (site.schedule.position(clock).beat, swoosh::client::op_class(transition));
    format!("{project}:{beat}:{class}:step-{number:08}")
}

/// Posts as a client of WHOOSH does.
#[track_caller]
fn post(address: SocketAddr, body: &[u8], headers: &[String]) -> Answer {
    let length = format!("content-length: {}", body.len());
    let mut lines = vec!["content-type: application/json", &length];
    lines.extend(headers.iter().map(String::as_str));
    send(address, &request("POST", "/transition", &lines, body))
}

#[track_caller]
fn get(address: SocketAddr, target: &str) -> Answer {
    send(address, &request("GET", target, &[], b""))
}

#[track_caller]
fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    Wire::connect(address).unwrap().exchange(bytes).unwrap()
}

/// The status of a read on WHOOSH's paths.
#[track_caller]
pub(crate) fn status_of(clients: SocketAddr, target: &str) -> u16 {
    get(clients, target).status
}
