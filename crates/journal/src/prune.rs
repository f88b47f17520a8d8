//! Pruning idempotency keys that are older than the horizon.
//!
//! ```text
//! records, oldest first ──▶ stamped before (last stamp − horizon)? ──▶ floor of the project above the key's beat,
//!        ▲                        │ no: the round ends                 synced ──▶ key gone, record counted as aged
//!        └────────────────────────┴───────────────────────────────────────────────────────┘
//! ```
//! A key ages by the stamp of its record, so neither the wall clock nor a window schedule decides when it goes. A
//! beat is a caller's number and means something within its project alone, so each project has its own floor. The
//! floor rises only above beats of keys that are pruned: no beat that was never used is refused by a jump of a clock.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{MutexGuard, PoisonError};

use super::error::{FoldError, ReadError, StorageError};
use super::layout::{Family, idem_key, key_floor_key, meta, scoped_key};
use super::read::mangled;
use super::receipts::BoundKey;
use super::store::WriteBatch;
use super::{AppendError, Inner, Journal};
use swoosh_types::hlc::Hlc;
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// Records whose keys go at once.
const AT_ONCE: usize = 1_024;
/// Keys of a project that a round looks at below its floor: those that an earlier round left.
const LOOKED_AT: usize = 64;

/// Result of a round of pruning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Index of the last record whose key is old enough to go.
    pub aged: u64,
    /// Keys that are gone.
    pub keys: u64,
    /// Keys that are old and stay, since their beat is ahead of what a key may name.
    pub ahead: u64,
}

/// Why keys were not pruned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PruneError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A project whose records were to go cannot be loaded. They stay, and with them everything after them.
    #[error("project {project} cannot be loaded, so nothing is pruned that it needs: {source}")]
    Project { project: ProjectName, source: Box<FoldError> },
    /// A record that was to stand for those before it is not as the node sealed it. It stays, and they stay.
    #[error(
        "record {index} is to stand for those before it, and it does not hold ({reason}); nothing is pruned. \
         `swoosh wal verify` tells what is damaged; put it back from a backup or a follower"
    )]
    Unproven { index: u64, reason: String },
    #[error("it could not be pruned ({0}); it is tried again with the next round")]
    Storage(#[from] StorageError),
}

/// Keys that are old enough to go.
#[derive(Default)]
struct Old {
    /// The last record that was read and is old.
    aged: Option<u64>,
    rows: Vec<Vec<u8>>,
    /// The floor that each project needs before they go.
    floors: BTreeMap<ProjectName, u64>,
    ahead: u64,
    /// Whether the record after them is young, or there is none.
    end: bool,
}

impl Journal {
    /// Beat below which idempotency keys of a project may be gone. It only rises.
    pub fn key_floor(&self, project: &ProjectName) -> Result<u64, ReadError> {
        self.0.key_floor(project)
    }

    /// Index of the last record whose idempotency key was old enough to be pruned; 0 before the first.
    pub fn keys_aged(&self) -> Result<u64, ReadError> {
        self.0.keys_aged()
    }

    /// When the last record was accepted that is on disk for certain; the earliest time where there is none.
    pub fn last_timestamp(&self) -> Result<Hlc, ReadError> {
        let (index, _) = self.last_promised();
        Ok(self.0.foothold(index)?.1)
    }

    /// Prunes the keys of records that were accepted more than `horizon_ms` before the last one. Floors are on disk
    /// before a key goes. A key whose beat is above what its project `reached` stays: a floor above it would refuse the
    /// beats that callers name now. Between two stretches it asks `goes_on`.
    pub fn prune_keys(
        &self,
        horizon_ms: u64,
        reached: &dyn Fn(&ProjectName) -> u64,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<PruneReport, PruneError> {
        self.0.may_change()?;
        let _one_at_a_time = self.0.ageing();
        let (last, _) = self.last_promised();
        let since_ms = self.0.foothold(last)?.1.physical_ms().saturating_sub(horizon_ms);
        let mut report = PruneReport { aged: self.0.keys_aged()?, ..PruneReport::default() };
        while goes_on() {
            let old = self.0.old_keys(report.aged + 1..=last, since_ms, reached);
            let Some(aged) = old.aged else { break };
            let end = old.end;
            report.ahead += old.ahead;
            report.keys += self.0.forget(old, aged)?;
            report.aged = aged;
            if end {
                break;
            }
        }
        Ok(report)
    }
}

impl Inner {
    /// Held while rows of keys are deleted or rewritten. Taken before `appending`.
    pub(super) fn ageing(&self) -> MutexGuard<'_, ()> {
        self.ageing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn key_floor(&self, project: &ProjectName) -> Result<u64, ReadError> {
        let own = self.number(&key_floor_key(project))?.unwrap_or(0);
        Ok(own.max(self.prune_floor))
    }

