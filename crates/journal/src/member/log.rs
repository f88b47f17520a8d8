//! The queue of a member's writes, and the rows that others read.
//!
//! ```text
//! append, vote, truncate, purge, apply ──► queue ──► work: steps, in order ──► waiters
//!                     rows at once readable ──► cache ◄── read ──► the store, for older rows
//! ```
//! All that waits is written as one step, with one sync of the log and one of the watermark, up to a vote, which ends a step, or
//! a truncation, which is one of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Member;
use super::write::Step;
use crate::batch::Write;
use crate::error::{AppendError, ReadError};
use crate::{Inner, Journal, Mode, Stage};
use swoosh_types::cluster::{Applied, Ballot, LogEnds, Position, Row};

/// Called once with the result of a change, from the thread that writes, when the change is durable and promised. What is applied
/// is only written by then.
pub type LogDone = Box<dyn FnOnce(Result<(), AppendError>) + Send>;
pub(super) type Done = LogDone;

/// Bytes of rows that stay in memory for followers and for what is applied; older ones are read from the store.
const CACHE_BYTES: usize = 64 << 20;

/// A change that is written together with others.
pub(super) enum Change {
    Append(Vec<Row>),
    Apply(Box<Application>),
    Purge(Position),
}

/// What waits.
enum Op {
    Change(Change, Done),
    Vote(Ballot, Done),
    Truncate(Option<Position>, Done),
}

/// A committed row and what its records write beside the log. Objects are part of the row.
pub(super) struct Application {
    pub(super) row: Row,
    pub(super) writes: Vec<Write>,
}

/// The log of one member. Clones share it. One thread writes: [`MemberLog::spawn`], or who calls [`MemberLog::work`].
#[derive(Clone)]
pub struct MemberLog(pub(super) Arc<Shared>);

pub(super) struct Shared {
    journal: Journal,
    front: Mutex<Front>,
    /// Held while a step is taken and written.
    working: Mutex<()>,
    pub(super) wake: Condvar,
    /// Whether rows are applied in order. Only tests of the engine leave gaps.
    checked: bool,
}

/// The log with everything that waits.
pub(super) struct Front {
    queue: VecDeque<Op>,
    ends: LogEnds,
    applied: Applied,
    cache: BTreeMap<u64, Row>,
    cached_bytes: usize,
    /// The last row of the cache that the store has as well.
    written: u64,
    pub(super) stops: bool,
}

impl Journal {
    /// The log of a member. The journal must be open for writing, and recovered.
    pub fn member_log(&self) -> Result<MemberLog, AppendError> {
        self.log_of(true)
    }

    /// The same without checks that rows are applied in order, as the engine's own tests need it.
    #[cfg(any(test, feature = "testing"))]
    pub fn unchecked_member_log(&self) -> Result<MemberLog, AppendError> {
        self.log_of(false)
    }

    fn log_of(&self, checked: bool) -> Result<MemberLog, AppendError> {
        let Some(member) = &self.0.member else { return Err(AppendError::NotMember) };
        match (self.0.mode, self.0.tail().stage) {
            (Mode::ReadOnly, _) => return Err(AppendError::ReadOnly),
            (_, Stage::Opened) => return Err(AppendError::NotRecovered),
            (_, Stage::Stopped { full, corrupt }) => return Err(AppendError::Stopped { full, corrupt }),
            (_, Stage::Recovered) => {}
        }
        let log = member.log();
        let ends = LogEnds { purged: log.purged.at, last: log.last.at, ballot: log.ballot, committed: log.committed };
        let applied = Applied { at: log.applied.at, members: log.members.clone() };
        let written = log.last.index();
        drop(log);
        let (queue, cache) = (VecDeque::new(), BTreeMap::new());
        let front = Mutex::new(Front { queue, ends, applied, cache, cached_bytes: 0, written, stops: false });
        let (journal, wake) = (self.clone(), Condvar::new());
        Ok(MemberLog(Arc::new(Shared { journal, front, working: Mutex::new(()), wake, checked })))
    }
}

impl Shared {
    pub(super) fn front(&self) -> MutexGuard<'_, Front> {
        // It is changed after everything that can fail.
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner(&self) -> &Inner {
        &self.journal.0
    }

    /// The member; the log of a journal that is none cannot be made.
    fn member(&self) -> Option<&Member> {
        self.inner().member.as_ref()
    }

