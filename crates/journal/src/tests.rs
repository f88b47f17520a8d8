//! Tests of the journal's guarantees, on real directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rocksdb::DB;

use super::layout::{meta, scoped_key, wal_key};
use super::testing::{Node, cluster, name, node_key, options};
use super::*;
use swoosh_machine::replay::Divergence;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::Transition;
use swoosh_types::record::Linked;

/// Nine records of three projects in three batches.
fn busy() -> Node {
    let mut node = Node::new();
    node.commit(&["a", "b", "a"]);
    node.commit(&["c"]);
    node.commit(&["b", "a", "c", "a", "b"]);
    node
}

fn hashes(recovered: &Recovered) -> BTreeMap<String, Hash> {
    recovered.heads.iter().map(|(project, found)| (project.to_string(), found.head.hash())).collect()
}

fn known(node: &Node) -> BTreeMap<String, Hash> {
    node.heads.iter().map(|(project, head)| (project.to_string(), head.hash())).collect()
}

#[test]
fn recovery_finds_every_head_and_the_chain_again() {
    let mut node = Node::new();
    let names: Vec<String> = (0..40).map(|number| format!("project-{number}")).collect();
    for round in 0..5 {
        node.commit(&names.iter().skip(round * 3).map(String::as_str).collect::<Vec<_>>());
    }
    let node = node.reopen();
    let recovered = node.journal.recover().unwrap();
    assert_eq!(hashes(&recovered), known(&node));
    assert_eq!((recovered.last_index, recovered.last_chain), (node.last(), node.chain));
    assert_eq!(recovered.replayed, node.last());
    assert_eq!(recovered.last_timestamp, node.journal.record(node.last()).unwrap().unwrap().record.timestamp);
    assert_eq!(node.journal.last(), (node.last(), node.chain));
}

#[test]
fn an_empty_journal_recovers_to_nothing() {
    let node = Node::new().reopen();
    let recovered = node.journal.recover().unwrap();
    assert_eq!((recovered.last_index, recovered.last_chain, recovered.heads.len()), (0, Hash::ZERO, 0));
    assert_eq!(node.journal.head_at(&name("a"), 0, &Stop::default()).unwrap(), None);
    assert_eq!(node.journal.records_from(0).count(), 0);
}

#[test]
fn snapshots_spare_what_they_cover() {
    let node = busy();
    node.journal.put_snapshot(node.snapshot(8)).unwrap();
    let mut node = node.reopen();
    assert_eq!(node.journal.recover().unwrap().replayed, 9 - 4, "only project a is covered");
    for index in [9, 7] {
        node.journal.put_snapshot(node.snapshot(index)).unwrap();
    }
    node.commit(&["b", "b"]);
    let node = node.reopen();
    let recovered = node.journal.recover().unwrap();
    assert_eq!(recovered.replayed, 2);
    assert_eq!(hashes(&recovered), known(&node));
    assert_eq!(recovered.heads[&name("b")].snapshot_index, 9);
    assert_eq!(recovered.heads[&name("b")].index, 11);
    assert_eq!(recovered.last_snapshot_hlc, Some(node.snapshot(9).hlc));
    assert!(node.journal.sweep_candidates(2).is_empty());
    assert_eq!(node.journal.sweep_candidates(0).len(), 1);
}

#[test]
fn a_start_reads_nothing_before_the_replay_floor() {
    let mut node = busy();
    for index in [8, 9, 7] {
        node.journal.put_snapshot(node.snapshot(index)).unwrap();
    }
    node.commit(&["a"]);
    node.flip(2, -3);
    let node = node.reopen();
    let recovered = node.journal.recover().unwrap();
    assert_eq!(hashes(&recovered), known(&node));
    assert_eq!(verify::verify(&node.journal, &mut |_| ()).problems[0].index, 2, "the whole chain is for verify");
}

