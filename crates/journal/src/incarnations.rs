//! Incarnations of a log: how the next one begins, and journals that only follow.
//!
//! A restored log, one that a follower takes over, and one whose loss was accepted go on under the next number. How it
//! began is in `meta`, and the chain goes through it: see [`Incarnation`]. A journal that follows says so in `meta` too; no
//! node writes to it until it is promoted, which begins an incarnation.

use std::path::PathBuf;

use super::accept::known_incarnation;
use super::checks::{self, CheckError, Checked};
use super::cut::cut;
use super::error::{OpenError, StorageError};
use super::layout::{Family, meta};
use super::open::required;
use super::store::{Column, Place, Scan, Store, WriteBatch};
use super::watermark::{Mark, Watermark, WatermarkError};
use super::{Inner, Journal, JournalOptions, Sides};
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::incarnation::{self, Incarnation};

/// The node that a journal follows.
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
    /// A node would not start on it.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The record is not there.
    #[error("there is no record {wanted} to end at: the journal holds records {first} to {last}")]
    NoSuchRecord { wanted: u64, first: u64, last: u64 },
    /// The number was used.
    #[error("incarnation {wanted} cannot begin: the journal is of incarnation {found} already")]
    Number { wanted: u64, found: u64 },
    /// The journal follows no other node.
    #[error("the journal in {} follows no other node, so there is nothing to promote; start it with `swoosh serve`", path.display())]
    NotFollowing { path: PathBuf },
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

    /// Name of the node that the journal follows; `None` for a journal that a node writes to.
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

    /// Says of a journal that no process holds that it follows another node from here on. Refused where a node would
    /// not start.
    pub fn set_following(place: impl Into<Place>, primary: &str) -> Result<(), IncarnationError> {
        let Checked { db, .. } = checks::open(&place.into())?;
        let mut rows = WriteBatch::default();
        rows.put_cf(family(&db, Family::Meta)?, meta::FOLLOWS, primary);
        Ok(write(&db, rows)?)
    }

    /// Starts the next incarnation of a journal that no process holds, after its last record, or after an earlier
    /// one, when every later record is removed for good: meant for a copy. Afterwards the journal follows no other
    /// node. Refused where a node would not start.
    pub fn begin_incarnation(
        place: impl Into<Place>,
        next: &NextIncarnation<'_>,
    ) -> Result<Incarnation, IncarnationError> {
        let place = place.into();
        begin(&place, checks::open(&place)?, next)
    }

    /// Makes a journal that follows one that a node writes to: the next incarnation begins after its last
    /// record. May be done again when it was interrupted. Refused where a node would not start: no acknowledged record
    /// is given up.
    pub fn promote(place: impl Into<Place>, at: Hlc, reason: &str) -> Result<Incarnation, IncarnationError> {
        let place = place.into();
        if let Some((begun, mark)) = half_begun(&place)? {
            // The old watermark still says what was promised, under the number before.
            let checked = checks::open_as_if(&place, Mark { incarnation: begun.number, ..mark })?;
            let (sides, Checked { index, chain, .. }) = (Sides::read(&checked.db)?, checked);
            Watermark::create(
                &place,
                Mark { sequence: 0, index, chain, incarnation: begun.number, sides, member: None },
            )?;
            return Ok(begun);
        }
        let checked = checks::open(&place)?;
        if checked.db.get_cf(family(&checked.db, Family::Meta)?, meta::FOLLOWS)?.is_none() {
            return Err(IncarnationError::NotFollowing { path: place.path });
        }
        let number: u64 = required(&checked.db, &place, meta::INCARNATION)?;
        // An older copy, whose loss was accepted, does not know under which number it was promoted before.
        let number = number.max(known_incarnation(&checked.db)?) + 1;
        begin(&place, checked, &NextIncarnation { number, at, reason, last: None })
    }
}

/// The incarnation that an interrupted promotion began, and the watermark, which is still of the one before.
fn half_begun(place: &Place) -> Result<Option<(Incarnation, Mark)>, IncarnationError> {
    let journal = Journal::look_at(place)?;
    let Some(begun) = journal.incarnations().last().filter(|begun| begun.after == journal.last().0) else {
        return Ok(None);
    };
    let Ok(Some(mark)) = journal.0.keeper.promised() else { return Ok(None) };
    let half = journal.follows().is_none() && mark.incarnation < begun.number;
    Ok(half.then(|| (begun.clone(), mark)))
}

fn begin(place: &Place, checked: Checked, next: &NextIncarnation<'_>) -> Result<Incarnation, IncarnationError> {
    let Checked { db, index: last, chain } = checked;
    let found: u64 = required(&db, place, meta::INCARNATION)?;
    if next.number <= found {
        return Err(IncarnationError::Number { wanted: next.number, found });
    }
    let (after, chain) = match next.last {
        Some(wanted) if wanted != last => (wanted, cut(&db, place, wanted, last)?),
        _ => (last, chain),
    };
    let mut rows = WriteBatch::default();
    let begun = stage_next(&db, &mut rows, (after, chain), next)?;
    rows.delete_cf(family(&db, Family::Meta)?, meta::FOLLOWS);
    let sides = Sides::read(&db)?;
    write(&db, rows)?;
    // A crash before this leaves a journal that does not open; see `promote`.
    Watermark::create(place, Mark { sequence: 0, index: after, chain, incarnation: next.number, sides, member: None })?;
    Ok(begun)
}

/// Stages the rows of an incarnation that begins after the last record, whose link is given.
pub(super) fn stage_next(
    db: &Store,
    rows: &mut WriteBatch,
    (after, chain): (u64, Hash),
    next: &NextIncarnation<'_>,
) -> Result<Incarnation, StorageError> {
    let mut all = read(db)?;
    all.retain(|incarnation| incarnation.after <= after);
    let link = incarnation::onward(&all, after, chain);
    let begun = Incarnation { number: next.number, after, link, at: next.at, reason: next.reason.to_owned() };
    let meta_family = family(db, Family::Meta)?;
    rows.delete_range_cf(meta_family, meta::BEGUN, meta::BEGUN_END);
    all.push(begun.clone());
    all.iter().for_each(|begun| rows.put_cf(meta_family, begun_key(begun.number), canonical_bytes(begun)));
    rows.put_cf(meta_family, meta::INCARNATION, next.number.to_string());
    // The next start looks up again which effects are open, from the states.
    rows.delete_cf(meta_family, meta::EFFECTS_INDEXED);
    Ok(begun)
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

pub(super) fn family(db: &Store, family: Family) -> Result<Column<'_>, StorageError> {
    db.column(family).ok_or_else(|| StorageError(format!("no column family {}", family.name())))
}

pub(super) fn write(db: &Store, rows: WriteBatch) -> Result<(), StorageError> {
    db.write(rows, true)
}
