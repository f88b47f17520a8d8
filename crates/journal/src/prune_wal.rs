//! Pruning the front of the log, behind snapshots.
//!
//! ```text
//! how far? ──▶ a stretch: its chain, and the last record of each project ──▶ a base for each of these, twice
//!    ▲                                                                       receipts of bound keys, whole
//!    │                                                                                 │
//!    └── next stretch ◀── files given back ◀── one synced write: prune point, records and decisions gone
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::base::{self, Anchor, PrunePoint};
use super::error::{FoldError, ReadError};
use super::frame::Frame;
use super::layout::{Family, base_key, meta, scoped_key, wal_key};
use super::prune::PruneError;
use super::stop::Stop;
use super::store::WriteBatch;
use super::tail::outline;
use super::{Inner, Journal, Snapshot};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::receipt::Receipt;
use swoosh_types::text::ProjectName;

/// Records that one stretch has at most.
const STRETCH: u64 = 20_000;
/// Bases that are written at once.
const BASES_AT_ONCE: usize = 64;

/// Limits of pruning. A record that a start or an exporter needs stays in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// This many records stay.
    pub records: u64,
    /// Records accepted at this time or later stay.
    pub since: Hlc,
    /// Where pruned records were exported to; named in the error for later reads.
    pub exported_to: Option<String>,
}

/// Result of pruning the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalPruneReport {
    /// Index of the first record that is there now.
    pub first_index: u64,
    /// Records that went.
    pub records: u64,
    /// Projects that got a new base.
    pub bases: u64,
}

/// The link before a record, and its frame.
struct Carried {
    previous: Hash,
    frame: Vec<u8>,
}

impl Journal {
    /// Prunes records from the front, as far as `wanted`, snapshots, exporters and the watermark allow. The
    /// floor is on disk before anything is gone, and only rises.
    /// Between two stretches it asks `goes_on`.
    pub fn prune_wal(&self, wanted: &Retention, goes_on: &dyn Fn() -> bool) -> Result<WalPruneReport, PruneError> {
        self.0.may_change()?;
        let target = self.prunable(wanted)?;
        let mut report = WalPruneReport { first_index: self.first_index(), ..WalPruneReport::default() };
        while report.first_index < target && goes_on() {
            let end = target.min(report.first_index + STRETCH);
            self.0.stretch(end, wanted, &mut report)?;
        }
        if report.records > 0 {
            let last_gone = wal_key(report.first_index - 1);
            self.0.db.drop_tables(self.0.family(Family::Wal), &wal_key(0), &last_gone)?;
        }
        Ok(report)
    }

    /// Compares both copies of the base of a project with pruned records, and restores a missing or damaged copy from
    /// the good one. Returns whether a copy was restored.
    pub fn mend_base(&self, project: &ProjectName) -> Result<bool, PruneError> {
        self.0.may_change()?;
        Ok(!self.0.base_flaws(project)?.is_empty() && self.0.mend_base(project)?)
    }

    /// Index of the first record that must stay.
    pub fn prunable(&self, wanted: &Retention) -> Result<u64, ReadError> {
        let (last, _) = self.last();
        let by_count = last.saturating_sub(wanted.records) + 1;
        let mut first_kept = by_count.min(self.0.first_since(wanted.since, last)?).min(self.0.replay_floor()?);
        if let Ok(Some(mark)) = self.0.keeper.promised() {
            first_kept = first_kept.min(mark.index);
        }
        if let Some(member) = &self.0.member {
            // A row of the cluster's log that is still there names its records.
            first_kept = first_kept.min(member.ends().purged.record + 1);
        }
        if let Some(exported) = self.export_floor()? {
            first_kept = first_kept.min(exported + 1);
        }
        Ok(first_kept.max(self.first_index()))
    }
}

