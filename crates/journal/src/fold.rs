//! Replaying records: piece by piece, decoded on all cores, then reduced project by project on all cores. Of several
//! faults the one with the lowest index is reported.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{FoldError, ReadError};
use super::frame::Frame;
use super::read::Row;
use super::stop::Stop;
use super::{Family, Inner, parallel};
use swoosh_machine::head::Head;
use swoosh_machine::replay::{StoredInputs, follow};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::names::Transition;
use swoosh_types::record::{Passage, Record};
use swoosh_types::text::ProjectName;

/// Records that are in memory at once.
pub(super) const CHUNK: usize = 8192;
/// Inputs that are remembered; many records name the same ones.
const REMEMBERED_INPUTS: usize = 4096;

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
    pub(super) passage: Passage,
    /// `None` where a snapshot covers the record.
    pub(super) inputs: Option<Arc<StoredInputs>>,
    /// The whole row, if requested.
    pub(super) row: Option<Row>,
}

/// Records that follow each other.
pub(super) struct Piece {
    pub(super) loaded: Vec<Loaded>,
    /// The fault of the next record.
    pub(super) fault: Option<ReadError>,
    /// Whether the log ends with them.
    pub(super) end: bool,
}

/// Progress of a replay.
pub(super) struct Fold<'a> {
    journal: &'a Inner,
    pub(super) tracks: BTreeMap<ProjectName, Track>,
    pub(super) last_index: u64,
    pub(super) last_chain: Hash,
    pub(super) last_timestamp: Hlc,
    pub(super) applied: u64,
    /// Whether rows are kept for the visitor.
    pub(super) keep_rows: bool,
    inputs: InputsRead,
}

