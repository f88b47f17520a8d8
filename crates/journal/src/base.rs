//! The beginning of a pruned log, and the base snapshots of its projects.
//!
//! Records are pruned from the front, up to the **prune point**: the last pruned record. Its receipt, which the node
//! signed at commit, is kept, and the chain continues from it. Every project with an earlier record keeps a **base**:
//! a snapshot of its last record before the floor, with the frame of that record and the previous link, so that it
//! verifies without the log. A base is written twice, in two families, because it cannot be replayed. The next base
//! is written beside it, also twice, and replaces it in the write that raises the floor: interrupted pruning leaves
//! both copies of the base in force.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::error::{OpenError, ReadError};
use super::frame::Frame;
use super::layout::{Family, Slot, base_key, parse_base, scoped_key};
use super::{Inner, Journal, StoredRecord};
use swoosh_types::canonical::from_canonical;
use swoosh_types::hash::Hash;
use swoosh_types::receipt::Receipt;
use swoosh_types::text::ProjectName;

/// The last record that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunePoint {
    /// Its receipt: index, chain value and time, under the node's signature.
    pub receipt: Receipt,
    /// Where the records went before they were pruned, if anywhere.
    pub exported_to: Option<String>,
}

impl PrunePoint {
    /// Index of the first record that is there.
    pub fn first_index(&self) -> u64 {
        self.receipt.index + 1
    }

    pub(super) fn read(bytes: Option<Vec<u8>>) -> Result<Option<PrunePoint>, OpenError> {
        let mangled = |error: &dyn std::fmt::Display| OpenError::Mangled {
            path: "meta".into(),
            what: format!("the entry wal_floor does not decode: {error}"),
        };
        bytes.map(|bytes| from_canonical(&bytes).map_err(|error| mangled(&error))).transpose()
    }
}

/// The data behind a base's snapshot: the link before its record, and the record's frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor<'a> {
    pub(super) previous: Hash,
    pub(super) frame: &'a [u8],
}

/// Ends the snapshot in a stored row: canonical JSON has no zero byte.
const END: u8 = 0;

/// Snapshot and anchor of a stored row.
pub(super) fn split(bytes: &[u8]) -> (&[u8], Option<Anchor<'_>>) {
    let Some(end) = bytes.iter().position(|&byte| byte == END) else { return (bytes, None) };
    let (snapshot, rest) = bytes.split_at(end);
    let anchor = rest.get(1..).and_then(|rest| rest.split_first_chunk::<32>());
    (snapshot, anchor.map(|(previous, frame)| Anchor { previous: Hash::from_bytes(*previous), frame }))
}

pub(super) fn join(snapshot: &[u8], previous: &Hash, frame: &[u8]) -> Vec<u8> {
    [snapshot, &[END], previous.as_bytes().as_slice(), frame].concat()
}

impl Journal {
    /// Index of the first record that is there; 1 where nothing was pruned.
    pub fn first_index(&self) -> u64 {
        self.0.first_index()
    }

    /// Where the log begins; `None` where nothing was pruned.
    pub fn prune_point(&self) -> Option<PrunePoint> {
        self.0.point().clone()
    }
}

impl Inner {
    pub(super) fn first_index(&self) -> u64 {
        self.first_index.load(Ordering::Acquire)
    }

    /// The error of a record that is pruned.
    pub(super) fn pruned(&self, index: u64) -> Option<ReadError> {
        let first = self.first_index();
        if index >= first {
            return None;
        }
        let place = self.point().as_ref().and_then(|point| point.exported_to.clone());
        let exported = place.map(|place| format!("; it was exported to {place}")).unwrap_or_default();
        Some(ReadError::Pruned { index, first, exported })
    }

    /// The record that an anchor carries, proven by the node's own signature.
    pub(super) fn anchored(&self, index: u64, anchor: Option<Anchor<'_>>) -> Result<StoredRecord, String> {
        let anchor = anchor.ok_or_else(|| format!("record {index} is pruned, and it carries no copy of it"))?;
        self.proven(index, anchor).map_err(|reason| format!("its record does not hold: {reason}"))
    }

