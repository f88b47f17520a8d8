//! Accepting a loss: a person decides that every record after the last one left is given up.
//!
//! No record is repaired. The watermark is written again for the end that is there, and the journal keeps when, why
//! and which records were given up; `swoosh wal verify` shows it.
//!
//! The next records take the indexes of the lost ones, which the node sealed and which others may hold. So the
//! acceptance begins an incarnation, and two records at one index are never of the same one. A journal that follows
//! begins none: it writes nothing of its own, and asks its node for the lost records again.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::cut::drop_after;
use super::error::{OpenError, ReadError, RecoverError, StorageError};
use super::incarnations::{IncarnationError, NextIncarnation, family, stage_next};
use super::layout::{Family, meta};
use super::open::{last_record, open_to_write, required, runs_alone};
use super::promise::Keeper;
use super::store::{Place, Scan, Store, WriteBatch};
use super::watermark::{Mark, Watermark, WatermarkError};
use super::{Inner, Journal, Sides, StoreLimits};
use swoosh_types::canonical::{from_canonical, try_canonical_bytes};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

/// A loss to be accepted.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Last record that is left; 0 for none.
    pub last: u64,
    pub chain: Hash,
    /// The last record that was promised; `None` where the watermark no longer says it.
    pub promised: Option<u64>,
    /// Why the node does not start.
    pub problem: RecoverError,
    /// The last remaining record of each project. The projects of lost records are unknown.
    pub kept: BTreeMap<ProjectName, u64>,
    /// The incarnation of the watermark, where it says one: an older copy of the journal may not know of it.
    incarnation: Option<u64>,
    /// Node whose log the journal follows; accepting a loss starts an incarnation if it follows none.
    pub follows: Option<String>,
}

impl Loss {
    /// The promised records that are not there; `None` where that is not known, or where none is missing.
    pub fn lost(&self) -> Option<RangeInclusive<u64>> {
        self.promised.filter(|promised| *promised > self.last).map(|promised| self.last + 1..=promised)
    }
}

/// A loss that a person accepted. It stays in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    pub at: Hlc,
    /// The record that the journal ended at.
    pub last: u64,
    pub chain: Hash,
    /// The last record that had been promised; `None` where the watermark no longer said it.
    pub promised: Option<u64>,
    /// The incarnation of the watermark that was written again, where it said one. A directory that follows goes on under
    /// its own number, and may be an older copy of one that was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Why the node did not start.
    pub problem: String,
    /// Why the person accepted it, and who that was.
    pub reason: String,
}

