//! Accepting a loss: a person decides that every record after the last one left is given up.
//!
//! Nothing of the journal is repaired. The watermark is made anew for the end that is there, and what was
//! given up, when and why stays written in the journal, where `swoosh wal verify` shows it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{OpenError, ReadError, RecoverError, StorageError};
use super::layout::{Family, meta};
use super::open::{last_record, open_to_write};
use super::promise::Keeper;
use super::store::{Place, Scan, Store, WriteBatch};
use super::watermark::{Mark, Watermark, WatermarkError};
use super::{Inner, Journal, StoreLimits};
use crate::types::canonical::{from_canonical, try_canonical_bytes};
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::text::ProjectName;

/// What would be given up.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Last record that is left; 0 for none.
    pub last: u64,
    /// Its chain value.
    pub chain: Hash,
    /// The last record that was promised; `None` where the watermark no longer says it.
    pub promised: Option<u64>,
    /// Why the node does not start.
    pub problem: RecoverError,
    /// The last record that each project is left with. Whose the lost ones were, nothing shows any more.
    pub kept: BTreeMap<ProjectName, u64>,
    incarnation: u64,
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
    /// When.
    pub at: Hlc,
    /// The record that the journal ended at.
    pub last: u64,
    /// Its chain value.
    pub chain: Hash,
    /// The last record that had been promised; `None` where the watermark no longer said it.
    pub promised: Option<u64>,
    /// Why the node did not start.
    pub problem: String,
    /// Why the person accepted it, and who that was.
    pub reason: String,
}

/// Why a journal is not accepted as it stands.
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
        /// The last record.
        found: u64,
    },
    /// Everything that was promised is there.
    #[error("there is nothing to accept: the journal holds every record that was promised, up to {last}")]
    Whole {
        /// The last record.
        last: u64,
    },
    /// The node would not start all the same.
    #[error("what is left does not hold either, so that accepting it would be of no use: {0}")]
    Broken(#[source] RecoverError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error("the acceptance cannot be written ({0})")]
    Storage(#[from] StorageError),
    /// The watermark cannot be made.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
}

impl Journal {
    /// Looks at a journal that a node refuses to start on, and tells what accepting its end gives up. Writes
    /// nothing.
    pub fn loss(path: &Path) -> Result<Loss, AcceptError> {
        let journal = Journal::open_read_only(path)?;
        let (last, chain) = journal.last();
        let promised = journal.0.keeper.promised();
        let known = promised.as_ref().ok().and_then(|mark| mark.map(|mark| mark.index));
        let kept = promised.map_err(RecoverError::from).and_then(|mark| journal.0.keeps(mark.as_ref(), last));
        let Err(problem) = kept else { return Err(AcceptError::Whole { last }) };
        let incarnation = journal.identity().incarnation;
        let pretended = Keeper::pretend(path, Mark { sequence: 0, index: last, chain, incarnation });
        let recovered = Journal::look_only(&Place::from(path), pretended)?.recover().map_err(AcceptError::Broken)?;
        let kept = recovered.heads.into_iter().map(|(project, head)| (project, head.index)).collect();
        Ok(Loss { last, chain, promised: known, problem, kept, incarnation })
    }

    /// Accepts a loss as it was looked at: writes down in the journal that, when and why it was accepted, and
    /// makes the watermark anew. Refused while a node runs on the directory.
    pub fn accept_end(path: &Path, loss: &Loss, at: Hlc, reason: &str) -> Result<Mark, AcceptError> {
        let place = Place::from(path);
        let db = open_to_write(&place, &StoreLimits::default())?;
        let (found, chain) = last_record(&db, &place)?;
        if (found, chain) != (loss.last, loss.chain) {
            return Err(AcceptError::OtherEnd { named: loss.last, found });
        }
        let problem = loss.problem.to_string();
        let acceptance =
            Acceptance { at, last: found, chain, promised: loss.promised, problem, reason: reason.to_owned() };
        write_down(&db, &acceptance)?;
        // A crash before this leaves the node refusing, and the acceptance to be given again.
        let mark = Mark { sequence: 0, index: found, chain, incarnation: loss.incarnation };
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

fn write_down(db: &Store, acceptance: &Acceptance) -> Result<(), StorageError> {
    let family = db.column(Family::Meta).ok_or_else(|| StorageError("no column family meta".into()))?;
    let number = accepted(db)?.len() as u64;
    let key = [meta::ACCEPTED, &number.to_be_bytes()].concat();
    let bytes = try_canonical_bytes(acceptance).map_err(|error| StorageError(error.to_string()))?;
    let mut rows = WriteBatch::default();
    rows.put_cf(family, key, bytes);
    // What is open is looked up again from what is left.
    rows.delete_cf(family, meta::EFFECTS_INDEXED);
    db.write(rows, true)
}
