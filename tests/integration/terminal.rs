//! What commands print on a terminal: captured through a pseudo-terminal of 80 and of 120 columns, with its colours.
//!
//! `SWOOSH_BLESS=1` rewrites `tests/integration/terminal/`. Times, hashes and ports are masked digit by digit, so that the layout stays.

mod exit_codes;
mod json;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use swoosh::platform::keyfile;
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;

/// The captures, in order: a name, and the words of the command.
const COMMANDS: &[(&str, &str)] = &[
    ("inputs", "inputs"),
    ("inputs-one", "inputs Council_QuorumCert"),
    ("projects", "projects"),
    ("projects-wide", "--wide projects"),
    ("state", "state --project looping"),
    ("state-paused", "state --project paused"),
    ("state-quarantined", "state --project held"),
    ("transitions", "transitions --project looping"),
    ("transitions-quarantined", "transitions --project held"),
    ("transitions-all", "transitions --project looping --all"),
    ("windows", "windows --built-in --at 2026-01-31T12:00:00Z"),
    ("effects", "effects"),
    ("identities", "identity list --project looping"),
    ("council", "council propose --project looping"),
    ("facts", "fact show"),
    ("facts-checked", "fact check facts.json --cluster test"),
    ("license", "license show"),
    ("health", "health"),
    ("policy", "policy check"),
    (
        "dry-run",
        "propose Control_Pause --project looping --key operator.key --inputs {\"rationale\":\"lunch\"} --dry-run",
    ),
    ("accepted", "propose Control_Pause --project looping --key operator.key --inputs {\"rationale\":\"lunch\"}"),
    (
        "accepted-verbose",
        "-v propose Control_Resume --project looping --key operator.key --inputs {\"rationale\":\"back\"}",
    ),
    ("refused", "propose Control_Pause --project looping --key voter.key --inputs {\"rationale\":\"lunch\"}"),
    ("rejections", "rejections"),
    ("nodes", "nodes list"),
    ("decision", "decision held 21"),
    ("settings", "settings check swoosh.yaml"),
    ("statechart", "statechart table"),
    ("wal-show", "wal show --limit 12"),
    ("wal-barriers", "wal barriers"),
    ("wal-verify", "wal verify"),
    ("replay", "replay"),
    ("snapshots", "snapshot list"),
    ("decisions", "decisions list --limit 8"),
    ("templates", "templates list"),
    ("provisioners", "provisioners plan dev --builder file.linux-image"),
    ("config-explain", "config explain dev --builder file.linux-image"),
    ("sources", "sources status"),
    ("upstreams", "upstreams status"),
    ("secrets", "secrets check secrets.age --identity identity.age"),
];

/// Sources with tables that no capture shows, and the reason.
const NOT_CAPTURED: &[(&str, &str)] = &[
    ("backup/command", "sizes of the store's files differ from run to run"),
    ("mcp", "it prints how long a server took"),
    ("migration", "it needs WHOOSH's side"),
    ("packer/text", "it needs packer"),
    ("sources/text", "the captures of sources show it"),
    ("version", "its versions change with each build"),
];

/// Runs a command in a folder on a pseudo-terminal of so many columns.
fn captured(folder: &Path, daemon: &Daemon, columns: usize, words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("stty cols {columns} rows 60; exec '{}' {}", env!("CARGO_BIN_EXE_swoosh"), quoted.join(" "));
    let output = Command::new("script")
        .args(["--quiet", "--flush", "--command", &line, "/dev/null"])
        .current_dir(folder)
        .env("SWOOSH_URL", format!("http://{}", daemon.address))
        .env("SWOOSH_KNOWN_NODES", "known_nodes")
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output()
        .expect("`script` of util-linux (Debian: bsdutils) is there");
    // What a line shows after it was written over is its last part.
    let text = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    let shown: Vec<&str> = text.lines().map(|line| line.rsplit('\r').next().unwrap_or(line)).collect();
    shown.join("\n").replace("\u{1b}[K", "")
}

/// Digits that differ from run to run, masked one by one.
fn masked(text: &str) -> String {
    let all = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 'x'),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", '0'),
        (r"\b20\d\d-\d\d-\d\d\b", '0'),
        (r"\b\d\d:\d\d:\d\dZ", '0'),
        (r"backbeat:W-\d{4}-\d\d-\d\d-\d\d", '0'),
        (r"127\.0\.0\.1:\d+", '0'),
        (r"\b[0-9a-f]{64}\b", 'x'),
        (r"\b[0-9a-f]{16}\b", 'x'),
        (r"\b[0-9a-f]{8}\b", 'x'),
    ];
    let mut text = text.to_owned();
    for (pattern, mark) in all {
        let mask = |found: &regex::Captures<'_>| -> String {
            let hidden =
                |c: char| if c.is_ascii_digit() || (mark == 'x' && ('a'..='f').contains(&c)) { mark } else { c };
            found[0].chars().map(hidden).collect()
        };
        text = Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
    }
    let logical = Regex::new(r"(\+00:00)#\d+").unwrap().replace_all(&text, "$1#0").into_owned();
    let beats = Regex::new(r"(beat |adhoc:)\d+").unwrap().replace_all(&logical, "${1}0").into_owned();
    let beats = Regex::new(r"of \d+ settings").unwrap().replace_all(&beats, "of 000 settings").into_owned();
    Regex::new(r"/\S*/\.tmp\w+").unwrap().replace_all(&beats, "/folder").into_owned()
}

