//! A member's directory: founding, both halves of an append, truncation, purging, and what a start finds.

use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::testing::member::{MemberNode, at, ballot, founding, must, start};
use crate::testing::{Directory, Node, options};
use crate::verify::verify;
use crate::watermark;
use crate::{AppendError, Durability, JournalOptions, OpenError, Retention, Write};
use std::sync::Arc;
use swoosh_types::cluster::{Barrier, Body, Configuration, Member as Peer, MemberId, Row};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::SecretKey;

fn families(node: &Node) -> Vec<String> {
    let mut names = rocksdb::DB::list_cf(&rocksdb::Options::default(), node.directory.path()).unwrap();
    names.sort();
    names
}

/// Every row of every family of ours.
fn rows(node: &Node) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for family in node.journal.0.families() {
        let column = node.journal.0.family(family).inside();
        for row in node.journal.0.db.inside().iterator_cf(column, rocksdb::IteratorMode::Start) {
            let (key, value) = row.unwrap();
            found.push((family.name().to_owned(), key.into(), value.into()));
        }
    }
    found
}

/// The hash of all rows and of the watermark after three commits, as the program wrote them before there were members.
const ALONE: &str = "sha256-d657337b693fd8333654b172da70ad86485aa91544df27af530c2e8a18c3858d";

/// The cluster must cost a node that runs alone nothing: neither a family nor a byte.
#[test]
fn a_node_that_runs_alone_writes_the_bytes_that_it_wrote_before_there_were_members() {
    let mut node = Node::new();
    node.commit(&["a", "b"]);
    let (mut batch, _) = node.batch(&["a"]);
    let fact = br#"{"claim":{"body":{"#.to_vec();
    batch.writes.push(Write::Object { hash: Hash::of(&fact), bytes: fact });
    node.journal.append(&batch).unwrap();
    let snapshot = node.snapshot(3);
    let (mut batch, _) = node.batch(&["c"]);
    batch.writes.push(Write::Snapshot(Box::new(snapshot)));
    node.journal.append(&batch).unwrap();
    assert_eq!(families(&node), ["decisions", "default", "idem", "meta", "objects", "outbox", "snapshots", "wal"]);
    let mut bytes = std::fs::read(node.directory.watermark()).unwrap();
    for (family, key, value) in rows(&node) {
        [family.as_bytes(), &key, &value].iter().for_each(|part| bytes.extend_from_slice(part));
    }
    assert_eq!(Hash::of(&bytes).to_string(), ALONE);
    let node = node.reopen();
    node.journal.recover_tail().unwrap();
    assert_eq!(families(&node).len(), 8, "a start adds none");
    assert!(node.journal.member().is_none() && node.journal.logged().is_none());
    assert!(matches!(node.journal.member_log().err(), Some(AppendError::NotMember)));
}

#[test]
fn founding_keeps_every_record_and_adds_what_members_have() {
    let mut node = Node::new();
    node.commit(&["a", "b"]);
    let before: Vec<_> = rows(&node).into_iter().filter(|(family, ..)| family != "meta").collect();
    let wanted = options(node.directory.path());
    node.journal = Journal::open_read_only(&wanted.path).unwrap();
    Journal::found(wanted.clone(), &founding()).unwrap();
    node.journal = start(wanted, 1).unwrap();
    assert_eq!(families(&node).len(), 10);
    let after: Vec<_> = rows(&node).into_iter().filter(|(family, ..)| family != "meta").collect();
    assert_eq!(after, before);
    let identity = MemberIdentity { number: MemberId(1), directory: founding().directory };
    assert_eq!(node.journal.member(), Some(identity));
    assert_eq!((node.journal.last().0, node.journal.logged()), (2, Some((Some(at(1, 1)), 2))));
    assert_eq!(node.journal.boot(), Some((1, [1; 16])));
    let log = node.journal.member_log().unwrap();
    assert_eq!(log.ends().purged, Some(at(1, 1)));
    assert_eq!((log.ends().last, log.ends().ballot), (Some(at(1, 1)), Some(ballot(1, 1, true))));
}

