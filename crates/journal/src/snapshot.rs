//! Snapshots of projects, and when one is good.
//!
//! A stored snapshot holds everything but the idempotency keys, which are in the `idem` family, durable in the same
//! write as their records. With all live keys in each snapshot, its cost would grow with the project's age.
//! [`Journal::snapshot_document`] adds them for export.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{AppendError, ReadError};
use super::frame::Frame;
use super::layout::{Family, parse_idem_key, parse_scoped, scope_end, scoped_key};
use super::read::mangled;
use super::receipts::BoundKey;
use super::recover::SnapshotWarning;
use super::store::Scan;
use super::{Batch, Inner, Journal, Write, base};
use swoosh_machine::head::Head;
use swoosh_machine::state::State;
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::json::Json;
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// A project as one of its records left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub project: ProjectName,
    pub index: u64,
    /// The clock of its proposal.
    pub hlc: Hlc,
    /// When the node accepted it.
    pub timestamp: Hlc,
    /// The WAL's chain value at that record.
    pub chain: Hash,
    /// The full state.
    pub state: State,
    pub open_effects: Vec<EffectId>,
}

impl Snapshot {
    /// The snapshot of the state that a record led to.
    pub fn of(record: &Record, chain: Hash, state: &State) -> Snapshot {
        Snapshot {
            project: record.project.clone(),
            index: record.index,
            hlc: record.hlc,
            timestamp: record.timestamp,
            chain,
            state: state.clone(),
            open_effects: state.open_effects().map(|effect| effect.id.clone()).collect(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        canonical_bytes(self)
    }
}

/// A live idempotency key of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveKey {
    /// Index of the record that bound it.
    pub index: u64,
    pub fingerprint: Hash,
    pub receipt: Json,
}

/// A snapshot with the live idempotency keys: all there is to know of a project at that record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotDocument {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Keys bound by then and not below the project's floor of now.
    pub keys: BTreeMap<IdemKey, LiveKey>,
}

impl Journal {
    /// Stores a snapshot of a project beside the commit path. It may be of any record that is appended
    /// already; those of before the newest one do no harm.
    pub fn put_snapshot(&self, snapshot: Snapshot) -> Result<(), AppendError> {
        self.append(&Batch { entries: Vec::new(), writes: vec![Write::Snapshot(Box::new(snapshot))] })
    }

    /// Indexes of a project's snapshots, rising.
    pub fn snapshots(&self, project: &ProjectName) -> Result<Vec<u64>, ReadError> {
        let mut indexes = self.0.snapshot_indexes(project)?;
        indexes.retain(|index| *index <= self.0.shown());
        Ok(indexes)
    }

    /// A project's snapshot at an index, checked against the record there.
    pub fn snapshot(&self, project: &ProjectName, index: u64) -> Result<Option<Snapshot>, ReadError> {
        let Some(bytes) = self.0.get(Family::Snapshots, &scoped_key(project, index))? else { return Ok(None) };
        let checked = self.0.check_snapshot(project, index, &bytes)?;
        checked.map(|good| Some(good.0)).map_err(|_| mangled(project, Family::Snapshots))
    }

    /// A project's snapshot at an index, with the live keys.
    pub fn snapshot_document(&self, project: &ProjectName, index: u64) -> Result<Option<SnapshotDocument>, ReadError> {
        let Some(snapshot) = self.snapshot(project, index)? else { return Ok(None) };
        Ok(Some(SnapshotDocument { snapshot, keys: self.live_keys(project, index)? }))
    }

