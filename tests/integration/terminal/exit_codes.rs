//! Exit codes, as docs/command-line.md has them: 2 where the command line cannot be used, 1 where a node refuses, a command fails or a
//! check finds a fault, 3 and 4 at the end of a wait.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::json::run;
use super::world;

const KEY: &str = "hmmm:pubkey:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";

/// A command, its exit code, and a part of the text.
struct Case {
    words: Vec<String>,
    code: i32,
    part: &'static str,
}

fn case(code: i32, words: &str, part: &'static str) -> Case {
    let words = words.split(' ').map(|word| word.replace('~', " ").replace("KEY", KEY)).collect();
    Case { words, code, part }
}

/// Refused by the node, failed, or found by a check.
fn refused() -> Vec<Case> {
    [
        ("propose Control_Pause --project paused --key operator.key --inputs {\"rationale\":\"x\"}", "not_enabled"),
        ("propose Control_Resume --project paused --key voter.key --inputs {\"rationale\":\"x\"}", "role_not_allowed"),
        ("propose Control_Pause --project looping --key operator.key --inputs {\"rationale\":\"x\"} --node http://127.0.0.1:1", "connect"),
        ("approve --project looping --key operator.key", "no elected member"),
        ("approve --project looping --key member.key --seat KEY", "refused"),
        ("approve --project paused --key voter.key", "REVIEW"),
        ("council vote --project paused --key voter.key", "votes count in ELECT alone"),
        ("council certify --project paused --vote vote.json", "votes count in ELECT alone"),
        ("decision looping 999", "999"),
        ("health --node http://127.0.0.1:1", "runbooks/recovery.md"),
        ("state --project nothing", "nothing"),
        ("fact check receipt.json --cluster test", "not a signed fact"),
        ("fact check facts.json --cluster other", ""),
        ("receipt verify facts.json", "no receipt"),
        ("receipt verify good.json --cluster other", "the receipt does not hold"),
        ("settings check missing.yaml", "missing.yaml"),
        ("settings check receipt.json", "there is no key"),
        ("policy check missing.cedar", "missing.cedar"),
        ("secrets check facts.json --identity identity.age", "facts.json"),
        ("keygen --out operator.key", "exists already"),
        ("init .", "not empty"),
        ("init receipt.json", "is a file"),
        ("wal verify --data missing", "no journal"),
        ("replay --data missing", "no journal"),
        ("promote --data data", "follows no other node"),
        ("backup verify --from missing", ""),
        ("restore --from missing --to other --reason x:~y", "no backup"),
        ("packer verify nothing", "nothing"),
        ("packer validate missing.pkr.hcl", ""),
        ("nodes forget http://127.0.0.9:1", "no node is known"),
        ("ucxl nonsense", "not a UCXL address"),
    ]
    .into_iter()
    .map(|(words, part)| case(1, words, part))
    .collect()
}