    fn keys_aged(&self) -> Result<u64, ReadError> {
        let stored = self.number(meta::KEYS_AGED)?.unwrap_or(0);
        // Keys of pruned records that are still there are older than those of the records that are left.
        Ok(stored.max(self.first_index() - 1))
    }

    fn number(&self, key: &[u8]) -> Result<Option<u64>, ReadError> {
        let Some(bytes) = self.get(Family::Meta, key)? else { return Ok(None) };
        let unreadable =
            || ReadError::Row { project: String::from_utf8_lossy(key).into_owned(), family: Family::Meta.name() };
        std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(unreadable)
    }

    /// The keys of the first records of a range that were accepted before `since_ms`, at most [`AT_ONCE`]. A record that cannot be read
    /// is skipped: its key stays.
    fn old_keys(&self, records: RangeInclusive<u64>, since_ms: u64, reached: &dyn Fn(&ProjectName) -> u64) -> Old {
        let mut old = Old::default();
        for index in records.take(AT_ONCE) {
            let Ok((record, _)) = self.linked_record(index) else { continue };
            if record.timestamp.physical_ms() >= since_ms {
                old.end = true;
                break;
            }
            old.add(&record, reached(&record.project));
        }
        old
    }

    /// Forgets old keys; returns how many.
    fn forget(&self, old: Old, aged: u64) -> Result<u64, PruneError> {
        let (meta_family, keys) = (self.family(Family::Meta), self.family(Family::Idem));
        let mut floors = WriteBatch::default();
        for (project, floor) in &old.floors {
            if *floor > self.key_floor(project)? {
                floors.put_cf(meta_family, key_floor_key(project), floor.to_string());
            }
        }
        if !floors.is_empty() {
            self.or_stop(self.write(floors, true))?;
        }
        let mut rows = WriteBatch::default();
        let mut gone = old.rows.len() as u64;
        old.rows.into_iter().for_each(|row| rows.delete_cf(keys, row));
        for project in old.floors.keys() {
            gone += self.stage_left(&mut rows, project)?;
        }
        rows.put_cf(meta_family, meta::KEYS_AGED, aged.to_string());
        self.or_stop(self.write(rows, false))?;
        Ok(gone)
    }

    /// Keys below the floor that an earlier round left because their beat was ahead then, or their record unreadable.
    fn stage_left(&self, rows: &mut WriteBatch, project: &ProjectName) -> Result<u64, ReadError> {
        let (floor, aged) = (self.key_floor(project)?, self.keys_aged()?);
        let mut below = self.keys(Family::Idem, scoped_key(project, 0), scoped_key(project, floor));
        let mut found = 0;
        for _ in 0..LOOKED_AT {
            let Some((key, value)) = below.next_row()? else { break };
            let bound = BoundKey::parse(value).ok_or_else(|| mangled(project, Family::Idem))?;
            // Younger rows wait for their own round.
            if bound.index <= aged {
                rows.delete_cf(self.family(Family::Idem), key);
                found += 1;
            }
        }
        Ok(found)
    }
}

impl Old {
    fn add(&mut self, record: &Record, reached: u64) {
        let (project, beat) = (&record.project, record.idem_key.beat);
        self.aged = Some(record.index);
        if beat > reached {
            self.ahead += 1;
            return;
        }
        let floor = self.floors.entry(project.clone()).or_default();
        *floor = (*floor).max(beat.saturating_add(1));
        self.rows.push(idem_key(project, &record.idem_key));
    }
}
