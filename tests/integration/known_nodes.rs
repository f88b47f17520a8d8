//! The command line signs for the cluster that an address had when it was first used, and for no other one.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use swoosh::types::names::Region;

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::{inputs, program};

/// A node of another cluster, with another key.
fn elsewhere() -> Site {
    let site = Site::with(always_open(), |settings| settings["cluster"] = json!("elsewhere"));
    site.put_node_key(&site.hands.get("stranger").secret);
    site
}

fn key_file(site: &Site, name: &str) -> String {
    let path = site.file(&format!("{name}.key"));
    if !path.exists() {
        swoosh::platform::keyfile::store(&path, &site.hands.get(name).secret).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// A user with a home of their own.
struct User(tempfile::TempDir);

impl User {
    fn new() -> User {
        User(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn command(&self) -> Command {
        let mut command = program();
        command.env_remove("SWOOSH_KNOWN_NODES").env_remove("XDG_CONFIG_HOME").env("HOME", self.0.path());
        command
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join(".config/swoosh/known_nodes")
    }

    /// Runs a command that signs as the operator, against an address.
    fn run(&self, site: &Site, address: SocketAddr, arguments: &[&str]) -> Output {
        let (key, url) = (key_file(site, "operator"), format!("http://{address}"));
        self.command().args(arguments).args(["--key", &key, "--node", &url]).output().unwrap()
    }

    fn pause(&self, site: &Site, address: SocketAddr, more: &[&str]) -> Output {
        let pause = ["propose", "Control_Pause", "--inputs", r#"{"rationale": "x"}"#, "--project", "p"];
        self.run(site, address, &[&pause[..], more].concat())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Whether a line of a text is the cluster's.
fn names_cluster(text: &str, cluster: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().eq(["cluster", cluster]))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn licensed<'a>(site: &'a Site, daemon: &Daemon) -> Project<'a> {
    let mut project = Project::new(site, "p");
    project.drive(daemon, Region::Boot, "LICENSED");
    project
}

/// A relay at a known address got proposals signed for whichever cluster it claimed.
#[test]
fn an_address_that_another_node_answers_gets_nothing_signed_until_the_old_one_is_forgotten() {
    let (site, other, user) = (Site::new(), elsewhere(), User::new());
    let daemon = site.start();
    let address = daemon.address;
    licensed(&site, &daemon);
    let paused = user.pause(&site, address, &[]);
    assert!(paused.status.success() && names_cluster(&said(&paused), "test"), "{}", said(&paused));
    assert_eq!((mode(&user.file()), mode(user.file().parent().unwrap())), (0o600, 0o700));
    daemon.terminate();

    let relay = other.start_on(&address.to_string());
    let before = relay.get("/rejections").json();
    let signing: [&[&str]; 5] = [
        &["propose", "Control_Resume", "--inputs", r#"{"rationale": "x"}"#],
        &["propose", "Control_Resume", "--inputs", r#"{"rationale": "x"}"#, "--print"],
        &["propose", "Control_Resume", "--inputs", r#"{"rationale": "x"}"#, "--dry-run"],
        &["council", "vote"],
        &["migration", "mode", "cutover", "--rationale", "x"],
    ];
    let forget = format!("swoosh nodes forget http://{address}");
    for arguments in signing {
        let refused = user.run(&site, address, arguments);
        let text = said(&refused);
        assert!(!refused.status.success() && text.contains(&forget), "{arguments:?}: {text}");
        assert!(text.contains("cluster elsewhere") && text.contains("cluster test"), "{text}");
        assert!(!text.contains("ed25519:"), "nothing is signed: {text}");
    }
    let (key, fresh, url) = (key_file(&site, "operator"), key_file(&site, "fresh"), format!("http://{address}"));
    let operator = site.hands.get("operator").key().to_string();
    let agree = ["identity", "agree", &operator, "--new-key", &fresh, "--node", &url];
    let reading = ["state", "--read-as", &key, "--node", &url];
    for arguments in [&agree[..], &reading] {
        let refused = user.command().args(arguments).output().unwrap();
        assert!(!refused.status.success() && said(&refused).contains(&forget), "{arguments:?}: {}", said(&refused));
    }
    assert_eq!(relay.get("/rejections").json(), before, "nothing was sent");

    let words: Vec<&str> = forget.split(' ').skip(1).collect();
    assert!(user.command().args(&words).status().unwrap().success());
    let tried = user.pause(&site, address, &[]);
    assert!(said(&tried).contains("elsewhere"), "it is for the cluster that answers now: {}", said(&tried));
}

/// The cluster can be named, by a flag or by the environment, and then no address can claim another one.
#[test]
fn a_cluster_that_was_named_is_the_only_one_that_is_signed_for() {
    let (site, user) = (Site::new(), User::new());
    let daemon = site.start();
    licensed(&site, &daemon);
    let refused = user.pause(&site, daemon.address, &["--cluster", "prod"]);
    let text = said(&refused);
    assert!(!refused.status.success() && text.contains("it is of cluster test, not of prod"), "{text}");
    let (key, url) = (key_file(&site, "operator"), format!("http://{}", daemon.address));
    let resume = ["propose", "Control_Pause", "--project", "p", "--inputs", r#"{"rationale": "x"}"#];
    let by_variable = |cluster: &str| {
        let mut command = user.command();
        command.args(resume).args(["--key", &key, "--node", &url]).env("SWOOSH_CLUSTER", cluster);
        command.output().unwrap()
    };
    assert!(!by_variable("prod").status.success());
    assert!(!user.file().exists(), "a node of another cluster is not kept");
    assert!(by_variable("test").status.success());
    let listed = user.command().args(["--json", "nodes", "list"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["nodes"][0]["cluster"], "test", "{listed}");
    assert_eq!(listed["nodes"][0]["node"], json!(site.hands.get("node").key()));
}

#[test]
fn every_output_of_a_command_that_proposes_names_the_cluster() {
    let (site, user) = (Site::new(), User::new());
    let daemon = site.start();
    licensed(&site, &daemon);
    let json = |arguments: &[&str]| {
        let output = user.pause(&site, daemon.address, &[arguments, &["--cluster", "test"]].concat());
        (output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, tried, _) = json(&["--dry-run", "--json"]);
    let tried: Value = serde_json::from_slice(&tried).unwrap();
    assert!(good && tried["cluster"] == "test" && tried["accepted"] == true, "{tried}");
    let (good, printed, note) = json(&["--print"]);
    assert!(good && note.contains("signed for cluster test"), "{note}");
    assert_eq!(serde_json::from_slice::<Value>(&printed).unwrap()["transition"], "Control_Pause");
    let (good, receipt, note) = json(&["--json"]);
    assert!(good && note.contains(r#"{"cluster":"test"}"#), "{note}");
    // The receipt is as the node sent it.
    serde_json::from_slice::<swoosh::types::receipt::Receipt>(&receipt).unwrap().verify(&site.cluster).unwrap();
    let (good, refused, _) = json(&["--json"]);
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert!(!good && refused["cluster"] == "test" && refused["code"].is_string(), "{refused}");
    let (good, _, text) = json(&[]);
    assert!(!good && names_cluster(&text, "test"), "{text}");
}

/// A pin made by hand counts from the first use on, and the file must be the user's alone.
#[test]
fn a_node_can_be_kept_before_its_address_is_used() {
    let (site, user) = (Site::new(), User::new());
    let daemon = site.start();
    let (url, stranger) = (format!("http://{}/", daemon.address), site.hands.get("stranger").key().to_string());
    let pin = |key: &str| {
        let words = ["nodes", "pin", &url, "--cluster", "test", "--node-key", key];
        assert!(user.command().args(words).status().unwrap().success());
    };
    pin(&stranger);
    let config = json!({"document": inputs::document(&site.hands)}).to_string();
    let boot = ["propose", "Boot_ConfigOk", "--project", "p", "--inputs", &config];
    let refused = user.run(&site, daemon.address, &boot);
    assert!(!refused.status.success() && said(&refused).contains("swoosh nodes forget"), "{}", said(&refused));
    pin(&site.hands.get("node").key().to_string());
    std::fs::set_permissions(user.file(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let refused = user.run(&site, daemon.address, &boot);
    assert!(!refused.status.success() && said(&refused).contains("chmod 600"), "{}", said(&refused));
    std::fs::set_permissions(user.file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let booted = user.run(&site, daemon.address, &boot);
    assert!(booted.status.success(), "{}", said(&booted));
}

/// Signed once and posted together: a refused proposal stops none of the others, and a second run gets the same receipts.
#[test]
fn a_batch_of_signed_proposals_is_posted_together_and_each_has_its_answer() {
    let (site, user) = (Site::new(), User::new());
    let daemon = site.start();
    let begun = |project: &str| {
        let config = json!({"document": inputs::document(&site.hands)}).to_string();
        let words = ["propose", "Boot_ConfigOk", "--project", project, "--inputs", &config, "--print"];
        let printed = user.run(&site, daemon.address, &words);
        assert!(printed.status.success(), "{}", said(&printed));
        String::from_utf8(printed.stdout).unwrap()
    };
    // The second one of a project is late: the head has moved.
    let lines = [begun("a"), begun("b"), begun("a")].concat();
    let file = site.file("batch");
    std::fs::write(&file, &lines).unwrap();
    let batch = |more: &[&str]| {
        let words = [&["propose", "--batch", file.to_str().unwrap(), "--cluster", "test"][..], more].concat();
        user.run(&site, daemon.address, &words)
    };
    let posted = batch(&[]);
    let text = String::from_utf8_lossy(&posted.stdout).into_owned();
    assert_eq!(posted.status.code(), Some(1), "{}", said(&posted));
    for expected in [
        "1: accepted: Boot_ConfigOk in project a, record 1",
        "2: accepted: Boot_ConfigOk in project b, record 2",
        "3: refused: Boot_ConfigOk in project a: stale_head",
        "2 of 3 accepted",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let again = batch(&["--json"]);
    let answers: Vec<Value> = again
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let found: Vec<_> = answers
        .iter()
        .map(|answer| (answer["line"].as_u64(), answer["accepted"].as_bool(), answer["replayed"].as_bool()))
        .collect();
    assert_eq!(
        found,
        [(Some(1), Some(true), Some(true)), (Some(2), Some(true), Some(true)), (Some(3), Some(false), None)]
    );
    assert_eq!((&answers[2]["problem"]["code"], daemon.last_index()), (&json!("stale_head"), 2));
    std::fs::write(&file, lines + "{}\n").unwrap();
    let malformed = batch(&[]);
    assert_eq!(malformed.status.code(), Some(2), "{}", said(&malformed));
    assert!(said(&malformed).contains("line 4 is no signed proposal"), "{}", said(&malformed));
}
