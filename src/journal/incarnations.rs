//! Incarnations of a log: how the next one begins, and journals that only follow.
//!
//! A restored log, and one that a follower takes over, goes on under the next number. What began it stands in
//! `meta`, and the chain goes through it: see [`Incarnation`]. A journal that follows says so in `meta` too; no
//! node writes to it until it is promoted, which begins an incarnation.

use std::path::{Path, PathBuf};

use super::error::{OpenError, StorageError};
use super::layout::{Family, exporter_name, meta, parse_idem_value, parse_scoped, wal_key};
use super::open::{first_record, last_record, number, open_to_write, required};
use super::store::{Column, Place, Scan, Store, WriteBatch};
use super::watermark::{self, Mark, Watermark, WatermarkError};
use super::{Inner, Journal, JournalOptions, StoreLimits};
use crate::types::canonical::{canonical_bytes, from_canonical};
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::incarnation::{self, Incarnation};

/// Rows that are deleted at once.
const AT_ONCE: usize = 10_000;

/// Whom a journal follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address of the node that writes.
    pub primary: String,
    /// How its incarnations began.
    pub incarnations: Vec<Incarnation>,
}

/// How a journal is to go on.
#[derive(Clone, Debug)]
pub struct NextIncarnation<'a> {
    /// Higher than any number known of this log.
    pub number: u64,
    /// Now.
    pub at: Hlc,
    /// Who begins it, and why.
    pub reason: &'a str,
    /// The last record that is kept; all when left out.
    pub last: Option<u64>,
}

