//! Heads of the past, and of projects that are no longer in memory.

use super::Journal;
use super::error::{FoldError, ReadError};
use super::fold::Track;
use super::layout::Family;
use super::recover::RecoveredHead;
use crate::machine::head::Head;
use crate::types::text::ProjectName;

impl Journal {
    /// The head of a project as of the last of its records at or before `index`; before its first record,
    /// the genesis head. `None` when the project has no record at all.
    pub fn head_at(&self, project: &ProjectName, index: u64) -> Result<Option<Head>, FoldError> {
        Ok(self.track_at(project, index)?.map(|found| found.head))
    }

    /// The head of a project as of its last record, for one that is not in memory.
    pub fn latest_head(&self, project: &ProjectName) -> Result<Option<RecoveredHead>, FoldError> {
        self.track_at(project, u64::MAX)
    }

    /// Every project that has a record.
    pub fn projects(&self) -> Result<Vec<ProjectName>, ReadError> {
        self.0.projects_in(Family::Decisions)
    }

    fn track_at(&self, project: &ProjectName, index: u64) -> Result<Option<RecoveredHead>, FoldError> {
        if !self.0.is_known(project)? {
            return Ok(None);
        }
        let mut track = Track::genesis(project);
        if let Some((snapshot, head)) = self.0.good_snapshot(project, index, &mut Vec::new())? {
            track = Track { head, index: snapshot.index, applied: 0 };
        }
        let snapshot_index = track.index;
        self.0.catch_up(project, &mut track, index)?;
        Ok(Some(RecoveredHead { head: track.head, index: track.index, snapshot_index }))
    }
}
