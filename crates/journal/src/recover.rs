//! A start: the newest good snapshot of every project, and replay of what came after.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{ReadError, RecoverError};
use super::fold::{Fold, Track};
use super::layout::meta;
use super::open::raise_format;
use super::read::mangled;
use super::snapshot::Snapshot;
use super::stop::Stop;
use super::unsnapshotted::Unsnapshotted;
use super::{Family, Inner, Journal, Mark, Mode, Stage, Tail, parallel};
use swoosh_machine::head::Head;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

#[derive(Debug)]
pub struct Recovered {
    /// Index of the last record; 0 before the first one.
    pub last_index: u64,
    /// Its chain value; [`Hash::ZERO`] before the first one.
    pub last_chain: Hash,
    /// The link that the next record follows: the same, unless an incarnation begins with it.
    pub next_link: Hash,
    /// When the node accepted it: its clock must go on from here.
    pub last_timestamp: Hlc,
    /// The proposal's clock of the newest snapshot.
    pub last_snapshot_hlc: Option<Hlc>,
    /// Every project that has a record; none where heads are loaded when they are asked for.
    pub heads: BTreeMap<ProjectName, RecoveredHead>,
    /// Records that were reduced again.
    pub replayed: u64,
    /// Records whose place in the chain was checked.
    pub chained: u64,
    /// Snapshots that were passed over.
    pub warnings: Vec<SnapshotWarning>,
}

/// A project as its last record left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredHead {
    pub head: Head,
    /// Index of its last record.
    pub index: u64,
    /// Index of its newest good snapshot; 0 when it has none.
    pub snapshot_index: u64,
    /// Snapshots that were passed over for it.
    pub warnings: Vec<SnapshotWarning>,
}

/// A snapshot that its record does not bear out. It was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWarning {
    pub project: ProjectName,
    /// At which record.
    pub index: u64,
    pub reason: String,
}

impl fmt::Display for SnapshotWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotWarning { project, index, reason } = self;
        write!(f, "the snapshot of project {project} at record {index} is not used: {reason}; see runbooks/recovery.md")
    }
}

impl Journal {
    /// Finds every head again, checking the chain and both hashes of every record that no snapshot covers.
    /// Writes nothing but the watermark, which promises from here on what was found. Batches may follow only
    /// after it. A node takes [`Journal::recover_tail`], which holds no head in memory.
    pub fn recover(&self) -> Result<Recovered, RecoverError> {
        let journal = &*self.0;
        let _no_appends = journal.appending();
        let mut tail = journal.tail();
        let (promised, floor) = journal.before_recovery(tail.last_index)?;
        let mut start = Start::load(journal, tail.unsnapshotted.emptied(), floor)?;
        let mut fold = start.fold(journal, floor)?;
        fold.run(&mut |record| start.unsnapshotted.record(&record.project, record.index))?;
        let heads = start.heads(fold.tracks);
        let end = (fold.last_index, fold.last_chain);
        journal.after_recovery(&mut tail, promised.as_ref(), end, start.unsnapshotted)?;
        Ok(Recovered {
            last_index: fold.last_index,
            last_chain: fold.last_chain,
            next_link: journal.onward(fold.last_index, fold.last_chain),
            last_timestamp: fold.last_timestamp,
            last_snapshot_hlc: start.newest.map(|(_, hlc)| hlc),
            heads,
            replayed: start.caught_up + fold.applied,
            chained: fold.last_index - floor,
            warnings: start.warnings,
        })
    }
}

impl Inner {
    /// Checks the end of the log against the watermark and the replay floor, and returns the floor; of a member also the
    /// cluster's log.
    pub(super) fn before_recovery(&self, last: u64) -> Result<(Option<Mark>, u64), RecoverError> {
        let promised = self.keeper.promised()?;
        self.check_log(promised.as_ref())?;
        if let Some(mark) = &promised {
            self.reaches(mark, last)?;
        }
        let floor = self.replay_floor()?;
        if floor > last {
            let witness = format!("the replay floor {floor}");
            return Err(RecoverError::Lost { last, index: last + 1, witness });
        }
        Ok((promised, floor))
    }

    /// Promises what was found. Batches may follow.
    pub(super) fn after_recovery(
        &self,
        tail: &mut Tail,
        promised: Option<&Mark>,
        end: (u64, Hash),
        unsnapshotted: Unsnapshotted,
    ) -> Result<(), RecoverError> {
        self.keeps(promised, end.0)?;
        tail.unsnapshotted = unsnapshotted;
        (tail.last_index, tail.last_chain) = end;
        if tail.stage == Stage::Opened {
            if self.options.is_some() && self.member.is_none() {
                raise_format(&self.db)?;
            }
            self.settle(end)?;
            tail.stage = Stage::Recovered;
            if !matches!(self.mode, Mode::ReadOnly) {
                self.show(end.0);
            }
        }
        Ok(())
    }