/// Command lines that are wrong by themselves, and a part of what is reported.
const WRONG_WORDS: &[(&str, &str)] = &[
    ("propose Control_Resumed --key operator.key", "Control_Resume"),
    ("propose Control_Resume --key operator.key --plan plan.md", "Execution_PlanLocked"),
    ("propose PlanLocked --project looping --key operator.key --plan missing.md", "missing.md cannot be read"),
    ("propose PlanLocked --project looping --key operator.key --plan pipe", "not a regular file"),
    ("propose PlanLocked --project looping --key operator.key --plan empty.md", "is empty"),
    (
        "propose Control_Resume --key operator.key --node nonsense --inputs {\"rationale\":\"x\"}",
        "not the address of a node",
    ),
    ("state --project A~b", "project"),
    ("state --node nonsense", "not the address of a node"),
    ("state --node ", "not the address of a node"),
    ("health --node ftp://x", "not the address of a node"),
    ("state --node https://127.0.0.1:1 --ca missing.pem", "missing.pem"),
    ("state --node https://127.0.0.1:1 --ca pipe", "not a regular file"),
    ("approve --project looping --key voter.key --plan missing.md", "missing.md cannot be read"),
    ("approve --project looping", "--key"),
    ("wait execution==NOPE", "never NOPE"),
    ("wait --project looping execution==PLAN --timeout soon", "soon"),
    ("council elect --project electing --key voter.key", "give at least 3 keys"),
    ("council elect --project electing --key voter.key --key voter.key --key voter.key", "give at least 3 keys"),
    ("council elect --project electing", "--key"),
    ("council certify --project looping --vote missing.json", "missing.json cannot be read"),
    ("council certify --project looping --vote facts.json", "is not a vote"),
    ("council certify --project looping --vote pipe", "not a regular file"),
    ("fact sign --kind capacity --key operator.key --cluster test {bad", "not JSON"),
    ("fact sign --kind capacity --key operator.key --cluster test {\"a\":1}", "a: unknown field"),
    ("fact sign --kind capacity --key operator.key --cluster test @missing.json", "missing.json cannot be read"),
    ("fact sign --kind capacity --key operator.key --cluster test @pipe", "not a regular file"),
    ("fact sign --kind settings --key operator.key --cluster test {}", "settings"),
    ("fact put made.json missing.json", "missing.json cannot be read"),
    ("fact put made.json receipt.json", "not a signed fact"),
    ("fact post missing.json", "missing.json cannot be read"),
    ("fact post pipe", "not a regular file"),
    ("fact check missing.json", "missing.json cannot be read"),
    ("receipt verify missing.json", "missing.json cannot be read"),
    ("receipt verify pipe", "not a regular file"),
    ("decision nonsense", "is not a decision id"),
    ("decision ", "is not a decision id"),
    ("decisions show nonsense --data data", "neither a decision record's id"),
    ("decisions verify missing.jsonl --data data", "missing.jsonl cannot be read"),
    ("policy explain --transition Control_Pause", "--role"),
    ("policy explain --transition Control_Pause --signer KEY", "--role"),
    ("policy explain --transition Control_Pause --role operator --inputs {bad", "not JSON"),
    ("windows --file missing.yaml", "missing.yaml cannot be read"),
    ("windows --file receipt.json", "config/backbeat.yaml"),
    ("windows --file pipe", "not a regular file"),
    ("mcp check http://127.0.0.1:1/a http://127.0.0.1:1/b --server a --version 1", "--server and --version"),
    ("mcp check --document missing.json", "missing.json cannot be read"),
    ("mcp check --document receipt.json", "is no project document"),
    ("identity rotate missing.json --key operator.key", "missing.json cannot be read"),
    ("identity rotate receipt.json --key operator.key", "is not a agreement"),
    ("secrets check", "name a secrets file"),
    ("secrets encrypt missing.yaml --recipient RECIPIENT --out made.age", "missing.yaml cannot be read"),
    ("secrets encrypt plain.yaml --recipient age1x --out made.age", "age1x"),
    ("migration mode cutover --rationale x --key operator.key --region council", "--region"),
    ("migration mode shadow --rationale x --key operator.key --without-comparison --yes", "--without-comparison"),
    ("backup create --data data", "--to"),
    ("backup create --data data --to data/backups", "lies in the data directory"),
    ("backup prune --from missing --keep 1", "missing"),
    ("backup verify --from backups --identity missing.key", "missing.key"),
    ("backup verify --from backups --identity pipe", "not a regular file"),
    ("snapshot verify --from exports --identity pipe", "not a regular file"),
    ("keygen --out env:KEYS", "name a file"),
    ("keygen --out fd:3", "name a file"),
    ("init made --listen 127.0.0.1:0", "name a port"),
    ("init made --cluster A~b", "cluster"),
    ("packer build web.pkr.hcl --var password=x", "--secret"),
    ("packer build web.pkr.hcl --secret password=NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"),
    ("packer build web.pkr.hcl --secret-file password=missing", "missing cannot be read"),
    ("packer build web.pkr.hcl --secret-file password=pipe", "not a regular file"),
    ("packer status --root missing", "is no folder"),
    ("sources status --root missing", "is no folder"),
    ("templates list --root missing", "is no folder"),
    ("documents check --root missing", "is no folder"),
    ("config render dev --builder file.linux-image --answers missing.yaml", "missing.yaml cannot be read"),
    ("config render dev --builder file.linux-image --answers pipe", "not a regular file"),
    ("ucxl", "ADDRESS"),
    ("wal show --last 0 --data data", "--last"),
    ("follow nonsense --data followed", "not the address of a node"),
];

