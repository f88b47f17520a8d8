//! Commands that write to a data directory without being the node, and incarnations.

use std::path::Path;

use super::layout::{Family, idem_key, scoped_key, wal_key};
use super::testing::{Directory, Node, name, options};
use super::watermark::{self, Watermark};
use super::*;
use swoosh_types::hlc::Hlc;

const AT: u64 = 7;

fn at() -> Hlc {
    Hlc::new(AT, 0).unwrap()
}

fn next(last: Option<u64>) -> NextIncarnation<'static> {
    NextIncarnation { number: 2, at: at(), reason: "a test", last }
}

fn delete(node: &Node, family: Family, key: &[u8]) {
    node.journal.0.db.inside().delete_cf(node.journal.0.family(family).inside(), key).unwrap();
}

fn mark(directory: &Directory) -> Option<Mark> {
    watermark::read(&directory.place()).unwrap().map(|found| found.mark)
}

/// Six records, then `harm` before the node stops.
fn stopped(harm: impl FnOnce(&Node)) -> Directory {
    let mut node = Node::new();
    for project in ["a", "b", "a", "b", "a", "b"] {
        node.commit(&[project]);
    }
    harm(&node);
    let Node { directory, journal, .. } = node;
    drop(journal);
    directory
}

fn follows(node: &Node) {
    node.overwrite(Family::Meta, layout::meta::FOLLOWS, b"http://node-1");
}

