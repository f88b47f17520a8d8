//! The log of a cluster's member on the simulated disk: random changes and crashes against a vector of rows.
//!
//! After each crash the directory must be what it was after some change since the last one that was acknowledged. A power loss
//! strikes every operation of the disk, also during a start, in a vote and in a truncation.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Lies, Mounted, Trap};
use swoosh_journal::testing::member::{at, ballot, founding, row_of};
use swoosh_journal::testing::{Node, options};
use swoosh_journal::verify::verify;
use swoosh_journal::{AppendError, Journal, JournalOptions, LogDone, MemberLog, Write};
use swoosh_machine::head::Head;
use swoosh_testkit::random::Random;
use swoosh_types::cluster::{Ballot, Body, Position, Row};
use swoosh_types::hash::Hash;
use swoosh_types::text::ProjectName;

/// The log after a change, as the simplest program would keep it.
#[derive(Clone, Debug)]
struct Model {
    /// All rows since the log began, and what each writes when it is applied.
    rows: Vec<(Row, Arc<Vec<Write>>)>,
    ballot: Ballot,
    applied: Position,
    purged: Position,
    /// The last record and its link.
    records: (u64, Hash),
    /// The states that its records lead to.
    history: Arc<Vec<(ProjectName, Head)>>,
}

impl Model {
    fn last(&self) -> Position {
        self.rows.last().map_or(at(1, 1), |(row, _)| row.at)
    }

    /// Its positions, for a failure.
    fn places(&self) -> String {
        format!("rows to {}, applied {}, purged {}, {}", self.last(), self.applied, self.purged, self.ballot)
    }

    /// The rows that are not purged.
    fn kept(&self) -> Vec<Row> {
        let rows = self.rows.iter().map(|(row, _)| row.clone());
        rows.filter(|row| row.at.index > self.purged.index).collect()
    }

    fn cut(&mut self, last: Position, records: (u64, Hash)) {
        self.rows.retain(|(row, _)| row.at.index <= last.index);
        self.records = records;
    }

    /// The last record up to a row, and its link.
    fn records_at(&self, last: Position) -> (u64, Hash) {
        let rows = self.rows.iter().rev().map(|(row, _)| row).filter(|row| row.at.index <= last.index);
        let batches = rows.filter_map(|row| if let Body::Batch(batch) = &row.body { Some(batch) } else { None });
        batches.map(|batch| (batch.first + batch.count() - 1, batch.after)).next().unwrap_or((0, Hash::ZERO))
    }
}

/// What each change came to: whether it was acknowledged.
type Acknowledged = Arc<Mutex<Vec<Option<bool>>>>;

struct Run {
    disk: Arc<Disk>,
    random: Random,
    source: Node,
    /// The model after each change since the start, from before the first one.
    states: Vec<Model>,
    acknowledged: Acknowledged,
    starts: u8,
    crashes: u32,
}

impl Run {
    fn new(seed: u64, mut source: Node) -> Run {
        source.forget_after(0, Hash::ZERO);
        let disk = Arc::new(Disk::new(Lies::default()));
        let first = Model {
            rows: Vec::new(),
            ballot: ballot(1, 1, true),
            applied: at(1, 1),
            purged: at(1, 1),
            records: (0, Hash::ZERO),
            history: Arc::default(),
        };
        let acknowledged = Acknowledged::default();
        let random = Random::new(seed);
        let run = Run { disk, random, source, states: vec![first], acknowledged, starts: 0, crashes: 0 };
        Journal::found(run.options(), &founding()).unwrap();
        run
    }

    fn options(&self) -> JournalOptions {
        JournalOptions { medium: Some(Arc::new(Mounted(self.disk.clone()))), ..options(Path::new("simulated")) }
    }

    fn now(&self) -> &Model {
        self.states.last().unwrap()
    }

    /// Notes a change, and whether it is acknowledged.
    fn change(&mut self, model: Model) -> LogDone {
        self.states.push(model);
        let acknowledged = self.acknowledged.clone();
        let number = {
            let mut all = acknowledged.lock().unwrap();
            all.push(None);
            all.len() - 1
        };
        Box::new(move |result: Result<(), AppendError>| {
            assert!(
                matches!(&result, Ok(()) | Err(AppendError::Storage(_) | AppendError::Stopped { .. })),
                "{result:?}"
            );
            acknowledged.lock().unwrap()[number] = Some(result.is_ok());
        })
    }