    fn push(&self, mut front: MutexGuard<'_, Front>, op: Op) {
        front.queue.push_back(op);
        drop(front);
        self.wake.notify_one();
    }
}

impl Front {
    /// What is written next: as much as one write can take.
    fn next_step(&mut self) -> Option<Step> {
        let mut changes = Vec::new();
        while let Some(op) = self.queue.pop_front() {
            match op {
                // The rows before it are read from the store.
                Op::Change(Change::Purge(upto), done) if !changes.is_empty() => {
                    self.queue.push_front(Op::Change(Change::Purge(upto), done));
                    break;
                }
                Op::Change(change, done) => changes.push((change, done)),
                Op::Vote(ballot, done) => return Some(Step::Together(changes, Some((ballot, done)))),
                Op::Truncate(last, done) if changes.is_empty() => return Some(Step::Truncate(last, done)),
                Op::Truncate(last, done) => {
                    self.queue.push_front(Op::Truncate(last, done));
                    break;
                }
            }
        }
        (!changes.is_empty()).then_some(Step::Together(changes, None))
    }

    fn keep(&mut self, row: Row) {
        self.cached_bytes += row.body.size();
        self.cache.insert(row.at.index, row);
    }

    /// Lets rows go that the store has, the oldest first, until the rest fits.
    fn evict(&mut self) {
        while self.cached_bytes > CACHE_BYTES
            && let Some(first) = self.cache.first_entry().filter(|first| *first.key() <= self.written)
        {
            let row = first.remove();
            self.cached_bytes -= row.body.size();
        }
    }

    /// Lets all rows behind one go.
    fn cut(&mut self, last: Option<Position>) {
        for row in self.cache.split_off(&last.map_or(0, |last| last.index + 1)).into_values() {
            self.cached_bytes -= row.body.size();
        }
        self.written = self.written.min(last.map_or(0, |last| last.index));
    }

