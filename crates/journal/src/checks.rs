//! The checks of a start, for every command that writes to a data directory without being the node.
//!
//! ```text
//! watermark ──▶ look without writing: reaches the promise, no gap, chain, keys ──▶ open to write, same end ──▶ write
//! ```
//! A directory that lost acknowledged records is refused here, unchanged. Only `accept.rs` goes on without these checks.

use super::error::{OpenError, RecoverError};
use super::open::{last_record, look_first, open_to_write, runs_alone, with_promise};
use super::promise::Keeper;
use super::store::{Place, Store};
use super::watermark::{self, Mark};
use super::{AppendError, Inner, Journal, Mode, Recovered, Stage, StoreLimits};
use swoosh_types::hash::Hash;

/// Why a command must not write to a directory: a node would not start on it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It does not open, or has less than its watermark promises.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not hold what its watermark promises.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// Its end moved while it was looked at.
    #[error(
        "the journal ended at record {checked} when it was checked, and ends at record {found} now; run the command again"
    )]
    Moved {
        /// The last record when it was checked.
        checked: u64,
        /// The last record now.
        found: u64,
    },
}

/// A directory that passed, open for writing and held by this process.
pub(super) struct Checked {
    pub db: Store,
    pub index: u64,
    /// Its link.
    pub chain: Hash,
}

impl Journal {
    /// Makes the checks of a start and writes nothing.
    pub fn check_start(place: impl Into<Place>) -> Result<Recovered, CheckError> {
        look(&place.into(), None)
    }
}

impl Inner {
    /// Refuses to write to a journal that is only looked at, or that did not pass the checks of a start yet.
    pub(super) fn may_change(&self) -> Result<(), AppendError> {
        match self.mode {
            Mode::ReadOnly => Err(AppendError::ReadOnly),
            Mode::ReadWrite { .. } if self.tail().stage == Stage::Opened => Err(AppendError::NotRecovered),
            Mode::ReadWrite { .. } => Ok(()),
        }
    }
}

/// Checks a directory that no process holds, and opens it for writing.
pub(super) fn open(place: &Place) -> Result<Checked, CheckError> {
    hold(place, look(place, None)?)
}

/// The same, as if the watermark were this one.
pub(super) fn open_as_if(place: &Place, mark: Mark) -> Result<Checked, CheckError> {
    hold(place, look(place, Some(mark))?)
}

fn look(place: &Place, pretended: Option<Mark>) -> Result<Recovered, CheckError> {
    let found = watermark::read(place).map_err(OpenError::from)?.map(|found| found.mark);
    let mark = pretended.or(found);
    let promised = mark.map_or(0, |mark| mark.index);
    look_first(place, mark.as_ref(), &|_| Ok(())).map_err(|error| with_promise(error, promised))?;
    let keeper = mark.map_or_else(|| Keeper::read(place), |mark| Keeper::pretend(&place.path, mark));
    let journal = Journal::look_only(place, keeper).map_err(|error| with_promise(error, promised))?;
    Ok(journal.recover_tail()?)
}

fn hold(place: &Place, recovered: Recovered) -> Result<Checked, CheckError> {
    let db = open_to_write(place, &StoreLimits::default())?;
    runs_alone(&db, place)?;
    let (index, chain) = last_record(&db, place)?;
    if (index, chain) != (recovered.last_index, recovered.last_chain) {
        return Err(CheckError::Moved { checked: recovered.last_index, found: index });
    }
    Ok(Checked { db, index, chain })
}