    fn append(&mut self, log: &MemberLog) {
        let mut next = self.now().clone();
        let mut rows = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let place = at(next.ballot.term, next.last().index + 1);
            let (row, writes) = match self.random.below(4) {
                0 => (Row { at: place, body: Body::Blank }, Vec::new()),
                _ => {
                    let names: Vec<&str> =
                        (0..self.random.between(1, 3)).map(|_| self.random.pick(["a", "b", "c"])).collect();
                    let (batch, _) = self.source.batch(&names);
                    row_of(&batch, place, next.records.1)
                }
            };
            next.rows.push((row.clone(), Arc::new(writes)));
            next.records = next.records_at(place);
            rows.push(row);
        }
        next.history = Arc::new(self.source.history.clone());
        let done = self.change(next);
        log.append(rows, done);
    }

    fn vote(&mut self, log: &MemberLog) {
        let mut next = self.now().clone();
        let Ballot { term, member, elected } = next.ballot;
        next.ballot = match self.random.below(2) {
            0 if !elected => ballot(term, member.0, true),
            _ => ballot(term + 1, self.random.between(1, 3), self.random.happens(1, 2)),
        };
        let given = next.ballot;
        let done = self.change(next);
        log.vote(given, done);
    }

    /// Another leader cuts the rows that are not applied, in a later term.
    fn truncate(&mut self, log: &MemberLog) {
        let mut next = self.now().clone();
        let length = next.last().index - next.applied.index;
        let index = next.applied.index + self.random.below(length + 1);
        let row = next.rows.iter().map(|(row, _)| row.at).find(|place| place.index == index);
        let last = row.unwrap_or(next.applied);
        let records = next.records_at(last);
        next.cut(last, records);
        self.source.forget_after(records.0, records.1);
        next.history = Arc::new(self.source.history.clone());
        let done = self.change(next);
        log.truncate(Some(last), done);
    }

    fn apply(&mut self, log: &MemberLog) {
        let mut next = self.now().clone();
        let found = next.rows.iter().find(|(row, _)| row.at.index == next.applied.index + 1);
        let Some((row, writes)) = found.cloned() else { return };
        next.applied = row.at;
        let done = self.change(next);
        log.apply(row, writes.to_vec(), done);
    }

    fn purge(&mut self, log: &MemberLog) {
        let mut next = self.now().clone();
        if next.applied.index <= next.purged.index {
            return;
        }
        let index = self.random.between(next.purged.index + 1, next.applied.index);
        next.purged = next.rows.iter().map(|(row, _)| row.at).find(|place| place.index == index).unwrap();
        let upto = next.purged;
        let done = self.change(next);
        log.purge(upto, done);
    }

    fn step(&mut self, log: &MemberLog) {
        match self.random.below(12) {
            0 => self.vote(log),
            1 if self.random.happens(1, 2) => self.truncate(log),
            1 => self.purge(log),
            2..=5 => self.apply(log),
            6..=8 => self.append(log),
            _ => {
                log.work();
            }
        }
    }

    /// Starts, and tries again after each failure during the start.
    fn start(&mut self) -> MemberLog {
        loop {
            self.starts = self.starts.wrapping_add(1);
            let opened = Journal::open_member(self.options(), [self.starts; 16]).map_err(|error| error.to_string());
            let opened = opened.and_then(|journal| {
                let recovered = journal.recover_tail().map_err(|error| error.to_string());
                recovered.map(|_| journal)
            });
            match opened {
                Ok(journal) => return journal.member_log().unwrap(),
                Err(error) => assert!(self.disk.is_off(), "the member does not start: {error}"),
            }
            self.switch_on();
        }
    }

    fn switch_on(&mut self) {
        self.disk.take_fired();
        self.disk.switch_on(&mut self.random);
        self.crashes += 1;
        if self.random.happens(1, 4) {
            self.disk.set(Trap::PowerLoss, u32::try_from(self.random.below(6)).unwrap());
        }
    }

    /// Compares what a start found with the states that it may have found.
    fn check(&mut self, log: &MemberLog) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        // Applies and purges are acknowledged when they are written: a power loss may take them back, also where a vote behind them
        // is kept. An append or a truncation keeps everything before it.
        let since = |of: &dyn Fn(&Model, &Model) -> bool| {
            let kept = (0..acknowledged.len()).rev().find(|change| {
                acknowledged[*change] == Some(true) && of(&self.states[*change], &self.states[change + 1])
            });
            kept.map_or(0, |change| change + 1)
        };
        let oldest = since(&|before, after| before.last() != after.last());
        let oldest_vote = since(&|before, after| before.last() != after.last() || before.ballot != after.ballot);
        let (ends, applied) = (log.ends(), log.applied().at);
        let rows = log.read(0, u64::MAX, usize::MAX).unwrap();
        let possible = &self.states[oldest..];
        let found = possible.iter().find(|state| {
            state.kept() == rows
                && (Some(state.applied), Some(state.purged), Some(state.last())) == (applied, ends.purged, ends.last)
        });
        let Some(found) = found.cloned() else {
            let places: Vec<String> = possible.iter().map(Model::places).collect();
            panic!("{} rows, {ends:?}, applied {applied:?} is no state of {places:#?}", rows.len());
        };
        let given = ends.ballot.unwrap();
        let votes = &self.states[oldest_vote..];
        assert!(votes.iter().any(|state| state.ballot == given), "the vote {given} was forgotten or never given");
        let journal = log.journal();
        assert_eq!(journal.last().0, found.records_at(found.applied).0);
        if self.random.happens(1, 5) {
            let report = verify(&journal.view().unwrap(), &mut |_| ());
            assert!(report.is_good(), "{:?}", report.problems);
        }
        self.source.history.clone_from(&found.history);
        self.source.forget_after(found.records.0, found.records.1);
        self.states = vec![Model { ballot: given, ..found }];
        self.acknowledged.lock().unwrap().clear();
    }

    /// Some changes, with a crash at one of the operations that they cost.
    fn round(&mut self, log: MemberLog) {
        let trap = self.random.pick([Trap::PowerLoss, Trap::PowerLoss, Trap::Kill, Trap::FailSync, Trap::FailWrite]);
        self.disk.set(trap, u32::try_from(self.random.below(25)).unwrap());
        for _ in 0..60 {
            self.step(&log);
            if self.disk.has_fired() {
                break;
            }
        }
        if !self.disk.is_off() {
            self.disk.switch_off(self.random.pick([Trap::PowerLoss, Trap::Kill]));
        }
        self.disk.disarm();
        log.work();
        drop(log);
        self.switch_on();
    }
}

