//! The demo as users run it: a daemon, clients, git, packer, a SIGKILL, a replay. It checks itself; here it is asked
//! whether it came to its end.

use serde_json::Value;
use swoosh_types::names::GuardName;

/// Transitions that the node must propose itself.
const BY_ITSELF: [&str; 14] = [
    "Ingestion_SourcesResolved",
    "Ingestion_BytesOk",
    "Ingestion_SchemaOk",
    "Ingestion_CorpusBuilt",
    "Environment_CapacityOk",
    "Environment_Installed",
    "Environment_Green",
    "Environment_HealthFailed",
    "Environment_ReleaseFailed",
    "Environment_Released",
    "License_GraceEntered",
    "License_Expired",
    "License_Renewed",
    "Policy_Quarantine",
];

#[test]
fn the_demo_comes_to_its_end_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = crate::lab();
    let output = command.args(["--json", "demo"]).env("TMPDIR", temporary.path()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let steps: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = steps.last().unwrap();
    assert_eq!(summary["step"], "summary");
    assert_eq!(summary["head_before"], summary["head_after"]);
    let refused = |guard: &&GuardName| {
        let by = |step: &Value| step["guards"].as_array().is_some_and(|guards| guards.contains(&guard.as_str().into()));
        !steps.iter().any(|step| step["step"] == "refused" && by(step))
    };
    let missing: Vec<_> = GuardName::ALL.iter().filter(refused).collect();
    assert!(missing.is_empty(), "nothing was refused by {missing:?}");
    assert_eq!(summary["decision_records"], summary["accepted"]);
    let by_node = |name: &&str| {
        let is = |step: &Value| step["step"] == "accepted" && step["by"] == "node" && step["transition"] == **name;
        !steps.iter().any(is)
    };
    let undone: Vec<_> = BY_ITSELF.into_iter().filter(by_node).collect();
    assert!(undone.is_empty(), "the node did not by itself {undone:?}");
    let hashed = |member: &str| steps.iter().filter(|step| step["step"] == "item" && step[member].is_string()).count();
    assert_eq!((hashed("source"), hashed("asset")), (12, 2), "two versions of six sources, two builds of an image");
    let shows = |words: &&str| steps.iter().any(|step| step["text"].as_str().is_some_and(|text| text.contains(words)));
    let missing: Vec<_> = ["BACKBEAT leads", "`archive` is back"].into_iter().filter(|words| !shows(words)).collect();
    assert!(missing.is_empty(), "the demo does not show {missing:?}");
    let went_back = |step: &&Value| step["transition"] == "Ingestion_RollbackIndex" && step["step"] == "accepted";
    assert_eq!(steps.iter().filter(went_back).count(), 1, "the index goes back to the former one");
    assert_eq!(hashed("content_hash"), 2, "both indexes are shown");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