#[test]
fn a_snapshot_is_due_after_its_number_of_records() {
    let mut node = Node::new();
    node.commit(&["a", "a", "a", "b"]);
    assert!(!node.journal.is_snapshot_due(&name("a")));
    node.commit(&["a"]);
    assert!(node.journal.is_snapshot_due(&name("a")) && !node.journal.is_snapshot_due(&name("b")));
    node.journal.put_snapshot(node.snapshot(5)).unwrap();
    assert!(!node.journal.is_snapshot_due(&name("a")));
}

#[test]
fn a_bad_newest_snapshot_falls_back_to_the_one_before() {
    let node = busy();
    for index in [3, 4, 8, 9, 7] {
        node.journal.put_snapshot(node.snapshot(index)).unwrap();
    }
    let mut lying = node.snapshot(8);
    lying.state = node.history[5].1.state().clone();
    node.overwrite(Family::Snapshots, &scoped_key(&name("a"), 8), &lying.encode());
    node.overwrite(Family::Snapshots, &scoped_key(&name("c"), 7), b"{\"project\":\"c\"");
    node.overwrite(Family::Snapshots, &scoped_key(&name("b"), 9), &node.snapshot(5).encode());
    let node = node.reopen();
    let recovered = node.journal.recover().unwrap();
    assert_eq!(hashes(&recovered), known(&node));
    let warned: Vec<_> = recovered.warnings.iter().map(|warning| (warning.project.as_str(), warning.index)).collect();
    assert_eq!(warned, [("a", 8), ("b", 9), ("c", 7)]);
    assert!(recovered.warnings[0].to_string().contains("runbooks/recovery.md"));
    let snapshots: Vec<_> = recovered.heads.values().map(|found| found.snapshot_index).collect();
    assert_eq!(snapshots, [3, 0, 4]);
    assert_eq!(recovered.replayed, 2 + 3 + 1);
    assert_eq!(node.journal.head_at(&name("a"), 8, &Stop::default()).unwrap().unwrap(), node.heads[&name("a")]);
}