/// A program that knows no cluster, and every command that writes outside of it, must leave a member's directory alone.
#[test]
fn a_member_s_directory_is_refused_where_it_does_not_belong() {
    let member = MemberNode::after(2);
    let path = member.node.directory.path().to_path_buf();
    assert_eq!(
        crate::open::get(&member.node.journal.0.db, &Place::directory(&path), meta::FORMAT).unwrap().unwrap(),
        "4"
    );
    let (batch, _) = Node::new().batch(&["a"]);
    assert_eq!(member.node.journal.append(&batch), Err(AppendError::Replicated));
    let MemberNode { mut node, log } = member;
    drop(log);
    node.journal = Journal::open_read_only(&path).unwrap();
    assert!(matches!(Journal::open(options(&path)), Err(OpenError::Member { .. })));
    assert!(matches!(Journal::found(options(&path), &founding()), Err(FoundError::Already { .. })));
    assert!(Journal::set_following(Place::directory(&path), "n2").unwrap_err().to_string().contains("member"));
    assert!(Journal::promote(Place::directory(&path), Hlc::default(), "now").is_err());
    std::fs::remove_file(node.directory.watermark()).unwrap();
    assert!(Journal::loss(Place::directory(&path)).unwrap_err().to_string().contains("cluster's member"));
    let alone = Node::new();
    let wanted = options(alone.directory.path());
    let Node { directory, journal, .. } = alone;
    drop(journal);
    assert!(matches!(Journal::open_member(wanted, [0; 16]), Err(OpenError::NotMember { .. })));
    drop(directory);
}

/// A member that lost its disk must not begin with an empty log: it would vote again.
#[test]
fn a_member_is_never_made_by_a_start() {
    let directory = Directory::new();
    let opened = Journal::open_member(options(directory.path()), [0; 16]);
    assert!(matches!(opened, Err(OpenError::Absent { .. })));
    assert!(!directory.path().join("CURRENT").exists());
}

/// The crash between the rows and the watermark of a founding.
#[test]
fn an_interrupted_founding_is_finished_by_another_one_and_nothing_else() {
    let mut node = Node::new();
    node.commit(&["a"]);
    let wanted = options(node.directory.path());
    let before = std::fs::read(node.directory.watermark()).unwrap();
    node.journal = Journal::open_read_only(&wanted.path).unwrap();
    Journal::found(wanted.clone(), &founding()).unwrap();
    std::fs::write(node.directory.watermark(), &before).unwrap();
    assert!(Journal::open(wanted.clone()).is_err());
    assert!(start(wanted.clone(), 1).err().unwrap().contains("founding was interrupted"));
    Journal::found(wanted.clone(), &founding()).unwrap();
    drop(start(wanted.clone(), 1).unwrap());
    // Once it was started, the watermark of before is an old one.
    std::fs::write(node.directory.watermark(), &before).unwrap();
    assert!(matches!(Journal::found(wanted.clone(), &founding()), Err(FoundError::Already { .. })));
    assert!(start(wanted, 2).is_err());
}

fn row(term: u64, index: u64, body: Body) -> Row {
    Row { at: at(term, index), body }
}

/// What the engine reads back, of all kinds, from memory and from the disk.
#[test]
fn rows_of_every_kind_are_read_back_as_appended_before_they_are_written_and_after_a_start() {
    let mut member = MemberNode::after(1);
    member.vote(2, 1, true);
    let configuration = Configuration { voters: vec![[MemberId(1), MemberId(2)].into()], ..Configuration::default() };
    let barrier = Barrier { member: MemberId(1), epoch: 2 };
    let mut all =
        vec![row(2, 2, Body::Blank), row(2, 3, Body::Barrier(barrier)), row(2, 4, Body::Members(configuration))];
    member.log.append(all.clone(), must());
    let (batch, _) = member.batch(2, &["a", "b"]);
    all.push(batch.clone());
    member.log.append(vec![batch], must());
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap(), all, "not written yet");
    assert_eq!(member.log.ends().last, Some(at(2, 5)));
    assert_eq!(member.node.journal.logged(), Some((Some(at(1, 1)), 1)), "of what is written");
    assert!(member.log.work() && !member.log.work());
    let member = member.restart(2);
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap(), all);
    assert_eq!(member.log.read(3, 5, usize::MAX).unwrap(), all[1..3]);
    assert_eq!(member.log.read(5, 9, 1).unwrap(), all[3..], "the first row, at any size");
    assert_eq!(member.log.read(2, 9, 300).unwrap(), all[..1]);
    assert_eq!((member.node.journal.last().0, member.node.journal.logged()), (1, Some((Some(at(2, 5)), 3))));
}