    /// The keys of a project that records up to `index` bound, from the project's floor on.
    pub fn live_keys(&self, project: &ProjectName, index: u64) -> Result<BTreeMap<IdemKey, LiveKey>, ReadError> {
        let from = scoped_key(project, self.key_floor(project)?);
        let mut rows = self.0.keys(Family::Idem, from, scope_end(project));
        let mut live = BTreeMap::new();
        while let Some((key, value)) = rows.next_row()? {
            let unreadable = || mangled(project, Family::Idem);
            let (_, key) = parse_idem_key(key).ok_or_else(unreadable)?;
            let bound = BoundKey::parse(value).ok_or_else(unreadable)?;
            if bound.index > index {
                continue;
            }
            let (index, fingerprint) = (bound.index, bound.fingerprint);
            if let Some(receipt) = self.receipt(project, &key, bound)? {
                let receipt = Json::parse(&receipt).map_err(|_| unreadable())?;
                live.insert(key, LiveKey { index, fingerprint, receipt });
            }
        }
        Ok(live)
    }
}

/// A snapshot that its record bears out, and the head that it holds.
pub(super) type GoodSnapshot = (Snapshot, Head);

impl Inner {
    /// Checks a stored snapshot. The outer error is of the WAL, which must be whole; the inner one says why
    /// the snapshot cannot be trusted.
    pub(super) fn check_snapshot(
        &self,
        project: &ProjectName,
        index: u64,
        bytes: &[u8],
    ) -> Result<Result<GoodSnapshot, String>, ReadError> {
        let (bytes, anchor) = base::split(bytes);
        let snapshot: Snapshot = match from_canonical(bytes) {
            Ok(snapshot) => snapshot,
            Err(error) => return Ok(Err(format!("it does not decode: {error}"))),
        };
        if snapshot.project != *project || snapshot.index != index {
            return Ok(Err(format!("it is of project {} at record {}", snapshot.project, snapshot.index)));
        }
        let carried = self.pruned(index).map(|_| self.anchored(index, anchor));
        let carried = carried.map(|found| found.map(|stored| (stored.record, stored.chain)));
        let (record, chain) = match carried.transpose() {
            Ok(carried) => carried.map_or_else(|| self.proven_record(index), Ok)?,
            Err(reason) => return Ok(Err(reason)),
        };
        if record.project != *project || snapshot.chain != chain {
            return Ok(Err(format!("record {index} of project {} has the chain value {chain}", record.project)));
        }
        let head = match Head::try_of(snapshot.state.clone()) {
            Ok(head) => head,
            Err(error) => return Ok(Err(format!("its state cannot be hashed: {error}"))),
        };
        if head.hash() != record.state_post_hash {
            let (found, expected) = (head.hash(), record.state_post_hash);
            return Ok(Err(format!("its state hashes to {found}, record {index} says {expected}")));
        }
        Ok(Ok((snapshot, head)))
    }

    /// The record at an index, checked against the link of the one before.
    pub(super) fn linked_record(&self, index: u64) -> Result<(Record, Hash), ReadError> {
        let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let frame = Frame::parse(index, &bytes)?;
        frame.check_link(&self.link_after(index.saturating_sub(1))?)?;
        Ok((frame.decode_record()?, frame.chain))
    }

    /// The record at an index, linked or sealed; see [`Inner::check_link`].
    pub(super) fn proven_record(&self, index: u64) -> Result<(Record, Hash), ReadError> {
        let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let frame = Frame::parse(index, &bytes)?;
        self.check_link(&frame)?;
        Ok((frame.decode_record()?, frame.chain))
    }