impl<'a> Fold<'a> {
    /// Starts after record `last_index`, whose chain value is `last_chain`.
    pub(super) fn new(journal: &'a Inner, last_index: u64, last_chain: Hash, last_timestamp: Hlc) -> Fold<'a> {
        let (tracks, inputs) = (BTreeMap::new(), InputsRead::default());
        Fold { journal, tracks, last_index, last_chain, last_timestamp, applied: 0, keep_rows: false, inputs }
    }

    /// Applies every record that is left; `seen` sees each one that no snapshot covers.
    pub(super) fn run(&mut self, seen: &mut dyn FnMut(&Passage)) -> Result<(), FoldError> {
        loop {
            let Piece { loaded, fault, end } = self.next_piece();
            loaded.iter().filter(|loaded| loaded.inputs.is_some()).for_each(|loaded| seen(&loaded.passage));
            // A record of the piece that does not follow lies before one that cannot be read.
            self.apply(loaded)?;
            if let Some(error) = fault {
                return Err(error.into());
            }
            if end {
                return Ok(());
            }
        }
    }

    /// Reads, decodes and chains what comes next, each core a stretch of its own.
    pub(super) fn next_piece(&mut self) -> Piece {
        let stretches = stretches(self.last_index + 1);
        let done = parallel::each(stretches, |range| self.stretch(range));
        let mut piece = Piece { loaded: Vec::with_capacity(CHUNK), fault: None, end: false };
        for stretch in done {
            if let Some((index, chain, timestamp)) = stretch.last {
                (self.last_index, self.last_chain, self.last_timestamp) = (index, chain, timestamp);
            }
            piece.loaded.extend(stretch.loaded);
            if !stretch.full {
                // Later stretches do not count.
                (piece.end, piece.fault) = (stretch.fault.is_none(), stretch.fault);
                break;
            }
        }
        piece
    }

    /// Reads the records of a range as far as they are there and nothing is wrong.
    fn stretch(&self, range: Range<u64>) -> Stretch {
        let mut stretch = Stretch { loaded: Vec::new(), last: None, fault: None, full: false };
        let mut rows = self.journal.passing_from(range.start);
        let mut previous = match self.link_before(range.start) {
            Ok(link) => link,
            Err(fault) => return Stretch { fault: Some(fault), ..stretch },
        };
        for _ in range {
            match rows.next_row().map(|row| row.and_then(|(index, value)| self.decode(index, value, &previous))) {
                None => return stretch,
                Some(Err(fault)) => return Stretch { fault: Some(fault), ..stretch },
                Some(Ok((loaded, chain))) => {
                    previous = self.journal.onward(loaded.passage.index, chain);
                    stretch.last = Some((loaded.passage.index, chain, loaded.passage.timestamp));
                    stretch.loaded.push(loaded);
                }
            }
        }
        Stretch { full: true, ..stretch }
    }

    fn link_before(&self, index: u64) -> Result<Hash, ReadError> {
        if index == self.last_index + 1 {
            Ok(self.journal.onward(self.last_index, self.last_chain))
        } else {
            self.journal.link_after(index - 1)
        }
    }

    fn decode(&self, index: u64, value: &[u8], previous: &Hash) -> Result<(Loaded, Hash), ReadError> {
        let frame = Frame::parse(index, value)?;
        frame.check_link(previous)?;
        let passage = frame.decode_passage()?;
        let covered = self.tracks.get(&passage.project).is_some_and(|track| track.index >= index);
        let inputs = if covered { None } else { Some(self.inputs.of(self.journal, &passage)?) };
        let row = self.keep_rows.then(|| Row { index, value: value.into() });
        Ok((Loaded { passage, inputs, row }, frame.chain))
    }

    /// Reduces what was loaded, project by project.
    pub(super) fn apply(&mut self, loaded: Vec<Loaded>) -> Result<(), FoldError> {
        let mut groups: BTreeMap<ProjectName, Vec<Loaded>> = BTreeMap::new();
        for record in loaded.into_iter().filter(|record| record.inputs.is_some()) {
            match groups.get_mut(&record.passage.project) {
                Some(group) => group.push(record),
                None => drop(groups.insert(record.passage.project.clone(), vec![record])),
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

/// The records read by one core.
struct Stretch {
    loaded: Vec<Loaded>,
    /// Index, chain value and time of the last one.
    last: Option<(u64, Hash, Hlc)>,
    fault: Option<ReadError>,
    /// Whether every record of the range was there and read.
    full: bool,
}

/// The ranges that a piece from `first` on is made of.
fn stretches(first: u64) -> Vec<Range<u64>> {
    let each = CHUNK.div_ceil(parallel::cores()) as u64;
    (0..parallel::cores() as u64).map(|n| first + n * each..first + (n + 1) * each).collect()
}

/// Inputs that were read, so that those which many records name are read once.
#[derive(Default)]
struct InputsRead(Mutex<BTreeMap<(Hash, Transition), Arc<StoredInputs>>>);

impl InputsRead {
    fn of(&self, journal: &Inner, passage: &Passage) -> Result<Arc<StoredInputs>, ReadError> {
        let place = (passage.inputs_hash, passage.transition);
        // Each change to the map is one call, so a panic elsewhere leaves it whole.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inputs) = known().get(&place) {
            return Ok(inputs.clone());
        }
        let inputs = Arc::new(journal.stored_inputs(passage)?);
        let mut known = known();
        if known.len() >= REMEMBERED_INPUTS {
            known.clear();
        }
        known.insert(place, inputs.clone());
        Ok(inputs)
    }
}

impl Track {
    /// Applies one record; a covered one changes nothing.
    pub(super) fn apply(&mut self, loaded: &Loaded) -> Result<(), FoldError> {
        let Some(inputs) = &loaded.inputs else { return Ok(()) };
        self.head = follow(&self.head, &loaded.passage, inputs)?;
        self.index = loaded.passage.index;
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

impl Inner {
    pub(super) fn inputs(&self, record: &Record) -> Result<Json, ReadError> {
        let bytes = self.inputs_bytes(record.index, record.inputs_hash)?;
        Json::parse(&bytes).map_err(|source| ReadError::Inputs { index: record.index, source })
    }

    fn stored_inputs(&self, passage: &Passage) -> Result<StoredInputs, ReadError> {
        let (index, hash) = (passage.index, passage.inputs_hash);
        let bytes = self.inputs_bytes(index, hash)?;
        StoredInputs::read(passage.transition, &hash, &bytes).map_err(|source| ReadError::Inputs { index, source })
    }

    fn inputs_bytes(&self, index: u64, hash: Hash) -> Result<Vec<u8>, ReadError> {
        self.get(Family::Objects, hash.as_bytes())?.ok_or(ReadError::InputsMissing { index, hash })
    }

    /// The record at an index with its inputs, its link checked.
    fn load(&self, index: u64) -> Result<Loaded, ReadError> {
        let value = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let frame = Frame::parse(index, &value)?;
        self.check_link(&frame)?;
        let passage = frame.decode_passage()?;
        let inputs = Some(Arc::new(self.stored_inputs(&passage)?));
        Ok(Loaded { passage, inputs, row: None })
    }

    /// Applies a project's records after those that its track covers, up to and including `to`, unless it is stopped.
    pub(super) fn catch_up(
        &self,
        project: &ProjectName,
        track: &mut Track,
        to: u64,
        stop: &Stop,
    ) -> Result<(), FoldError> {
        for index in self.project_indexes(project, track.index + 1) {
            stop.check()?;
            let index = index?;
            if index > to {
                break;
            }
            track.apply(&self.load(index)?)?;
        }
        Ok(())
    }
}