/// A row that may still be replaced must not be seen by readers, exports, checks or a replay.
#[test]
fn readers_see_what_is_applied_and_the_log_has_more() {
    let mut member = MemberNode::after(1);
    member.vote(2, 1, true);
    member.commit(2, &["a", "b"], true);
    member.commit(2, &["c"], false);
    for _ in 0..2 {
        let journal = &member.node.journal;
        assert_eq!((journal.last().0, journal.logged().unwrap().1), (3, 4));
        assert!(journal.record(3).unwrap().is_some() && journal.record(4).unwrap().is_none());
        assert_eq!(journal.records_from(1).count(), 3);
        assert_eq!(journal.projects().unwrap().len(), 2);
        let view = journal.view().unwrap();
        assert_eq!((view.last().0, view.records_from(1).count()), (3, 3));
        assert!(view.record(4).unwrap().is_none());
        let report = verify(&view, &mut |_| ());
        assert!(report.is_good() && report.records == 3, "{:?}", report.problems);
        assert_eq!(view.recover().unwrap().heads.len(), 2);
        assert!(view.check_chain(&mut |_| ()).is_ok());
        member = member.restart(7);
    }
    // Its objects are there already, and no collection takes them.
    assert_eq!(member.node.journal.collect_objects(&|| true).unwrap().collected, 0);
    let rows = member.log.read(3, 9, usize::MAX).unwrap();
    assert_eq!(rows.len(), 1);
    assert!(verify(&member.node.journal.view().unwrap(), &mut |_| ()).is_good());
}

/// A crash between an append and its application: the row is applied again by the next start.
#[test]
fn what_was_logged_is_applied_after_a_start() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let (first, writes) = member.batch(2, &["a"]);
    member.log.append(vec![first.clone()], must());
    member.log.note_committed(at(2, 2));
    member.log.work();
    let mut member = member.restart(2);
    assert_eq!(member.log.applied().at, Some(at(1, 1)));
    assert_eq!(member.log.ends().committed, Some(at(2, 2)));
    let again = member.log.read(2, 3, usize::MAX).unwrap().remove(0);
    assert_eq!(again, first);
    member.log.apply(again, writes, must());
    member.log.work();
    assert_eq!(member.node.journal.latest_head(&"a".parse().unwrap()).unwrap().unwrap().index, 1);
    member.commit(2, &["a"], true);
    let member = member.restart(3);
    assert_eq!((member.log.applied().at, member.node.journal.last().0), (Some(at(2, 3)), 2));
}

fn refused(log: &MemberLog, change: impl FnOnce(LogDone)) -> String {
    let (sender, receiver) = mpsc::channel();
    change(Box::new(move |result| sender.send(result).unwrap()));
    log.work();
    receiver.recv().unwrap().unwrap_err().to_string()
}

/// The apply half must never be written before the log half: a crash between would leave decisions without their record.
#[test]
fn a_row_is_applied_in_order_and_only_once_it_is_in_the_log() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let (first, writes) = member.batch(2, &["a"]);
    let log = member.log.clone();
    let early = refused(&log, |done| log.apply(first.clone(), writes.clone(), done));
    assert!(early.contains("row 2.2") && early.contains("not the next one"), "{early}");
    assert_eq!(member.node.rows(Family::Decisions), 0);
    log.append(vec![first.clone()], must());
    let half = refused(&log, |done| log.apply(first.clone(), Vec::new(), done));
    assert!(half.contains("decision records"), "{half}");
    log.apply(first, writes, must());
    log.work();
    assert_eq!(member.node.journal.last().0, 1);
}

#[test]
fn rows_and_batches_that_do_not_follow_are_refused_and_nothing_of_them_is_written() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let log = member.log.clone();
    for row in [row(2, 3, Body::Blank), row(1, 1, Body::Blank), row(0, 2, Body::Blank)] {
        assert!(refused(&log, |done| log.append(vec![row], done)).contains("the log ends at"));
    }
    let (good, _) = member.batch(2, &["a"]);
    let Body::Batch(batch) = &good.body else { panic!() };
    let mut wrong = Vec::new();
    for change in 0..4 {
        let mut batch = (**batch).clone();
        match change {
            0 => batch.first = 2,
            1 => batch.before = Hash::of(b"another"),
            2 => batch.after = Hash::of(b"another"),
            _ => *batch.frames[0].last_mut().unwrap() ^= 1,
        }
        wrong.push(batch);
    }
    for batch in wrong {
        let log = MemberNode::new().log;
        log.vote(ballot(2, 1, true), must());
        let bad = Row { at: good.at, body: Body::Batch(Arc::new(batch)) };
        refused(&log, |done| log.append(vec![bad], done));
        assert_eq!(log.journal().logged(), Some((Some(at(1, 1)), 0)));
        assert!(!log.journal().is_stopped(), "the disk is sound");
    }
    member.log.append(vec![good], must());
    member.log.work();
    assert_eq!(member.node.journal.logged(), Some((Some(at(2, 2)), 1)));
}

