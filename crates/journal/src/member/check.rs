//! A start of a member: the rows of the cluster's log, and the records behind the applied one.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::rows::{self, StoredBody, StoredRow};
use super::{Boot, LogPoint, Member, is_member};
use crate::error::{OpenError, ReadError, RecoverError};
use crate::frame::Frame;
use crate::layout::{Family, meta, raft_key, wal_index};
use crate::open::{parsed, required};
use crate::store::{Place, Scan, Store, WriteBatch};
use crate::watermark::{Mark, Pledge, Watermark, WatermarkError};
use crate::{Inner, Sides};
use swoosh_types::cluster::{Ballot, Position};

/// Refuses, before a directory is opened for writing, a log that ends before what was promised.
pub(crate) fn log_reaches(db: &Store, place: &Place, mark: &Mark) -> Result<(), OpenError> {
    let Some(promised) = mark.member.and_then(|pledge| pledge.end) else { return Ok(()) };
    let last = if is_member(db, place)? { last_index(db, place)? } else { 0 };
    if last >= promised.index { Ok(()) } else { Err(OpenError::LogLost { path: place.path.clone(), last, promised }) }
}

/// Index of the last row, or of the last purged one.
fn last_index(db: &Store, place: &Place) -> Result<u64, OpenError> {
    let purged: Option<LogPoint> = parsed(db, place, meta::PURGED)?;
    let storage = |source| OpenError::Storage { path: place.path.clone(), source };
    let Some(column) = db.column(Family::Raft) else { return Ok(0) };
    let mut walk = db.walk(column, Scan::default());
    walk.seek_to_last();
    let row = walk.item().map_err(storage)?.and_then(|(key, _)| wal_index(key));
    Ok(row.unwrap_or(0).max(purged.map_or(0, |point| point.index())))
}

/// The log after its last row, which is checked later.
pub(super) fn last_point(db: &Store, place: &Place, purged: LogPoint) -> Result<LogPoint, OpenError> {
    let mangled = |what: String| OpenError::Mangled { path: place.path.clone(), what };
    let column = db.column(Family::Raft).ok_or_else(|| mangled("it has no column family raft".to_owned()))?;
    let mut walk = db.walk(column, Scan::default());
    walk.seek_to_last();
    let row = walk.item().map_err(|source| OpenError::Storage { path: place.path.clone(), source })?;
    let Some((key, bytes)) = row else { return Ok(purged) };
    let index = wal_index(key).ok_or_else(|| mangled("the last key of the cluster's log is no index".to_owned()))?;
    rows::parse(index, bytes).map(|row| row.point).map_err(|error| mangled(error.to_string()))
}

/// Refuses a watermark that is older than the journal shows: it may have forgotten a vote.
pub(crate) fn is_newest(db: &Store, place: &Place, pledge: &Pledge) -> Result<(), OpenError> {
    let older = |what: String| Err(WatermarkError::Older { what }.into());
    if let Some(Boot(number, nonce)) = parsed(db, place, meta::BOOT)?
        && (number > pledge.boot || (number == pledge.boot && nonce != pledge.nonce))
    {
        return older(format!("it is of start {}, the journal of start {number}", pledge.boot));
    }
    if let Some(StoredBallot(held)) = parsed(db, place, meta::BALLOT)?
        && !pledge.ballot.is_some_and(|ballot| ballot == held || held.allows(&ballot))
    {
        return older(format!("the journal has the vote «{held}», which it does not"));
    }
    let purged: LogPoint = required(db, place, meta::PURGED)?;
    let last = last_point(db, place, purged)?;
    if last != purged && pledge.ballot.is_none_or(|ballot| ballot.term < last.term()) {
        return older(format!("the log has a row of term {}, which it does not know", last.term()));
    }
    Ok(())
}

fn fault(index: u64, what: impl Into<String>) -> RecoverError {
    ReadError::Log { index, what: what.into() }.into()
}

