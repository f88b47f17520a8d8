//! Writing what the queue of a member holds: one step is one write of rows, and one of the watermark.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::log::{Application, Change, Done};
use super::{LogPoint, LogState, Member};
use crate::batch::Write;
use crate::error::{AppendError, ReadError, StorageError};
use crate::frame::Frame;
use crate::layout::{Family, meta, raft_key, wal_key};
use crate::promise::Keeper;
use crate::store::WriteBatch;
use crate::watermark::Pledge;
use crate::{Inner, Stage, policies};
use swoosh_types::canonical::from_canonical;
use swoosh_types::cluster::{Ballot, Batch, Body, Position, Row};
use swoosh_types::hash::Hash;

/// Changes that are written at once, and those who wait for them.
#[derive(Default)]
struct Staged {
    rows: WriteBatch,
    /// Whether the log half is among them, which is synced and promised.
    synced: bool,
    done: Vec<Done>,
    /// Those who wait for a change that was not staged, and why.
    refused: Vec<(Done, AppendError)>,
    /// What was applied, for readers.
    applied: Vec<Write>,
}

/// What is written in one step.
pub(super) enum Step {
    /// Appends, applies and purges, in order; at the end a vote, which the same write of the watermark promises.
    Together(Vec<(Change, Done)>, Option<(Ballot, Done)>),
    Truncate(Option<Position>, Done),
}

impl Inner {
    /// Writes a step. The result of each change goes to its waiter, once no lock is held.
    pub(super) fn write_step(&self, member: &Member, step: Step, hint: Option<Position>, checked: bool) {
        let (mut staged, outcome) = {
            let _one_at_a_time = self.appending();
            // No object is collected between its row and itself.
            let _pin = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            let mut log = member.log();
            match step {
                Step::Together(changes, vote) => self.write_together(member, &mut log, changes, vote, hint, checked),
                Step::Truncate(last, done) => {
                    let outcome = self.truncate(member, &mut log, last);
                    (Staged { done: vec![done], ..Staged::default() }, outcome)
                }
            }
        };
        self.note_blocked(&staged.applied);
        staged.done.drain(..).for_each(|done| done(outcome.clone()));
        staged.refused.drain(..).for_each(|(done, error)| done(Err(error)));
    }

    fn write_together(
        &self,
        member: &Member,
        log: &mut LogState,
        changes: Vec<(Change, Done)>,
        vote: Option<(Ballot, Done)>,
        hint: Option<Position>,
        checked: bool,
    ) -> (Staged, Result<(), AppendError>) {
        let mut staged = Staged::default();
        if let Err(error) = self.takes_writes() {
            staged.done.extend(changes.into_iter().map(|(_, done)| done).chain(vote.map(|(_, done)| done)));
            return (staged, Err(error));
        }
        for (change, done) in changes {
            let result = match change {
                Change::Append(rows) => self.stage_append(log, &mut staged, &rows),
                Change::Apply(application) => self.stage_apply(log, &mut staged, *application, checked),
                Change::Purge(upto) => self.stage_purge(log, &mut staged, upto, checked),
            };
            match result {
                Ok(()) => staged.done.push(done),
                Err(error) => staged.refused.push((done, error)),
            }
        }
        let mut ballot = None;
        if let Some((given, done)) = vote {
            match may_vote(log.ballot, given) {
                Ok(()) => {
                    ballot = Some(given);
                    staged.done.push(done);
                }
                Err(error) => staged.refused.push((done, error)),
            }
        }
        let rows = std::mem::take(&mut staged.rows);
        let outcome = self.flush_step(member, log, rows, staged.synced, ballot, hint);
        (staged, outcome)
    }

    /// Writes what was staged, promises it, and shows it to readers.
    fn flush_step(
        &self,
        member: &Member,
        log: &mut LogState,
        mut rows: WriteBatch,
        synced: bool,
        ballot: Option<Ballot>,
        hint: Option<Position>,
    ) -> Result<(), AppendError> {
        self.takes_writes()?;
        if let Some(Position { term, index }) = hint.filter(|hint| log.committed != Some(*hint)) {
            rows.put_cf(self.family(Family::Meta), meta::COMMITTED, format!("{term} {index}"));
            log.committed = hint;
        }
        match (rows.is_empty(), synced) {
            (true, false) => {}
            (true, true) => self.or_stop(self.db.sync())?,
            (false, synced) => self.or_stop(self.write(rows, synced))?,
        }
        if let Some(ballot) = ballot {
            self.or_stop(self.promise_log(&log.last, Some(ballot)))?;
            log.ballot = Some(ballot);
            let mut rows = WriteBatch::default();
            self.stage_ballot(&mut rows, log.ballot);
            self.or_stop(self.write(rows, false))?;
        } else if synced {
            self.or_stop(self.promise_log(&log.last, None))?;
        }
        let (index, chain) = log.applied.end();
        let mut tail = self.tail();
        (tail.last_index, tail.last_chain) = (index, chain);
        drop(tail);
        member.publish(log);
        self.show(index);
        Ok(())
    }