/// Another leader's rows replace those that did not commit.
#[test]
fn a_truncation_takes_rows_and_records_back_but_nothing_that_is_applied() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let kept = member.commit(2, &["a"], true);
    let chain = member.node.chain;
    member.commit(2, &["b"], false);
    member.commit(2, &["c", "d"], false);
    let log = member.log.clone();
    let below = refused(&log, |done| log.truncate(Some(at(1, 1)), done));
    assert!(below.contains("not cut there"), "{below}");
    drop(log);
    let mut member = member.restart(2);
    member.vote(3, 2, true);
    member.log.truncate(Some(kept.at), must());
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap(), std::slice::from_ref(&kept), "at once");
    member.log.work();
    assert_eq!(member.node.journal.logged(), Some((Some(at(2, 2)), 1)));
    assert_eq!((member.node.rows(Family::Raft), member.node.rows(Family::Wal)), (1, 1));
    let mark = watermark::read(&member.node.directory.place()).unwrap().unwrap().mark;
    assert_eq!((mark.index, mark.member.unwrap().end), (1, Some(at(2, 2))), "the promise is lower");
    member.node.forget_after(1, chain);
    let other = member.commit(3, &["e"], true);
    let member = member.restart(3);
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap(), [kept, other]);
    assert!(verify(&member.node.journal.view().unwrap(), &mut |_| ()).is_good());
}

/// Appends, a truncation and appends behind it, all waiting: rows that the truncation removes must not come back.
#[test]
fn a_truncation_keeps_its_place_in_the_queue() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let chain = member.node.chain;
    let (old, _) = member.batch(2, &["a", "b"]);
    member.log.append(vec![old, row(2, 3, Body::Blank)], must());
    member.log.truncate(Some(at(1, 1)), must());
    member.node.forget_after(0, chain);
    member.log.vote(ballot(3, 2, true), must());
    let (new, writes) = member.batch(3, &["c"]);
    member.log.append(vec![new.clone()], must());
    member.log.apply(new.clone(), writes, must());
    member.log.work();
    let member = member.restart(2);
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap(), [new]);
    assert_eq!((member.node.rows(Family::Raft), member.node.rows(Family::Wal)), (1, 1));
}

#[test]
fn a_purge_takes_applied_rows_and_leaves_their_records_and_pruning_goes_no_further() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    (0..6).for_each(|_| drop(member.commit(2, &["a"], true)));
    member.commit(2, &["a"], false);
    let log = member.log.clone();
    assert!(refused(&log, |done| log.purge(at(2, 8), done)).contains("not applied"));
    drop(log);
    let mut member = member.restart(2);
    let all = Retention { records: 1, since: Hlc::new(u64::MAX >> 20, 0).unwrap(), exported_to: None };
    assert_eq!(member.node.journal.prunable(&all).unwrap(), 1, "every row is needed");
    let mut with_snapshot = member.batch(2, &["a"]);
    with_snapshot.1.push(Write::Snapshot(Box::new(member.node.snapshot(6))));
    let unapplied = member.log.read(8, 9, usize::MAX).unwrap().remove(0);
    let seventh = decisions_of(&member, 7);
    member.log.apply(unapplied, seventh, must());
    member.log.append(vec![with_snapshot.0.clone()], must());
    member.log.apply(with_snapshot.0, with_snapshot.1, must());
    member.log.purge(at(2, 5), must());
    member.log.purge(at(2, 4), must());
    assert_eq!(member.log.ends().purged, Some(at(2, 5)));
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap().len(), 3);
    member.log.work();
    let member = member.restart(3);
    assert_eq!(member.log.ends().purged, Some(at(2, 5)));
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap().len(), 3);
    assert_eq!(member.node.rows(Family::Wal), 8);
    assert_eq!(member.node.journal.prunable(&all).unwrap(), 5, "the first record that a row names");
    assert_eq!(member.node.journal.prune_wal(&all, &|| true).unwrap().first_index, 5);
    let member = member.restart(4);
    assert_eq!(member.log.read(0, 9, usize::MAX).unwrap().len(), 3);
    assert!(verify(&member.node.journal.view().unwrap(), &mut |_| ()).is_good());
}

