//! Data directories of released formats, kept under `tests/compat/`. This build opens each one, finds it whole, and
//! reduces it to the same heads. `SWOOSH_BLESS=1` writes the directory of the present format if it is missing. It never
//! overwrites one: a build that reads only its own writing proves nothing. Additions to a format that earlier builds
//! ignore are a new revision, with a directory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swoosh::journal::replay::replay;
use swoosh::journal::verify::verify;
use swoosh::journal::{Durability, FORMAT, Journal, JournalOptions, StoreLimits, Written};
use swoosh::machine::upgrade::PRESENT;
use swoosh::types::hash::Hash;
use swoosh::types::keys::PublicKey;
use swoosh::types::names::{Region, Transition};
use swoosh::types::text::{ClusterId, ProjectName};

use crate::backup::{good, text};
use crate::support::daemon::Site;
use crate::support::driver::Project;

/// Revision of the present format; 1 has no additions.
const REVISION: u64 = 1;

/// The expected result of opening a kept directory.
#[derive(Debug, Serialize, Deserialize)]
struct Expected {
    node: PublicKey,
    cluster: ClusterId,
    records: u64,
    last_chain: Hash,
    incarnation: u64,
    heads: BTreeMap<ProjectName, Hash>,
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

/// Files of a directory that are of the log; RocksDB's own talk and options name places and are not needed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("journal")).unwrap();
    for entry in std::fs::read_dir(from.join("journal")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !["LOG", "LOCK", "OPTIONS"].iter().any(|prefix| name.starts_with(prefix)) {
            std::fs::copy(from.join("journal").join(&name), to.join("journal").join(&name)).unwrap();
        }
    }
    std::fs::copy(from.join("journal.watermark"), to.join("journal.watermark")).unwrap();
}

/// A log with every region in it, two projects, and a second incarnation.
fn make(to: &Path) {
    let site = Site::new();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (backups, again) = (folder.path().join("backups"), folder.path().join("again"));
    let node = site.start();
    let mut project = Project::new(&site, "alpha");
    project.drive(&node, Region::Execution, "REVERB");
    Project::new(&site, "beta").drive(&node, Region::Boot, "LICENSED");
    node.terminate();
    good(site.run(&["--json", "backup", "create", "--to", text(&backups)]));
    let restore = ["--json", "restore", "--from", text(&backups), "--to", text(&again), "--reason", "a golden log"];
    good(site.tool(&restore));
    std::fs::copy(site.data().join("node.key"), again.join("node.key")).unwrap();
    let node = site.start_in(&again).unwrap();
    project.accept(&node, Transition::ControlPause);
    node.terminate();
    copy(&again, to);
    let journal = Journal::open_read_only(to.join("journal")).unwrap();
    let report = replay(&journal, &mut |_| (), None);
    assert_eq!(report.fault, None);
    let identity = journal.identity().clone();
    let expected = Expected {
        node: identity.node,
        cluster: identity.cluster,
        records: report.replayed,
        last_chain: report.last_chain,
        incarnation: identity.incarnation,
        heads: report.heads.into_iter().map(|(project, head)| (project, head.hash)).collect(),
    };
    std::fs::write(to.join("expected.json"), format!("{}\n", serde_json::to_string_pretty(&expected).unwrap()))
        .unwrap();
}

#[test]
fn data_directories_of_every_released_format_open_verify_and_replay() {
    let own = kept().join(format!("format-{FORMAT}.{REVISION}"));
    if std::env::var_os("SWOOSH_BLESS").is_some() && !own.exists() {
        make(&own);
    }
    assert!(own.is_dir(), "there is no golden log of format {FORMAT}; run with SWOOSH_BLESS=1");
    for entry in std::fs::read_dir(kept()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            opens(&path);
        }
    }
}

fn opens(golden: &Path) {
    let expected: Expected = serde_json::from_slice(&std::fs::read(golden.join("expected.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy(golden, folder.path());
    let journal = Journal::open(JournalOptions {
        path: folder.path().join("journal"),
        node: expected.node,
        cluster: expected.cluster.clone(),
        snapshot_every: 100,
        durability: Durability::Sync,
        store: StoreLimits::default(),
        medium: None,
    });
    let journal = journal.unwrap();
    let recovered = journal.recover_tail().unwrap();
    assert_eq!((recovered.last_index, recovered.last_chain), (expected.records, expected.last_chain));
    assert_eq!(journal.identity().incarnation, expected.incarnation);
    let report = verify(&journal, &mut |_| ());
    assert!(report.is_good(), "{}: {:?}", golden.display(), report.problems);
    // Formats 1 and 2 have whole receipts. Repeats get the same bytes once rows hold their sums alone.
    let answers = receipts(&journal);
    assert_eq!(answers.len() as u64, expected.records);
    let replaced = journal.index_receipts(&|| true).unwrap();
    let older = ["format-1", "format-1.2", "format-2.1"].iter().any(|name| golden.ends_with(name));
    assert_eq!(replaced > 0, older, "{}", golden.display());
    assert_eq!(receipts(&journal), answers);
    assert!(verify(&journal, &mut |_| ()).is_good(), "{}", golden.display());
    let replayed = replay(&journal, &mut |_| (), None);
    assert_eq!((&replayed.fault, replayed.replayed), (&None, expected.records));
    let heads: BTreeMap<_, _> = replayed.heads.into_iter().map(|(project, head)| (project, head.hash)).collect();
    assert_eq!(heads, expected.heads, "{}", golden.display());
    for (project, hash) in &expected.heads {
        assert_eq!(journal.latest_head(project).unwrap().unwrap().head.hash(), *hash);
    }
}

/// The answers to repeats of every record.
fn receipts(journal: &Journal) -> Vec<Vec<u8>> {
    let answer = |index: u64| {
        let record = journal.record(index).unwrap().unwrap().record;
        let bound = journal.bound_key(&record.project, &record.idem_key).unwrap().unwrap();
        journal.receipt(&record.project, &record.idem_key, bound).unwrap().unwrap()
    };
    (1..=journal.last().0).map(answer).collect()
}

/// The very files, with a node on them: it finds every project where it was, says that it writes here now, and goes on.
#[test]
fn a_node_starts_on_data_directories_of_every_released_format_and_goes_on() {
    for entry in std::fs::read_dir(kept()).unwrap() {
        let golden = entry.unwrap().path();
        let expected: Expected = serde_json::from_slice(&std::fs::read(golden.join("expected.json")).unwrap()).unwrap();
        let site = Site::new();
        assert_eq!(expected.node, site.hands.get("node").key(), "the key is in the node's hand");
        copy(&golden, &site.data());
        good(site.run(&["--json", "replay", "--reguard"]));
        let node = site.start();
        for (name, hash) in &expected.heads {
            let shown = node.get(&format!("/state?project={name}&at={}", expected.records)).json();
            assert_eq!(shown["hash"], hash.to_string(), "{}: {name}", golden.display());
            // Projects of an older statechart go over to this program's, whatever blocks them.
            node.wait_for(&format!("/state?project={name}"), |answer| {
                answer.json()["projection"]["meta"]["chart_version"] == serde_json::json!(PRESENT.version)
            });
        }
        let mut project = Project::new(&site, "alpha");
        project.refresh(&node);
        project.accept(&node, Transition::ControlResume);
        node.terminate();
        good(site.run(&["--json", "wal", "verify"]));
        good(site.run(&["--json", "replay", "--reguard"]));
        let journal = Journal::open_read_only(site.journal()).unwrap();
        assert_eq!(journal.written().unwrap(), Some(Written::by_this_program()));
    }
}
