//! Looks on and judges: no acknowledged batch is lost, no two members differ, there is one chain.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swoosh_cluster::types::{Barrier, Body, MemberId, Position, Row};
use swoosh_types::hash::Hash;

use super::disk::Directory;
use super::memory::{Content, State};
use crate::runtime;

/// A batch of the simulated sequencer: its place in its reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) term: u64,
    pub(super) barrier: Barrier,
    /// Counts the batches of the reign, from 1.
    pub(super) number: u64,
}

impl Line {
    pub(super) fn frame(&self) -> Vec<u8> {
        let Line { term, barrier, number } = self;
        format!("{term} {} {} {number}", barrier.member, barrier.epoch).into_bytes()
    }

    fn parse(frame: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(frame).ok()?;
        let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [term, member, epoch, number] = numbers.try_into().ok()?;
        Some(Line { term, barrier: Barrier { member: MemberId(member), epoch }, number })
    }
}

#[derive(Default)]
struct Seen {
    /// The agreed log: index to position and the hash of all rows up to it.
    agreed: BTreeMap<u64, (Position, Hash)>,
    /// The agreed records: index to link.
    records: BTreeMap<u64, Hash>,
    /// Acknowledged records and their links.
    acknowledged: Vec<(u64, Hash)>,
    leaders: BTreeMap<u64, MemberId>,
    /// The newest agreed barrier with its term, and the number of the last batch behind it.
    barrier: Option<(u64, Barrier)>,
    number: u64,
    directories: BTreeMap<MemberId, Directory>,
    faults: Vec<String>,
}

#[derive(Default)]
pub(super) struct Oracle(Mutex<Seen>);

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: usize,
    pub acknowledged: usize,
    pub terms: usize,
}

impl Oracle {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fault(&self, text: String) {
        runtime::trace(|| format!("FAULT: {text}"));
        self.lock().faults.push(text);
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    pub(super) fn counts(&self) -> Counts {
        let seen = self.lock();
        Counts { rows: seen.agreed.len(), acknowledged: seen.acknowledged.len(), terms: seen.leaders.len() }
    }

    /// The directory that a member answers for.
    pub(super) fn register(&self, directory: Directory) {
        self.lock().directories.insert(directory.member, directory);
    }

    pub(super) fn leads(&self, member: MemberId, term: u64) {
        let other = self.lock().leaders.insert(term, member).filter(|other| *other != member);
        if let Some(other) = other {
            self.fault(format!("members {other} and {member} both lead term {term}"));
        }
    }

    pub(super) fn acknowledged(&self, record: u64, link: Hash) {
        self.lock().acknowledged.push((record, link));
    }

    /// A member applied a row.
    pub(super) fn applied(&self, member: MemberId, row: &Row, state: &State) {
        runtime::trace(|| format!("member {member} applies {} {}", row.at, row.body));
        let known = self.lock().agreed.get(&row.at.index).copied();
        match known {
            Some(known) if known != (row.at, state.rows) => {
                self.fault(format!("member {member} applies {} with another history than {}", row.at, known.0));
            }
            Some(_) => {}
            None => self.agree(member, row, state),
        }
    }

    /// The first member to apply a row.
    fn agree(&self, member: MemberId, row: &Row, state: &State) {
        self.check_majority(member, row.at);
        let mut faults = Vec::new();
        {
            let mut seen = self.lock();
            seen.agreed.insert(row.at.index, (row.at, state.rows));
            match &row.body {
                Body::Barrier(barrier) => (seen.barrier, seen.number) = (Some((row.at.term, *barrier)), 0),
                Body::Batch(batch) => {
                    seen.records.insert(state.record, state.link);
                    let line = batch.frames.first().and_then(|frame| Line::parse(frame));
                    faults.extend(seen.follow(line));
                }
                Body::Blank | Body::Members(_) => {}
            }
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }

    /// Committed means: on the disks of a majority, in the newest configuration of the log of the member that applies it first. A leader
    /// counts by that configuration, also for the rows before it.
    fn check_majority(&self, member: MemberId, at: Position) {
        let directories = self.lock().directories.clone();
        let Some(newest) = directories.get(&member).map(|directory| directory.seen(Content::newest_members)) else {
            return;
        };
        let has = |id| directories.get(&id).is_some_and(|directory| directory.on_disk(|content| content.has(at)));
        if !newest.configuration.is_quorum(has) {
            self.fault(format!(
                "{at} is committed at member {member}, but a majority of {newest:?} does not have it on disk"
            ));
        }
    }

    /// At the end: acknowledged batches are in the agreed log, and these states are the same.
    pub(super) fn check_end(&self, states: &[(MemberId, State)]) {
        let lost: Vec<u64> = {
            let seen = self.lock();
            let kept = |record: &u64, link: &Hash| seen.records.get(record) == Some(link);
            seen.acknowledged.iter().filter(|(record, link)| !kept(record, link)).map(|(record, _)| *record).collect()
        };
        if !lost.is_empty() {
            self.fault(format!("acknowledged and lost: records {lost:?}"));
        }
        if states.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            let ends: Vec<_> = states.iter().map(|(member, state)| (member.0, state.at(), state.record)).collect();
            self.fault(format!("the members end with different states: {ends:?}"));
        }
    }

    /// Ends the world: lets go of the directories, which know the oracle.
    pub(super) fn close(&self) {
        let directories = std::mem::take(&mut self.lock().directories);
        drop(directories);
    }
}

impl Seen {
    /// Each batch belongs to the newest barrier, and follows the batch before it.
    fn follow(&mut self, line: Option<Line>) -> Option<String> {
        let Some(line) = line else { return Some("a batch has no line".to_owned()) };
        if self.barrier != Some((line.term, line.barrier)) {
            return Some(format!("{line:?} is behind the barrier {:?}", self.barrier));
        }
        let expected = self.number + 1;
        self.number = line.number;
        (line.number != expected).then(|| format!("{line:?} is in the place of number {expected}"))
    }
}