/// Why a journal does not go on.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// It cannot be opened, or a process holds it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The record is not there.
    #[error("there is no record {wanted} to end at: the journal holds records {first} to {last}")]
    NoSuchRecord {
        /// Which.
        wanted: u64,
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The number was used.
    #[error("incarnation {wanted} cannot begin: the journal is of incarnation {found} already")]
    Number {
        /// What was asked for.
        wanted: u64,
        /// What the journal has.
        found: u64,
    },
    /// The journal follows nobody.
    #[error("the journal in {} follows no other node, so there is nothing to promote; start it with `swoosh serve`", path.display())]
    NotFollowing {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("the journal cannot be written: {0}")]
    Storage(#[from] StorageError),
    /// The watermark cannot be made.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
}

impl Journal {
    /// How the incarnations of this log began, the second one first; none where it is the first.
    pub fn incarnations(&self) -> &[Incarnation] {
        &self.0.incarnations
    }

    /// Whom the journal follows; `None` for one that a node writes to.
    pub fn follows(&self) -> Option<&str> {
        self.0.follows.as_deref()
    }

    /// Opens a directory that follows another node's log, and creates it where it is missing. `wanted.node` is
    /// the node that is followed. Refused besides: the directory of a node that writes.
    pub fn open_following(wanted: JournalOptions, origin: &Origin) -> Result<Journal, OpenError> {
        Journal::open_as(wanted, Some(origin))
    }

    /// Opens a directory that follows already.
    pub fn reopen_following(wanted: JournalOptions) -> Result<Journal, OpenError> {
        let found = Journal::open_read_only(&wanted.path)?;
        let Some(primary) = found.follows() else { return Err(OpenError::NotFollowing { path: wanted.path }) };
        let origin = Origin { primary: primary.to_owned(), incarnations: found.incarnations().to_vec() };
        drop(found);
        Journal::open_as(wanted, Some(&origin))
    }

    /// Says of a journal that no process holds that it follows another node from here on.
    pub fn set_following(path: &Path, primary: &str) -> Result<(), IncarnationError> {
        let place = Place::from(path);
        let db = open_to_write(&place, &StoreLimits::default())?;
        let mut rows = WriteBatch::default();
        rows.put_cf(family(&db, Family::Meta)?, meta::FOLLOWS, primary);
        Ok(write(&db, rows)?)
    }

    /// Begins the next incarnation of a journal that no process holds, after its last record, or after an
    /// earlier one, when every later one is removed. Meant for a copy: what was removed is gone. Afterwards the
    /// journal follows nobody.
    pub fn begin_incarnation(path: &Path, next: &NextIncarnation<'_>) -> Result<Incarnation, IncarnationError> {
        let place = Place::from(path);
        let db = open_to_write(&place, &StoreLimits::default())?;
        let (last, chain) = last_record(&db, &place)?;
        let found: u64 = required(&db, &place, meta::INCARNATION)?;
        if next.number <= found {
            return Err(IncarnationError::Number { wanted: next.number, found });
        }
        let (after, chain) = match next.last {
            Some(wanted) if wanted != last => (wanted, cut(&db, &place, wanted, last)?),
            _ => (last, chain),
        };
        let mut all = read(&db)?;
        all.retain(|incarnation| incarnation.after <= after);
        let link = incarnation::onward(&all, after, chain);
        let begun = Incarnation { number: next.number, after, link, at: next.at, reason: next.reason.to_owned() };
        let mut rows = WriteBatch::default();
        let meta_family = family(&db, Family::Meta)?;
        rows.delete_range_cf(meta_family, meta::BEGUN, meta::BEGUN_END);
        all.push(begun.clone());
        all.iter().for_each(|begun| rows.put_cf(meta_family, begun_key(begun.number), canonical_bytes(begun)));
        rows.put_cf(meta_family, meta::INCARNATION, next.number.to_string());
        rows.delete_cf(meta_family, meta::FOLLOWS);
        // Which effects are open, the next start reads from the states.
        rows.delete_cf(meta_family, meta::EFFECTS_INDEXED);
        // Records that take the place of lost ones bind young keys.
        if number(&db, &place, meta::KEYS_AGED)?.is_some_and(|aged| aged > after) {
            rows.put_cf(meta_family, meta::KEYS_AGED, after.to_string());
        }
        write(&db, rows)?;
        // A crash before this leaves a journal that does not open; see `promote`.
        Watermark::create(&place, Mark { sequence: 0, index: after, chain, incarnation: next.number })?;
        Ok(begun)
    }

    /// Makes a journal that follows one that a node writes to: the next incarnation begins after its last
    /// record. May be done again when it was interrupted.
    pub fn promote(path: &Path, at: Hlc, reason: &str) -> Result<Incarnation, IncarnationError> {
        let place = Place::from(path);
        let db = open_to_write(&place, &StoreLimits::default())?;
        let (last, chain) = last_record(&db, &place)?;
        let follows = db.get_cf(family(&db, Family::Meta)?, meta::FOLLOWS)?.is_some();
        let number: u64 = required(&db, &place, meta::INCARNATION)?;
        let begun = read(&db)?;
        drop(db);
        let mark = watermark::read(&place)?.map(|found| found.mark);
        match begun.last() {
            _ if follows => {
                Journal::begin_incarnation(path, &NextIncarnation { number: number + 1, at, reason, last: None })
            }
            Some(begun) if begun.after == last && mark.is_some_and(|mark| mark.incarnation < begun.number) => {
                Watermark::create(&place, Mark { sequence: 0, index: last, chain, incarnation: number })?;
                Ok(begun.clone())
            }
            _ => Err(IncarnationError::NotFollowing { path: path.to_path_buf() }),
        }
    }
}

impl Inner {
    /// The link that the record after `index` follows, whose own link is `chain`.
    pub(super) fn onward(&self, index: u64, chain: Hash) -> Hash {
        if self.incarnations.is_empty() { chain } else { incarnation::onward(&self.incarnations, index, chain) }
    }
}

/// How the incarnations of a directory began.
pub(super) fn read(db: &Store) -> Result<Vec<Incarnation>, StorageError> {
    let mut rows = db.walk(family(db, Family::Meta)?, Scan::default());
    let mut found = Vec::new();
    rows.seek(meta::BEGUN);
    while let Some((_, value)) = rows.item()?.filter(|(key, _)| key.starts_with(meta::BEGUN)) {
        let begun = from_canonical(value);
        found
            .push(begun.map_err(|error| StorageError(format!("an incarnation's beginning does not decode: {error}")))?);
        rows.next();
    }
    Ok(found)
}

pub(super) fn begun_key(number: u64) -> Vec<u8> {
    [meta::BEGUN, &number.to_be_bytes()].concat()
}

fn family(db: &Store, family: Family) -> Result<Column<'_>, StorageError> {
    db.column(family).ok_or_else(|| StorageError(format!("no column family {}", family.name())))
}