#[test]
fn damage_to_an_unused_snapshot_or_an_outbox_row_is_reported_with_its_record() {
    let mut node = busy();
    [3, 4, 8].into_iter().for_each(|index| node.journal.put_snapshot(node.snapshot(index)).unwrap());
    let opened = Write::EffectOpened { id: "a/3/fetch".parse().unwrap(), opened_at: Hlc::new(7, 0).unwrap() };
    node.journal.append(&Batch { entries: Vec::new(), writes: vec![opened] }).unwrap();
    node.journal.note_effect(&"a/3/fetch".parse().unwrap(), b"{}").unwrap();
    node.commit(&["a"]);
    assert!(verify::verify(&node.journal, &mut |_| ()).is_good());
    let mut torn = node.journal.0.get(Family::Snapshots, &scoped_key(&name("a"), 8)).unwrap().unwrap();
    *torn.last_mut().unwrap() ^= 1;
    let key = |kind: &[u8], project: &str, index| [kind, &scoped_key(&name(project), index), b"fetch"].concat();
    let rows: [(Family, Vec<u8>, &[u8], &str); 8] = [
        (Family::Snapshots, scoped_key(&name("a"), 8), &torn, "record 8: the snapshot of project a here is not used"),
        (Family::Snapshots, scoped_key(&name("b"), 3), b"{}", "record 3: the snapshot of project b here is not used"),
        (Family::Snapshots, b"strange".to_vec(), b"", "snapshots: the key \u{ab}strange\u{bb} is none of its"),
        (Family::Outbox, b"strange\0".to_vec(), b"", "outbox: the key \u{ab}strange\\x00\u{bb} is none of its"),
        (Family::Outbox, b"exporter/file".to_vec(), b"busy 1", "position of the exporter file does not decode"),
        (
            Family::Outbox,
            key(b"effect/", "a", 3),
            b"now",
            "record 3: in the table outbox: the opening of the effect a/3/fetch",
        ),
        (Family::Outbox, key(b"held/", "b", 3), b"{", "the outcome that waits of the effect b/3/fetch does not decode"),
        (Family::Outbox, key(b"work/", "b", 3), b"", "the note of the effect b/3/fetch: record 3 is of project a"),
    ];
    for (number, (family, key, value, _)) in rows.iter().enumerate() {
        node.overwrite(*family, key, value);
        let found = verify::verify(&node.journal, &mut |_| ()).problem_count;
        assert_eq!(found, number as u64 + 1);
    }
    let problems: Vec<_> =
        verify::verify(&node.journal, &mut |_| ()).problems.iter().map(ToString::to_string).collect();
    for (.., wanted) in rows {
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{wanted}: {problems:#?}");
    }
    node.overwrite(Family::Outbox, &key(b"effect/", "a", 77), b"1970-01-01T00:00:00.007+00:00#0");
    let problems = verify::verify(&node.journal, &mut |_| ()).problems;
    assert!(
        problems.iter().any(|problem| problem.to_string().contains("a/77/fetch: the log ends at record 10")),
        "{problems:#?}"
    );
}

/// Found by the simulation: an older copy of the snapshots was put back, `recover` took the older snapshot of a project
/// for its newest, began at the replay floor that counted on the one that was gone, and refused a log that held
/// everything: «record 170 starts from …, but the head before it is …».
#[test]
fn snapshots_that_are_gone_are_made_up_for_by_records_before_the_replay_floor() {
    for gone in [vec![8], vec![5, 8]] {
        let node = busy();
        for index in [5, 8, 9, 7] {
            node.journal.put_snapshot(node.snapshot(index)).unwrap();
        }
        let family = node.journal.0.family(Family::Snapshots).inside();
        for index in gone {
            let project = &node.history[index as usize - 1].0;
            node.journal.0.db.inside().delete_cf(family, scoped_key(project, index)).unwrap();
        }
        let node = node.reopen();
        assert_eq!(hashes(&node.journal.recover().unwrap()), known(&node));
    }
}

#[test]
fn a_head_of_the_past_is_the_one_recorded_at_every_index() {
    let node = busy();
    for with_snapshots in [false, true] {
        if with_snapshots {
            [3, 8, 5].into_iter().for_each(|index| node.journal.put_snapshot(node.snapshot(index)).unwrap());
        }
        for project in ["a", "b", "c"].map(name) {
            for index in 0..=node.last() {
                let found = node.journal.head_at(&project, index, &Stop::default()).unwrap().unwrap();
                assert_eq!(found, node.head_then(&project, index), "{project} at {index}");
            }
            let latest = node.journal.latest_head(&project).unwrap().unwrap();
            assert_eq!(latest.head, node.heads[&project]);
        }
    }
    assert_eq!(node.journal.head_at(&name("unknown"), 5, &Stop::default()).unwrap(), None);
    assert_eq!(node.journal.projects().unwrap(), ["a", "b", "c"].map(name));
    let indexes: Vec<u64> = node.journal.project_indexes(&name("a"), 2).map(Result::unwrap).collect();
    assert_eq!(indexes, [3, 6, 8]);
}

#[test]
fn the_records_of_a_project_are_walked_backwards_from_any_index() {
    let node = busy();
    for project in ["a", "b", "c", "unknown"].map(name) {
        let mut rising: Vec<u64> = node.journal.project_indexes(&project, 0).map(Result::unwrap).collect();
        rising.reverse();
        for before in [0, 1, 3, 4, node.last(), node.last() + 1, u64::MAX] {
            let found: Vec<u64> = node.journal.project_indexes_before(&project, before).map(Result::unwrap).collect();
            let expected: Vec<u64> = rising.iter().copied().filter(|index| *index < before).collect();
            assert_eq!(found, expected, "{project} before {before}");
        }
    }
}

#[test]
fn records_and_receipts_come_back_as_they_went_in() {
    let mut node = Node::new();
    let records = node.commit(&["a", "b", "c"]);
    let stored: Vec<_> = node.journal.records_from(1).map(Result::unwrap).collect();
    for (stored, record) in stored.iter().zip(&records) {
        assert_eq!(stored.record, *record);
        assert_eq!(stored.receipt().verify(&cluster()), Ok(()));
        let bound = node.journal.bound_key(&record.project, &record.idem_key).unwrap().unwrap();
        assert_eq!(bound.index, record.index);
        let receipt = node.journal.receipt(&record.project, &record.idem_key, bound).unwrap();
        assert_eq!(receipt, Some(swoosh_types::canonical::canonical_bytes(&stored.receipt())));
        assert!(node.journal.has_object(&record.inputs_hash).unwrap());
    }
    assert_eq!(node.journal.bound_key(&name("b"), &records[0].idem_key).unwrap(), None, "keys are scoped");
    assert_eq!(node.journal.record(4).unwrap(), None);
    let document = node.journal.snapshot_document(&name("a"), 1).unwrap();
    assert_eq!(document, None);
    node.journal.put_snapshot(node.snapshot(1)).unwrap();
    let document = node.journal.snapshot_document(&name("a"), 1).unwrap().unwrap();
    assert_eq!(document.keys.keys().collect::<Vec<_>>(), [&records[0].idem_key]);
}

#[test]
fn a_flipped_byte_is_named_by_its_index_and_never_skipped() {
    // Where in the frame: version, chain, record, last byte.
    for at in [0, 5, -40, -1] {
        for index in [1, 4, 9] {
            let node = busy();
            node.flip(index, at);
            let node = node.reopen_if_possible();
            let Some(node) = node else { continue };
            let error = node.journal.recover().unwrap_err();
            assert_eq!(error.index(), Some(index), "byte {at}: {error}");
            assert!(error.to_string().contains("runbooks/recovery.md"));
            assert_eq!(node.journal.append(&Batch::default()), Err(AppendError::NotRecovered));
            let report = replay::replay(&node.journal, &mut |_| (), None);
            assert_eq!(report.fault.unwrap().index(), Some(index));
            let report = verify::verify(&node.journal, &mut |_| ());
            assert_eq!(report.problems[0].index, index);
        }
    }
}

impl Node {
    /// Reopens; `None` when the last record is damaged so much that opening says so already.
    fn reopen_if_possible(self) -> Option<Node> {
        let path = self.directory.path().to_path_buf();
        let damaged = self.journal.0.frame_bytes(self.last()).unwrap().unwrap()[0] != 1;
        if !damaged {
            return Some(self.reopen());
        }
        let Node { directory, journal, .. } = self;
        drop(journal);
        let Err(error) = Journal::open(options(&path)) else { panic!("a mangled last record was accepted") };
        assert!(error.to_string().contains("record 9"), "{error}");
        drop(directory);
        None
    }
}

#[test]
fn a_missing_record_is_named() {
    let node = busy();
    node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Wal).inside(), wal_key(4)).unwrap();
    let node = node.reopen();
    assert_eq!(node.journal.recover().unwrap_err().index(), Some(4));
    let report = verify::verify(&node.journal, &mut |_| ());
    assert!(!report.complete && report.problems[0].index == 4);
    let errors: Vec<_> = node.journal.records_from(1).map(|found| found.map(|stored| stored.record.index)).collect();
    assert_eq!(errors, [Ok(1), Ok(2), Ok(3), Err(ReadError::Missing { index: 4 })]);
}