/// What the record at an index writes, made by a node of its own.
fn decisions_of(member: &MemberNode, index: usize) -> Vec<Write> {
    let mut node = Node::new();
    let projects: Vec<String> = member.node.history.iter().map(|(project, _)| project.to_string()).collect();
    let names: Vec<&str> = projects.iter().map(String::as_str).collect();
    for name in &names[..index - 1] {
        node.commit(&[name]);
    }
    let (batch, _) = node.batch(&[names[index - 1]]);
    batch.writes.into_iter().filter(|write| !matches!(write, Write::Object { .. })).collect()
}

/// Two leaders of one term begin with two votes of one member.
#[test]
fn a_vote_never_goes_back_and_is_kept_over_starts() {
    let mut member = MemberNode::new();
    let log = member.log.clone();
    for (held, given, may) in [
        ((2, 1, false), (2, 1, true), true),
        ((2, 1, false), (2, 1, false), true),
        ((2, 1, false), (2, 2, true), true),
        ((2, 1, false), (2, 2, false), false),
        ((2, 1, true), (2, 1, false), false),
        ((2, 1, true), (2, 2, true), false),
        ((2, 1, true), (1, 3, true), false),
        ((2, 1, true), (3, 2, false), true),
    ] {
        let log = MemberNode::new().log;
        let [held, given] = [held, given].map(|(term, member, elected)| ballot(term, member, elected));
        log.vote(held, must());
        log.work();
        let outcome = Arc::new(Mutex::new(None));
        let seen = outcome.clone();
        log.vote(given, Box::new(move |result| *seen.lock().unwrap() = Some(result)));
        log.work();
        let expected = if may { Ok(()) } else { Err(AppendError::Vote { held, given }) };
        assert_eq!(outcome.lock().unwrap().take(), Some(expected));
    }
    log.vote(ballot(4, 3, false), must());
    log.work();
    member = {
        drop(log);
        member.restart(2)
    };
    assert_eq!(member.log.ends().ballot, Some(ballot(4, 3, false)));
    let again = refused(&member.log.clone(), |done| member.log.vote(ballot(4, 2, false), done));
    assert!(again.contains("contradicts"), "{again}");
}

/// Everything that waits is one write with one sync, and one watermark: a group is as cheap as its last member.
#[test]
fn what_waits_is_written_as_one_group() {
    let mut member = MemberNode::new();
    member.vote(2, 1, true);
    let before = watermark::read(&member.node.directory.place()).unwrap().unwrap().mark.sequence;
    for _ in 0..5 {
        let (row, writes) = member.batch(2, &["a"]);
        member.log.append(vec![row.clone()], must());
        member.log.apply(row, writes, must());
    }
    member.log.work();
    let after = watermark::read(&member.node.directory.place()).unwrap().unwrap().mark;
    assert_eq!((after.sequence, after.index), (before + 1, 5));
    assert_eq!(member.node.journal.last().0, 5);
}

/// The queue's thread: changes of several threads are written in the order in which they came.
#[test]
fn a_thread_writes_the_queue_and_ends_when_all_is_written() {
    let mut member = MemberNode::new();
    let thread = member.log.spawn().unwrap();
    let (sender, receiver) = mpsc::channel();
    let done = |number: u32| -> LogDone {
        let sender = mpsc::Sender::clone(&sender);
        Box::new(move |result| sender.send((number, result)).unwrap())
    };
    member.log.vote(ballot(2, 1, true), done(0));
    for number in 1..50 {
        let (row, writes) = member.batch(2, &["a"]);
        member.log.append(vec![row.clone()], done(2 * number));
        member.log.apply(row, writes, done(2 * number + 1));
    }
    drop((thread, sender));
    let order: Vec<_> = receiver.iter().collect();
    assert!(order.iter().all(|(_, result)| result.is_ok()));
    assert!(order.is_sorted_by_key(|(number, _)| *number), "{order:?}");
    assert_eq!(order.len(), 99);
    assert_eq!(member.restart(2).node.journal.last().0, 49);
}