    /// The store has rows up to this one. Where a truncation waits, they may be those that it removes.
    fn wrote(&mut self, index: u64) {
        if !self.queue.iter().any(|op| matches!(op, Op::Truncate(..))) {
            self.written = self.written.max(index);
            self.evict();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether rows follow the last one.
    fn follows(&self, rows: &[Row]) -> Result<(), AppendError> {
        let mut last = self.ends.last;
        for row in rows {
            if last.is_some_and(|last| row.at.index != last.index + 1 || row.at.term < last.term) {
                let what = format!("the log ends at {}", last.map_or_else(String::new, |last| last.to_string()));
                return Err(AppendError::Row { at: row.at, what });
            }
            last = Some(row.at);
        }
        Ok(())
    }
}

impl MemberLog {
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The ends of the log and the vote, with everything that waits to be written.
    pub fn ends(&self) -> LogEnds {
        self.0.front().ends
    }

    /// What is applied, with everything that waits to be written.
    pub fn applied(&self) -> Applied {
        self.0.front().applied.clone()
    }

    /// Appends rows that follow the last one. They are readable when this returns. `done` is called when they are durable and
    /// promised.
    pub fn append(&self, rows: Vec<Row>, done: LogDone) {
        let mut front = self.0.front();
        if let Err(error) = front.follows(&rows) {
            drop(front);
            return done(Err(error));
        }
        rows.iter().for_each(|row| front.keep(row.clone()));
        front.ends.last = rows.last().map(|row| row.at).or(front.ends.last);
        self.0.push(front, Op::Change(Change::Append(rows), done));
    }

    /// Gives a vote. `done` is called when both slots of the watermark have it, each synced.
    pub fn vote(&self, ballot: Ballot, done: LogDone) {
        let mut front = self.0.front();
        front.ends.ballot = Some(ballot);
        self.0.push(front, Op::Vote(ballot, done));
    }

    /// Removes all rows behind `last`, which must not be before the applied one.
    pub fn truncate(&self, last: Option<Position>, done: LogDone) {
        let mut front = self.0.front();
        if last.map(|last| last.index) < front.ends.last.map(|last| last.index) {
            front.cut(last);
            front.ends.last = last;
        }
        self.0.push(front, Op::Truncate(last, done));
    }

    /// Removes the rows up to an applied one. Their records stay.
    pub fn purge(&self, upto: Position, done: LogDone) {
        let mut front = self.0.front();
        front.ends.purged = front.ends.purged.max(Some(upto));
        front.ends.last = front.ends.last.max(Some(upto));
        let kept = front.cache.split_off(&(upto.index + 1));
        for row in std::mem::replace(&mut front.cache, kept).into_values() {
            front.cached_bytes -= row.body.size();
        }
        self.0.push(front, Op::Change(Change::Purge(upto), done));
    }

    /// Applies the committed row behind the applied one: `writes` is what its records make, with the decision of each of them.
    /// `done` is called when readers see it; a crash may take it back, and then it is applied again.
    pub fn apply(&self, row: Row, writes: Vec<Write>, done: LogDone) {
        let mut front = self.0.front();
        front.applied.at = Some(row.at);
        if let swoosh_types::cluster::Body::Members(configuration) = &row.body {
            front.applied.members.at = Some(row.at);
            front.applied.members.configuration = configuration.clone();
        }
        self.0.push(front, Op::Change(Change::Apply(Box::new(Application { row, writes })), done));
    }

    /// A lower bound of the committed rows, for the next start. It is written with the next write.
    pub fn note_committed(&self, at: Position) {
        let committed = &mut self.0.front().ends.committed;
        *committed = (*committed).max(Some(at));
    }

    /// Rows of the indexes `from..to`, with those that wait to be written. Ends early after about so many bytes, but returns the first
    /// row at any size. Rows that are purged or not there are left out.
    pub fn read(&self, from: u64, to: u64, bytes: usize) -> Result<Vec<Row>, ReadError> {
        let (from, to, cached) = {
            let front = self.0.front();
            let to = to.min(front.ends.last.map_or(0, |last| last.index + 1));
            let from = from.max(front.ends.purged.map_or(0, |purged| purged.index + 1)).min(to);
            let cached: Vec<Row> = front.cache.range(from..to).map(|(_, row)| row.clone()).collect();
            (from, cached.first().map_or(to, |row| row.at.index), cached)
        };
        let (mut rows, mut size): (Vec<Row>, usize) = (Vec::new(), 0);
        let stored = (from..to).map(|index| self.0.inner().row(index)).filter_map(Result::transpose);
        for row in stored.chain(cached.into_iter().map(Ok)) {
            let row = row?;
            size += row.body.size();
            if size > bytes && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The same, if all of them are in memory: the store is not asked.
    pub fn cached(&self, from: u64, to: u64, bytes: usize) -> Option<Vec<Row>> {
        let front = self.0.front();
        let to = to.min(front.ends.last.map_or(0, |last| last.index + 1));
        let from = from.max(front.ends.purged.map_or(0, |purged| purged.index + 1)).min(to);
        let first = front.cache.keys().next().copied().unwrap_or(u64::MAX);
        if from < to && from < first {
            return None;
        }
        let mut size = 0;
        let fits = |row: &&Row| {
            let fits = size == 0 || size + row.body.size() <= bytes;
            size += row.body.size();
            fits
        };
        Some(front.cache.range(from..to).map(|(_, row)| row).take_while(fits).cloned().collect())
    }

    /// Takes over an applied position, without a state: only the engine's own tests of a store ask for it.
    #[cfg(any(test, feature = "testing"))]
    pub fn install(&self, applied: Applied) {
        self.0.front().applied = applied;
    }

    /// Writes everything that waits; whether there was anything. Called by one thread at a time.
    pub fn work(&self) -> bool {
        let _alone = self.0.working.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worked = false;
        while let Some((step, hint)) = {
            let mut front = self.0.front();
            front.next_step().map(|step| (step, front.ends.committed))
        } {
            worked = true;
            let Some(member) = self.0.member() else { return worked };
            let written = written_by(&step);
            self.0.inner().write_step(member, step, hint, self.0.checked);
            self.0.front().wrote(written);
        }
        worked
    }

    /// Whether something waits to be written.
    pub fn is_waiting(&self) -> bool {
        !self.0.front().is_idle()
    }
}

/// The last row that a step appends; 0 for none.
fn written_by(step: &Step) -> u64 {
    let Step::Together(changes, _) = step else { return 0 };
    let last =
        |change: &Change| if let Change::Append(rows) = change { rows.last().map(|row| row.at.index) } else { None };
    changes.iter().filter_map(|(change, _)| last(change)).max().unwrap_or(0)
}