/// Reasons to refuse the acceptance of a loss.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It cannot be looked at, or a node holds it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not end where the person says.
    #[error("the journal ends at record {found}, not at record {named}; look again with `swoosh wal verify`")]
    OtherEnd {
        /// The record that was named.
        named: u64,
        found: u64,
    },
    /// Everything that was promised is there.
    #[error("there is nothing to accept: the journal holds every record that was promised, up to {last}")]
    Whole { last: u64 },
    /// The node would not start all the same.
    #[error("what is left does not hold either, so that accepting it would be of no use: {0}")]
    Broken(#[source] RecoverError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the acceptance cannot be written ({0})")]
    Storage(#[from] StorageError),
    /// The watermark cannot be made.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// The rows of lost records cannot be removed.
    #[error(transparent)]
    Rows(#[from] IncarnationError),
}

impl Journal {
    /// Looks at a journal that a node refuses to start on, and tells what accepting its end gives up. Writes
    /// nothing.
    pub fn loss(place: impl Into<Place>) -> Result<Loss, AcceptError> {
        let place = place.into();
        let journal = Journal::look_at(&place)?;
        if journal.member().is_some() {
            // It would forget what the member acknowledged: the others have those rows.
            return Err(OpenError::Member { path: place.path }.into());
        }
        let (last, chain) = journal.last();
        let promised = journal.0.keeper.promised();
        let mark = promised.as_ref().ok().copied().flatten();
        let (known, of_watermark) = (mark.map(|mark| mark.index), mark.map(|mark| mark.incarnation));
        let kept = promised.map_err(RecoverError::from).and_then(|mark| journal.0.keeps(mark.as_ref(), last));
        let Err(problem) = kept else { return Err(AcceptError::Whole { last }) };
        let (incarnation, sides) = (journal.identity().incarnation, *journal.0.sides());
        let pretended =
            Keeper::pretend(&place.path, Mark { sequence: 0, index: last, chain, incarnation, sides, member: None });
        let recovered = Journal::look_only(&place, pretended)?.recover().map_err(AcceptError::Broken)?;
        let kept = recovered.heads.into_iter().map(|(project, head)| (project, head.index)).collect();
        let follows = journal.follows().map(str::to_owned);
        Ok(Loss { last, chain, promised: known, problem, kept, incarnation: of_watermark, follows })
    }

    /// Accepts an inspected loss: records in the journal that it was accepted, when and why, starts the next
    /// incarnation after the last record, and rewrites the watermark. Refused while a node runs on the directory.
    pub fn accept_end(place: impl Into<Place>, loss: &Loss, at: Hlc, reason: &str) -> Result<Mark, AcceptError> {
        let place = place.into();
        let db = open_to_write(&place, &StoreLimits::default())?;
        runs_alone(&db, &place)?;
        let (found, chain) = last_record(&db, &place)?;
        if (found, chain) != (loss.last, loss.chain) {
            return Err(AcceptError::OtherEnd { named: loss.last, found });
        }
        let problem = loss.problem.to_string();
        let (promised, incarnation, reason) = (loss.promised, loss.incarnation, reason.to_owned());
        let acceptance = Acceptance { at, last: found, chain, promised, incarnation, problem, reason };
        drop_after(&db, &place, found)?;
        let incarnation = write_down(&db, &place, loss, &acceptance)?;
        // A crash before this leaves the node refusing, and the acceptance to be given again. It then begins one more
        // incarnation: a number is never used twice.
        let mark = Mark { sequence: 0, index: found, chain, incarnation, sides: Sides::read(&db)?, member: None };
        Ok(Watermark::create(&place, mark)?.mark())
    }

    /// Every loss that was accepted, the first one first.
    pub fn acceptances(&self) -> Result<Vec<Acceptance>, ReadError> {
        self.0.acceptances()
    }
}

impl Inner {
    fn acceptances(&self) -> Result<Vec<Acceptance>, ReadError> {
        let unreadable = || ReadError::Row { project: "(none)".to_owned(), family: Family::Meta.name() };
        let rows = accepted(&self.db).map_err(ReadError::Storage)?;
        rows.iter().map(|(_, value)| from_canonical(value).map_err(|_| unreadable())).collect()
    }
}

type MetaRow = (Box<[u8]>, Box<[u8]>);

/// The highest incarnation that a watermark said before a loss was accepted; 0 where there was none.
pub(super) fn known_incarnation(db: &Store) -> Result<u64, StorageError> {
    let mut known = 0;
    for (_, value) in accepted(db)? {
        let acceptance: Acceptance = from_canonical(&value)
            .map_err(|error| StorageError(format!("an acceptance of a loss does not decode: {error}")))?;
        known = known.max(acceptance.incarnation.unwrap_or(0));
    }
    Ok(known)
}

fn accepted(db: &Store) -> Result<Vec<MetaRow>, StorageError> {
    let family = db.column(Family::Meta).ok_or_else(|| StorageError("no column family meta".into()))?;
    let mut rows = db.walk(family, Scan::default());
    let mut ours = Vec::new();
    rows.seek(meta::ACCEPTED);
    while let Some((key, value)) = rows.item()?.filter(|(key, _)| key.starts_with(meta::ACCEPTED)) {
        ours.push((key.into(), value.into()));
        rows.next();
    }
    Ok(ours)
}

/// Writes an acceptance, and how the incarnation began that follows from it, in one batch; returns the journal's
/// incarnation from here on. Its number is higher than any that the journal or the watermark knows.
fn write_down(db: &Store, place: &Place, loss: &Loss, acceptance: &Acceptance) -> Result<u64, AcceptError> {
    let meta_family = family(db, Family::Meta)?;
    let number = accepted(db)?.len() as u64;
    let key = [meta::ACCEPTED, &number.to_be_bytes()].concat();
    let bytes = try_canonical_bytes(acceptance).map_err(|error| StorageError(error.to_string()))?;
    let mut rows = WriteBatch::default();
    rows.put_cf(meta_family, key, bytes);
    let mut incarnation: u64 = required(db, place, meta::INCARNATION)?;
    if db.get_cf(meta_family, meta::FOLLOWS)?.is_none() {
        incarnation = incarnation.max(loss.incarnation.unwrap_or(0)) + 1;
        let reason = format!("a loss was accepted: {}", acceptance.reason);
        let next = NextIncarnation { number: incarnation, at: acceptance.at, reason: &reason, last: None };
        stage_next(db, &mut rows, (loss.last, loss.chain), &next)?;
    }
    // The index of open effects is rebuilt from the remaining states.
    rows.delete_cf(meta_family, meta::EFFECTS_INDEXED);
    db.write(rows, true)?;
    Ok(incarnation)
}