#[test]
fn a_lost_tail_is_noticed_where_a_snapshot_or_the_floor_shows_it() {
    for all in [false, true] {
        let node = busy();
        node.journal.put_snapshot(node.snapshot(9)).unwrap();
        if all {
            [8, 7].into_iter().for_each(|index| node.journal.put_snapshot(node.snapshot(index)).unwrap());
        }
        node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Wal).inside(), wal_key(9)).unwrap();
        let node = node.reopen();
        assert_eq!(node.journal.recover().unwrap_err().index(), Some(9));
    }
}

#[test]
fn inputs_that_are_missing_or_changed_stop_the_replay_at_their_record() {
    let node = busy();
    let hash = node.journal.record(5).unwrap().unwrap().record.inputs_hash;
    node.overwrite(Family::Objects, hash.as_bytes(), b"{\"rationale\":\"another reason\"}");
    let node = node.reopen();
    assert!(matches!(node.journal.object(&hash), Err(ReadError::ObjectMangled { expected, .. }) if expected == hash));
    let error = node.journal.recover().unwrap_err();
    assert!(matches!(error, RecoverError::Fault(FoldError::Diverged(Divergence::InputsHash { index: 5, .. }))));
    let report = verify::verify(&node.journal, &mut |_| ());
    assert!(matches!(report.problems[0], verify::Problem { index: 5, flaw: verify::Flaw::ObjectMangled { .. } }));
    node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Objects).inside(), hash.as_bytes()).unwrap();
    assert_eq!(node.journal.recover().unwrap_err().index(), Some(5));
}

