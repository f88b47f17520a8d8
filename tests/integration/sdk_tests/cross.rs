//! All SDKs drive one project in turn: each verifies the receipts that the others left, and proves the state, before it proposes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use swoosh::client::Client;
use swoosh::types::names::{Region, Transition};
use swoosh::types::receipt::Receipt;

use super::rust::runtime;
use super::stage::good;
use super::{go, in_python, root};
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::inputs;
use crate::support::route::{self, Goal};

/// The programs in their order; the fourth turn is that of Rust.
pub fn program(turn: usize, go_program: &Path) -> Option<Command> {
    match turn % 4 {
        0 => {
            let mut python = in_python("runpy");
            python.arg("tests.cross");
            Some(python)
        }
        1 => Some(Command::new(go_program)),
        2 => {
            let mut node = super::stage::node();
            node.args(["--no-warnings", "test/cross.js"]).current_dir(root().join("sdk/js"));
            Some(node)
        }
        _ => None,
    }
}

/// Writes the file of a step, with the key that signs it; its path.
pub fn write_step(
    site: &Site,
    project: &Project<'_>,
    url: &str,
    receipts: &Path,
    transition: Transition,
    is_known: bool,
) -> PathBuf {
    let hand = inputs::signer(transition, project.head.state(), &site.hands);
    let key = site.file(&format!("{}.key", hand.name));
    if !key.exists() {
        swoosh::platform::keyfile::store(&key, &hand.secret).unwrap();
    }
    let step = json!({
        "url": url, "cluster": site.cluster, "node": site.hands.get("node").key(), "key": key, "project": project.name,
        "receipts": receipts, "transition": transition, "inputs": project.valid(transition), "is_known": is_known,
    });
    std::fs::write(site.file("step.json"), step.to_string()).unwrap();
    site.file("step.json")
}

/// Rust verifies the receipts that the others left, and proves the state.
fn prove(site: &Site, daemon: &Daemon, receipts: &Path, is_known: bool) {
    let client = Client::builder(&format!("http://{}", daemon.address));
    let client = client.signing(site.cluster.clone(), site.hands.get("operator").secret.clone());
    let client = client.nodes([site.hands.get("node").key()]).build().unwrap();
    for file in std::fs::read_dir(receipts).unwrap() {
        let receipt: Receipt = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        assert_eq!(client.verify_receipt(&receipt), Ok(()));
    }
    if is_known {
        let sections = ["council", "execution", "ingestion", "environment"];
        runtime().block_on(client.proven_state(&"cross".parse().unwrap(), &sections, None)).unwrap();
    }
}

#[test]
fn each_sdk_proves_what_the_others_left_while_they_drive_one_project_through_its_lifecycle() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "cross");
    let (receipts, go_program) = (site.file("receipts"), site.file("cross"));
    std::fs::create_dir(&receipts).unwrap();
    good(&go(&["build", "-o", go_program.to_str().unwrap(), "./internal/cross"]).output().unwrap());
    let (goal, mut turn) = (Goal::new(Region::Execution, "REVERB"), 0);
    while let Some(transition) = route::next(project.head.state(), goal) {
        prove(&site, &daemon, &receipts, turn > 0);
        if let Some(mut command) = program(turn, &go_program) {
            let url = format!("http://{}", daemon.address);
            write_step(&site, &project, &url, &receipts, transition, turn > 0);
            good(&command.arg(site.file("step.json")).output().unwrap());
            project.refresh(&daemon);
        } else {
            let receipt = project.accept(&daemon, transition);
            let text = swoosh::types::canonical::canonical_bytes(&receipt);
            std::fs::write(receipts.join(format!("{:04}-rust.json", receipt.index)), text).unwrap();
        }
        turn += 1;
    }
    assert!(turn > 12, "{turn} turns");
    prove(&site, &daemon, &receipts, true);
    daemon.terminate();
    good(&site.run(&["wal", "verify"]));
    good(&site.run(&["replay", "--reguard"]));
}
