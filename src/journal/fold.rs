//! Replaying records: chunk by chunk, decoded on all cores, then reduced project by project on all cores.
//! Whatever is wrong, the lowest index that is wrong is told.

use std::collections::BTreeMap;

use super::error::{FoldError, ReadError};
use super::frame::Frame;
use super::read::Row;
use super::{Family, Inner, parallel};
use crate::machine::head::Head;
use crate::machine::replay::step;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::json::Json;
use crate::types::record::Record;
use crate::types::text::ProjectName;

/// Records that are in memory at once.
pub(super) const CHUNK: usize = 8192;

/// A project on its way through the records.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) head: Head,
    /// Its last record that the head covers.
    pub(super) index: u64,
    /// How many records were applied.
    pub(super) applied: u64,
}

impl Track {
    pub(super) fn genesis(project: &ProjectName) -> Track {
        Track { head: Head::genesis(project), index: 0, applied: 0 }
    }
}

/// A record that is to be applied.
pub(super) struct Loaded {
    pub(super) row: Row,
    pub(super) record: Record,
    /// `None` where a snapshot covers the record.
    pub(super) inputs: Option<Json>,
}

/// Where replay stands.
pub(super) struct Fold<'a> {
    journal: &'a Inner,
    pub(super) tracks: BTreeMap<ProjectName, Track>,
    pub(super) last_index: u64,
    pub(super) last_chain: Hash,
    pub(super) last_timestamp: Hlc,
    pub(super) applied: u64,
}