fn without_colours(text: &str) -> String {
    Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(text, "").into_owned()
}

/// Three projects: one in REVIEW, one paused, one quarantined.
fn world() -> (Site, Daemon) {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "looping").drive(&daemon, Region::Execution, "REVIEW");
    let mut paused = Project::new(&site, "paused");
    paused.drive(&daemon, Region::Boot, "LICENSED");
    paused.accept(&daemon, Transition::ControlPause);
    let mut held = Project::new(&site, "held");
    held.drive(&daemon, Region::Boot, "LICENSED");
    held.accept(&daemon, Transition::PolicyQuarantine);
    for (file, name) in [("operator.key", "operator"), ("voter.key", "v1")] {
        keyfile::store(&site.file(file), &site.hands.get(name).secret).unwrap();
    }
    let council = daemon.get("/state?project=looping&projection=council").json()["projection"]["council"].clone();
    let member = council["members"].as_object().unwrap().keys().next().unwrap().parse().unwrap();
    keyfile::store(&site.file("member.key"), &site.hands.of(&member).unwrap().secret).unwrap();
    let folder = site.config().parent().unwrap().to_path_buf();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["config/sources.yaml", "tools/upstreams.env"] {
        std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        std::fs::copy(root.join(file), folder.join(file)).unwrap();
    }
    seal_secrets(&folder);
    (site, daemon)
}

/// An age identity, and a file with two secrets.
fn seal_secrets(folder: &Path) {
    let tool = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(words).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let identity = tool(&["secrets", "identity", "--out", "identity.age"]);
    let recipient = identity.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    std::fs::write(folder.join("plain.yaml"), "kaching: one\ngit-token: two\n").unwrap();
    tool(&["secrets", "encrypt", "plain.yaml", "--recipient", recipient, "--out", "secrets.age"]);
}

fn golden(columns: usize, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/integration/terminal/{columns}/{name}.txt"))
}

fn compare(columns: usize) {
    let (site, daemon) = world();
    let folder = site.config().parent().unwrap().to_path_buf();
    let mut wrong = Vec::new();
    for (name, command) in COMMANDS {
        let words: Vec<&str> = command.split(' ').collect();
        let text = captured(&folder, &daemon, columns, &words);
        let long = |line: &&str| {
            let plain = without_colours(line);
            // A path or an address that is copied whole has a line of its own, --wide shows hashes, and so do examples in JSON.
            let has_hashes = command.contains("--wide") || plain.trim_start().starts_with('"');
            let is_copied = |word: &str| word.chars().count() > 43 && (has_hashes || !word.contains("sha256-"));
            plain.chars().count() > columns && !plain.split(' ').any(is_copied)
        };
        let lines: Vec<&str> = text.lines().filter(long).collect();
        if !lines.is_empty() {
            wrong.push(format!("{name} is wider than {columns} columns: {lines:#?}"));
        }
        let shown = format!("$ swoosh {command}\n{}\n", masked(&text).replace('\u{1b}', "␛").trim_end());
        let path = golden(columns, name);
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &shown).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != shown {
            wrong.push(format!("{} differs; SWOOSH_BLESS=1 rewrites it. Now:\n{shown}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A list at 80 columns was broken anywhere by the terminal: a hash has 71 characters, a key 55.
#[test]
fn commands_print_what_the_captures_show_at_80_columns() {
    compare(80);
}

#[test]
fn commands_print_what_the_captures_show_at_120_columns() {
    compare(120);
}

#[test]
fn colours_are_left_out_for_pipes_and_where_no_colour_is_wanted() {
    let (site, daemon) = world();
    let folder = site.config().parent().unwrap().to_path_buf();
    let words = ["state", "--project", "paused"];
    assert!(captured(&folder, &daemon, 80, &words).contains("\u{1b}[31m✗\u{1b}[0m PAUSED"));
    let mut piped = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    piped.args(words).env("SWOOSH_URL", format!("http://{}", daemon.address)).env_remove("NO_COLOR");
    let text = String::from_utf8(piped.output().unwrap().stdout).unwrap();
    assert!(text.starts_with("✗ PAUSED") && !text.contains('\u{1b}'), "{text}");
    let line = format!("NO_COLOR=1 exec '{}' {}", env!("CARGO_BIN_EXE_swoosh"), words.join(" "));
    let plain = Command::new("script")
        .args(["--quiet", "--command", &line, "/dev/null"])
        .env("SWOOSH_URL", format!("http://{}", daemon.address))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.starts_with("✗ PAUSED"), "{text}");
}

/// Each module of the command line that prints a table is shown by a capture, or says why not.
#[test]
fn every_command_with_a_table_is_captured() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("src/cli"), root.join("crates/upstreams/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    let mut missing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.contains("Table::") {
            continue;
        }
        let name = file.strip_prefix(root).unwrap().with_extension("").display().to_string();
        let words = name.trim_start_matches("src/cli/").trim_start_matches("crates/upstreams/src/");
        let command = words.split('/').next().unwrap();
        let shown =
            COMMANDS.iter().any(|(_, line)| line.split(' ').find(|word| !word.starts_with('-')) == Some(command));
        let reads = ["reads", "refusal", "source"].contains(&command);
        if !shown && !reads && !NOT_CAPTURED.iter().any(|(known, _)| *known == words) {
            missing.push(words.to_owned());
        }
    }
    missing.sort();
    assert!(missing.is_empty(), "no capture shows the tables of {missing:?}");
}
