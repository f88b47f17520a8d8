//! The programs of `examples/` against a real node: what they print, and the state that they leave.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;

const NAMES: [&str; 6] =
    ["propose", "council_vote", "external_worker", "watch_events", "verify_receipt", "first_proposal"];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs")
}

/// Where the examples are built. `cargo test` builds them; with one selected test they may be missing or older than their source.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let folder = profile.join("examples");
        let time = |path: PathBuf| path.metadata().and_then(|about| about.modified()).ok();
        if NAMES.iter().any(|name| time(folder.join(name)) < time(source(name))) {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["build", "--locked", "--examples"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            if let Some(name) = profile.file_name().filter(|name| *name != "debug") {
                cargo.arg("--profile").arg(name);
            }
            let made = cargo.env("CARGO_TARGET_DIR", profile.parent().unwrap()).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        folder
    })
}

/// An example that asks this node.
pub fn example(name: &str, daemon: &Daemon) -> Command {
    let mut command = Command::new(built().join(name));
    command.env("SWOOSH_URL", format!("http://{}", daemon.address)).env_remove("SWOOSH_PROJECT");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The key file of a hand.
fn key(site: &Site, name: &str) -> PathBuf {
    let path = site.file(&format!("{name}.key"));
    std::fs::write(&path, site.hands.get(name).secret.expose()).unwrap();
    path
}

/// An example that runs until it is killed.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it ended").unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_example_that_proposes_pauses_a_project_and_its_receipt_is_verified() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "default").drive(&daemon, Region::Boot, "LICENSED");
    let operator = key(&site, "operator");
    let receipt = good(&example("propose", &daemon).arg(&operator).output().unwrap());
    let state = daemon.get("/state?project=default&projection=control").json();
    assert_eq!(state["projection"]["control"]["paused"], true, "{state}");
    let parsed: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(parsed["state_post_hash"], state["hash"]);

    let again = example("propose", &daemon).arg(&operator).output().unwrap();
    assert!(!again.status.success() && text(&again.stderr).contains("paused"), "{}", text(&again.stderr));

    let file = site.file("receipt.json");
    let node = site.hands.get("node").key().to_string();
    let verify = |receipt: &str, node: &str| {
        std::fs::write(&file, receipt).unwrap();
        example("verify_receipt", &daemon).arg(&file).args(["test", node]).output().unwrap()
    };
    let verified = good(&verify(&receipt, &node));
    assert!(verified.contains("the signature holds") && verified.contains("the log holds"), "{verified}");
    let stranger = verify(&receipt, &site.hands.get("stranger").key().to_string());
    assert!(!stranger.status.success() && text(&stranger.stderr).contains("not by"), "{}", text(&stranger.stderr));
    let mut forged = parsed.clone();
    forged["state_post_hash"] = parsed["state_pre_hash"].clone();
    forged["chain"] = parsed["state_pre_hash"].clone();
    assert!(!verify(&forged.to_string(), &node).status.success());
}

#[test]
fn the_example_of_an_election_seats_a_council() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "alpha").drive(&daemon, Region::Council, "ELECT");
    let keys = ["v1", "v2", "v3"].map(|name| key(&site, name));
    let mut vote = example("council_vote", &daemon);
    let few = vote.env("SWOOSH_PROJECT", "alpha").arg(&keys[0]).output().unwrap();
    assert!(!few.status.success() && text(&few.stderr).contains("quorum"), "{}", text(&few.stderr));
    let mut vote = example("council_vote", &daemon);
    let said = good(&vote.env("SWOOSH_PROJECT", "alpha").args(&keys).output().unwrap());
    assert_eq!(said.matches(" votes for sha256-").count(), 3, "{said}");
    let state = daemon.get("/state?project=alpha&projection=council").json();
    assert_eq!(state["projection"]["council"]["members"].as_object().unwrap().len(), 3, "{state}");
}

#[test]
fn the_example_of_a_worker_answers_the_effects_of_every_project() {
    let site = Site::new();
    let daemon = site.start();
    let mut first = Project::new(&site, "alpha");
    first.drive(&daemon, Region::Ingestion, "INDEX");
    let mut worker = Running::start(example("external_worker", &daemon).arg(key(&site, "worker")));
    let line = worker.line();
    assert!(line.starts_with("Ingestion_CorpusBuilt of alpha/") && line.contains(" is record "), "{line}");
    // The second one is opened while the worker listens.
    Project::new(&site, "beta").drive(&daemon, Region::Ingestion, "INDEX");
    assert!(worker.line().starts_with("Ingestion_CorpusBuilt of beta/"));
    for project in ["alpha", "beta"] {
        let state = daemon.get(&format!("/state?project={project}&projection=ingestion")).json();
        assert_eq!(state["projection"]["ingestion"]["phase"], "READY", "{state}");
    }
}

#[test]
fn the_example_that_watches_prints_transitions_across_a_restart_of_the_node() {
    let site = Site::new();
    let daemon = site.start();
    let address = daemon.address.to_string();
    let mut project = Project::new(&site, "alpha");
    let mut watch = Running::start(example("watch_events", &daemon).arg("alpha"));
    let mut until = |word: &str| {
        while !watch.line().contains(word) {}
    };
    until("listening");
    project.accept(&daemon, Transition::BootConfigOk);
    until("Boot_ConfigOk");
    daemon.kill();
    let daemon = site.start_on(&address);
    project.accept(&daemon, Transition::BootLicensed);
    until("Boot_Licensed");
}

/// A copied example must work with `swoosh serve` without a flag.
#[test]
fn examples_are_short_and_ask_the_address_of_swoosh_serve() {
    for name in NAMES {
        let text = std::fs::read_to_string(source(name)).unwrap();
        assert!(text.lines().count() < 80, "{name}");
        assert!(text.contains("\"http://127.0.0.1:7400\"") && text.contains("SWOOSH_URL"), "{name}");
        assert!(text.contains(&format!("cargo run --example {name}")), "{name}");
    }
    let listed = std::fs::read_dir(source("propose").parent().unwrap()).unwrap();
    assert_eq!(
        listed.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "rs")).count(),
        NAMES.len()
    );
    let sdk = include_str!("../../crates/client/src/lib.rs");
    assert!(sdk.contains("Client::new(\"http://127.0.0.1:7400\""));
}