    /// A record that follows the link before it and is sealed by this node, or by a member of its cluster.
    pub(super) fn proven(&self, index: u64, anchor: Anchor<'_>) -> Result<StoredRecord, String> {
        let read = || {
            let frame = Frame::parse(index, anchor.frame)?;
            frame.check_link(&anchor.previous)?;
            frame.stored(frame.decode_record()?)
        };
        let stored = read().map_err(|error: ReadError| error.to_string())?;
        if !self.seals(&stored.seal.node) {
            return Err(format!("it is sealed by {}, which may not seal here", stored.seal.node));
        }
        stored.receipt().verify(&self.identity.cluster).map_err(|error| error.to_string())?;
        Ok(stored)
    }

    /// Index and row of the second copy of a project's base, or of its next base where it has none yet.
    pub(super) fn second_base(&self, project: &ProjectName) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        Ok(self.base_in_slot(project)?.map(|(_, index, row)| (index, row)))
    }

    /// Like [`Self::second_base`], with the slot.
    pub(super) fn base_in_slot(&self, project: &ProjectName) -> Result<Option<(Slot, u64, Vec<u8>)>, ReadError> {
        let mut bases = Vec::new();
        for slot in Slot::ALL {
            bases.extend(self.slot(project, slot)?.map(|(index, row)| (slot, index, row)));
        }
        let first = self.first_index();
        // A base behind the floor is from pruning that was interrupted or is still running.
        Ok(bases.into_iter().max_by_key(|(_, index, _)| (*index < first, *index)))
    }

    /// Index and row in a slot of a project.
    fn slot(&self, project: &ProjectName, slot: Slot) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        let Some(bytes) = self.get(Family::Meta, &base_key(project, slot))? else { return Ok(None) };
        let (index, row) = bytes.split_first_chunk::<8>().ok_or_else(|| super::read::mangled(project, Family::Meta))?;
        Ok(Some((u64::from_be_bytes(*index), row.to_vec())))
    }

    /// The slot that does not hold the base in force.
    pub(super) fn free_slot(&self, project: &ProjectName) -> Result<Slot, ReadError> {
        let current = self.base_in_slot(project)?.filter(|(_, index, _)| *index < self.first_index());
        Ok(current.map_or(Slot::One, |(slot, ..)| slot.other()))
    }

    /// The second copy of the next base, if it is of this record.
    pub(super) fn coming_base(&self, project: &ProjectName, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let coming = self.slot(project, self.free_slot(project)?)?;
        Ok(coming.filter(|(found, _)| *found == index).map(|(_, row)| row))
    }

    /// Whether a project had records that are pruned: the decision of the last of them stays.
    pub(super) fn has_pruned(&self, project: &ProjectName) -> Result<bool, ReadError> {
        let end = scoped_key(project, self.first_index());
        Ok(self.keys(Family::Decisions, scoped_key(project, 0), end).next_row()?.is_some())
    }

    pub(super) fn based_projects(&self) -> Result<Vec<ProjectName>, ReadError> {
        let mut projects = BTreeSet::new();
        for slot in Slot::ALL {
            let (from, end) = slot.range();
            let mut rows = self.keys(Family::Meta, from, end);
            while let Some((key, _)) = rows.next_row()? {
                let project = String::from_utf8_lossy(key).into_owned();
                let unreadable = || ReadError::Row { project, family: Family::Meta.name() };
                projects.insert(parse_base(key, slot).ok_or_else(unreadable)?);
            }
        }
        Ok(projects.into_iter().collect())
    }

    /// Damage in the two copies of a project's base.
    pub(super) fn base_flaws(&self, project: &ProjectName) -> Result<Vec<String>, ReadError> {
        let Some((index, second)) = self.second_base(project)? else { return Ok(Vec::new()) };
        let first = self.get(Family::Snapshots, &scoped_key(project, index))?;
        let mut flaws = Vec::new();
        for (which, row) in [("first", first), ("second", Some(second))] {
            let flaw = match row {
                None => Some("it is missing".to_owned()),
                Some(row) => self.check_snapshot(project, index, &row)?.err(),
            };
            flaws.extend(flaw.map(|flaw| format!("the {which} copy of the base of project {project}: {flaw}")));
        }
        Ok(flaws)
    }
}