    fn takes_writes(&self) -> Result<(), AppendError> {
        match self.tail().stage {
            Stage::Recovered => Ok(()),
            Stage::Opened => Err(AppendError::NotRecovered),
            Stage::Stopped { full, corrupt } => Err(AppendError::Stopped { full, corrupt }),
        }
    }

    /// Promises the log up to a row; with a vote in both slots.
    fn promise_log(&self, last: &LogPoint, ballot: Option<Ballot>) -> Result<(), StorageError> {
        let Keeper::Writer(watermark) = &self.keeper else { return Ok(()) };
        let mut watermark = watermark.lock().unwrap_or_else(PoisonError::into_inner);
        let held = watermark.mark().member.ok_or_else(|| StorageError("the watermark is not a member's".to_owned()))?;
        let pledge = Pledge { end: last.at, row: last.row, ..held };
        match ballot {
            None => watermark.advance_log(last.end(), pledge)?,
            Some(ballot) => watermark.advance_vote(last.end(), Pledge { ballot: Some(ballot), ..pledge })?,
        }
        Ok(())
    }

    /// Stages the log half of rows: rows, records and objects.
    fn stage_append(&self, log: &mut LogState, staged: &mut Staged, rows: &[Row]) -> Result<(), AppendError> {
        let (mut last, mut points, mut encoded) = (log.last, Vec::new(), Vec::new());
        for row in rows {
            let (point, bytes) = last.follow(row, self).map_err(|what| AppendError::Row { at: row.at, what })?;
            last = point;
            points.push(point);
            encoded.push(bytes);
        }
        for (row, bytes) in rows.iter().zip(encoded) {
            staged.rows.put_cf(self.family(Family::Raft), raft_key(row.at.index), bytes);
            let Body::Batch(batch) = &row.body else { continue };
            for (index, frame) in (batch.first..).zip(&batch.frames) {
                staged.rows.put_cf(self.family(Family::Wal), wal_key(index), frame);
            }
            for object in &batch.objects {
                staged.rows.put_cf(self.family(Family::Objects), object.hash.as_bytes(), &object.bytes);
            }
        }
        log.last = last;
        log.ahead.extend(points);
        staged.synced = true;
        Ok(())
    }

    /// Stages the apply half of the row behind the applied one: what its records write, and `applied`. A row that is not in the
    /// log yet is refused: a crash could leave decisions without their record.
    fn stage_apply(
        &self,
        log: &mut LogState,
        staged: &mut Staged,
        application: Application,
        checked: bool,
    ) -> Result<(), AppendError> {
        let Application { row, writes } = application;
        let at = row.at;
        let refused = |what: &str| AppendError::Row { at, what: what.to_owned() };
        let point = next_applied(&mut log.ahead, at, checked)
            .ok_or_else(|| refused("it is not the next one of the log to apply"))?;
        let first = log.applied.record + 1;
        if checked && !(first..=point.record).eq(writes.iter().filter_map(decision)) {
            log.ahead.push_front(point);
            return Err(refused("its decision records are not those of its records"));
        }
        if let Body::Batch(batch) = &row.body {
            let staged = self.stage_policies_of(staged, batch).map_err(|error| StorageError(error.to_string()));
            self.or_stop(staged)?;
        }
        self.stage_applied(&mut staged.rows, &writes, point.record)?;
        if let Body::Members(configuration) = &row.body {
            log.members.at = Some(at);
            log.members.configuration = configuration.clone();
            let bytes = serde_json::to_vec(&log.members).map_err(|error| StorageError(error.to_string()))?;
            staged.rows.put_cf(self.family(Family::Meta), meta::MEMBERS, bytes);
            self.stage_sealers(&mut staged.rows, configuration);
        }
        staged.rows.put_cf(self.family(Family::Meta), meta::APPLIED, point.to_string());
        log.applied = point;
        staged.applied.extend(writes);
        Ok(())
    }