/// Wrong usage: the command line cannot be used as it is written. Nothing was sent.
fn wrong_usage() -> Vec<Case> {
    let propose = "propose Control_Resume --project paused --key operator.key --inputs";
    let inputs = [
        ("{rationale", "not JSON"),
        ("", "the document is empty"),
        ("[\"x\"]", "expected an object"),
        ("{\"rationale\":1.5}", "rationale: 1.5 is not a whole number"),
        ("{\"rationale\":null}", "rationale: null is not used"),
        ("{\"rationale\":\"x\",\"rationale\":\"y\"}", "rationale: the key \"rationale\" occurs twice"),
        ("{\"reason\":\"x\"}", "reason: unknown field"),
        ("@missing.json", "missing.json cannot be read"),
        ("@", "@ names no file"),
        (
            "@pipe",
            "pipe cannot be read: it is a named pipe, not a regular file; name a file, or write - for standard input",
        ),
        ("@/dev/zero", "it is a device"),
        ("@data", "it is a directory"),
    ];
    let inputs = inputs.into_iter().map(|(inputs, part)| case(2, &format!("{propose} {inputs}"), part));
    let key =
        ["missing.key", "env:NO_SUCH_KEY", "env:", "fd:1", "fd:x", "facts.json", "pipe", "/dev/zero", "data", "KEY"];
    let key = key.into_iter().flat_map(|key| {
        [
            case(
                2,
                &format!("propose Control_Resume --project paused --key {key} --inputs {{\"rationale\":\"x\"}}"),
                "",
            ),
            case(2, &format!("approve --project looping --key {key}"), ""),
            case(2, &format!("council elect --project looping --key {key}"), ""),
            case(2, &format!("council vote --project looping --key {key}"), ""),
            case(
                2,
                &format!(
                    "fact sign --kind license --cluster test --key {key} {{\"id\":\"a\",\"scopes\":[\"swoosh\"]}}"
                ),
                "",
            ),
            case(2, &format!("identity revoke KEY --project looping --rationale x --key {key}"), ""),
            case(2, &format!("key show {key}"), ""),
            case(2, &format!("state --project looping --cluster test --read-as {key}"), ""),
        ]
    });
    let others = WRONG_WORDS.iter().map(|(words, part)| case(2, words, part));
    inputs.chain(key).chain(others).collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// With `--json` a refusal is the node's document on standard output, and any other failure one object on standard error.
fn is_json(output: &Output) -> bool {
    let out: Result<Value, _> = serde_json::from_slice(&output.stdout);
    let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    let error: Result<Value, _> = serde_json::from_str(&last);
    out.is_ok() || error.is_ok_and(|error| error["error"].is_string())
}

fn prepare(folder: &Path) {
    for (name, text) in
        [("receipt.json", "{\"made\": true}"), ("empty.md", ""), ("plan.md", "# Plan"), ("vote.json", "[]")]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("web.pkr.hcl"), "source \"null\" \"a\" { communicator = \"none\" }\n").unwrap();
    let made = Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
    assert!(made.success());
}

/// Bad JSON in `--inputs`, a key that is not there and too few keys of an election ended with 1, as a refusal does, so that a script tried
/// again. A named pipe was waited for.
#[test]
fn exit_codes_tell_wrong_usage_from_a_refusal_for_every_command() {
    let (site, daemon) = world();
    let mut electing = crate::support::driver::Project::new(&site, "electing");
    electing.drive(&daemon, swoosh::types::names::Region::Boot, "LICENSED");
    let folder = site.config().parent().unwrap().to_path_buf();
    prepare(&folder);
    let pause = ["--json", "propose", "Control_Pause", "--project", "electing", "--key", "operator.key", "--inputs"];
    let accepted = run(&folder, &daemon, &[&pause[..], &[r#"{"rationale": "x"}"#]].concat());
    assert!(accepted.status.success(), "{}", said(&accepted));
    std::fs::write(folder.join("good.json"), accepted.stdout).unwrap();
    let identity = std::fs::read_to_string(folder.join("identity.age")).unwrap();
    let recipient = identity.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    let before = daemon.last_index();
    let mut wrong = Vec::new();
    for case in refused().into_iter().chain(wrong_usage()) {
        let words: Vec<String> = case.words.iter().map(|word| word.replace("RECIPIENT", &recipient)).collect();
        for json in [false, true] {
            let all: Vec<&str> = json.then_some("--json").into_iter().chain(words.iter().map(String::as_str)).collect();
            let output = run(&folder, &daemon, &all);
            let text = said(&output);
            if output.status.code() != Some(case.code) || !text.contains(case.part) && !json {
                wrong.push(format!(
                    "{all:?} is to end with {} and say {:?}: {:?} {text}",
                    case.code,
                    case.part,
                    output.status.code()
                ));
            } else if json && !is_json(&output) {
                wrong.push(format!("{all:?} does not fail in JSON: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(daemon.last_index(), before, "nothing was recorded");
    for (words, code) in [
        ("wait --project looping execution==REVIEW", 0),
        ("wait --project looping execution==REVERB --timeout 100ms", 3),
        ("wait --project held execution==PLAN --fail-on quarantined", 4),
    ] {
        let output = run(&folder, &daemon, &words.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(code), "{words}: {}", said(&output));
    }
}

/// The words of every command that has no commands below it.
fn leaves() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let output = Command::new(env!("CARGO_BIN_EXE_swoosh")).args(&words).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let below: BTreeSet<String> = crate::support::listed(&help).into_iter().filter(|name| name != "help").collect();
        match below.is_empty() {
            true => found.push(words),
            false => open.extend(below.into_iter().map(|name| [words.clone(), vec![name]].concat())),
        }
    }
    found
}

/// Each command refuses an option that it does not know, in JSON where JSON is asked for, and the table above has each that takes a file or
/// a key.
#[test]
fn every_command_ends_with_2_on_an_unknown_option() {
    let leaves = leaves();
    assert!(leaves.len() > 60, "{leaves:?}");
    for words in leaves.into_iter().filter(|words| !["demo", "bench", "chaos"].contains(&words[0].as_str())) {
        for json in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
            if json {
                command.arg("--json");
            }
            let output = command.args(&words).arg("--no-such-option").output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
            assert!(text.contains("--no-such-option"), "{words:?}: {text}");
            if json {
                let error: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}"));
                assert!(error["error"].is_string());
            }
        }
    }
}
