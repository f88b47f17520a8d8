//! Making a member's directory of a new one, or of one whose node ran alone. No record is rewritten.
//!
//! ```text
//! checks of a start ──► families, format, identity, where the log begins: one synced write ──► watermark with the vote
//! ```
//! A crash between the two leaves a directory that neither a node alone nor a member starts on; founding it again finishes it.

use std::path::PathBuf;

use super::{LogPoint, is_member};
use crate::error::{OpenError, RecoverError, StorageError};
use crate::incarnations::family;
use crate::layout::{Family, MEMBER_FORMAT, meta};
use crate::open::{last_record, open_with, required};
use crate::sealers::Roster;
use crate::store::{Place, WriteBatch};
use crate::watermark::{self, Mark, Pledge, Watermark, WatermarkError};
use crate::{Journal, JournalOptions, Sides};
use swoosh_types::cluster::{Ballot, DirectoryId, MemberId, PlacedConfiguration, Position};
use swoosh_types::hash::Hash;

/// A member's beginning.
#[derive(Clone, Debug)]
pub struct Founding {
    pub number: MemberId,
    /// Random, and never used before.
    pub directory: DirectoryId,
    /// Position of the state that the directory holds: the log begins behind it. `None` for a member that waits for its state.
    pub begins: Option<Position>,
    pub ballot: Option<Ballot>,
    /// The configuration at that position.
    pub members: PlacedConfiguration,
}

/// Why a directory did not become a member's.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// A node does not start on it.
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// It is a member's already.
    #[error("the data directory {} is that of a member already", path.display())]
    Already { path: PathBuf },
    #[error("the directory cannot be written: {0}")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
}

impl Journal {
    /// Makes a member's directory, where none is there or where a node ran alone and is stopped. Refused where a node would not
    /// start. May be done again when it was interrupted.
    pub fn found(wanted: JournalOptions, founding: &Founding) -> Result<(), FoundError> {
        let (place, limits) = (Place::from(&wanted), wanted.store);
        match Journal::open(wanted) {
            Ok(journal) => drop(journal.recover_tail()?),
            Err(OpenError::Member { path }) if !is_half_founded(&place)? => return Err(FoundError::Already { path }),
            Err(OpenError::Member { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let db = open_with(&place, &limits, &Family::MEMBERS)?;
        let (index, chain) = last_record(&db, &place)?;
        let begins = LogPoint::begin(founding.begins, (index, chain));
        let column = family(&db, Family::Meta)?;
        let members = serde_json::to_vec(&founding.members).map_err(|error| StorageError(error.to_string()))?;
        let mut rows = WriteBatch::default();
        rows.put_cf(column, meta::FORMAT, MEMBER_FORMAT.to_string());
        rows.put_cf(column, meta::MEMBER, founding.number.to_string());
        rows.put_cf(column, meta::DIRECTORY, founding.directory.to_string());
        rows.put_cf(column, meta::PURGED, begins.to_string());
        rows.put_cf(column, meta::APPLIED, begins.to_string());
        rows.put_cf(column, meta::MEMBERS, members);
        let mut roster = Roster::read(&db, &place)?.with(required(&db, &place, meta::NODE)?);
        roster.admit(&founding.members.configuration);
        roster.stage(&mut rows, column);
        db.write(rows, true)?;
        let (incarnation, sides) = (required(&db, &place, meta::INCARNATION)?, Sides::read(&db)?);
        let (end, row) = (founding.begins, Hash::ZERO);
        let pledge =
            Pledge { directory: founding.directory, boot: 0, nonce: [0; 16], end, row, ballot: founding.ballot };
        Watermark::create(&place, Mark { sequence: 0, index, chain, incarnation, sides, member: Some(pledge) })?;
        Ok(())
    }
}

/// Whether a founding was interrupted: the directory is a member's, was never started as one, and has no watermark of a member.
fn is_half_founded(place: &Place) -> Result<bool, OpenError> {
    let mark = watermark::read(place)?.map(|found| found.mark);
    let db = crate::open::look(place)?;
    let started = crate::open::get(&db, place, meta::BOOT)?.is_some();
    Ok(is_member(&db, place)? && !started && mark.is_none_or(|mark| mark.member.is_none()))
}
