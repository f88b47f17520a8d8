//! Keeping what the watermark promises.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::{ReadError, RecoverError, StorageError};
use super::layout::Family;
use super::store::Place;
use super::watermark::{self, Mark, Watermark, WatermarkError};
use super::{Inner, Journal};
use swoosh_types::hash::Hash;

/// Access to the watermark.
pub(super) enum Keeper {
    /// A reader: the watermark as read when the journal was opened.
    Reader { path: PathBuf, found: Result<Option<Mark>, WatermarkError> },
    /// The node.
    Writer(Mutex<Watermark>),
}

impl Keeper {
    pub(super) fn read(place: &Place) -> Keeper {
        let found = watermark::read(place).map(|found| found.map(|found| found.mark));
        Keeper::Reader { path: place.watermark(), found }
    }

    /// A reader that assumes this watermark.
    pub(super) fn pretend(journal: &Path, mark: Mark) -> Keeper {
        Keeper::Reader { path: watermark::beside(journal), found: Ok(Some(mark)) }
    }

    pub(super) fn write(watermark: Watermark) -> Keeper {
        Keeper::Writer(Mutex::new(watermark))
    }

    /// The promised end; `None` where there is no watermark.
    pub(super) fn promised(&self) -> Result<Option<Mark>, WatermarkError> {
        match self {
            Keeper::Reader { found, .. } => found.clone(),
            Keeper::Writer(watermark) => Ok(Some(watermark.lock().unwrap_or_else(PoisonError::into_inner).mark())),
        }
    }
}

impl Journal {
    /// Index and chain value of the last record that is on disk for certain.
    pub fn last_promised(&self) -> (u64, Hash) {
        match self.0.keeper.promised() {
            Ok(Some(mark)) => (mark.index, mark.chain),
            Ok(None) | Err(_) => self.last(),
        }
    }

    /// Holds a log that was read up to `last` against its watermark: acknowledged records, held outcomes and notes are
    /// there. A copy without a watermark passes, because nothing says what was acknowledged.
    pub fn keeps_promise(&self, last: u64) -> Result<(), RecoverError> {
        match self.0.keeper.promised()? {
            Some(mark) => self.0.keeps(Some(&mark), last),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Promises everything up to a record that is on disk. Nothing is promised twice, and nothing is taken back.
    pub(super) fn promise(&self, (index, chain): (u64, Hash)) -> Result<(), StorageError> {
        let Keeper::Writer(watermark) = &self.keeper else { return Ok(()) };
        let mut watermark = watermark.lock().unwrap_or_else(PoisonError::into_inner);
        match watermark.mark().index < index {
            true => {
                let sides = watermark.mark().sides;
                Ok(watermark.advance((index, chain), sides)?)
            }
            false => Ok(()),
        }
    }

    /// Whether the log, whose last applied record is given, reaches as far as was promised.
    pub(super) fn reaches(&self, mark: &Mark, last: u64) -> Result<(), RecoverError> {
        let last = self.logged_record(last);
        if mark.index <= last {
            return Ok(());
        }
        let witness = format!("the watermark, which promises records up to {},", mark.index);
        Err(RecoverError::Lost { last, index: last + 1, witness })
    }

    /// Whether the log, which ends at `last`, holds what was promised, with all that the last record wrote:
    /// a family that lost its tail would forget keys that are bound.
    pub(super) fn keeps(&self, promised: Option<&Mark>, last: u64) -> Result<(), RecoverError> {
        let Some(mark) = promised else {
            let Keeper::Reader { path, .. } = &self.keeper else { return Ok(()) };
            return if last == 0 { Ok(()) } else { Err(WatermarkError::Absent { path: path.clone(), last }.into()) };
        };
        let expected = self.identity.incarnation;
        if mark.incarnation != expected {
            return Err(WatermarkError::Incarnation { expected, found: mark.incarnation }.into());
        }
        self.reaches(mark, last)?;
        let (index, found) = (mark.index, self.chain_at(mark.index)?);
        if found != mark.chain {
            return Err(RecoverError::Forked { index, expected: mark.chain, found });
        }
        self.keeps_sides(mark)?;
        if last == 0 { Ok(()) } else { self.is_whole(last) }
    }

    fn is_whole(&self, index: u64) -> Result<(), RecoverError> {
        let (record, _) = self.linked_record(index)?;
        let key = super::layout::idem_key(&record.project, &record.idem_key);
        let decision = super::layout::scoped_key(&record.project, index);
        let torn = |what| Err(RecoverError::Torn { index, what });
        if self.is_absent(Family::Decisions, &decision)? {
            return torn("decision record");
        }
        let pruned = record.idem_key.beat < self.key_floor(&record.project)?;
        if !pruned && self.is_absent(Family::Idem, &key)? {
            return torn("idempotency key");
        }
        Ok(())
    }

    /// Whether a row is lost. A damaged block shows that its rows are there: only its own project is refused.
    fn is_absent(&self, family: Family, key: &[u8]) -> Result<bool, ReadError> {
        match self.get(family, key) {
            Ok(row) => Ok(row.is_none()),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Promises the recovered records: readers see them now, and repeats get their receipts. The watermark is
    /// rewritten even with the same value, because data that an earlier process failed to sync can be readable and
    /// yet not be on disk. RocksDB likewise flushes its log to tables when it opens.
    pub(super) fn settle(&self, (index, chain): (u64, Hash)) -> Result<(), RecoverError> {
        let Keeper::Writer(watermark) = &self.keeper else { return Ok(()) };
        self.db.sync()?;
        let sides = *self.sides();
        let mut watermark = watermark.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.member {
            None => Ok(watermark.advance((index, chain), sides)?),
            Some(member) => self.settle_member(member, &mut watermark, sides),
        }
    }
}