/// A walk along the log from its first row.
struct LogWalk {
    last: LogPoint,
    applied: LogPoint,
    ahead: VecDeque<LogPoint>,
    promised: Option<(Position, swoosh_types::hash::Hash)>,
}

impl LogWalk {
    fn row(&mut self, index: u64, bytes: &[u8]) -> Result<(), RecoverError> {
        let row = rows::parse(index, bytes)?;
        let point = row.point;
        let follows = self.last.at.is_none_or(|at| index == at.index + 1);
        if !follows {
            return Err(fault(self.last.index() + 1, "is missing"));
        }
        if row.before != self.last.row || point.term() < self.last.term() || !continues(&self.last, &row) {
            return Err(fault(index, "does not follow the row before it"));
        }
        self.passed(point)
    }

    /// Compares a row with what refers to it.
    fn passed(&mut self, point: LogPoint) -> Result<(), RecoverError> {
        let index = point.index();
        if index == self.applied.index() && point != self.applied {
            return Err(fault(index, "is not the one that was applied"));
        }
        if let Some((at, row)) = self.promised
            && at.index == index
            && (point.at != Some(at) || point.row != row)
        {
            return Err(fault(index, "is not the one that the watermark promises"));
        }
        if index > self.applied.index() {
            self.ahead.push_back(point);
        }
        self.last = point;
        Ok(())
    }
}

/// Whether the records of a row begin where the log was.
fn continues(last: &LogPoint, row: &StoredRow) -> bool {
    match &row.body {
        StoredBody::Batch { first, count, .. } if *count > 0 => {
            *first == last.record + 1 && row.point.record == last.record + count
        }
        StoredBody::Batch { .. } | StoredBody::Blank | StoredBody::Barrier(_) | StoredBody::Members(_) => {
            row.point.end() == last.end()
        }
    }
}

impl Inner {
    /// Checks every row of a member's log, the records behind the applied one, and both against the watermark. A node that runs
    /// alone has nothing to check here.
    pub(crate) fn check_log(&self, mark: Option<&Mark>) -> Result<(), RecoverError> {
        let Some(member) = &self.member else { return Ok(()) };
        let pledge = mark.map(|mark| self.pledge_of(mark, member)).transpose()?;
        let (purged, applied) = {
            let log = member.log();
            (log.purged, log.applied)
        };
        let promised = pledge.and_then(|pledge| pledge.end.map(|end| (end, pledge.row)));
        let mut walk = LogWalk { last: purged, applied, ahead: VecDeque::new(), promised };
        walk.passed(purged)?;
        walk.ahead.clear();
        let mut rows = self.db.walk(self.family(Family::Raft), Scan { once: true, ..Scan::default() });
        rows.seek_to_first();
        while let Some((key, bytes)) = rows.item()? {
            let index =
                wal_index(key).ok_or_else(|| fault(walk.last.index(), "is followed by a key that is no index"))?;
            walk.row(index, bytes)?;
            rows.next();
        }
        let needed = applied.index().max(promised.map_or(0, |(end, _)| end.index));
        if walk.last.index() < needed {
            return Err(fault(walk.last.index() + 1, format!("is missing: the log reached row {needed}")));
        }
        self.check_records(&applied, &walk)?;
        if let Some(pledge) = &pledge {
            is_newest(&self.db, &self.place, pledge).map_err(|error| match error {
                OpenError::Watermark(error) => RecoverError::from(error),
                _ => ReadError::Row { project: "(none)".to_owned(), family: Family::Meta.name() }.into(),
            })?;
        }
        let mut log = member.log();
        (log.last, log.ahead) = (walk.last, walk.ahead);
        log.ballot = pledge.and_then(|pledge| pledge.ballot);
        member.publish(&log);
        Ok(())
    }

    /// The promises of a member's watermark, which must be of this directory.
    fn pledge_of(&self, mark: &Mark, member: &Member) -> Result<Pledge, RecoverError> {
        let path = self.place.watermark();
        let pledge = mark.member.ok_or(WatermarkError::NoMember { path })?;
        if pledge.directory != member.identity.directory {
            let what = format!("it is of directory {}, this one is {}", pledge.directory, member.identity.directory);
            return Err(WatermarkError::Older { what }.into());
        }
        Ok(pledge)
    }