fn write(db: &Store, rows: WriteBatch) -> Result<(), StorageError> {
    db.write(rows, true)
}

/// Removes every record after `wanted` and what they wrote; the link of `wanted`.
fn cut(db: &Store, place: &Place, wanted: u64, last: u64) -> Result<Hash, IncarnationError> {
    let first = first_record(db, place)?;
    let no_such_record = IncarnationError::NoSuchRecord { wanted, first, last };
    if wanted < first || wanted > last {
        return Err(no_such_record);
    }
    let mut rows = WriteBatch::default();
    rows.delete_range_cf(family(db, Family::Wal)?, wal_key(wanted + 1), wal_key(u64::MAX));
    write(db, rows)?;
    let scoped = |key: &[u8], _: &[u8]| parse_scoped(key).map(|(_, index, _)| index);
    delete_after(db, Family::Decisions, wanted, &scoped)?;
    delete_after(db, Family::Snapshots, wanted, &scoped)?;
    delete_after(db, Family::Idem, wanted, &|_, value| parse_idem_value(value).map(|(_, index, _)| index))?;
    turn_back(db, place, first - 1, wanted)?;
    match last_record(db, place)? {
        (found, chain) if found == wanted => Ok(chain),
        _ => Err(no_such_record),
    }
}

/// The record that a row, key and value, belongs to.
type IndexOf = dyn Fn(&[u8], &[u8]) -> Option<u64>;

/// Deletes the rows of a family that belong to records after `wanted`.
fn delete_after(db: &Store, of: Family, wanted: u64, index: &IndexOf) -> Result<(), StorageError> {
    let handle = family(db, of)?;
    let mut rows = WriteBatch::default();
    let mut walk = db.walk(handle, Scan::default());
    walk.seek_to_first();
    while let Some((key, value)) = walk.item()? {
        let found = index(key, value).ok_or_else(|| StorageError(format!("a row of {} is mangled", of.name())))?;
        if found > wanted {
            rows.delete_cf(handle, key);
        }
        if rows.len() >= AT_ONCE {
            db.write(std::mem::take(&mut rows), false)?;
        }
        walk.next();
    }
    write(db, rows)
}

/// What counted on the records that are gone counts on those that are left: snapshots may have covered others, and
/// exporters are to take the records that come.
fn turn_back(db: &Store, place: &Place, floor: u64, wanted: u64) -> Result<(), IncarnationError> {
    let mut rows = WriteBatch::default();
    let lower = number(db, place, meta::REPLAY_FLOOR)?.unwrap_or(0).min(floor);
    rows.put_cf(family(db, Family::Meta)?, meta::REPLAY_FLOOR, lower.to_string());
    let outbox = family(db, Family::Outbox)?;
    let mut walk = db.walk(outbox, Scan::default());
    walk.seek_to_first();
    while let Some((key, value)) = walk.item()? {
        let exporter = exporter_name(key).and_then(|_| std::str::from_utf8(value).ok());
        if let Some((word, index)) = exporter.and_then(|text| text.split_once(' '))
            && index.parse::<u64>().is_ok_and(|index| index > wanted)
        {
            rows.put_cf(outbox, key, format!("{word} {wanted}"));
        }
        walk.next();
    }
    Ok(write(db, rows)?)
}