    /// Chain value and time at an index that is there, or where the log begins.
    pub(super) fn foothold(&self, index: u64) -> Result<(Hash, Hlc), ReadError> {
        if let Some(point) = self.point().as_ref()
            && point.receipt.index == index
        {
            return Ok((point.receipt.chain, point.receipt.timestamp));
        }
        match index {
            0 => Ok((Hash::ZERO, Hlc::default())),
            _ => self.linked_record(index).map(|(record, chain)| (chain, record.timestamp)),
        }
    }
}

/// The start of replay, from snapshots.
struct Start {
    unsnapshotted: Unsnapshotted,
    tracks: BTreeMap<ProjectName, Track>,
    snapshots: BTreeMap<ProjectName, u64>,
    newest: Option<(u64, Hlc)>,
    caught_up: u64,
    warnings: Vec<SnapshotWarning>,
}

impl Start {
    fn load(journal: &Inner, unsnapshotted: Unsnapshotted, floor: u64) -> Result<Start, RecoverError> {
        let (tracks, snapshots) = (BTreeMap::new(), BTreeMap::new());
        let mut start = Start { unsnapshotted, tracks, snapshots, newest: None, caught_up: 0, warnings: Vec::new() };
        // Snapshots may be gone that the floor counts on, all of a project's as well.
        let found = parallel::map(journal.every_project()?, |project| {
            let mut warnings = Vec::new();
            let good = journal.good_snapshot(&project, u64::MAX, &mut warnings);
            good.map(|good| (project, good, warnings))
        });
        for result in found {
            let (project, good, warnings) = result?;
            let mut track = match good {
                Some((snapshot, head)) => start.take(&project, &snapshot, head),
                None => Track::genesis(&project),
            };
            start.catch_up(journal, &project, &mut track, floor)?;
            start.warnings.extend(warnings);
            start.tracks.insert(project, track);
        }
        Ok(start)
    }

    fn take(&mut self, project: &ProjectName, snapshot: &Snapshot, head: Head) -> Track {
        let index = snapshot.index;
        self.snapshots.insert(project.clone(), index);
        self.newest = self.newest.max(Some((index, snapshot.hlc)));
        Track { head, index, applied: 0 }
    }

    /// The replay floor counts on the newest snapshot; where that is not good, or gone, the project's records up to
    /// the floor are replayed one by one.
    fn catch_up(
        &mut self,
        journal: &Inner,
        project: &ProjectName,
        track: &mut Track,
        floor: u64,
    ) -> Result<(), RecoverError> {
        for index in journal.project_indexes(project, track.index + 1) {
            let index = index?;
            if index > floor {
                break;
            }
            self.unsnapshotted.record(project, index);
        }
        journal.catch_up(project, track, floor, &Stop::default())?;
        self.caught_up += track.applied;
        Ok(())
    }

    /// Goes on from the floor, whose own record is the first link.
    fn fold<'a>(&mut self, journal: &'a Inner, floor: u64) -> Result<Fold<'a>, ReadError> {
        let (chain, timestamp) = journal.foothold(floor)?;
        let mut fold = Fold::new(journal, floor, chain, timestamp);
        fold.tracks = std::mem::take(&mut self.tracks);
        Ok(fold)
    }

    fn heads(&self, tracks: BTreeMap<ProjectName, Track>) -> BTreeMap<ProjectName, RecoveredHead> {
        let with_snapshot = |(project, track): (ProjectName, Track)| {
            let snapshot_index = self.snapshots.get(&project).copied().unwrap_or(0);
            (project, RecoveredHead { head: track.head, index: track.index, snapshot_index, warnings: Vec::new() })
        };
        tracks.into_iter().map(with_snapshot).collect()
    }
}

impl Inner {
    /// The index up to which snapshots cover every record; never before the log's own beginning.
    pub(super) fn replay_floor(&self) -> Result<u64, ReadError> {
        let unreadable = || ReadError::Row { project: "(none)".to_owned(), family: Family::Meta.name() };
        let Some(bytes) = self.get(Family::Meta, meta::REPLAY_FLOOR)? else { return Err(unreadable()) };
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(|floor: u64| floor.max(self.first_index() - 1))
            .ok_or_else(unreadable)
    }

    /// Every project that has a record or a snapshot.
    fn every_project(&self) -> Result<Vec<ProjectName>, ReadError> {
        let mut projects = self.projects_in(Family::Decisions)?;
        projects.extend(self.projects_in(Family::Snapshots)?);
        projects.sort_unstable();
        projects.dedup();
        Ok(projects)
    }

    /// Whether a project has a record.
    pub(super) fn is_known(&self, project: &ProjectName) -> Result<bool, ReadError> {
        match self.project_indexes(project, 0).next() {
            None => Ok(false),
            Some(Ok(0)) => Err(mangled(project, Family::Decisions)),
            Some(index) => index.map(|_| true),
        }
    }
}
