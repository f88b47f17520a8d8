//! A short slice of the chaos run on real processes: each requested fault happens, no invariant breaks, and the checker
//! finds the damage in falsified logs.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::{lab, skipped};

/// Faults of every family, each once.
const FAULTS: &str =
    "kill,stop,duplicate,reorder,drop,delay,full-disk,failing-disk,torn-log,directory-rollback,mcp-flap";

fn run_lab(arguments: &[&str]) -> Output {
    lab().arg("--json").args(arguments).output().unwrap()
}

fn said(output: &Output) -> Value {
    let stderr = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr()))
}

fn check(run: &Path) -> (bool, Value) {
    let output = run_lab(&["chaos", "check", run.to_str().unwrap()]);
    (output.status.success(), said(&output))
}

/// Changes the first receipt in a client's log, or takes away that its key was ever sent; checks, and puts the log back.
fn falsified(run: &Path, change: Option<&dyn Fn(&mut Value)>) -> (bool, Value) {
    let log: PathBuf = run.join("clients/client-000.jsonl");
    let original = std::fs::read_to_string(&log).unwrap();
    let mut events: Vec<Value> = original.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = events.iter().position(|event| event["event"] == "receipt").unwrap();
    if let Some(change) = change {
        change(&mut events[at]);
    } else {
        let receipt: Value = serde_json::from_str(events[at]["receipt"].as_str().unwrap()).unwrap();
        events.retain(|event| event["event"] != "sent" || event["key"] != receipt["idem_key"]);
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    std::fs::write(&log, lines.join("\n")).unwrap();
    let found = check(run);
    std::fs::write(&log, original).unwrap();
    found
}

/// Changes a member of the receipt that a line holds.
fn in_receipt(line: &mut Value, member: &str, value: Value) {
    let mut receipt: Value = serde_json::from_str(line["receipt"].as_str().unwrap()).unwrap();
    receipt[member] = value;
    line["receipt"] = receipt.to_string().into();
}

fn breaks(found: &(bool, Value), invariant: &str) {
    let (is_good, document) = found;
    assert!(!is_good, "{document}");
    let violations = document["violations"].as_array().unwrap();
    let violation = violations.iter().find(|violation| violation["invariant"] == invariant);
    let violation = violation.unwrap_or_else(|| panic!("{invariant} is not broken: {document}"));
    assert_eq!(violation["seed"], 7, "{violation}");
    assert!(["expected", "found"].iter().all(|side| !violation[side].as_str().unwrap().is_empty()), "{violation}");
}

#[test]
fn faults_break_nothing_and_falsified_logs_are_found_out() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let run = folder.path().join("run");
    let arguments = ["chaos", "real", "--seed", "7", "--seconds", "1", "--times", "1", "--clients", "4", "--keep"];
    let output = run_lab(&[&arguments[..], &["--faults", FAULTS, "--output", run.to_str().unwrap()]].concat());
    let report = said(&output);
    assert!(output.status.success(), "{report:#}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((&report["ok"], &report["violation_count"]), (&true.into(), &0.into()), "{report:#}");
    for fault in report["faults"].as_array().unwrap() {
        match fault["skipped"].as_str() {
            Some(why) => skipped(&format!("{}: {why}", fault["fault"])),
            None => assert!(fault["fired"].as_u64() >= Some(1), "{fault}"),
        }
    }
    assert_eq!((&report["wal_verify"], &report["replay"]), (&true.into(), &true.into()));
    assert!(std::fs::read_to_string(run.join("REPORT.md")).unwrap().contains("**Passed.**"));

    let (is_good, checked) = check(&run);
    assert!(is_good, "{checked}");
    assert!(checked["receipts"].as_u64() > Some(20) && checked["records"].as_u64() > Some(20), "{checked}");

    let chain = Value::from(format!("sha256-{}", "0".repeat(64)));
    let other_chain = falsified(&run, Some(&|line| in_receipt(line, "chain", chain.clone())));
    breaks(&other_chain, "receipts-are-in-the-log");
    let unsent = Value::from("chaos:1:control:never-sent");
    let other_key = falsified(&run, Some(&|line| in_receipt(line, "idem_key", unsent.clone())));
    breaks(&other_key, "receipts-are-in-the-log");
    breaks(&falsified(&run, None), "asked-for");
    assert!(check(&run).0, "what was falsified is put back");
}

#[test]
fn every_fault_is_listed_and_has_a_recipe_for_containers() {
    let listed = said(&run_lab(&["chaos", "real", "--list"]));
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chaos/compose.yaml");
    let recipes: Value = yaml_serde::from_str(&std::fs::read_to_string(recipes).unwrap()).unwrap();
    let faults: Vec<&str> = listed.as_array().unwrap().iter().map(|row| row["fault"].as_str().unwrap()).collect();
    assert!(faults.len() > 20, "{faults:?}");
    for fault in &faults {
        let command = &recipes["services"][fault]["command"];
        assert!(command.to_string().contains(fault), "chaos/compose.yaml has no service for {fault}: {command}");
    }
    let services = recipes["services"].as_object().unwrap();
    let strangers: Vec<_> = services.keys().filter(|name| !faults.contains(&name.as_str()) && *name != "all").collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// Found by `swoosh chaos real`, seed 2, step 5. The disk filled up while RocksDB wrote tables, and a commit was waiting
/// inside of RocksDB for those tables. RocksDB then began its own recovery, which has to pass through the writers' queue
/// behind that commit: a deadlock. The node reported health, accepted nothing, answered no request, and stayed so after
/// space was freed, until a restart. Now the journal waits outside of RocksDB and gets notified.
#[test]
fn a_disk_that_fills_up_while_tables_are_written_is_reported_and_free_space_lets_the_node_continue() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let run = folder.path().join("run");
    let arguments = ["chaos", "real", "--seed", "2", "--seconds", "1", "--times", "4", "--clients", "6"];
    let output = run_lab(&[&arguments[..], &["--faults", "full-disk", "--output", run.to_str().unwrap()]].concat());
    let report = said(&output);
    assert!(output.status.success(), "{report:#}\n{}", String::from_utf8_lossy(&output.stderr));
    let fault = &report["faults"][0];
    match fault["skipped"].as_str() {
        Some(why) => skipped(why),
        None => assert!(fault["fired"].as_u64() >= Some(4) && fault["heals"].as_u64() >= Some(4), "{fault}"),
    }
}