impl<'a> Fold<'a> {
    /// Starts after record `last_index`, whose chain value is `last_chain`.
    pub(super) fn new(journal: &'a Inner, last_index: u64, last_chain: Hash, last_timestamp: Hlc) -> Fold<'a> {
        Fold { journal, tracks: BTreeMap::new(), last_index, last_chain, last_timestamp, applied: 0 }
    }

    /// Applies every record that is left; `seen` sees each one that no snapshot covers.
    pub(super) fn run(&mut self, seen: &mut dyn FnMut(&Record)) -> Result<(), FoldError> {
        let journal = self.journal;
        let mut rows = journal.rows_from(self.last_index + 1);
        loop {
            let (chunk, fault) = take_chunk(&mut rows);
            let (end, fault) = (chunk.is_empty(), fault.map(FoldError::from));
            let (loaded, broken) = self.load(chunk);
            loaded.iter().filter(|loaded| loaded.inputs.is_some()).for_each(|loaded| seen(&loaded.record));
            // A record of the chunk that does not follow lies before one that cannot be read.
            self.apply(loaded)?;
            if let Some(error) = broken.map(FoldError::from).or(fault) {
                return Err(error);
            }
            if end {
                return Ok(());
            }
        }
    }

    /// Decodes a chunk and checks its chain. Gives back what comes before the first fault, and the fault.
    pub(super) fn load(&mut self, chunk: Vec<Row>) -> (Vec<Loaded>, Option<ReadError>) {
        let links = match self.links(&chunk) {
            Ok(links) => links,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let (tracks, journal) = (&self.tracks, self.journal);
        let covers = |record: &Record| tracks.get(&record.project).is_some_and(|track| track.index >= record.index);
        let pairs: Vec<(Row, Hash)> = chunk.into_iter().zip(links).collect();
        let decoded = parallel::map(pairs, |(row, previous)| decode(journal, row, &previous, &covers));
        let mut loaded = Vec::with_capacity(decoded.len());
        for result in decoded {
            match result {
                Ok((record, chain)) => {
                    (self.last_index, self.last_chain) = (record.record.index, chain);
                    self.last_timestamp = record.record.timestamp;
                    loaded.push(record);
                }
                Err(error) => return (loaded, Some(error)),
            }
        }
        (loaded, None)
    }

    /// The link before each row: that of the row before, as it stands there.
    fn links(&self, chunk: &[Row]) -> Result<Vec<Hash>, ReadError> {
        let mut links = Vec::with_capacity(chunk.len());
        let mut previous = self.last_chain;
        for row in chunk {
            links.push(previous);
            match Frame::parse(row.index, &row.value) {
                Ok(frame) => previous = frame.chain,
                // Decoding the row will find the same fault, after everything before it was looked at.
                Err(_) => break,
            }
        }
        Ok(links)
    }

    /// Reduces what was loaded, project by project.
    pub(super) fn apply(&mut self, loaded: Vec<Loaded>) -> Result<(), FoldError> {
        let mut groups: BTreeMap<ProjectName, Vec<Loaded>> = BTreeMap::new();
        for record in loaded {
            if record.inputs.is_some() {
                groups.entry(record.record.project.clone()).or_default().push(record);
            }
        }
        let with_tracks: Vec<_> = groups
            .into_iter()
            .map(|(project, records)| {
                let track = self.tracks.remove(&project).unwrap_or_else(|| Track::genesis(&project));
                (project, track, records)
            })
            .collect();
        let done = parallel::map_uneven(with_tracks, |(project, mut track, records)| {
            let before = track.applied;
            let fault = records.iter().try_for_each(|loaded| track.apply(loaded)).err();
            (project, before, track, fault)
        });
        let mut first: Option<FoldError> = None;
        for (project, before, track, fault) in done {
            self.applied += track.applied - before;
            self.tracks.insert(project, track);
            let earlier = |fault: &FoldError| first.as_ref().is_none_or(|known| fault.index() < known.index());
            if let Some(fault) = fault.filter(earlier) {
                first = Some(fault);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl Track {
    /// Applies one record; what is covered already changes nothing.
    pub(super) fn apply(&mut self, loaded: &Loaded) -> Result<(), FoldError> {
        let Some(inputs) = &loaded.inputs else { return Ok(()) };
        self.head = step(&self.head, &loaded.record, inputs)?;
        self.index = loaded.record.index;
        self.applied += 1;
        Ok(())
    }
}

/// Rows up to a chunk's size, and the fault that ended them early.
pub(super) fn take_chunk(rows: &mut impl Iterator<Item = Result<Row, ReadError>>) -> (Vec<Row>, Option<ReadError>) {
    let mut chunk = Vec::new();
    for row in rows.take(CHUNK) {
        match row {
            Ok(row) => chunk.push(row),
            Err(error) => return (chunk, Some(error)),
        }
    }
    (chunk, None)
}

fn decode(
    journal: &Inner,
    row: Row,
    previous: &Hash,
    covers: &impl Fn(&Record) -> bool,
) -> Result<(Loaded, Hash), ReadError> {
    let frame = Frame::parse(row.index, &row.value)?;
    frame.check_link(previous)?;
    let (record, chain) = (frame.decode_record()?, frame.chain);
    let inputs = if covers(&record) { None } else { Some(journal.inputs(&record)?) };
    Ok((Loaded { row, record, inputs }, chain))
}

impl Inner {
    /// The inputs of a record.
    pub(super) fn inputs(&self, record: &Record) -> Result<Json, ReadError> {
        let (index, hash) = (record.index, record.inputs_hash);
        let bytes = self.get(Family::Objects, hash.as_bytes())?.ok_or(ReadError::InputsMissing { index, hash })?;
        Json::parse(&bytes).map_err(|source| ReadError::Inputs { index, source })
    }

    /// The record at an index with its inputs, its link checked.
    pub(super) fn load(&self, index: u64) -> Result<Loaded, ReadError> {
        let value = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?.into_boxed_slice();
        let previous = self.link(index.saturating_sub(1))?;
        Ok(decode(self, Row { index, value }, &previous, &|_| false)?.0)
    }

    /// Applies a project's records after those that its track covers, up to and including `to`.
    pub(super) fn catch_up(&self, project: &ProjectName, track: &mut Track, to: u64) -> Result<(), FoldError> {
        for index in self.project_indexes(project, track.index + 1) {
            let index = index?;
            if index > to {
                break;
            }
            track.apply(&self.load(index)?)?;
        }
        Ok(())
    }
}