    /// Checks the records behind the applied one: each follows, and each batch ends where its row says.
    fn check_records(&self, applied: &LogPoint, walk: &LogWalk) -> Result<(), RecoverError> {
        let (mut record, mut chain) = applied.end();
        for point in &walk.ahead {
            while record < point.record {
                let index = record + 1;
                let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
                let frame = Frame::parse(index, &bytes)?;
                frame.check_link(&self.onward(record, chain))?;
                (record, chain) = (index, frame.chain);
            }
            if chain != point.chain {
                return Err(fault(point.index(), format!("names another link of record {record}")));
            }
        }
        match self.last_stored()?.cmp(&record) {
            Ordering::Less => Err(ReadError::Missing { index: record }.into()),
            Ordering::Equal => Ok(()),
            Ordering::Greater => {
                let what = format!("is missing, though there is a record behind record {record}");
                Err(fault(walk.last.index() + 1, what))
            }
        }
    }

    /// Index of the last record in the family; 0 for none.
    fn last_stored(&self) -> Result<u64, RecoverError> {
        let mut rows = self.db.walk(self.family(Family::Wal), Scan::default());
        rows.seek_to_last();
        Ok(rows.item()?.and_then(|(key, _)| wal_index(key)).unwrap_or(0))
    }

    /// Promises what a start of a member found, and counts the start: in both slots of the watermark, then in the journal.
    pub(crate) fn settle_member(
        &self,
        member: &Member,
        watermark: &mut Watermark,
        sides: Sides,
    ) -> Result<(), RecoverError> {
        let log = member.log();
        let (Some(nonce), Some(pledge)) = (member.nonce, watermark.mark().member) else { return Ok(()) };
        let boot = pledge.boot + 1;
        let pledge = Pledge { boot, nonce, end: log.last.at, row: log.last.row, ..pledge };
        watermark.advance(log.last.end(), sides)?;
        watermark.advance_vote(log.last.end(), pledge)?;
        let mut rows = WriteBatch::default();
        rows.put_cf(self.family(Family::Meta), meta::BOOT, Boot(boot, nonce).to_string());
        self.stage_ballot(&mut rows, pledge.ballot);
        Ok(self.write(rows, true)?)
    }

    /// Stages the vote, which the watermark has already: an older watermark shows by it.
    pub(super) fn stage_ballot(&self, rows: &mut WriteBatch, ballot: Option<Ballot>) {
        if let Some(ballot) = ballot {
            rows.put_cf(self.family(Family::Meta), meta::BALLOT, StoredBallot(ballot).to_string());
        }
    }

    /// The log after a row that is there, or after the purged ones.
    pub(super) fn point_at(&self, purged: &LogPoint, index: u64) -> Result<LogPoint, ReadError> {
        if purged.index() == index {
            return Ok(*purged);
        }
        let row = self.get(Family::Raft, &raft_key(index))?;
        let row = row.ok_or_else(|| ReadError::Log { index, what: "is missing".to_owned() })?;
        Ok(rows::parse(index, &row)?.point)
    }
}

/// A vote in `meta`: term, member, and whether it is elected.
struct StoredBallot(Ballot);

impl std::fmt::Display for StoredBallot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.0.term, self.0.member, self.0.elected)
    }
}

impl std::str::FromStr for StoredBallot {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<StoredBallot, &'static str> {
        let what = "not a term, a member and whether it is elected";
        let parts: Vec<&str> = text.split(' ').collect();
        let [term, member, elected] = parts.as_slice() else { return Err(what) };
        let member = swoosh_types::cluster::MemberId(member.parse().map_err(|_| what)?);
        let elected = elected.parse().map_err(|_| what)?;
        Ok(StoredBallot(Ballot { term: term.parse().map_err(|_| what)?, member, elected }))
    }
}
