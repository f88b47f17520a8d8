//! Reducing a whole WAL again from the start, without any snapshot.

use std::collections::BTreeMap;

use super::error::{FoldError, ReadError};
use super::fold::{Fold, Loaded, Piece};
use super::frame::{Frame, StoredRecord};
use super::read::Row;
use super::{Inner, Journal};
use swoosh_machine::head::Head;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::text::ProjectName;

use super::fold::Track;

#[derive(Debug)]
pub struct ReplayReport {
    /// Records that were reduced again and led where they say.
    pub replayed: u64,
    /// The last record whose chain value was checked.
    pub last_index: u64,
    pub last_chain: Hash,
    pub heads: BTreeMap<ProjectName, ReplayedHead>,
    /// The first record that differs, and how. Nothing after it counts.
    pub fault: Option<FoldError>,
}

/// State of a project after replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedHead {
    pub hash: Hash,
    /// Index of its last record.
    pub index: u64,
    /// How many records it has.
    pub records: u64,
}

/// A visitor: gets each record, the head before it and its inputs, in the order of the WAL.
pub type Visit<'v> = &'v mut dyn FnMut(&StoredRecord, &Head, &Json);

/// Reduces every record from genesis, or from the bases of a pruned log, and checks every hash and the chain. With
/// `visit` the records are reduced one after the other, without it on all cores. `progress` receives the last index
/// now and then.
pub fn replay(journal: &Journal, progress: &mut dyn FnMut(u64), visit: Option<Visit<'_>>) -> ReplayReport {
    let mut fold = Fold::new(&journal.0, 0, Hash::ZERO, Hlc::default());
    fold.keep_rows = visit.is_some();
    let grounded = ground(&journal.0, &mut fold).map_err(FoldError::from);
    let fault = grounded.and_then(|()| all(&mut fold, progress, visit)).err();
    let head = |track: Track| ReplayedHead { hash: track.head.hash(), index: track.index, records: track.applied };
    ReplayReport {
        replayed: fold.applied,
        last_index: fold.last_index,
        last_chain: fold.last_chain,
        heads: fold.tracks.into_iter().map(|(project, track)| (project, head(track))).collect(),
        fault,
    }
}

/// Where records were pruned, begins after them, every project at its base.
fn ground(journal: &Inner, fold: &mut Fold<'_>) -> Result<(), ReadError> {
    let last_pruned = journal.first_index() - 1;
    if last_pruned == 0 {
        return Ok(());
    }
    let (chain, timestamp) = journal.foothold(last_pruned)?;
    (fold.last_index, fold.last_chain, fold.last_timestamp) = (last_pruned, chain, timestamp);
    for project in journal.based_projects()? {
        // One without begins behind the floor: pruning was interrupted after its base was written.
        let good = journal.good_snapshot(&project, last_pruned, &mut Vec::new())?;
        let Some((snapshot, head)) = good else { continue };
        fold.tracks.insert(project, Track { head, index: snapshot.index, applied: 0 });
    }
    Ok(())
}

fn all(fold: &mut Fold<'_>, progress: &mut dyn FnMut(u64), mut visit: Option<Visit<'_>>) -> Result<(), FoldError> {
    loop {
        let Piece { loaded, fault, end } = fold.next_piece();
        match &mut visit {
            None => fold.apply(loaded)?,
            Some(visit) => one_by_one(fold, loaded, visit)?,
        }
        progress(fold.last_index);
        if let Some(error) = fault {
            return Err(error.into());
        }
        if end {
            return Ok(());
        }
    }
}

fn one_by_one(fold: &mut Fold<'_>, loaded: Vec<Loaded>, visit: &mut Visit<'_>) -> Result<(), FoldError> {
    for loaded in loaded {
        let project = &loaded.passage.project;
        let track = fold.tracks.entry(project.clone()).or_insert_with(|| Track::genesis(project));
        if let (Some(inputs), Some(row)) = (&loaded.inputs, &loaded.row) {
            visit(&stored(row)?, &track.head, inputs.json());
        }
        track.apply(&loaded)?;
        fold.applied += 1;
    }
    Ok(())
}

fn stored(row: &Row) -> Result<StoredRecord, ReadError> {
    let frame = Frame::parse(row.index, &row.value)?;
    frame.stored(frame.decode_record()?)
}