/// An older watermark may have forgotten a vote; each of these is an old copy put back.
#[test]
fn a_watermark_that_is_older_than_the_journal_is_refused() {
    let copy = |member: &MemberNode| std::fs::read(member.node.directory.watermark()).unwrap();
    let refuses = |member: MemberNode, old: &[u8], sign: &str| {
        let MemberNode { node, log } = member;
        let (directory, wanted) = (node.directory, options(node.journal.path()));
        drop((log, node.journal));
        std::fs::write(directory.watermark(), old).unwrap();
        let error = start(wanted.clone(), 9).err().unwrap();
        assert!(error.contains(sign) && error.contains("runbooks/recovery.md"), "{error}");
        let view = Journal::open_read_only(&wanted.path).unwrap();
        assert!(!verify(&view, &mut |_| ()).is_good());
    };
    // Of an earlier start.
    let member = MemberNode::new();
    let old = copy(&member);
    refuses(member.restart(2), &old, "of start 1");
    // Of the same start, from before a vote. The journal has the vote with the next write.
    let mut member = MemberNode::new();
    let old = copy(&member);
    member.vote(2, 1, false);
    member.vote(2, 1, true);
    member.commit(2, &["a"], true);
    refuses(member, &old, "term 2 member 1");
    // Of a node that ran alone.
    let alone = Node::new();
    let member = MemberNode::new();
    refuses(member, &std::fs::read(alone.directory.watermark()).unwrap(), "runs alone");
    // Of a copy that was started elsewhere.
    let member = MemberNode::new();
    let other = member.node.directory.copy();
    drop(start(options(other.path()), 5).unwrap());
    let elsewhere = std::fs::read(other.watermark()).unwrap();
    refuses(member.restart(6), &elsewhere, "of start 2");
}

#[test]
fn a_member_syncs_whatever_the_setting_says() {
    let member = MemberNode::new();
    let wanted = JournalOptions {
        durability: Durability::Interval(std::time::Duration::from_secs(3600)),
        ..options(member.node.directory.path())
    };
    let MemberNode { mut node, log } = member;
    drop(log);
    node.journal = Journal::open_read_only(&wanted.path).unwrap();
    node.journal = start(wanted, 2).unwrap();
    let log = node.journal.member_log().unwrap();
    log.vote(ballot(2, 1, true), must());
    log.append(vec![row(2, 2, Body::Blank)], must());
    log.work();
    let crashed = node.directory.copy();
    let again = start(options(crashed.path()), 3).unwrap();
    assert_eq!(again.logged(), Some((Some(at(2, 2)), 0)));
    assert!(matches!(node.journal.0.keeper.promised(), Ok(Some(mark)) if mark.member.unwrap().end == Some(at(2, 2))));
}

/// The configuration with members of these numbers; the seed of a member's key is ten more.
fn with_members(numbers: &[u64]) -> Configuration {
    let key = |number: u64| SecretKey::from_bytes(&[number as u8 + 10; 32]);
    let member = |number: u64| Peer { key: key(number).public(), ..Peer::default() };
    let members = numbers.iter().map(|number| (MemberId(*number), member(*number))).collect();
    Configuration { voters: vec![numbers.iter().copied().map(MemberId).collect()], members }
}

/// Another leader's records were damage to each member but that one, and to all once it was removed.
#[test]
fn records_hold_that_any_member_sealed_also_after_its_removal_and_no_one_else_s_do() {
    let mut member = MemberNode::after(1);
    member.vote(2, 2, true);
    for (index, members) in [(2, &[1, 2][..]), (4, &[1])] {
        let row = row(2, index, Body::Members(with_members(members)));
        member.log.append(vec![row.clone()], must());
        member.log.apply(row, Vec::new(), must());
        member.node.sealer = (SecretKey::from_bytes(&[12; 32]), Some(2));
        member.commit(2, &["a", "b"], true);
    }
    for start in 2..4 {
        member = member.restart(start);
        let report = verify(&member.node.journal.view().unwrap(), &mut |_| ());
        assert!(report.is_good() && report.records == 5, "{:?}", report.problems);
    }
    assert_eq!(member.node.journal.record(3).unwrap().unwrap().receipt().seal.batch.term, Some(2));
    member.node.sealer = (SecretKey::from_bytes(&[13; 32]), Some(2));
    member.commit(2, &["a"], true);
    let report = verify(&member.node.journal.view().unwrap(), &mut |_| ());
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
}