#[test]
fn replay_from_the_start_agrees_and_shows_every_record_its_head() {
    let node = busy();
    let mut seen = Vec::new();
    let mut visit = |stored: &StoredRecord, before: &swoosh_machine::head::Head, _: &swoosh_types::json::Json| {
        assert_eq!(stored.record.state_pre_hash, before.hash());
        seen.push(stored.record.index);
    };
    let watched = replay::replay(&node.journal, &mut |_| (), Some(&mut visit));
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    let plain = replay::replay(&node.journal, &mut |_| (), None);
    for report in [watched, plain] {
        assert_eq!((report.fault, report.replayed, report.last_chain), (None, 9, node.chain));
        let found: BTreeMap<_, _> = report.heads.iter().map(|(name, head)| (name.to_string(), head.hash)).collect();
        assert_eq!(found, known(&node));
    }
}

#[test]
fn verification_tells_what_is_wrong_with_each_record() {
    use verify::Flaw;
    let node = busy();
    assert!(verify::verify(&node.journal, &mut |_| ()).is_good());
    let (a, b) = (name("a"), name("b"));
    let db = node.journal.0.db.inside();
    db.delete_cf(node.journal.0.family(Family::Decisions).inside(), scoped_key(&a, 1)).unwrap();
    let of_two = node.journal.record(2).unwrap().unwrap().record;
    let of_three = node.journal.record(3).unwrap().unwrap().record;
    db.delete_cf(node.journal.0.family(Family::Idem).inside(), layout::idem_key(&b, &of_two.idem_key)).unwrap();
    let receipt = receipts::StoredReceipt::Whole(b"{}".to_vec());
    let other = BoundKey { fingerprint: Hash::ZERO, index: 3, receipt };
    node.overwrite(Family::Idem, &layout::idem_key(&a, &of_three.idem_key), &other.encode());
    node.overwrite(Family::Decisions, &scoped_key(&name("c"), 4), b"{}");
    let report = verify::verify(&node.journal, &mut |_| ());
    let found: Vec<_> = report.problems.into_iter().map(|problem| (problem.index, problem.flaw)).collect();
    let expected =
        [(1, Flaw::DecisionMissing), (2, Flaw::KeyMissing), (3, Flaw::KeyDiffers), (4, Flaw::DecisionDiffers)];
    assert_eq!(found, expected);
}

#[test]
fn a_batch_is_written_whole_or_not_at_all() {
    let mut node = busy();
    let before: Vec<_> = Family::ALL.map(|family| node.rows(family)).to_vec();
    let (good, _) = node.batch(&["a", "b"]);
    let mut gap = good.clone();
    gap.entries.remove(0);
    let mut torn = good.clone();
    torn.entries[1].linked = Arc::new(Linked::of(Hash::ZERO, torn.entries[1].linked.encoded().to_vec()));
    let mut ahead = good.clone();
    let mut snapshot = node.snapshot(9);
    snapshot.index = 12;
    ahead.writes.push(Write::Snapshot(Box::new(snapshot)));
    assert_eq!(node.journal.append(&gap), Err(AppendError::OutOfOrder { last: 9, found: 11 }));
    assert!(matches!(node.journal.append(&torn), Err(AppendError::Chain { index: 11, .. })));
    assert!(matches!(node.journal.append(&ahead), Err(AppendError::SnapshotAhead { index: 12, last: 11, .. })));
    assert_eq!(Family::ALL.map(|family| node.rows(family)).to_vec(), before);
    node.journal.append(&good).unwrap();
    assert_eq!(node.journal.append(&good), Err(AppendError::OutOfOrder { last: 11, found: 10 }));
    let node = node.reopen();
    assert_eq!(hashes(&node.journal.recover().unwrap()), known(&node));
}

