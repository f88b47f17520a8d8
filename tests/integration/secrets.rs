//! Secrets: kept in an encrypted file, shown in no output.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use swoosh::types::names::{Region, Transition};

use crate::support::bubble::{Bubble, Mood};
use crate::support::daemon::{Site, always_open};
use crate::support::driver::Project;

const CANARY: &str = "canary-4f1c9d-token";
const OTHER: &str = "canary-77aa01-spare";

/// A folder with an identity and a secrets file of both canaries.
struct Vault {
    folder: PathBuf,
    identity: String,
}

impl Vault {
    fn new(folder: &Path) -> Vault {
        let vault = Vault { folder: folder.to_owned(), identity: String::new() };
        let made = vault.swoosh(&["secrets", "identity", "--out", "identity.age"]);
        let recipient = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let identity = std::fs::read_to_string(folder.join("identity.age")).unwrap();
        let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap().to_owned();
        std::fs::write(folder.join("plain.yaml"), format!("bubble-token: {CANARY}\nspare: {OTHER}\n")).unwrap();
        let made =
            vault.swoosh(&["secrets", "encrypt", "plain.yaml", "--recipient", &recipient, "--out", "secrets.age"]);
        assert!(made.status.success(), "{}", said(&made));
        std::fs::remove_file(folder.join("plain.yaml")).unwrap();
        Vault { identity, ..vault }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(arguments).current_dir(&self.folder).env_remove("SWOOSH_AGE_IDENTITY").stdin(Stdio::null());
        command
    }

    fn swoosh(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Edits with a shell script as the editor; `$1` is the file.
    fn edit(&self, script: &str) -> Output {
        let editor = self.folder.join("editor.sh");
        crate::support::write_program(&editor, &format!("#!/bin/sh\n{script}\n"));
        let mut command = self.command(&["secrets", "edit", "secrets.age", "--identity", "identity.age"]);
        command.env_remove("VISUAL").env("EDITOR", &editor).env("XDG_RUNTIME_DIR", &self.folder).output().unwrap()
    }

    /// Directories of plain text that an edit left behind.
    fn left_behind(&self) -> usize {
        let entries = std::fs::read_dir(&self.folder).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("swoosh-secrets-")).count()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn assert_silent(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{what} tells a secret");
    }
}

#[test]
fn no_secret_reaches_a_log_a_file_a_record_a_metric_or_an_error() {
    // It asks for the token, and tells it back with every refusal.
    let bubble = Bubble::start(Mood::Status(400), Some(CANARY));
    let site = Site::with(always_open(), |settings| {
        settings["decisions"] = json!({
            "bubble": bubble.url(), "bubble_token": "secret:bubble-token", "jsonl": "decisions.jsonl",
            "retry_min_ms": 10, "retry_max_ms": 20,
        });
        settings["secrets"] = json!({"file": "secrets.age", "identity": "identity.age"});
        settings["log"] = json!({"level": "trace"});
        settings["journal"] = json!({"snapshot_every": 2});
    });
    let folder = site.data().parent().unwrap().to_owned();
    let vault = Vault::new(&folder);
    let secrets = [CANARY, OTHER, vault.identity.as_str()];
    let daemon = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&daemon, Region::Council, "READY");
    daemon.wait_for("/health", |answer| answer.text().contains("BUBBLE answers 400"));
    for mood in [Mood::Status(401), Mood::Garbage(CANARY.into()), Mood::Status(500)] {
        let asked = bubble.requests();
        bubble.be(mood);
        daemon.wait_for("/health", |_| bubble.requests() > asked + 1);
    }
    let routes = ["/health", "/metrics", "/facts", "/wal?from=1", "/state?project=alpha", "/rejections", "/projects"];
    for route in routes {
        assert_silent(route, &daemon.get(route).body, &secrets);
    }
    bubble.be(Mood::Take);
    daemon.wait_for("/health", |_| bubble.documents().len() as u64 == daemon.last_index());
    project.accept(&daemon, Transition::ControlPause);
    let log = daemon.terminate();
    assert!(log.len() > 10, "the log is empty");
    assert_silent("the log", log.join("\n").as_bytes(), &secrets);
    assert_silent("a decision record", bubble.documents().join("\n").as_bytes(), &secrets);
    let kept: Vec<_> = files(&site.data()).into_iter().chain([folder.join("decisions.jsonl")]).collect();
    assert!(kept.len() > 5);
    kept.iter().for_each(|path| assert_silent(&path.display().to_string(), &std::fs::read(path).unwrap(), &secrets));
    let shown = vault.swoosh(&["settings", "check", "swoosh.yaml"]);
    assert!(shown.status.success() && said(&shown).contains("secret:bubble-token"));
    assert_silent("settings check", said(&shown).as_bytes(), &secrets);
}