impl Inner {
    /// The first record that was accepted at `since` or later; stamped time rises with the index.
    fn first_since(&self, since: Hlc, last: u64) -> Result<u64, ReadError> {
        let (mut low, mut high) = (self.first_index(), last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let bytes = self.frame_bytes(middle)?.ok_or(ReadError::Missing { index: middle })?;
            let accepted = super::tail::Outline::of(&Frame::parse(middle, &bytes)?)?.timestamp;
            if accepted < since { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Prunes up to, not including, `end`.
    fn stretch(&self, end: u64, wanted: &Retention, report: &mut WalPruneReport) -> Result<(), PruneError> {
        let first = self.first_index();
        let bases = self.last_of_each(first, end)?;
        for some in bases.iter().collect::<Vec<_>>().chunks(BASES_AT_ONCE) {
            self.write_bases(some)?;
        }
        let _no_receipt_is_replaced = self.ageing();
        self.keep_receipts(first, end)?;
        let (receipt, _) = self.to_stand_on(end - 1)?;
        let exported_to = wanted.exported_to.clone();
        self.raise_wal_floor(PrunePoint { receipt, exported_to }, &bases)?;
        report.first_index = end;
        report.records += end - first;
        report.bases += bases.len() as u64;
        Ok(())
    }

    /// The last record of each project in a stretch, whose chain is checked: nothing damaged is thrown away.
    fn last_of_each(&self, first: u64, end: u64) -> Result<BTreeMap<ProjectName, u64>, ReadError> {
        let mut previous = self.link_after(first - 1)?;
        let mut last = BTreeMap::new();
        for row in self.rows_from(first) {
            let row = row?;
            if row.index >= end {
                break;
            }
            let (outline, chain) = outline(&row, &previous)?;
            previous = self.onward(outline.index, chain);
            last.insert(outline.project, outline.index);
        }
        Ok(last)
    }

    pub(super) fn write_bases(&self, bases: &[(&ProjectName, &u64)]) -> Result<(), PruneError> {
        let mut rows = WriteBatch::default();
        for &(project, &index) in bases {
            let snapshot = self
                .snapshot_then(project, index)
                .map_err(|error| PruneError::Project { project: project.clone(), source: Box::new(error) })?;
            let (_, Carried { previous, frame }) = self.to_stand_on(index)?;
            let row = base::join(&snapshot.encode(), &previous, &frame);
            let second = [index.to_be_bytes().as_slice(), &row].concat();
            rows.put_cf(self.family(Family::Snapshots), scoped_key(project, index), row);
            rows.put_cf(self.family(Family::Meta), base_key(project, self.free_slot(project)?), second);
        }
        self.or_stop(self.write(rows, false))?;
        Ok(())
    }

    /// The receipt of the record that becomes the prune point, and the data that a base carries of it. The chain does
    /// not cover seals, so the seal is verified here: the receipt will be the only evidence left.
    fn to_stand_on(&self, index: u64) -> Result<(Receipt, Carried), PruneError> {
        let frame = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let previous = self.link_after(index - 1)?;
        let proven = self.proven(index, Anchor { previous, frame: &frame });
        let receipt = proven.map_err(|reason| PruneError::Unproven { index, reason })?.receipt();
        Ok((receipt, Carried { previous, frame }))
    }

    /// The snapshot of a project as one of its records left it, taken now if there is none.
    fn snapshot_then(&self, project: &ProjectName, index: u64) -> Result<Snapshot, FoldError> {
        let found = self.track_at(project, index, &Stop::default())?.ok_or(ReadError::Missing { index })?;
        let (record, chain) = self.linked_record(index)?;
        Ok(Snapshot::of(&record, chain, found.head.state()))
    }

    fn raise_wal_floor(&self, point: PrunePoint, bases: &BTreeMap<ProjectName, u64>) -> Result<(), PruneError> {
        let _no_appends = self.appending();
        let mut rows = WriteBatch::default();
        for (project, &index) in bases {
            self.keep_base(&mut rows, project, index)?;
            self.keep_decision(&mut rows, project, index)?;
        }
        rows.put_cf(self.family(Family::Meta), meta::WAL_FLOOR, canonical_bytes(&point));
        rows.delete_range_cf(self.family(Family::Wal), wal_key(0), wal_key(point.first_index()));
        for (project, index) in bases {
            // The base's own decision stays: it lists the project.
            for family in [Family::Decisions, Family::Snapshots] {
                rows.delete_range_cf(self.family(family), scoped_key(project, 0), scoped_key(project, *index));
            }
        }
        // Readers see the new floor before the rows are gone.
        self.first_index.store(point.first_index(), Ordering::Release);
        *self.point() = Some(point);
        Ok(self.or_stop(self.write(rows, true))?)
    }

    /// Puts a base back in its place if a snapshot of the same record was written over it meanwhile, and gives the slot
    /// of the base before it free.
    fn keep_base(&self, rows: &mut WriteBatch, project: &ProjectName, index: u64) -> Result<(), ReadError> {
        let key = scoped_key(project, index);
        let is_base = |row: &Vec<u8>| base::split(row).1.is_some();
        if !self.get(Family::Snapshots, &key)?.as_ref().is_some_and(is_base)
            && let Some(second) = self.coming_base(project, index)?
        {
            rows.put_cf(self.family(Family::Snapshots), key, second);
        }
        let stood_on = self.free_slot(project)?.other();
        rows.delete_cf(self.family(Family::Meta), base_key(project, stood_on));
        Ok(())
    }

    /// Writes a base's decision in full, as its record goes.
    fn keep_decision(&self, rows: &mut WriteBatch, project: &ProjectName, index: u64) -> Result<(), ReadError> {
        if index >= self.first_index()
            && let Some(whole) = self.decision(project, index)?
        {
            rows.put_cf(self.family(Family::Decisions), scoped_key(project, index), whole);
        }
        Ok(())
    }

    /// Gives a project's base its two good copies again. Returns whether it has one.
    pub(super) fn mend_base(&self, project: &ProjectName) -> Result<bool, PruneError> {
        let Some((slot, index, second)) = self.base_in_slot(project)? else { return Ok(false) };
        let first = self.get(Family::Snapshots, &scoped_key(project, index))?;
        let candidates = [first, Some(second)].into_iter().flatten();
        let mut good = None;
        for row in candidates {
            if good.is_none() && self.check_snapshot(project, index, &row)?.is_ok() && base::split(&row).1.is_some() {
                good = Some(row);
            }
        }
        let Some(row) = good else { return Ok(false) };
        let mut rows = WriteBatch::default();
        rows.put_cf(
            self.family(Family::Meta),
            base_key(project, slot),
            [index.to_be_bytes().as_slice(), &row].concat(),
        );
        rows.put_cf(self.family(Family::Snapshots), scoped_key(project, index), row);
        self.or_stop(self.write(rows, true))?;
        self.tail().unsnapshotted.snapshot(project, index);
        Ok(true)
    }
}
