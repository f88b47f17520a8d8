//! A node with projects in several states, for the tests of an SDK, and the toolchains that run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use super::root;
use crate::support::daemon::Site;
use crate::support::driver::Project;

const REMEDY: &str = "`tools/install-prerequisites.sh tests` installs it";
const KEYS: [&str; 6] = ["operator", "agent", "worker", "v1", "v2", "v3"];

/// Python with the packages of `sdk/python/requirements-test.txt`, beside the build products.
pub fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let python = target.join("sdk-venv/bin/python");
    let wanted = std::fs::read_to_string(root().join("sdk/python/requirements-test.txt")).unwrap();
    let installed = std::fs::read_to_string(target.join("sdk-venv/installed.txt")).unwrap_or_default();
    assert!(
        wanted == installed,
        "{} lacks the packages of sdk/python/requirements-test.txt; {REMEDY}",
        python.display()
    );
    python
}

/// A program of a toolchain, which must be there.
pub fn toolchain(program: &str, arguments: &[&str]) -> Command {
    let found = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "the SDKs need `{program}` ({arguments:?} must succeed); {REMEDY}"
    );
    Command::new(program)
}

/// Node.js of release 20, the first with all that the SDK uses, or later.
pub fn node() -> Command {
    toolchain("node", &["-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)"])
}

#[track_caller]
pub fn good(output: &Output) -> String {
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    said.into_owned()
}

/// What the tests of an SDK know of the node: `SWOOSH_TEST` names a file with this document.
///
/// | project | state |
/// | --- | --- |
/// | `plain` | licensed |
/// | `council` | ELECT, with v1, v2 and v3 among its candidates |
/// | `work`, `held` | INDEX, with an open external effect; `outcome` are the inputs of its success |
pub(super) fn stage(site: &Site, daemon: &crate::support::daemon::Daemon) -> Value {
    Project::new(site, "plain").drive(daemon, Region::Boot, "LICENSED");
    Project::new(site, "council").drive(daemon, Region::Council, "ELECT");
    let mut outcomes = json!({});
    for name in ["work", "held"] {
        let mut project = Project::new(site, name);
        project.drive(daemon, Region::Ingestion, "INDEX");
        outcomes[name] = project.valid(Transition::IngestionCorpusBuilt);
    }
    let mut keys = json!({});
    for name in KEYS {
        let file = site.file(&format!("{name}.key"));
        swoosh::platform::keyfile::store(&file, &site.hands.get(name).secret).unwrap();
        keys[name] = json!(file);
    }
    json!({
        "url": format!("http://{}", daemon.address), "cluster": site.cluster, "node": site.hands.get("node").key(), "keys": keys,
        "outcomes": outcomes, "restart": site.file("restart"),
    })
}

/// Runs the tests of an SDK against a node of its own. The node is killed and started again whenever they write the file
/// `restart`, which is then removed. Afterwards the log must verify, and replay to the same decisions.
#[track_caller]
pub fn run_with_node(command: &mut Command) -> String {
    let site = Site::new();
    let mut daemon = site.start();
    let document = stage(&site, &daemon);
    let (about, address) = (site.file("stage.json"), daemon.address.to_string());
    std::fs::write(&about, document.to_string()).unwrap();
    let (said, errors) = (site.file("said.txt"), site.file("errors.txt"));
    let file = |path: &Path| std::fs::File::create(path).unwrap();
    command.env("SWOOSH_TEST", &about).env("VECTORS", root().join("tests/vectors")).stdin(Stdio::null());
    let mut child = command.stdout(file(&said)).stderr(file(&errors)).spawn().unwrap();
    let status = loop {
        if site.file("restart").exists() {
            daemon.kill();
            daemon = site.start_on(&address);
            std::fs::remove_file(site.file("restart")).unwrap();
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    assert!(status.success(), "{status}\n{}\n{}", text(&said), text(&errors));
    daemon.terminate();
    good(&site.run(&["wal", "verify"]));
    good(&site.run(&["replay", "--reguard"]));
    text(&said)
}
