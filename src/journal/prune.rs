//! Pruning idempotency keys that lie behind the horizon.

use std::sync::atomic::Ordering;

use super::error::{FoldError, ReadError, StorageError};
use super::layout::{Family, meta, scoped_key};
use super::store::WriteBatch;
use super::{AppendError, Inner, Journal, Mode};
use crate::types::text::ProjectName;

/// What was pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneReport {
    /// The floor that holds now.
    pub floor: u64,
    /// Projects that had keys below it.
    pub projects: u64,
    /// Keys that are gone.
    pub keys: u64,
}

/// Why keys were not pruned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PruneError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What is there cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A project whose records were to go cannot be loaded. They stay, and with them everything after them.
    #[error("project {project} cannot be loaded, so nothing is pruned that it needs: {source}")]
    Project {
        /// Which project.
        project: ProjectName,
        /// What is wrong.
        source: Box<FoldError>,
    },
    /// A record that was to stand for those before it is not as the node sealed it. It stays, and they stay.
    #[error(
        "record {index} is to stand for those before it, and it does not hold ({reason}); nothing is pruned. \
         `swoosh wal verify` tells what is damaged; put it back from a backup or a follower"
    )]
    Unproven {
        /// Which record.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("it could not be pruned ({0}); it is tried again with the next round")]
    Storage(#[from] StorageError),
}

impl Journal {
    /// Raises the prune floor to a beat, on disk before anything else, and then forgets the keys of earlier
    /// beats. A floor below the present one changes nothing: it only rises.
    pub fn prune_keys(&self, floor_beat: u64) -> Result<PruneReport, PruneError> {
        if matches!(self.0.mode, Mode::ReadOnly) {
            return Err(AppendError::ReadOnly.into());
        }
        let floor = self.0.raise_floor(floor_beat)?;
        let mut report = PruneReport { floor, projects: 0, keys: 0 };
        for project in self.0.projects_in(Family::Idem)? {
            let keys = self.0.prune_project(&project, floor)?;
            report.keys += keys;
            report.projects += u64::from(keys > 0);
        }
        Ok(report)
    }
}

impl Inner {
    fn raise_floor(&self, wanted: u64) -> Result<u64, StorageError> {
        // Two prunings must not write their floors in the wrong order.
        let _one_at_a_time = self.appending();
        let present = self.prune_floor.load(Ordering::Acquire);
        if wanted <= present {
            return Ok(present);
        }
        let mut rows = WriteBatch::default();
        rows.put_cf(self.family(Family::Meta), meta::PRUNE_FLOOR, wanted.to_string());
        self.or_stop(self.write(rows, true))?;
        self.prune_floor.store(wanted, Ordering::Release);
        Ok(wanted)
    }

    fn prune_project(&self, project: &ProjectName, floor: u64) -> Result<u64, PruneError> {
        let (from, end) = (scoped_key(project, 0), scoped_key(project, floor));
        let mut doomed = self.keys(Family::Idem, from.clone(), end.clone());
        let mut count = 0;
        while doomed.next_row()?.is_some() {
            count += 1;
        }
        if count > 0 {
            let mut rows = WriteBatch::default();
            rows.delete_range_cf(self.family(Family::Idem), from, end);
            self.or_stop(self.write(rows, false))?;
        }
        Ok(count)
    }
}
