//! The directory of a cluster's member: its identity, and where the cluster's log begins, is applied and ends.
//!
//! ```text
//! append ──► rows of `raft`, records, objects: one synced write ──► watermark, synced ──► acknowledged     the log half
//! apply  ──► decisions, keys, effects, snapshots and `applied`: one write, behind the append of the same rows  the apply half
//! vote   ──► both slots of the watermark, each synced ──► given
//! cut    ──► watermark lowered, synced ──► rows and records gone, synced
//! ```
//! A node that runs alone has none of this: [`Journal::append`] writes both halves at once. A member has two ends. Readers,
//! checks and exports see the records up to the **applied** row; the rows behind it may still be replaced by another leader.
//!
//! **Architecture invariant.** One queue orders all writes of a member ([`MemberLog`]), because a row is applied before it is on
//! this member's own disk once a majority has it. RocksDB keeps the order of writes, so that no crash leaves an applied row without
//! its records.

mod check;
mod found;
mod log;
mod point;
mod rows;
#[cfg(test)]
mod tests;
mod thread;
mod write;

use std::collections::VecDeque;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::OpenError;
use super::layout::{Family, MEMBER_FORMAT, meta};
use super::open::{get, parsed, required};
use super::store::{Place, Store};
use super::watermark::Nonce;
use super::{Inner, Journal};
use swoosh_types::cluster::{Ballot, DirectoryId, MemberId, PlacedConfiguration, Position};

pub(super) use check::{is_newest, log_reaches};
pub use found::{FoundError, Founding};
pub use log::{LogDone, MemberLog};
pub(super) use point::LogPoint;
pub use thread::LogThread;

/// Who a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    pub number: MemberId,
    pub directory: DirectoryId,
}

/// What an open journal knows of itself as a member's.
pub(super) struct Member {
    pub(super) identity: MemberIdentity,
    /// The random number of this start; `None` where the directory is only looked at.
    nonce: Option<Nonce>,
    /// Held while the log is written.
    log: Mutex<LogState>,
    /// The same ends for readers: held for moments only, and taken after everything else.
    ends: Mutex<MemberEnds>,
}

/// The ends of a member's log, as far as they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberEnds {
    pub(super) purged: LogPoint,
    pub(super) applied: LogPoint,
    pub(super) last: LogPoint,
}

/// The cluster's log as the directory has it.
#[derive(Clone, Debug)]
struct LogState {
    purged: LogPoint,
    applied: LogPoint,
    last: LogPoint,
    /// The rows behind `applied`, up to `last`; known once the log was checked.
    ahead: VecDeque<LogPoint>,
    ballot: Option<Ballot>,
    committed: Option<Position>,
    /// The configuration at `applied`.
    members: PlacedConfiguration,
}

impl Member {
    /// Reads it; `None` for the directory of a node that runs alone.
    pub(super) fn read(db: &Store, place: &Place, nonce: Option<Nonce>) -> Result<Option<Member>, OpenError> {
        if !is_member(db, place)? {
            return Ok(None);
        }
        let identity = MemberIdentity {
            number: MemberId(required(db, place, meta::MEMBER)?),
            directory: required(db, place, meta::DIRECTORY)?,
        };
        let (purged, applied): (LogPoint, LogPoint) =
            (required(db, place, meta::PURGED)?, required(db, place, meta::APPLIED)?);
        let members = get(db, place, meta::MEMBERS)?.unwrap_or_default();
        let members = serde_json::from_str(&members).map_err(|error| mangled(place, meta::MEMBERS, &error))?;
        let committed: Option<Pair> = parsed(db, place, meta::COMMITTED)?;
        let committed = committed.map(|Pair(term, index)| Position { term, index });
        let (ahead, ballot) = (VecDeque::new(), None);
        let last = check::last_point(db, place, purged)?;
        let ends = Mutex::new(MemberEnds { purged, applied, last });
        let log = LogState { purged, applied, last, ahead, ballot, committed, members };
        Ok(Some(Member { identity, nonce, log: Mutex::new(log), ends }))
    }

    fn log(&self) -> MutexGuard<'_, LogState> {
        // A panic while it is held ends the log's thread, and with it all writes.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ends(&self) -> MemberEnds {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows readers where the log is.
    fn publish(&self, log: &LogState) {
        let ends = MemberEnds { purged: log.purged, applied: log.applied, last: log.last };
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }
}

/// Whether a directory is a member's.
pub(super) fn is_member(db: &Store, place: &Place) -> Result<bool, OpenError> {
    Ok(get(db, place, meta::FORMAT)?.is_some_and(|format| format == MEMBER_FORMAT.to_string()))
}

fn mangled(place: &Place, key: &[u8], error: &dyn Display) -> OpenError {
    let what = format!("the entry {} of meta does not decode: {error}", String::from_utf8_lossy(key));
    OpenError::Mangled { path: place.path.clone(), what }
}

/// Two numbers with a blank between.
struct Pair(u64, u64);

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pair, &'static str> {
        let numbers = text.split_once(' ').and_then(|(one, two)| Some(Pair(one.parse().ok()?, two.parse().ok()?)));
        numbers.ok_or("not two numbers")
    }
}

/// A start of a member's directory: its number and its random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boot(u64, Nonce);

impl FromStr for Boot {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Boot, &'static str> {
        let parts = text.split_once(' ').ok_or("not two numbers")?;
        let nonce: DirectoryId = parts.1.parse().map_err(|_| "the random number is not 32 hex digits")?;
        Ok(Boot(parts.0.parse().map_err(|_| "the number is none")?, nonce.0))
    }
}

impl Display for Boot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, DirectoryId(self.1))
    }
}

impl Journal {
    /// Who the member is; `None` for the directory of a node that runs alone.
    pub fn member(&self) -> Option<MemberIdentity> {
        self.0.member.as_ref().map(|member| member.identity)
    }

    /// How often the directory was started as a member's, and the random number of the last start.
    pub fn boot(&self) -> Option<(u64, Nonce)> {
        let mark = self.0.keeper.promised().ok().flatten()?;
        mark.member.map(|pledge| (pledge.boot, pledge.nonce))
    }

    /// The last row of the cluster's log, and the last record in it. It is behind [`Journal::last`] while rows are not applied.
    pub fn logged(&self) -> Option<(Option<Position>, u64)> {
        let last = self.0.member.as_ref()?.ends().last;
        Some((last.at, last.record))
    }
}

impl Inner {
    /// The families of this directory.
    pub(super) fn families(&self) -> Vec<Family> {
        let more: &[Family] = if self.member.is_some() { &Family::MEMBERS } else { &[] };
        Family::ALL.iter().chain(more).copied().collect()
    }

    /// The last record in the log: of a member, also where it is not applied.
    pub(super) fn logged_record(&self, applied: u64) -> u64 {
        self.member.as_ref().map_or(applied, |member| member.ends().last.record)
    }

    /// The last record that readers, checks and exports of a member may see; every one where the node runs alone.
    pub(super) fn last_readable(&self) -> u64 {
        self.member.as_ref().map_or(u64::MAX, |member| member.ends().applied.record)
    }
}
