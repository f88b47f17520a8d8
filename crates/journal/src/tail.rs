//! A node's start: the chain from the replay floor to the end, and no head. Heads are loaded when they are
//! asked for, and every record that a head rests on is reduced again then, with both hashes checked.

use serde::Deserialize;

use super::error::{ReadError, RecoverError};
use super::fold::take_chunk;
use super::frame::Frame;
use super::layout::{Family, meta, parse_scoped, scope_end, scoped_key};
use super::read::{Row, mangled};
use super::recover::Recovered;
use super::unsnapshotted::Unsnapshotted;
use super::{Inner, Journal, parallel};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

impl Journal {
    /// Checks the chain of every record behind the replay floor, up to the watermark and beyond, and which
    /// projects have records that no snapshot covers. Loads no head: see [`Journal::latest_head`]. Writes
    /// nothing but the watermark, which promises from here on what was found. Batches may follow only after
    /// it.
    pub fn recover_tail(&self) -> Result<Recovered, RecoverError> {
        let journal = &*self.0;
        let _no_appends = journal.appending();
        let mut tail = journal.tail();
        let (promised, floor) = journal.before_recovery(tail.last_index)?;
        let mut walk = Walk::from(journal, floor)?;
        walk.run(&mut |_| ())?;
        let unsnapshotted = walk.uncovered(tail.unsnapshotted.emptied())?;
        let end = (walk.last_index, walk.last_chain);
        journal.after_recovery(&mut tail, promised.as_ref(), end, unsnapshotted)?;
        // Rows that cannot be read are made again by `index_rows`; no start fails for them.
        drop(journal.load_blocked());
        Ok(Recovered {
            last_index: end.0,
            last_chain: end.1,
            next_link: journal.onward(end.0, end.1),
            last_timestamp: walk.last_timestamp,
            last_snapshot_hlc: journal.last_snapshot()?,
            heads: std::collections::BTreeMap::new(),
            replayed: 0,
            chained: end.0 - floor,
            warnings: Vec::new(),
        })
    }
}

/// The members of a record that a walk along the chain reads. The chain binds the bytes; reducing checks that they
/// are canonical.
#[derive(Debug, Deserialize)]
pub(super) struct Outline {
    pub(super) index: u64,
    pub(super) project: ProjectName,
    pub(super) timestamp: Hlc,
}

impl Outline {
    pub(super) fn of(frame: &Frame<'_>) -> Result<Outline, ReadError> {
        let index = frame.index;
        let outline: Outline = serde_json::from_slice(frame.record)
            .map_err(|error| ReadError::Outline { index, what: error.to_string() })?;
        if outline.index != index {
            return Err(ReadError::Misplaced { index, found: outline.index });
        }
        Ok(outline)
    }
}

/// A record's outline and its link, which must follow the one before.
pub(super) fn outline(row: &Row, before: &Hash) -> Result<(Outline, Hash), ReadError> {
    let frame = Frame::parse(row.index, &row.value)?;
    frame.check_link(before)?;
    Ok((Outline::of(&frame)?, frame.chain))
}

/// On the way along the chain.
pub(super) struct Walk<'a> {
    journal: &'a Inner,
    pub(super) last_index: u64,
    last_chain: Hash,
    last_timestamp: Hlc,
    /// Indexes of the records by project.
    seen: std::collections::BTreeMap<ProjectName, Vec<u64>>,
}

impl<'a> Walk<'a> {
    pub(super) fn from(journal: &'a Inner, floor: u64) -> Result<Walk<'a>, ReadError> {
        let (last_chain, last_timestamp) = journal.foothold(floor)?;
        Ok(Walk { journal, last_index: floor, last_chain, last_timestamp, seen: Default::default() })
    }

    pub(super) fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), ReadError> {
        let mut rows = self.journal.rows_from(self.last_index + 1);
        loop {
            let (chunk, fault) = take_chunk(&mut rows);
            let end = chunk.is_empty();
            self.chunk(chunk)?;
            progress(self.last_index);
            if let Some(error) = fault {
                return Err(error);
            }
            if end {
                return Ok(());
            }
        }
    }

    fn chunk(&mut self, chunk: Vec<Row>) -> Result<(), ReadError> {
        let mut previous = self.journal.onward(self.last_index, self.last_chain);
        let with_links: Vec<(Row, Hash)> = chunk
            .into_iter()
            .map(|row| {
                let before = previous;
                // A frame that is mangled is found when its own row is looked at, before the next one.
                let chain = Frame::parse(row.index, &row.value).map_or(before, |frame| frame.chain);
                previous = self.journal.onward(row.index, chain);
                (row, before)
            })
            .collect();
        for result in parallel::map(with_links, |(row, before)| outline(&row, &before)) {
            let (outline, chain) = result?;
            (self.last_index, self.last_chain) = (outline.index, chain);
            self.last_timestamp = outline.timestamp;
            self.seen.entry(outline.project).or_default().push(outline.index);
        }
        Ok(())
    }

    /// Of the records that were seen, those that no snapshot covers.
    fn uncovered(&mut self, mut unsnapshotted: Unsnapshotted) -> Result<Unsnapshotted, ReadError> {
        let journal = self.journal;
        let seen: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        for result in parallel::map(seen, |(project, indexes)| {
            // Without a readable snapshot every record seen is uncovered. Loading the project tells what is damaged.
            let newest = journal.newest_snapshot_index(&project).or_else(|error| match error.is_damage() {
                true => Ok(None),
                false => Err(error),
            });
            newest.map(|newest| (project, indexes, newest.unwrap_or(0)))
        }) {
            let (project, indexes, newest) = result?;
            indexes.into_iter().filter(|index| *index > newest).for_each(|index| unsnapshotted.record(&project, index));
        }
        Ok(unsnapshotted)
    }
}

impl Inner {
    /// Index of a project's newest snapshot, whether it is good or not.
    pub(super) fn newest_snapshot_index(&self, project: &ProjectName) -> Result<Option<u64>, ReadError> {
        let mut rows = self.keys(Family::Snapshots, scoped_key(project, 0), scope_end(project));
        let Some((key, _)) = rows.previous_row()? else { return Ok(None) };
        parse_scoped(key).map(|(_, index, _)| Some(index)).ok_or_else(|| mangled(project, Family::Snapshots))
    }

    /// The proposal's clock of the snapshot that was taken last.
    fn last_snapshot(&self) -> Result<Option<Hlc>, ReadError> {
        let Some(bytes) = self.get(Family::Meta, meta::LAST_SNAPSHOT)? else { return Ok(None) };
        let unreadable = || ReadError::Row { project: "(none)".to_owned(), family: Family::Meta.name() };
        std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(unreadable)
    }
}
