//! The programs of `sdk/*/examples` against a real node, killed meanwhile.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use super::stage::good;
use super::{go, in_python, root};
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;

/// A running program. Dropped, it is killed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key(site: &Site, name: &str) -> PathBuf {
    let file = site.file(&format!("{name}.key"));
    if !file.exists() {
        swoosh::platform::keyfile::store(&file, &site.hands.get(name).secret).unwrap();
    }
    file
}

/// Starts a program on a node; what it says goes into a file of the site.
fn start(site: &Site, daemon: &Daemon, name: &str, mut command: Command) -> Running {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(site.file(&format!("{name}.log"))).unwrap();
    command
        .env("SWOOSH_URL", format!("http://{}", daemon.address))
        .env_remove("SWOOSH_KEY")
        .env_remove("SWOOSH_CLUSTER");
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

fn example(name: &str) -> Command {
    let mut python = in_python("runpy");
    python.arg(format!("examples.{name}"));
    python
}

fn projection(daemon: &Daemon, project: &str, section: &str) -> Value {
    daemon.get(&format!("/state?project={project}&projection={section}")).json()["projection"][section].clone()
}

/// Kills the programs in turn, and starts each again, until the node's state is as wanted.
fn killing_until(
    running: &mut [Running],
    again: impl Fn(usize) -> Running,
    mut is_reached: impl FnMut() -> bool,
    logs: &Site,
) {
    for turn in 0..600 {
        std::thread::sleep(Duration::from_millis(if turn % 2 == 0 { 700 } else { 1_900 }));
        if is_reached() {
            return;
        }
        let at = turn % running.len();
        running[at] = again(at);
    }
    let logs = std::fs::read_dir(logs.file("")).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
    panic!("not reached\n{}", logs.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>());
}

fn records(daemon: &Daemon, project: &str, transition: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/wal?from=1&limit=1000&project={project}")).json();
    let records = page["records"].as_array().unwrap().iter().map(|entry| entry["record"].clone());
    records.filter(|record| record["transition"] == transition).collect()
}

fn verify(site: &Site, daemon: Daemon) {
    daemon.terminate();
    good(&site.run(&["wal", "verify"]));
    good(&site.run(&["replay", "--reguard"]));
}

const VOTERS: [&str; 5] = ["v1", "v2", "v3", "v4", "v5"];

#[test]
fn council_agents_in_python_elect_and_approve_while_each_of_them_is_killed() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&daemon, Region::Council, "ELECT");
    let votes = site.file("votes");
    let agent = |at: usize| {
        let mut command = example("council_agent");
        command.arg(key(&site, VOTERS[at])).arg("alpha").arg(&votes);
        start(&site, &daemon, VOTERS[at], command)
    };
    let mut agents: Vec<Running> = (0..VOTERS.len()).map(agent).collect();
    killing_until(&mut agents, agent, || projection(&daemon, "alpha", "council")["phase"] != "ELECT", &site);
    project.refresh(&daemon);
    project.drive(&daemon, Region::Execution, "REVIEW");
    killing_until(&mut agents, agent, || projection(&daemon, "alpha", "execution")["phase"] == "REVERB", &site);
    drop(agents);
    assert_eq!(records(&daemon, "alpha", "Council_QuorumCert").len(), 1);
    let approvals = records(&daemon, "alpha", "Execution_Approve");
    let mut signers: Vec<&str> = approvals.iter().map(|record| record["signer"].as_str().unwrap()).collect();
    let count = signers.len();
    signers.sort_unstable();
    signers.dedup();
    assert_eq!(signers.len(), count, "a member approved twice: {approvals:?}");
    verify(&site, daemon);
}

/// A worker's outcome is accepted once, though it is killed and another one works beside it.
fn work(worker: impl Fn(&Path, &Path) -> Command) {
    let site = Site::new();
    let daemon = site.start();
    let mut outcomes = json!({});
    for name in ["alpha", "beta"] {
        let mut project = Project::new(&site, name);
        project.drive(&daemon, Region::Ingestion, "INDEX");
        outcomes[name] = project.valid(Transition::IngestionCorpusBuilt);
    }
    let file = site.file("outcomes.json");
    std::fs::write(&file, outcomes.to_string()).unwrap();
    let one = |at: usize| start(&site, &daemon, &format!("worker-{at}"), worker(&key(&site, "worker"), &file));
    let mut workers: Vec<Running> = (0..2).map(one).collect();
    let is_ready = || ["alpha", "beta"].iter().all(|name| projection(&daemon, name, "ingestion")["phase"] == "READY");
    killing_until(&mut workers, one, is_ready, &site);
    drop(workers);
    for name in ["alpha", "beta"] {
        assert_eq!(records(&daemon, name, "Ingestion_CorpusBuilt").len(), 1);
    }
    verify(&site, daemon);
}

#[test]
fn a_worker_in_python_reports_each_outcome_once_while_it_is_killed() {
    work(|key, outcomes| {
        let mut command = example("ingest_worker");
        command.arg(key).arg(outcomes);
        command
    });
}

#[test]
fn a_worker_in_go_reports_each_outcome_once_while_it_is_killed() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join("ingestworker");
    good(&go(&["build", "-o", program.to_str().unwrap(), "./examples/ingestworker"]).output().unwrap());
    work(|key, outcomes| {
        let mut command = Command::new(&program);
        command.arg(key).arg(outcomes).current_dir(root());
        command
    });
}
