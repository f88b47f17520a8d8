//! `--json` is a promise: docs/command-line.md lists the members of each command's document, and its exit code.
//!
//! `SWOOSH_BLESS=1` rewrites the list. A member that goes, or changes its type, needs a new version of the promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{COMMANDS, world};
use crate::support::daemon::Daemon;

/// Commands without tables.
const OTHERS: &[(&str, &str)] = &[
    ("version", "version"),
    ("windows", "windows --project looping"),
    ("key", "key show operator.key"),
    ("clock", "clock show --data data"),
    ("ucxl", "ucxl ucxl://ann:builder@shop/*^/src/lib.rs"),
    ("statechart", "statechart check"),
    ("backup", "backup create --to backups"),
    ("backups", "backup list --from backups"),
    ("keygen", "keygen --out made.key"),
    ("init", "init made"),
    ("wait", "wait --project looping execution==REVIEW"),
    ("approve", "approve --project looping --key member.key"),
    // Of an accepted proposal above.
    ("receipt", "receipt verify receipt.json --cluster test"),
    ("packer-status-of-none", "packer status"),
    ("packer", "packer provision dev --builder file.linux-image"),
    ("packer-status", "packer status dev.file.linux-image"),
    ("packer-verify", "packer verify dev.file.linux-image"),
    ("packer-remove", "packer remove dev.file.linux-image"),
];

/// Members whose own members are named by users: `*` is any of them.
const MAPS: [&str; 21] = [
    "identities",
    "candidates",
    "members",
    "roles",
    "sources",
    "upstreams",
    "resolved",
    "fetched",
    "tool_pins",
    "tooling",
    "unreachable",
    "allocation",
    "assets",
    "outcomes",
    "approvals",
    "resources",
    "variables",
    "definitions",
    "entries",
    "plugins",
    "content",
];

pub fn run(folder: &Path, daemon: &Daemon, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    command.args(words).current_dir(folder).env("SWOOSH_KNOWN_NODES", "known_nodes");
    command.env("SWOOSH_URL", format!("http://{}", daemon.address)).output().unwrap()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The members below a value, with the types that they have.
fn shape(value: &Value, path: &str, name: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    found.entry(path.to_owned()).or_default().insert(kind(value));
    match value {
        Value::Array(items) => items.iter().for_each(|item| shape(item, &format!("{path}[]"), "", found)),
        Value::Object(members) => {
            for (key, value) in members {
                let named_by_user = MAPS.contains(&name) || key.starts_with("hmmm:");
                let shown = if named_by_user { "*" } else { key.as_str() };
                let below = if path.is_empty() { shown.to_owned() } else { format!("{path}.{shown}") };
                shape(value, &below, key, found);
            }
        }
        _ => {}
    }
}

fn section(words: &str, output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("swoosh --json {words} prints no document: {error}\n{text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    let mut found = BTreeMap::new();
    shape(&document, "", "", &mut found);
    let mut out = format!("### `swoosh {words}`\n\nExit code {}.\n\n```text\n", output.status.code().unwrap());
    for (path, kinds) in found.iter().filter(|(path, _)| !path.is_empty()) {
        let kinds: Vec<&str> = kinds.iter().copied().collect();
        let _ = writeln!(out, "{path}: {}", kinds.join(" or "));
    }
    out + "```\n"
}

#[test]
fn documents_of_commands_have_the_members_that_the_page_lists() {
    let (site, daemon) = world();
    let folder = site.config().parent().unwrap().to_path_buf();
    let mut sections = Vec::new();
    for (_, command) in COMMANDS.iter().chain(OTHERS) {
        let words: Vec<&str> = std::iter::once("--json").chain(command.split(' ')).collect();
        let output = run(&folder, &daemon, &words);
        if command.starts_with("propose Control_Pause") && output.status.success() {
            std::fs::write(folder.join("receipt.json"), &output.stdout).unwrap();
        }
        sections.push(section(command, &output));
    }
    sections.sort();
    sections.dedup();
    let list = sections.join("\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-line.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mark = "<!-- documents -->\n\n";
    let (before, listed) = page.split_once(mark).expect("docs/command-line.md has the mark");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(path, format!("{before}{mark}{list}")).unwrap();
        return;
    }
    for (listed, found) in listed.split("### ").zip(list.split("### ")) {
        assert_eq!(listed, found, "docs/command-line.md differs; SWOOSH_BLESS=1 rewrites it");
    }
    assert_eq!(listed, list);
}