#[test]
fn nothing_is_appended_to_a_chain_that_was_not_checked() {
    let mut node = busy().reopen();
    let (batch, _) = node.batch(&["a"]);
    assert_eq!(node.journal.append(&batch), Err(AppendError::NotRecovered));
    node.journal.recover().unwrap();
    assert_eq!(node.journal.append(&batch), Ok(()));
}

fn refusal(options: JournalOptions) -> OpenError {
    match Journal::open(options) {
        Ok(_) => panic!("the directory was accepted"),
        Err(error) => error,
    }
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused() {
    let Node { directory, journal, .. } = busy();
    drop(journal);
    let other_node = SecretKey::from_bytes(&[9; 32]).public();
    let error = refusal(JournalOptions { node: other_node, ..options(directory.path()) });
    assert!(matches!(error, OpenError::OtherNode { expected, found, .. }
        if expected == other_node && found == node_key().public()));
    let error = refusal(JournalOptions { cluster: "other".parse().unwrap(), ..options(directory.path()) });
    assert!(matches!(error, OpenError::OtherCluster { found, .. } if found == cluster()));
}

#[test]
fn a_directory_that_is_held_is_refused() {
    let node = busy();
    assert!(matches!(refusal(options(node.directory.path())), OpenError::Held { .. }));
    let clone = node.journal.clone();
    let Node { directory, journal, .. } = node;
    drop(journal);
    assert!(matches!(refusal(options(directory.path())), OpenError::Held { .. }), "a clone still holds it");
    drop(clone);
    Journal::open(options(directory.path())).unwrap();
}

#[test]
fn a_later_format_is_refused_also_with_families_that_are_not_known_yet() {
    let node = busy();
    let later = (MEMBER_FORMAT + 1).to_string();
    node.overwrite(Family::Meta, meta::FORMAT, later.as_bytes());
    let Node { directory, journal, .. } = node;
    drop(journal);
    assert!(matches!(refusal(options(directory.path())), OpenError::Format { found, .. } if found == later));
    let mut db = DB::open_cf_descriptors(
        &super::options::database(true, &StoreLimits::default()),
        directory.path(),
        super::options::families(std::iter::empty(), &StoreLimits::default()),
    )
    .unwrap();
    db.create_cf("novelty", &rocksdb::Options::default()).unwrap();
    drop(db);
    assert!(matches!(refusal(options(directory.path())), OpenError::Format { .. }));
}

#[test]
fn records_without_a_word_on_whose_they_are_are_refused() {
    let node = busy();
    for key in [meta::FORMAT, meta::NODE] {
        node.journal.0.db.inside().delete_cf(node.journal.0.family(Family::Meta).inside(), key).unwrap();
    }
    let Node { directory, journal, .. } = node;
    drop(journal);
    assert!(matches!(refusal(options(directory.path())), OpenError::Mangled { .. }));
}

/// Names, sizes and times of change of everything in a directory.
fn listing(path: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            (entry.path(), metadata.len(), metadata.modified().unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn looking_at_a_directory_changes_nothing_in_it() {
    let Node { directory, journal, heads, .. } = busy();
    drop(journal);
    let before = listing(directory.path());
    let journal = Journal::open_read_only(directory.path()).unwrap();
    assert_eq!(journal.identity().node, node_key().public());
    let recovered = journal.recover().unwrap();
    assert_eq!(recovered.heads.len(), heads.len());
    assert!(verify::verify(&journal, &mut |_| ()).is_good());
    assert_eq!(replay::replay(&journal, &mut |_| (), None).fault, None);
    assert_eq!(journal.append(&Batch::default()), Err(AppendError::ReadOnly));
    assert!(journal.prune_keys(3, &|_| u64::MAX, &|| true).is_err());
    drop(journal);
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn there_is_nothing_to_look_at_where_no_journal_is() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_path_buf(), directory.path().join("nowhere")] {
        assert!(matches!(Journal::open_read_only(&path), Err(OpenError::Absent { .. })));
    }
    assert!(listing(directory.path()).is_empty());
}

/// A directory that could not be looked at, as that of another user, read as "there is no journal".
#[test]
fn a_place_that_cannot_be_looked_at_is_no_place_without_a_journal() {
    let directory = tempfile::tempdir().unwrap();
    let circle = directory.path().join("journal");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    let error = Journal::open_read_only(&circle).err().unwrap();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
    let source = std::io::ErrorKind::PermissionDenied.into();
    let denied = OpenError::Unreadable { path: circle, source }.to_string();
    assert!(denied.contains("permission denied: run the command as the user of the daemon"), "{denied}");
}

#[test]
fn a_directory_that_a_node_writes_to_can_be_looked_at() {
    let mut node = busy();
    let looked = Journal::open_read_only(node.directory.path()).unwrap();
    node.commit(&["a"]);
    assert_eq!(looked.last().0, 9);
    assert_eq!(replay::replay(&looked, &mut |_| (), None).replayed, 9);
}

#[test]
fn a_fingerprint_depends_on_transition_inputs_and_signer() {
    let signer = |byte| SecretKey::from_bytes(&[byte; 32]).public();
    let all = [
        fingerprint(Transition::ControlPause, &Hash::of(b"x"), &signer(1)),
        fingerprint(Transition::ControlResume, &Hash::of(b"x"), &signer(1)),
        fingerprint(Transition::ControlPause, &Hash::of(b"y"), &signer(1)),
        fingerprint(Transition::ControlPause, &Hash::of(b"x"), &signer(2)),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}

/// A copy of the directory, as a crash would leave it.
fn crashed(node: &Node) -> super::testing::Directory {
    node.directory.copy()
}

#[test]
fn what_was_appended_is_there_after_a_crash() {
    let mut node = busy();
    let copy = crashed(&node);
    let journal = Journal::open(options(copy.path())).unwrap();
    let recovered = journal.recover().unwrap();
    assert_eq!((hashes(&recovered), recovered.last_chain), (known(&node), node.chain));
    node.commit(&["a"]);
    assert_eq!(journal.last().0, 9);
}

#[test]
fn a_write_torn_by_a_crash_takes_its_whole_batch_with_it() {
    let mut node = Node::new();
    node.commit(&["a", "b", "a"]);
    node.commit(&["c"]);
    let promised = fs::read(node.directory.watermark()).unwrap();
    node.commit(&["b", "a", "c", "a", "b"]);
    for cut in [1, 7, 100, 1000, 5000] {
        let copy = crashed(&node);
        // A write that a crash tears was not promised yet.
        fs::write(copy.watermark(), &promised).unwrap();
        let logs = listing(copy.path()).into_iter().filter(|(path, ..)| path.extension().is_some_and(|e| e == "log"));
        let (log, length, _) = logs.max().unwrap();
        fs::File::options().write(true).open(&log).unwrap().set_len(length - cut).unwrap();
        let journal = Journal::open(options(copy.path())).unwrap();
        let recovered = journal.recover().unwrap();
        assert_eq!(recovered.last_index, 4, "the third batch began after record 4 and is longer than {cut} bytes");
        for (project, found) in &recovered.heads {
            assert_eq!(found.head, node.head_then(project, 4));
        }
        assert!(verify::verify(&journal, &mut |_| ()).is_good());
    }
}

/// A read of the past went on to its end after its asker was gone.
#[test]
fn a_read_that_is_stopped_ends_and_is_no_damage() {
    let (node, stop) = (busy(), Stop::default());
    let read = |stop: &Stop| node.journal.head_at(&name("a"), 8, stop);
    assert!(read(&stop).is_ok());
    stop.set();
    let ended = read(&stop).unwrap_err();
    assert!(matches!(ended, FoldError::Read(ReadError::Abandoned)) && !ended.is_damage(), "{ended}");
    assert!(node.journal.latest_head_until(&name("a"), &stop).is_err());
}