    /// Stages rows of policies that judged a record of a batch for the first time. They are compared with those that are there,
    /// so what was staged before is written first.
    fn stage_policies_of(&self, staged: &mut Staged, batch: &Batch) -> Result<(), ReadError> {
        let objects = batch.objects.iter().map(|object| (&object.hash, object.bytes.as_slice()));
        let brought = policies::brought(objects);
        if brought.is_empty() {
            return Ok(());
        }
        self.write(std::mem::take(&mut staged.rows), false)?;
        let records =
            batch.frames.iter().filter_map(|bytes| from_canonical(Frame::parse(batch.first, bytes).ok()?.record).ok());
        self.stage_policies(&mut staged.rows, brought, records)
    }

    /// Stages the end of rows up to one that is applied. The records that they name stay.
    fn stage_purge(
        &self,
        log: &mut LogState,
        staged: &mut Staged,
        upto: Position,
        checked: bool,
    ) -> Result<(), AppendError> {
        if log.purged.at.is_some_and(|purged| upto.index <= purged.index) {
            return Ok(());
        }
        if !checked {
            // The engine's own tests purge rows that are not applied, or not there.
            let purged = LogPoint::begin(Some(upto), log.applied.end());
            log.applied = if log.applied.at < purged.at { purged } else { log.applied };
            log.last = if log.last.at < purged.at { purged } else { log.last };
        }
        if log.applied.at.is_none_or(|applied| upto.index > applied.index) {
            return Err(AppendError::Row { at: upto, what: "it is not applied, so it is not purged".to_owned() });
        }
        let point =
            if log.applied.index() == upto.index { Ok(log.applied) } else { self.point_at(&log.purged, upto.index) };
        let point = self.or_stop(point.map_err(|error| StorageError(error.to_string())))?;
        let column = self.family(Family::Raft);
        staged.rows.delete_range_cf(column, raft_key(0), raft_key(upto.index + 1));
        staged.rows.put_cf(self.family(Family::Meta), meta::PURGED, point.to_string());
        log.purged = point;
        Ok(())
    }

    /// Removes all rows behind one, and their records. The watermark is lowered and synced before they go: a crash between leaves
    /// more than was promised, which is harmless.
    fn truncate(&self, member: &Member, log: &mut LogState, last: Option<Position>) -> Result<(), AppendError> {
        self.takes_writes()?;
        if last.is_some_and(|last| last.index >= log.last.index()) {
            return Ok(());
        }
        let index = |place: Option<Position>| place.map(|place| place.index);
        let found = log.ahead.iter().find(|point| index(point.at) == index(last)).copied();
        let point = match found {
            Some(point) => point,
            None if index(last) == index(log.applied.at) => log.applied,
            None => {
                let at = last.unwrap_or(Position { term: 0, index: 0 });
                return Err(AppendError::Row { at, what: "the log is not cut there".to_owned() });
            }
        };
        let first = last.map_or(0, |last| last.index + 1);
        self.or_stop(self.promise_log(&point, None))?;
        let mut rows = WriteBatch::default();
        (first..=log.last.index()).for_each(|index| rows.delete_cf(self.family(Family::Raft), raft_key(index)));
        let records = point.record + 1..=log.last.record;
        records.for_each(|index| rows.delete_cf(self.family(Family::Wal), wal_key(index)));
        self.or_stop(self.write(rows, true))?;
        log.ahead.retain(|ahead| ahead.index() < first);
        log.last = point;
        member.publish(log);
        Ok(())
    }
}

/// The record that a decision belongs to.
fn decision(write: &Write) -> Option<u64> {
    if let Write::Decision { index, .. } = write { Some(*index) } else { None }
}

/// Takes the row behind the applied one out of those that are logged, if it is the one at `at`. The engine's own tests apply with
/// gaps, unchecked.
fn next_applied(ahead: &mut VecDeque<LogPoint>, at: Position, checked: bool) -> Option<LogPoint> {
    while !checked && ahead.front().is_some_and(|point| point.index() < at.index) {
        ahead.pop_front();
    }
    let is_next = ahead.front().is_some_and(|point| point.at == Some(at));
    let found = if is_next { ahead.pop_front() } else { None };
    if checked {
        return found;
    }
    Some(found.unwrap_or(LogPoint { at: Some(at), row: Hash::ZERO, record: 0, chain: Hash::ZERO }))
}

fn may_vote(held: Option<Ballot>, given: Ballot) -> Result<(), AppendError> {
    match held {
        Some(held) if held != given && !held.allows(&given) => Err(AppendError::Vote { held, given }),
        Some(_) | None => Ok(()),
    }
}