/// Tokens are passed in addresses too. They were logged with every failure to reach a server.
#[test]
fn addresses_in_the_log_lose_their_user_and_their_query() {
    let site = Site::with(always_open(), |settings| {
        settings["backbeat"] = json!({
            "file": "backbeat.yaml", "source": format!("http://{OTHER}@127.0.0.1:9/beats?key={CANARY}#{CANARY}"),
            "source_key": swoosh::types::keys::SecretKey::from_bytes(&[7; 32]).public(), "poll_ms": 100,
        });
        settings["log"] = json!({"level": "trace"});
    });
    let daemon = site.start();
    daemon.wait_for("/health", |_| daemon.log().iter().any(|line| line.contains("the beat source does not lead")));
    let log = daemon.terminate().join("\n");
    assert!(log.contains("127.0.0.1:9/beats?[redacted]"), "{log}");
    assert_silent("the log", log.as_bytes(), &[CANARY, OTHER]);
}

#[test]
fn a_node_that_cannot_have_its_secrets_does_not_start_and_says_why_without_them() {
    let bubble = Bubble::start(Mood::Take, None);
    let site = Site::with(always_open(), |settings| {
        settings["decisions"] = json!({"bubble": bubble.url(), "bubble_token": "secret:other-name"});
        settings["secrets"] = json!({"file": "secrets.age", "identity": "identity.age"});
    });
    let vault = Vault::new(site.data().parent().unwrap());
    let refused = |needle: &str| {
        let (_, stderr) = site.start_refused();
        assert!(stderr.contains(needle), "{stderr}");
        assert_silent("the error", stderr.as_bytes(), &[CANARY, OTHER, &vault.identity]);
    };
    refused("decisions.bubble_token is secret:other-name, and the secrets file has no other-name");
    let checked = vault.swoosh(&["secrets", "check", "--config", "swoosh.yaml"]);
    assert!(checked.status.code() == Some(1) && said(&checked).contains("missing: decisions.bubble_token"));
    assert_silent("secrets check", said(&checked).as_bytes(), &[CANARY, OTHER]);
    std::fs::write(vault.folder.join("identity.age"), "AGE-SECRET-KEY-1CANARYCANARY\n").unwrap();
    refused("holds no age identity");
    std::fs::remove_file(vault.folder.join("identity.age")).unwrap();
    assert!(vault.swoosh(&["secrets", "identity", "--out", "identity.age"]).status.success());
    refused("cannot decrypt");
    std::fs::write(vault.folder.join("secrets.age"), format!("bubble-token: {CANARY}")).unwrap();
    refused("cannot decrypt");
}