fn run(seed: u64, source: Node) -> (u32, Node) {
    let mut run = Run::new(seed, source);
    for _ in 0..30 {
        let log = run.start();
        run.disk.disarm();
        run.check(&log);
        run.round(log);
    }
    (run.crashes, run.source)
}

#[test]
fn no_crash_takes_back_what_a_member_acknowledged() {
    let (mut crashes, mut source) = (0, Node::new());
    for seed in 1..=12 {
        let (more, again) = run(seed, source);
        (crashes, source) = (crashes + more, again);
    }
    assert!(crashes > 360, "{crashes} crashes");
}

/// Every operation of the disk between a start and the end of these changes is struck once.
#[test]
fn power_may_fail_at_each_operation_of_a_vote_an_append_an_apply_and_a_truncation() {
    let (mut struck, mut source) = (0, Node::new());
    for after in 0..45 {
        for seed in 0..3 {
            let mut run = Run::new(seed, source);
            let log = run.start();
            run.check(&log);
            run.disk.set(Trap::PowerLoss, after);
            run.vote(&log);
            run.append(&log);
            log.work();
            run.apply(&log);
            run.append(&log);
            run.vote(&log);
            log.work();
            run.truncate(&log);
            run.append(&log);
            log.work();
            run.purge(&log);
            run.vote(&log);
            log.work();
            struck += u32::from(run.disk.is_off());
            drop(log);
            run.disk.disarm();
            if !run.disk.is_off() {
                run.disk.switch_off(Trap::PowerLoss);
            }
            run.disk.take_fired();
            run.disk.switch_on(&mut run.random);
            let log = run.start();
            run.check(&log);
            source = run.source;
        }
    }
    assert!(struck > 60, "{struck} were struck");
}
