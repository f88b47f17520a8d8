//! `--json` is a promise: docs/command-line.md lists the members of each command's document, and its exit code.
//!
//! `SWOOSH_BLESS=1` rewrites the list. A member that goes, or changes its type, needs a new version of the promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use swoosh::types::fact::FactKind;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};

use super::{COMMANDS, world};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::inputs::document;
use crate::support::sockets::eventually;
use crate::support::world::Ask;

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
const MAPS: [&str; 23] = [
    "effects",
    "ready_versions",
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

/// Commands that show stored content. They are run again on a node that has what the first one lacks.
const CONTENT: &[&str] = &[
    "state --project looping",
    "wal show --limit 12",
    "fact show",
    "snapshot list",
    "windows --project looping",
    "health",
    "identity list --project looping",
    "decisions list --limit 8",
    "settings check swoosh.yaml",
];

/// A node with snapshots, tides, a fact of one project, a kind without a fact, builds, content that a check saw, a delegate.
fn rich_world() -> (Site, Daemon) {
    let mut schedule = always_open();
    schedule["amplitude"] = json!([{"phase_beats": 0, "pressure": 400}]);
    let site = Site::with(schedule, |settings| {
        settings["journal"]["snapshot_every"] = json!(1);
        settings["effects"] = json!({"builds": [{"environment": "dev", "builder": "file.linux-image"}]});
    });
    let license = json!({"id": "license-2", "scopes": ["swoosh"]});
    site.tell(&[(FactKind::License, Some("looping".to_owned()), license)]);
    let facts = std::fs::read(site.file("facts.json")).unwrap();
    let mut facts: Vec<Value> = serde_json::from_slice(&facts).unwrap();
    facts.retain(|fact| !fact.to_string().contains("\"capacity\""));
    std::fs::write(site.file("facts.json"), json!(facts).to_string()).unwrap();
    let daemon = site.start();
    let mut project = Project::new(&site, "looping");
    let mut document = document(&site.hands);
    document["builds"] = json!([{"environment": "dev", "builder": "file.linux-image", "variant": "base"}]);
    let config = Ask::new(Transition::BootConfigOk).with(json!({"document": document}));
    assert_eq!(project.propose(&daemon, &config).status, 202);
    project.drive(&daemon, Region::Ingestion, "VALIDATE");
    let mut checks = project.valid(Transition::IngestionSchemaOk);
    checks["outcomes"][0]["detail"] = json!("well");
    checks["outcomes"][0]["seen"] = json!({
        "files": 1, "bytes": 2, "largest_file_bytes": 2, "licences": ["MIT"], "flags": ["binary"], "paths": ["a"],
        "paths_left_out": 1,
    });
    let checked = project.propose(&daemon, &Ask::new(Transition::IngestionSchemaOk).with(checks));
    assert_eq!(checked.status, 202, "{}", checked.text());
    let identity =
        json!({"name": "bot", "roles": ["agent"], "delegate": {"op_classes": ["control"], "projects": ["looping"]}});
    let granted = json!({"key": SecretKey::from_bytes(&[7; 32]).public(), "identity": identity});
    let granted = project.propose(&daemon, &Ask::new(Transition::BootIdentityGranted).with(granted));
    assert_eq!(granted.status, 202, "{}", granted.text());
    eventually("a snapshot", || snapshots(&site, &daemon) > 0);
    (site, daemon)
}

fn snapshots(site: &Site, daemon: &Daemon) -> usize {
    let output = run(site.config().parent().unwrap(), daemon, &["--json", "snapshot", "list"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    document["snapshots"].as_array().map_or(0, Vec::len)
}

type Shape = BTreeMap<String, BTreeSet<&'static str>>;

/// The members of a schema of openapi.json, below a path.
fn schema_shape(schemas: &Value, schema: &Value, path: &str, found: &mut Shape) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        // Any JSON, which holds itself.
        if name == "Json" {
            return;
        }
        return schema_shape(schemas, &schemas[name], path, found);
    }
    for part in ["oneOf", "allOf", "anyOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten() {
        schema_shape(schemas, part, path, found);
    }
    let kind = match schema["type"].as_str() {
        Some("integer" | "number") => "number",
        Some("boolean") => "boolean",
        Some("string") => "string",
        Some("array") => "list",
        Some("object") => "object",
        Some("null") => "null",
        _ => return,
    };
    found.entry(path.to_owned()).or_default().insert(kind);
    if kind == "list" {
        schema_shape(schemas, &schema["items"], &format!("{path}[]"), found);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        schema_shape(schemas, member, &format!("{path}.{name}"), found);
    }
    if schema["additionalProperties"].is_object() {
        schema_shape(schemas, &schema["additionalProperties"], &format!("{path}.*"), found);
    }
}

/// Where documents have content in the form of a schema of openapi.json: command, path, schema (a prefix of several).
const SCHEMAS: &[(&str, &str, &str)] = &[
    ("wal show --limit 12", "records[].inputs", "Inputs_"),
    ("wal show --limit 12", "records[].record", "Record"),
    ("decision held 21", "", "Decision"),
    ("decisions list --limit 8", "decisions[]", "Decision"),
    ("rejections", "rejections[]", "RejectionEntry"),
    ("effects", "effects[]", "EffectView"),
    ("identity list --project looping", "identities.*", "IdentityGrant"),
    ("state --project looping", "projection.ingestion.outcomes[]", "CheckOutcome"),
    ("state --project looping", "projection.ingestion.last_failure", "Failure"),
    ("state --project looping", "projection.environment.last_failure", "Failure"),
    ("state --project looping", "projection.environment.builds", "BuildChoices"),
    ("state --project looping", "projection.boot.identities.*", "IdentityGrant"),
];

/// Adds what a command's document may have by the API's description.
fn described(command: &str, found: &mut Shape) {
    let api = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
    let api: Value = serde_json::from_slice(&std::fs::read(api).unwrap()).unwrap();
    let schemas = &api["components"]["schemas"];
    for (_, path, wanted) in SCHEMAS.iter().filter(|(of, _, _)| *of == command) {
        let is_wanted = |name: &str| name == *wanted || (wanted.ends_with('_') && name.starts_with(wanted));
        let all: Vec<&Value> =
            schemas.as_object().unwrap().iter().filter(|(name, _)| is_wanted(name)).map(|(_, schema)| schema).collect();
        assert!(!all.is_empty(), "{wanted}");
        let mut shape = Shape::new();
        all.iter().for_each(|schema| schema_shape(schemas, schema, path, &mut shape));
        for (path, kinds) in shape {
            found.entry(path.trim_start_matches('.').to_owned()).or_default().extend(kinds);
        }
    }
}

fn section(words: &str, output: &Output, rich: Option<&Output>) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("swoosh --json {words} prints no document: {error}\n{text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    let mut found = BTreeMap::new();
    shape(&document, "", "", &mut found);
    if let Some(rich) = rich {
        let document = serde_json::from_slice(&rich.stdout);
        let document = document.unwrap_or_else(|_| panic!("{words}: {}", String::from_utf8_lossy(&rich.stderr)));
        shape(&document, "", "", &mut found);
    }
    described(words, &mut found);
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
    let (rich_site, rich_daemon) = rich_world();
    let rich_folder = rich_site.config().parent().unwrap().to_path_buf();
    let mut sections = Vec::new();
    for (_, command) in COMMANDS.iter().chain(OTHERS) {
        let words: Vec<&str> = std::iter::once("--json").chain(command.split(' ')).collect();
        let output = run(&folder, &daemon, &words);
        if command.starts_with("propose Control_Pause") && output.status.success() {
            std::fs::write(folder.join("receipt.json"), &output.stdout).unwrap();
        }
        let rich = CONTENT.contains(command).then(|| run(&rich_folder, &rich_daemon, &words));
        sections.push(section(command, &output, rich.as_ref()));
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

/// Retries of `propose` were printed as plain text, also with `--json`. Notes go through `output::note`, which knows the form.
#[test]
fn no_command_prints_a_note_in_a_form_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec!["src/cli", "crates/terminal/src", "crates/upstreams/src"]
        .into_iter()
        .map(|name| root.join(name))
        .collect::<Vec<_>>();
    // A file, and how often it prints there: the two forms of a note and of an error, a result on standard error, text alone.
    let allowed = [
        ("crates/terminal/src/output.rs", 2),
        ("crates/terminal/src/failure.rs", 2),
        ("crates/terminal/src/progress.rs", 1),
        ("crates/upstreams/src/main.rs", 1),
        ("src/cli/builds.rs", 1),
        ("src/cli/keys.rs", 1),
        ("src/cli/packer/progress.rs", 1),
        ("src/cli/propose.rs", 1),
        ("src/cli/refusal.rs", 2),
        ("src/cli/renamed.rs", 2),
        ("src/cli/usage.rs", 1),
    ];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let times = std::fs::read_to_string(&path).unwrap().matches("eprintln!").count();
            if times > 0 {
                found.insert(path.strip_prefix(root).unwrap().display().to_string(), times);
            }
        }
    }
    let allowed = allowed.into_iter().map(|(file, times)| (file.to_owned(), times)).collect();
    assert_eq!(found, allowed, "print notes with output::note or output::hint");
}