type Harm = (&'static str, Box<dyn Fn(&Node)>, Box<dyn Fn(&Directory)>);

/// Everything after which a node does not start, though the directory opens.
fn harms() -> Vec<Harm> {
    let row = |family: Family, key: Vec<u8>| -> Box<dyn Fn(&Node)> { Box::new(move |node| delete(node, family, &key)) };
    let nothing = || -> Box<dyn Fn(&Node)> { Box::new(|_| ()) };
    let none = || -> Box<dyn Fn(&Directory)> { Box::new(|_| ()) };
    let other = |change: fn(&mut Mark)| -> Box<dyn Fn(&Directory)> {
        Box::new(move |directory| {
            let mut mark = mark(directory).unwrap();
            change(&mut mark);
            drop(Watermark::create(&directory.place(), mark).unwrap());
        })
    };
    vec![
        ("the last record is lost", row(Family::Wal, wal_key(6).to_vec()), none()),
        ("its decision is lost", row(Family::Decisions, scoped_key(&name("b"), 6)), none()),
        (
            "its key is lost",
            row(Family::Idem, idem_key(&name("b"), &"goal:6:control:uuid-00000006".parse().unwrap())),
            none(),
        ),
        ("another history", nothing(), other(|mark| mark.chain = Hash::of(b"another"))),
        ("a watermark of another incarnation", nothing(), other(|mark| mark.incarnation = 9)),
        ("no watermark", nothing(), Box::new(|directory| std::fs::remove_file(directory.watermark()).unwrap())),
    ]
}

fn all_rows(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let journal = Journal::look_only(&Place::from(path), Keeper::read(&Place::from(path))).unwrap();
    let mut rows = Vec::new();
    for family in Family::ALL {
        let mut walk = journal.0.db.walk(journal.0.family(family), store::Scan::default());
        walk.seek_to_first();
        while let Some((key, value)) = walk.item().unwrap() {
            rows.push((key.to_vec(), value.to_vec()));
            walk.next();
        }
    }
    rows
}

/// `swoosh promote` gave up acknowledged records in silence: it wrote the watermark again for the end that was there.
#[test]
fn nothing_but_an_acceptance_writes_to_a_directory_on_which_a_node_would_not_start() {
    type Command = fn(&Path) -> Result<(), String>;
    let commands: [(&str, Command); 4] = [
        ("promote", |path| Journal::promote(path, at(), "a test").map(drop).map_err(|error| error.to_string())),
        ("restore", |path| Journal::begin_incarnation(path, &next(None)).map(drop).map_err(|error| error.to_string())),
        ("restore --index", |path| {
            Journal::begin_incarnation(path, &next(Some(3))).map(drop).map_err(|error| error.to_string())
        }),
        ("restore --follow", |path| Journal::set_following(path, "http://node-2").map_err(|error| error.to_string())),
    ];
    for (what, to_rows, to_watermark) in harms() {
        for (command, run) in &commands {
            let directory = stopped(|node| {
                follows(node);
                to_rows(node);
            });
            to_watermark(&directory);
            let start = Journal::check_start(directory.path()).unwrap_err().to_string();
            let before = (mark(&directory), all_rows(directory.path()));
            let refused = run(directory.path()).expect_err(what);
            assert_eq!(refused, start, "{command}: {what}");
            assert_eq!((mark(&directory), all_rows(directory.path())), before, "{command} changed something: {what}");
        }
    }
}

#[test]
fn a_whole_follower_is_promoted_once_and_an_interrupted_promotion_goes_on() {
    let directory = stopped(follows);
    let before = mark(&directory).unwrap();
    let begun = Journal::promote(directory.path(), at(), "a test").unwrap();
    assert_eq!((begun.number, begun.after), (2, 6));
    let promised = mark(&directory).unwrap();
    assert_eq!((promised.index, promised.chain, promised.incarnation), (6, before.chain, 2));
    let again = Journal::promote(directory.path(), at(), "a test");
    assert!(matches!(again, Err(IncarnationError::NotFollowing { .. })), "{again:?}");
    drop(Watermark::create(&directory.place(), before).unwrap());
    assert!(Journal::check_start(directory.path()).is_err(), "the watermark is of the incarnation before");
    assert_eq!(Journal::promote(directory.path(), at(), "again").unwrap(), begun);
    assert_eq!(mark(&directory).unwrap().incarnation, 2);
    let more = Mark { index: 8, ..before };
    drop(Watermark::create(&directory.place(), more).unwrap());
    let lost = Journal::promote(directory.path(), at(), "again").unwrap_err().to_string();
    assert!(lost.contains("record 7"), "{lost}");
    assert_eq!(mark(&directory).unwrap().index, 8);
}

/// The rows that the lost records left, and the next record at the lost index.
#[test]
fn an_accepted_loss_begins_an_incarnation_so_that_no_index_is_sealed_twice_in_one() {
    let mut node = Node::new();
    node.commit(&["a", "a"]);
    let lost = node.commit(&["b"]).remove(0);
    let old = node.journal.last().1;
    delete(&node, Family::Wal, &wal_key(3));
    let mut node = node.reopen();
    let loss = Journal::loss(node.directory.path()).unwrap();
    let mark = Journal::accept_end(node.directory.path(), &loss, at(), "ops: gone").unwrap();
    assert_eq!((mark.index, mark.incarnation), (2, 2));
    node.journal = Journal::open(options(node.directory.path())).unwrap();
    node.journal.recover().unwrap();
    let begun = node.journal.incarnations().to_vec();
    assert_eq!((begun.len(), begun[0].number, begun[0].after), (1, 2, 2));
    assert!(begun[0].reason.contains("ops: gone"), "{}", begun[0].reason);
    assert_eq!(node.journal.bound_key(&lost.project, &lost.idem_key).unwrap(), None, "the key went with its record");
    assert_eq!(node.journal.projects().unwrap(), [name("a")]);
    node.history.truncate(2);
    node.heads.remove(&name("b"));
    node.chain = begun[0].beginning();
    let same = node.commit(&["b"]).remove(0);
    assert_eq!(same, lost, "the very same record");
    assert_ne!(node.journal.last().1, old, "under another link");
    assert!(verify::verify(&node.journal, &mut |_| ()).is_good());
    let node = node.reopen();
    assert_eq!(node.journal.recover().unwrap().last_index, 3);
}

/// An older copy of the directory does not know of the incarnation that its watermark is of.
#[test]
fn the_number_of_an_incarnation_is_never_used_twice() {
    let directory = stopped(|_| ());
    let older = directory.copy();
    Journal::begin_incarnation(directory.path(), &NextIncarnation { number: 5, ..next(None) }).unwrap();
    std::fs::copy(directory.watermark(), older.watermark()).unwrap();
    let loss = Journal::loss(older.path()).unwrap();
    assert_eq!(Journal::accept_end(older.path(), &loss, at(), "ops: gone").unwrap().incarnation, 6);
}

/// A follower writes nothing of its own: it fetches lost records from its node again, under the same incarnation.
#[test]
fn a_follower_whose_loss_is_accepted_goes_on_under_the_same_incarnation() {
    let directory = stopped(|node| {
        follows(node);
        delete(node, Family::Wal, &wal_key(6));
    });
    let loss = Journal::loss(directory.path()).unwrap();
    assert_eq!(loss.follows.as_deref(), Some("http://node-1"));
    assert_eq!(Journal::accept_end(directory.path(), &loss, at(), "ops: gone").unwrap().incarnation, 1);
    let journal = Journal::reopen_following(options(directory.path())).unwrap();
    assert_eq!(journal.recover_tail().unwrap().last_index, 5);
    drop(journal);
    assert_eq!(Journal::promote(directory.path(), at(), "a test").unwrap().after, 5);
}

/// A copy of a follower's directory from before its promotion, whose loss was accepted, was promoted under the same number
/// a second time: other records were sealed at the same indexes of one incarnation.
#[test]
fn a_follower_s_older_copy_is_never_promoted_under_a_number_that_was_used() {
    let directory = stopped(follows);
    let older = directory.copy();
    assert_eq!(Journal::promote(directory.path(), at(), "a test").unwrap().number, 2);
    std::fs::copy(directory.watermark(), older.watermark()).unwrap();
    let loss = Journal::loss(older.path()).unwrap();
    Journal::accept_end(older.path(), &loss, at(), "ops: gone").unwrap();
    assert_eq!(Journal::promote(older.path(), at(), "a test").unwrap().number, 3);
}

/// A pruning that was interrupted wrote bases of a stretch and did not raise the floor.
#[test]
fn a_log_that_ends_earlier_keeps_no_row_of_the_records_after_its_end() {
    let directory = stopped(|node| {
        let (a, b) = (name("a"), name("b"));
        node.journal.0.write_bases(&[(&a, &5), (&b, &4)]).unwrap();
        node.journal.note_exported("file", 6).unwrap();
        node.journal.note_effect(&"b/6/fetch".parse().unwrap(), b"of a record that goes").unwrap();
    });
    Journal::begin_incarnation(directory.path(), &next(Some(3))).unwrap();
    let journal = Journal::open(options(directory.path())).unwrap();
    assert_eq!(journal.recover().unwrap().last_index, 3);
    assert_eq!(journal.0.based_projects().unwrap(), []);
    assert_eq!(journal.effect_notes().unwrap(), []);
    assert_eq!(journal.export_positions().unwrap()[0].index, 3);
    let report = verify::verify(&journal, &mut |_| ());
    assert!(report.is_good(), "{:?}", report.problems);
}

#[test]
fn a_journal_takes_no_write_before_it_passed_the_checks_of_a_start() {
    let directory = stopped(|_| ());
    let journal = Journal::open(options(directory.path())).unwrap();
    let refused = [
        journal.note_exported("file", 1).map_err(|error| error.to_string()),
        journal.note_effect(&"a/5/fetch".parse().unwrap(), b"begun").map_err(|error| error.to_string()),
        journal.thin_snapshots().map(drop).map_err(|error| error.to_string()),
        journal.prune_keys(1, &|_| u64::MAX, &|| true).map(drop).map_err(|error| error.to_string()),
        journal.collect_objects(&|| true).map(drop).map_err(|error| error.to_string()),
    ];
    for refused in refused {
        assert!(refused.clone().unwrap_err().contains("not recovered yet"), "{refused:?}");
    }
    journal.recover().unwrap();
    journal.note_exported("file", 1).unwrap();
}
