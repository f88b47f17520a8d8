//! `swoosh demo --keep`: the directory that it leaves, with the keys of all actors, is one to go on with.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The program beside the laboratory, without a word of the environment about nodes.
fn swoosh(variables: &Value) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_swoosh-lab")).with_file_name("swoosh"));
    for (name, value) in variables.as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    command
}

/// Stops a node that a test started, however the test ends.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The node of the kept settings, and the line that names its address. The interrupted demo's own node may be dying still.
fn started(variables: &Value, settings: &Path) -> (Node, String) {
    for _ in 0..200 {
        let mut serve = swoosh(variables);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(settings);
        let mut node = Node(serve.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        let mut said = BufReader::new(node.0.stderr.take().unwrap());
        let mut line = String::new();
        while said.read_line(&mut line).unwrap() > 0 {
            if line.starts_with("listening on ") {
                std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
                return (node, line);
            }
            line.clear();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the kept node does not start");
}

/// Runs the demo until it has a license, interrupts it as Ctrl-C does, and returns what it printed about the directory.
fn interrupted(temporary: &Path) -> Value {
    let mut command = crate::lab();
    command.args(["--json", "demo", "--keep"]).env("TMPDIR", temporary);
    let mut demo = Node(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let licensed = lines.by_ref().map(Result::unwrap).find(|line| {
        let step: Value = serde_json::from_str(line).unwrap();
        step["step"] == "accepted" && step["transition"] == "Boot_Licensed"
    });
    assert!(licensed.is_some(), "the demo ended before its license");
    assert!(Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap().success());
    let kept = lines.map(Result::unwrap).find(|line| line.contains("\"kept\"")).expect("it says what it kept");
    assert_eq!(demo.0.wait().unwrap().code(), Some(130), "128 and the number of SIGINT");
    serde_json::from_str(&kept).unwrap()
}

/// The keys went with the actors, so a kept project could not be signed for. An interrupted demo is kept too.
#[test]
fn a_kept_demo_has_the_keys_of_all_actors_and_a_node_that_starts_again() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = interrupted(temporary.path());
    let directory = PathBuf::from(kept["directory"].as_str().unwrap());
    assert_eq!(directory.parent().unwrap(), temporary.path());
    let variables = &kept["variables"];
    for name in ["SWOOSH_URL", "SWOOSH_PROJECT", "SWOOSH_KEY", "SWOOSH_KNOWN_NODES"] {
        assert!(variables[name].is_string(), "{kept}");
    }
    let keys: Vec<PathBuf> =
        std::fs::read_dir(directory.join("keys")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(keys.len() >= 5 && keys.contains(&PathBuf::from(variables["SWOOSH_KEY"].as_str().unwrap())), "{keys:?}");
    for key in keys {
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
        assert!(swoosh(variables).args(["key", "show"]).arg(&key).output().unwrap().status.success());
    }
    let data = kept["data"].as_str().unwrap();
    let verified = swoosh(variables).args(["wal", "verify", "--data", data]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let (node, line) = started(variables, &directory.join("swoosh.yaml"));
    let url = line.trim().trim_start_matches("listening on ").to_owned();
    let pause = ["propose", "Control_Pause", "--inputs", r#"{"rationale": "A look around."}"#, "--node", &url];
    let paused = swoosh(variables).args(pause).output().unwrap();
    assert!(paused.status.success(), "{}", String::from_utf8_lossy(&paused.stderr));
    drop(node);
}
