//! Heads of the past, and of projects that are no longer in memory.

use super::{Inner, Journal};
use std::collections::BTreeSet;

use super::error::{FoldError, ReadError};
use super::fold::Track;
use super::frame::Frame;
use super::layout::{Family, parse_scoped, scope_end, scoped_key};
use super::read::mangled;
use super::recover::RecoveredHead;
use super::stop::Stop;
use super::tail::Outline;
use swoosh_machine::head::Head;
use swoosh_types::text::ProjectName;

impl Journal {
    /// The head of a project as of the last of its records at or before `index`; before its first record,
    /// the genesis head. `None` when the project has no record at all.
    pub fn head_at(&self, project: &ProjectName, index: u64, stop: &Stop) -> Result<Option<Head>, FoldError> {
        Ok(self.0.shown_track(project, index, stop)?.map(|found| found.head))
    }

    /// The head of a project as of its last record, for one that is not in memory.
    pub fn latest_head(&self, project: &ProjectName) -> Result<Option<RecoveredHead>, FoldError> {
        self.latest_head_until(project, &Stop::default())
    }

    /// The same, unless it is stopped.
    pub fn latest_head_until(&self, project: &ProjectName, stop: &Stop) -> Result<Option<RecoveredHead>, FoldError> {
        self.0.shown_track(project, u64::MAX, stop)
    }

    /// Index of a project's last record; `None` when it has none.
    pub fn last_of(&self, project: &ProjectName) -> Result<Option<u64>, ReadError> {
        let mut rows = self.0.keys(Family::Decisions, scoped_key(project, 0), self.0.shown_end(project));
        let Some((key, _)) = rows.previous_row()? else { return Ok(None) };
        parse_scoped(key).map(|(_, index, _)| Some(index)).ok_or_else(|| mangled(project, Family::Decisions))
    }

    /// How many projects have a record at or before an index.
    pub fn count_projects(&self, index: u64) -> Result<u64, ReadError> {
        let mut count = 0;
        self.0.each_project(Family::Decisions, &mut |_, first| count += u64::from(first <= index))?;
        Ok(count)
    }

    /// The projects that have a record after `after`, up to and including `to`.
    pub fn projects_between(&self, after: u64, to: u64) -> Result<BTreeSet<ProjectName>, ReadError> {
        let mut projects = BTreeSet::new();
        if after < self.first_index() {
            // A project with a base may have changed in pruned records.
            projects.extend(self.0.based_projects()?);
        }
        for row in self.0.rows_from((after + 1).max(self.first_index())) {
            let row = row?;
            if row.index > to {
                break;
            }
            projects.insert(Outline::of(&Frame::parse(row.index, &row.value)?)?.project);
        }
        Ok(projects)
    }

    /// Records that a start would check: those behind the replay floor.
    pub fn replay_tail(&self) -> u64 {
        let tail = self.0.tail();
        tail.last_index - tail.unsnapshotted.floor(tail.last_index)
    }

    /// Every project that has a record.
    pub fn projects(&self) -> Result<Vec<ProjectName>, ReadError> {
        let shown = self.0.shown();
        let mut projects = Vec::new();
        let mut see = |project, first| projects.extend((first <= shown).then_some(project));
        self.0.each_project(Family::Decisions, &mut see)?;
        Ok(projects)
    }

    /// The projects whose names can be read, and the error that hides others. Damage to one table hides no project
    /// that another table names.
    pub fn readable_projects(&self) -> (BTreeSet<ProjectName>, Option<ReadError>) {
        let (mut names, error) = self.0.readable_names(Family::Decisions);
        if error.is_some() {
            for family in [Family::Idem, Family::Snapshots] {
                names.extend(self.0.readable_names(family).0);
            }
        }
        (names, error)
    }
}

impl Inner {
    /// The head of a project as of the last of its records at or before `index`, as readers see it.
    fn shown_track(&self, project: &ProjectName, index: u64, stop: &Stop) -> Result<Option<RecoveredHead>, FoldError> {
        let shown = self.shown();
        let Some(first) = self.project_indexes(project, 0).next().transpose()? else { return Ok(None) };
        if first > shown {
            return Ok(None);
        }
        let is_ahead = match shown.checked_add(1) {
            Some(next) => self.project_indexes(project, next).next().is_some(),
            None => false,
        };
        self.track_at(project, if is_ahead { index.min(shown) } else { index }, stop)
    }

    /// The first key after those of a project's records that readers see.
    fn shown_end(&self, project: &ProjectName) -> Vec<u8> {
        self.shown().checked_add(1).map_or_else(|| scope_end(project), |next| scoped_key(project, next))
    }

    /// The names before the first unreadable block of a family, and those behind the last one.
    fn readable_names(&self, family: Family) -> (BTreeSet<ProjectName>, Option<ReadError>) {
        let (mut names, shown) = (BTreeSet::new(), self.shown());
        let listed = |first| family != Family::Decisions || first <= shown;
        let mut see = |project, first| names.extend(listed(first).then_some(project));
        let walked = self.each_project(family, &mut see);
        let Err(error) = walked else { return (names, None) };
        let from = names.last().map_or_else(Vec::new, scope_end);
        let mut end = LAST_KEY.to_vec();
        while end > from {
            let mut rows = self.keys(family, from.clone(), std::mem::take(&mut end));
            let Ok(Some((key, _))) = rows.previous_row() else { break };
            let Some((project, ..)) = parse_scoped(key) else { break };
            end = scoped_key(&project, 0);
            names.insert(project);
        }
        (names, Some(error))
    }

    pub(super) fn track_at(
        &self,
        project: &ProjectName,
        index: u64,
        stop: &Stop,
    ) -> Result<Option<RecoveredHead>, FoldError> {
        if !self.is_known(project)? {
            return Ok(None);
        }
        let mut track = Track::genesis(project);
        let mut warnings = Vec::new();
        if let Some((snapshot, head)) = self.good_snapshot(project, index, &mut warnings)? {
            track = Track { head, index: snapshot.index, applied: 0 };
        }
        let snapshot_index = track.index;
        self.catch_up(project, &mut track, index, stop)?;
        Ok(Some(RecoveredHead { head: track.head, index: track.index, snapshot_index, warnings }))
    }
}

/// Behind every key that begins with a project's name.
const LAST_KEY: [u8; 1] = [0xff];
