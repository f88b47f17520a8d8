//! The Python agent of docs/agents.md against a real daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use swoosh::types::hash::Hash;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::Site;
use crate::support::driver::Project;

/// The program of the page.
fn program() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```python\n").expect("the page has a program");
    rest.split_once("```").unwrap().0.to_owned()
}

/// A running agent, and the lines that it printed. Dropped, it is killed.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(site: &Site, address: std::net::SocketAddr, plan: &Path) -> Agent {
        let found =
            Command::new("python3").args(["-c", "import cryptography.hazmat.primitives.asymmetric.ed25519"]).output();
        let remedy = "the agent of docs/agents.md needs python3 with the package cryptography; \
                      `tools/install-prerequisites.sh tests` installs it (Debian: apt-get install python3-cryptography)";
        let found = found.unwrap_or_else(|error| panic!("{remedy}: {error}"));
        assert!(found.status.success(), "{remedy}: {}", String::from_utf8_lossy(&found.stderr));
        let (script, key) = (site.file("agent.py"), site.file("agent.key"));
        std::fs::write(&script, program()).unwrap();
        std::fs::write(&key, site.hands.get("agent").secret.expose()).unwrap();
        let mut command = Command::new("python3");
        command.arg(script).arg(key).arg("demo").arg(plan).env("SWOOSH_URL", format!("http://{address}"));
        command.env("SWOOSH_CLUSTER", site.cluster.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Agent { child, lines }
    }

    /// Its next receipt.
    #[track_caller]
    fn receipt(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(180)).expect("the agent prints a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no receipt: {line}"))
    }

    #[track_caller]
    fn does(&self, transition: Transition) -> Value {
        let receipt = self.receipt();
        assert_eq!(receipt["transition"], json!(transition), "{receipt}");
        receipt
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An author had to derive the bytes to sign from the design and from a proposal that the command line printed.
#[test]
fn the_agent_of_the_page_carries_a_project_to_reverb_also_past_a_restart_of_the_node() {
    let site = Site::new();
    let daemon = site.start();
    let address = daemon.address;
    let mut project = Project::new(&site, "demo");
    for region in [Region::Ingestion, Region::Council, Region::Environment] {
        project.drive(&daemon, region, "READY");
    }
    let plan: PathBuf = site.file("plan.md");
    std::fs::write(&plan, "Write the report.\n").unwrap();
    let agent = Agent::start(&site, address, &plan);
    let first = agent.does(Transition::ExecutionAllReady);
    agent.does(Transition::ExecutionPlanLocked);
    agent.does(Transition::ExecutionBeatReviewGate);
    project.refresh(&daemon);
    assert_eq!(project.head.state().execution.plan_hash, Some(Hash::of(b"Write the report.\n")));
    daemon.kill();
    let daemon = site.start_on(&address.to_string());
    for _ in 0..project.head.state().execution.approval_threshold {
        project.accept(&daemon, Transition::ExecutionApprove);
    }
    let last = agent.does(Transition::ExecutionApprovalsThreshold);
    project.refresh(&daemon);
    assert_eq!((json!(project.head.state().execution.phase), &last["project"]), (json!("REVERB"), &json!("demo")));
    for receipt in [first, last] {
        let file = site.file("receipt.json");
        std::fs::write(&file, receipt.to_string()).unwrap();
        let checked = site.tool(&["receipt", "verify", file.to_str().unwrap(), "--cluster", &site.cluster.to_string()]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The page promises a short program that needs one package beside the standard library.
#[test]
fn the_agent_of_the_page_has_sixty_lines_and_one_package() {
    let program = program();
    assert!(program.lines().count() <= 60, "{} lines", program.lines().count());
    let standard = ["base64", "hashlib", "json", "os", "sys", "time", "urllib", "uuid", "cryptography"];
    for line in program.lines() {
        let modules = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
        let modules = modules.map(|rest| rest.split(" import").next().unwrap());
        for module in modules.into_iter().flat_map(|modules| modules.split(", ")) {
            assert!(standard.contains(&module.split('.').next().unwrap()), "{module}");
        }
    }
}

/// The script of the page for a shell.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```sh\n#!/bin/sh\n").expect("the page has a script");
    rest.split_once("```").unwrap().0.to_owned()
}

/// The author of a CI step without Python had to find out the order of members and how a key file becomes a key of openssl.
#[test]
fn the_shell_script_of_the_page_proposes_with_curl_and_openssl_alone() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "demo").drive(&daemon, Region::Boot, "LICENSED");
    let (file, key) = (site.file("pause.sh"), site.file("operator.key"));
    std::fs::write(&file, script()).unwrap();
    std::fs::write(&key, format!("{}\n", site.hands.get("operator").secret.expose())).unwrap();
    let run = || {
        let mut command = Command::new("sh");
        command.arg(&file).arg(&key).args(["demo", "The disk is full."]);
        command.env("SWOOSH_URL", format!("http://{}", daemon.address)).env("SWOOSH_CLUSTER", site.cluster.to_string());
        command.output().unwrap()
    };
    let accepted = run();
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let receipt = site.file("receipt.json");
    std::fs::write(&receipt, &accepted.stdout).unwrap();
    let cluster = site.cluster.to_string();
    let checked = site.tool(&["receipt", "verify", receipt.to_str().unwrap(), "--cluster", &cluster]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let again = run();
    let problem: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((again.status.code(), &problem["code"]), (Some(22), &json!("not_enabled")), "{problem}");
    // The answer to a refused read was swallowed.
    let mut misspelt = Command::new("sh");
    misspelt.arg(&file).arg(&key).args(["A%20B", "The disk is full."]);
    misspelt.env("SWOOSH_URL", format!("http://{}", daemon.address)).env("SWOOSH_CLUSTER", &cluster);
    let refused = misspelt.output().unwrap();
    let problem: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((refused.status.code(), &problem["status"]), (Some(22), &json!(400)), "{problem}");
}

/// `503 project_damaged` was asked again for ever, without a word.
#[test]
fn the_agent_ends_with_the_problem_of_a_damaged_project_and_says_why_it_waits() {
    let site = Site::new();
    let (script, key, plan) = (site.file("agent.py"), site.file("agent.key"), site.file("plan.md"));
    std::fs::write(&script, program()).unwrap();
    std::fs::write(&plan, "# Plan").unwrap();
    std::fs::write(&key, site.hands.get("agent").secret.expose()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Busy at first, then with a project that it cannot read.
    std::thread::spawn(move || {
        for (code, stream) in ["overloaded", "project_damaged"].into_iter().zip(listener.incoming()) {
            let (mut stream, body) =
                (stream.unwrap(), json!({"code": code, "detail": "as the test wants"}).to_string());
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length:";
            write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let mut command = Command::new("python3");
    command.arg(script).arg(&key).arg("demo").arg(&plan).env("SWOOSH_URL", format!("http://{address}"));
    let ended = command.env("SWOOSH_CLUSTER", site.cluster.to_string()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(lines[0].ends_with("overloaded: as the test wants"), "{said}");
    let problem: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(problem["code"], "project_damaged");
}

/// A misspelt project ended in a traceback.
#[test]
fn the_agent_prints_the_problem_document_where_a_read_is_refused() {
    let site = Site::new();
    let daemon = site.start();
    let (script, key, plan) = (site.file("agent.py"), site.file("agent.key"), site.file("plan.md"));
    std::fs::write(&script, program()).unwrap();
    std::fs::write(&plan, "# Plan").unwrap();
    std::fs::write(&key, site.hands.get("agent").secret.expose()).unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg(&key).arg("misspelt").arg(&plan).env("SWOOSH_URL", format!("http://{}", daemon.address));
    let ended = command.env("SWOOSH_CLUSTER", site.cluster.to_string()).output().unwrap();
    let problem: Value = serde_json::from_slice(&ended.stderr)
        .unwrap_or_else(|_| panic!("no problem document: {}", String::from_utf8_lossy(&ended.stderr)));
    assert_eq!((ended.status.code(), &problem["code"]), (Some(1), &json!("unknown_project")));
}

/// A project name with a blank ended in a traceback, and so did a plan that is missing, after the loop had begun.
#[test]
fn the_agent_quotes_the_project_and_needs_its_plan_before_it_proposes() {
    let site = Site::new();
    let daemon = site.start();
    let (script, key, plan) = (site.file("agent.py"), site.file("agent.key"), site.file("plan.md"));
    std::fs::write(&script, program()).unwrap();
    std::fs::write(&key, site.hands.get("agent").secret.expose()).unwrap();
    std::fs::write(&plan, "# Plan").unwrap();
    let run = |project: &str, plan: &Path| {
        let mut command = Command::new("python3");
        command.arg(&script).arg(&key).arg(project).arg(plan).env("SWOOSH_URL", format!("http://{}", daemon.address));
        let ended = command.env("SWOOSH_CLUSTER", site.cluster.to_string()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, said) = run("A B", &plan);
    let problem: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("no problem document: {said}"));
    assert_eq!((code, &problem["status"]), (Some(1), &json!(400)));
    let (code, said) = run("demo", &site.file("missing.md"));
    assert_eq!(code, Some(1));
    assert!(said.contains("missing.md cannot be read") && !said.contains("Traceback"), "{said}");
}