    /// Checks that a record follows the one before. A damaged record refuses its own project alone: the record after
    /// it, of another one, is then held against the node's seal over its chain value.
    pub(super) fn check_link(&self, frame: &Frame<'_>) -> Result<(), ReadError> {
        match self.link_after(frame.index.saturating_sub(1)) {
            Ok(link) => frame.check_link(&link),
            Err(error) if error.is_damage() && self.is_sealed(frame) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a node that may seal here signed a batch that a record with this chain value is in.
    fn is_sealed(&self, frame: &Frame<'_>) -> bool {
        let stored = frame.decode_record().and_then(|record| frame.stored(record));
        stored.is_ok_and(|stored| {
            self.seals(&stored.seal.node) && stored.receipt().verify(&self.identity.cluster).is_ok()
        })
    }

    /// The record at an index, unchecked.
    pub(super) fn record_at(&self, index: u64) -> Result<Option<Record>, ReadError> {
        let Some(bytes) = self.frame_bytes(index)? else { return Ok(None) };
        Ok(Some(Frame::parse(index, &bytes)?.decode_record()?))
    }

    /// The link that the record after an index follows.
    pub(super) fn link_after(&self, index: u64) -> Result<Hash, ReadError> {
        Ok(self.onward(index, self.chain_at(index)?))
    }

    /// The stored chain value at an index.
    pub(super) fn chain_at(&self, index: u64) -> Result<Hash, ReadError> {
        if index == 0 {
            return Ok(Hash::ZERO);
        }
        if let Some(point) = self.point().as_ref()
            && point.receipt.index == index
        {
            return Ok(point.receipt.chain);
        }
        let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        Ok(Frame::parse(index, &bytes)?.chain)
    }

    /// The newest good snapshot of a project at or before an index; bad ones are passed over with a warning.
    pub(super) fn good_snapshot(
        &self,
        project: &ProjectName,
        index: u64,
        warnings: &mut Vec<SnapshotWarning>,
    ) -> Result<Option<GoodSnapshot>, ReadError> {
        let end = match index.checked_add(1) {
            Some(next) => scoped_key(project, next),
            None => scope_end(project),
        };
        let base = self.second_base(project)?;
        // Snapshots before a base are useless: the records between are gone.
        let from = base.as_ref().map_or(0, |(base, _)| *base).min(index.saturating_add(1));
        let from = if from < self.first_index() { from } else { 0 };
        let mut rows = self.keys(Family::Snapshots, scoped_key(project, from), end);
        loop {
            let row = rows.previous_row();
            let (key, bytes) = match row {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // Where no snapshot can be read, the records stand in for it, as for a bad one.
                Err(error) if error.is_damage() => {
                    let (project, reason) = (project.clone(), format!("it cannot be read ({error})"));
                    warnings.push(SnapshotWarning { project, index: 0, reason });
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let (_, index, _) = parse_scoped(key).ok_or_else(|| mangled(project, Family::Snapshots))?;
            match self.check_snapshot(project, index, bytes)? {
                Ok(good) => return Ok(Some(good)),
                Err(reason) => warnings.push(SnapshotWarning { project: project.clone(), index, reason }),
            }
        }
        match base {
            Some((base, row)) if base <= index => match self.check_snapshot(project, base, &row)? {
                Ok(good) => Ok(Some(good)),
                Err(_) if index == u64::MAX => Err(ReadError::Baseless { project: project.clone(), index: base }),
                Err(_) => Err(self.pruned(base).unwrap_or(ReadError::Missing { index: base })),
            },
            // Pruning was interrupted after the base was written and before anything went.
            Some(_) if !self.has_pruned(project)? => Ok(None),
            // Its records before the base are gone; the beginning is no answer.
            Some(_) => Err(self.pruned(index).unwrap_or(ReadError::Missing { index })),
            None => Ok(None),
        }
    }

    /// Every project that has a row in a family of scoped keys.
    pub(super) fn projects_in(&self, family: Family) -> Result<Vec<ProjectName>, ReadError> {
        let mut projects = Vec::new();
        self.each_project(family, &mut |project, _| projects.push(project))?;
        Ok(projects)
    }

    /// Shows every project that has a row in a family of scoped keys, and the number of its first row.
    pub(super) fn each_project(&self, family: Family, see: &mut dyn FnMut(ProjectName, u64)) -> Result<(), ReadError> {
        let mut rows = self.db.walk(self.family(family), Scan::default());
        rows.seek_to_first();
        while let Some((key, _)) = rows.item()? {
            let unreadable =
                || ReadError::Row { project: String::from_utf8_lossy(key).into_owned(), family: family.name() };
            let (project, number, _) = parse_scoped(key).ok_or_else(unreadable)?;
            rows.seek(scope_end(&project));
            see(project, number);
        }
        Ok(())
    }
}
