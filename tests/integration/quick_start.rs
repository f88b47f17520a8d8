//! A new user's first hour: `swoosh init`, and the script of docs/quick-start.sh from there to REVERB.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::program;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn good(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out
}

fn init(arguments: &[&str]) -> Output {
    program().arg("init").args(arguments).output().unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The variables that `swoosh init` prints.
fn exported(printed: &str) -> BTreeMap<String, String> {
    let lines = printed.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

/// BOOT to REVERB took 24 commands, 13 files and 11 guesses.
#[test]
fn the_quick_start_ends_in_reverb_with_under_ten_commands() {
    let script = root().join("docs/quick-start.sh");
    let written = std::fs::read_to_string(&script).unwrap();
    let steps = written.lines().filter(|line| line.starts_with("swoosh "));
    let steps = steps.filter(|line| !["swoosh wal", "swoosh replay"].iter().any(|proof| line.starts_with(proof)));
    assert_eq!(steps.count(), 9, "{written}");

    let folder = folder();
    let directory = folder.path().join("try");
    let programs = Path::new(env!("CARGO_BIN_EXE_swoosh")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(&script).arg(&directory).env("PATH", path).env("HOME", folder.path());
    for name in ["SWOOSH_URL", "SWOOSH_KEY", "SWOOSH_PROJECT", "SWOOSH_CLUSTER", "SWOOSH_KNOWN_NODES"] {
        command.env_remove(name);
    }
    let output = command.env("QUICK_START_LISTEN", format!("127.0.0.1:{}", free_port())).output().unwrap();
    let printed = good(&output);
    for part in ["Execution_ApprovalsThreshold", "the log is good"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    let waited = "reached: ingestion == READY and environment == READY";
    assert!(text(&output.stderr).contains(waited), "{}", text(&output.stderr));
    let log = std::fs::read_to_string(directory.join("serve.log")).unwrap();
    assert!(log.lines().any(|line| line.starts_with('{')), "a log that is no terminal is JSON: {log}");
}

/// `swoosh init` wrote the repository's address without links, and a node whose settings were named through a link listed the folder with
/// them: it refused its own repository.
#[test]
fn a_directory_below_a_symbolic_link_is_used_through_the_link() {
    let folder = folder();
    let real = folder.path().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let directory = link.join("try");
    good(&init(&[directory.to_str().unwrap()]));
    let daemon = Daemon::with_settings(&directory.join("swoosh.yaml"), &directory.join("data"));
    let node = format!("http://{}", daemon.address);
    let swoosh = |words: &[&str]| {
        let mut command = program();
        command.current_dir(&directory).args(words).args(["--node", &node, "--known-nodes", "known"]);
        command.args(["--project", "default"]).output().unwrap()
    };
    good(&swoosh(&["propose", "ConfigOk", "--inputs", "@project.json"]));
    good(&swoosh(&["propose", "Licensed"]));
    good(&swoosh(&["wait", "ingestion == READY"]));
}

/// The commands of the help work without any variable set: they find the operator's key in the directory.
#[test]
fn a_directory_of_init_is_complete_private_and_used_without_variables() {
    let folder = folder();
    let directory = folder.path().join("try");
    let printed = good(&init(&[directory.to_str().unwrap(), "--project", "first"]));
    let variables = exported(&printed);
    assert_eq!(std::fs::read_to_string(directory.join(".envrc")).unwrap(), printed);
    assert_eq!(variables["SWOOSH_URL"], "http://127.0.0.1:7400");
    assert_eq!(variables["SWOOSH_PROJECT"], "first");
    let key = PathBuf::from(&variables["SWOOSH_KEY"]);
    assert_eq!(key, directory.canonicalize().unwrap().join("keys/operator.key"));
    for name in ["operator", "agent", "ada", "ben", "cleo"] {
        let path = directory.join(format!("keys/{name}.key"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(directory.join("keys").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let settings = directory.join("swoosh.yaml");
    good(&program().args(["settings", "check"]).arg(&settings).output().unwrap());
    good(&program().args(["fact", "check"]).arg(directory.join("facts.json")).output().unwrap());

    let daemon = Daemon::with_settings(&settings, &directory.join("data"));
    let node = format!("http://{}", daemon.address);
    let mut propose = program();
    propose.current_dir(&directory).args(["propose", "ConfigOk", "--inputs", "@project.json", "--node", &node]);
    propose.env_remove("SWOOSH_KEY").env_remove("SWOOSH_PROJECT");
    good(&propose.output().unwrap());
    let elsewhere =
        program().current_dir(folder.path()).args(["propose", "Licensed", "--node", &node]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2), "{}", text(&elsewhere.stderr));
    assert!(text(&elsewhere.stderr).contains("--key"), "{}", text(&elsewhere.stderr));
    let mut other = program();
    other.args(["state", "--node", &node]).env("SWOOSH_PROJECT", "first");
    let other = other.output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("unknown_project"), "{}", text(&other.stderr));
}

/// A second `swoosh init` in the same place made keys that the node did not know.
#[test]
fn a_directory_that_is_not_empty_is_left_as_it_is() {
    let folder = folder();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let refused = init(&[folder.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is not empty; nothing was changed"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let file = folder.path().join("notes.txt");
    let refused = init(&[file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is a file"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    for name in ["it's", "my try", "50%"] {
        let refused = init(&[folder.path().join(name).to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("choose a place"), "{}", text(&refused.stderr));
        assert!(!folder.path().join(name).exists(), "a source below {name} is refused by the node");
    }
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    good(&init(&[empty.to_str().unwrap()]));
    let again = init(&[empty.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
}

#[test]
fn init_prints_its_variables_as_json_on_request() {
    let folder = folder();
    let directory = folder.path().join("try");
    let printed = good(&program().args(["--json", "init"]).arg(&directory).output().unwrap());
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["variables"]["SWOOSH_PROJECT"], "default");
    assert!(document["identities"]["ada"].as_str().unwrap().starts_with("hmmm:pubkey:"), "{document}");
}
