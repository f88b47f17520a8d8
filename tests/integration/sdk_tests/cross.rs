//! All SDKs drive one project in turn: each verifies the receipts that the others left, and proves the state, before it proposes.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use swoosh::types::names::Region;
use swoosh::types::receipt::Receipt;

use super::stage::good;
use super::{go, in_python, root};
use crate::support::daemon::Site;
use crate::support::driver::Project;
use crate::support::inputs;
use crate::support::route::{self, Goal};

/// The programs in their order; the fourth turn is that of Rust.
fn program(turn: usize, go_program: &Path) -> Option<Command> {
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
        if let Some(mut command) = program(turn, &go_program) {
            let hand = inputs::signer(transition, project.head.state(), &site.hands);
            let key = site.file(&format!("{}.key", hand.name));
            if !key.exists() {
                swoosh::platform::keyfile::store(&key, &hand.secret).unwrap();
            }
            let step = json!({
                "url": format!("http://{}", daemon.address), "cluster": site.cluster, "node": site.hands.get("node").key(), "key": key,
                "project": "cross", "receipts": receipts, "transition": transition, "inputs": project.valid(transition), "is_known": turn > 0,
            });
            std::fs::write(site.file("step.json"), step.to_string()).unwrap();
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
    for file in std::fs::read_dir(&receipts).unwrap() {
        let receipt: Receipt = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        assert_eq!(receipt.verify(&site.cluster), Ok(()));
    }
    daemon.terminate();
    good(&site.run(&["wal", "verify"]));
    good(&site.run(&["replay", "--reguard"]));
}