/// `settings check` passed a token that no header can carry, and names that the file lacks; the node did not start or exported nothing.
#[test]
fn settings_check_refuses_every_secret_that_secrets_check_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(folder.path());
    let recipient = said(&vault.swoosh(&["secrets", "identity", "--out", "other.age"]));
    let recipient = recipient.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    std::fs::write(folder.path().join("plain.yaml"), "good: abc\nblank: a b\nlines: |\n  a\n  b\nwide: \u{e4}\n")
        .unwrap();
    let encrypt = ["secrets", "encrypt", "plain.yaml", "--recipient", &recipient, "--out", "more.age"];
    assert!(vault.swoosh(&encrypt).status.success());
    let url = "http://127.0.0.1:9/x";
    let key_of_server = swoosh::types::keys::SecretKey::from_bytes(&[7; 32]).public();
    let settings = |key: &str, reference: &str, identity: &str| {
        let named = match key {
            "decisions.bubble_token" => json!({"decisions": {"bubble": url, "bubble_token": reference}}),
            "kaching.token" => json!({"kaching": {"url": url, "token": reference, "keys": [key_of_server]}}),
            "effects.slurp_token" => json!({"effects": {"slurp": url, "slurp_token": reference}}),
            "traces.token" => json!({"traces": {"collector": url, "token": reference}}),
            _ => {
                json!({"sources": {"credentials": [{"url_prefix": "https://git.example/", "user": "git", "token": reference}]}})
            }
        };
        let mut settings = json!({"secrets": {"file": "more.age", "identity": identity}});
        settings.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        std::fs::write(folder.path().join("swoosh.yaml"), settings.to_string()).unwrap();
    };
    for key in ["decisions.bubble_token", "kaching.token", "effects.slurp_token", "traces.token", "sources.credentials"]
    {
        for (name, identity) in [
            ("good", "other.age"),
            ("blank", "other.age"),
            ("lines", "other.age"),
            ("wide", "other.age"),
            ("absent", "other.age"),
            ("good", "identity.age"),
            ("good", "nowhere.age"),
        ] {
            settings(key, &format!("secret:{name}"), identity);
            let checks =
                [["secrets", "check", "--config", "swoosh.yaml"].as_slice(), &["settings", "check", "swoosh.yaml"]];
            let [of_secrets, of_config] = checks.map(|arguments| vault.swoosh(arguments));
            let is_good = (name, identity) == ("good", "other.age");
            let shown = format!("{key} {name} {identity}: {}{}", said(&of_secrets), said(&of_config));
            assert_eq!((of_secrets.status.success(), of_config.status.success()), (is_good, is_good), "{shown}");
            assert!(
                is_good || identity != "other.age" || said(&of_config).contains(&format!("{key} is secret:{name}")),
                "{shown}"
            );
        }
    }
    settings("kaching.token", "secret:good", "/run/credentials/swoosh-test.service/agekey");
    let noted = vault.swoosh(&["config", "check", "swoosh.yaml"]);
    assert!(noted.status.success() && said(&noted).contains("note: secrets were not checked"), "{}", said(&noted));
}

#[test]
fn an_edit_changes_the_file_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(folder.path());
    let before = std::fs::read(folder.path().join("secrets.age")).unwrap();
    let edited = vault.edit("[ $(stat -c %a \"$1\") = 600 ] && [ $(stat -c %a \"$(dirname \"$1\")\") = 700 ] && echo 'third: canary-3' >> \"$1\"");
    assert!(edited.status.success(), "{}", said(&edited));
    assert_ne!(std::fs::read(folder.path().join("secrets.age")).unwrap(), before);
    let mut check = vault.command(&["--json", "secrets", "check", "secrets.age"]);
    let checked = check.env("SWOOSH_AGE_IDENTITY", &vault.identity).output().unwrap();
    let names: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let names: Vec<_> = names["secrets"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["bubble-token", "spare", "third"]);
    assert_eq!(vault.left_behind(), 0);
}

#[test]
fn an_edit_that_fails_or_is_ended_changes_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(folder.path());
    let before = std::fs::read(folder.path().join("secrets.age")).unwrap();
    for script in [
        "echo x >> \"$1\"; exit 3",
        "echo 'not a mapping' > \"$1\"",
        "rm \"$1\"",
        "true",
        "kill -TERM $PPID; exec sleep 600",
        "kill -HUP $PPID; exec sleep 600",
    ] {
        let edited = vault.edit(script);
        assert_eq!(edited.status.success(), script == "true", "{script}: {}", said(&edited));
        assert_silent(script, said(&edited).as_bytes(), &[CANARY, OTHER]);
        assert_eq!(std::fs::read(folder.path().join("secrets.age")).unwrap(), before, "{script}");
        assert_eq!(vault.left_behind(), 0, "{script}");
    }
}
