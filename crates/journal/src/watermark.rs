//! The watermark: the last acknowledged record, kept outside of RocksDB.
//!
//! RocksDB opens a log whose tail was cut, zeroed or restored from a copy without an error: it cannot know that there
//! was more. So the last promised index and its chain value are in a file of their own beside the journal's
//! directory. It is written after the data is on disk and before any answer. It never runs ahead of the data; after a
//! crash between the two writes, the data is ahead of it.
//!
//! ```text
//! two slots, 4096 bytes apart, written in turn:
//! 8 bytes  "SWOOSHWM"        8 bytes  index
//! 4 bytes  version           32 bytes chain value at that index
//! 8 bytes  sequence          8 bytes  incarnation
//!                            8 bytes  side writes, from version 2 on
//!                            32 bytes link of the last side write, from version 2 on
//! 32 bytes sha256 over all of it; numbers are big-endian
//! ```
//! A write that a crash tears leaves the other slot, which holds the promise before. The file is laid out
//! once, so that a write changes no metadata and its sync costs one write of one block.
//!
//! The watermark of a cluster's member has a second part, see `watermark/pledge.rs`.

mod pledge;
#[cfg(test)]
mod pledge_tests;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sides::Sides;
use super::store::{Medium, Place};
pub use pledge::{Nonce, Pledge};

use swoosh_files as files;
use swoosh_types::hash::Hash;

const MAGIC: &[u8; 8] = b"SWOOSHWM";
const VERSION: u32 = 2;
/// Distance of the slots: two blocks of the disk, so that one torn write never touches both.
const SLOT_BYTES: usize = 4096;
/// Bytes of a write: one sector. A member writes two, which hold the same.
const WRITTEN_BYTES: usize = 512;
/// Bytes covered by the checksum, by version: version 1 has no side writes.
const CONTENT_BYTES: [(u32, usize); 2] = [(1, 68), (VERSION, 108)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts the writes of the watermark; the higher slot is the newer one.
    pub sequence: u64,
    /// Every record up to this one was made durable and may have been answered for.
    pub index: u64,
    /// The chain value at that record; [`Hash::ZERO`] before the first one.
    pub chain: Hash,
    pub incarnation: u64,
    /// Every side write up to this one was made durable and may have been answered for.
    pub sides: Sides,
    /// What a member promises besides; `None` for a node that runs alone.
    pub member: Option<Pledge>,
}

impl Mark {
    /// The mark before the first record.
    pub(super) fn first(incarnation: u64) -> Mark {
        Mark { sequence: 0, index: 0, chain: Hash::ZERO, incarnation, sides: Sides::NONE, member: None }
    }

    /// Whether nothing was promised yet.
    pub(super) fn is_empty(&self) -> bool {
        self.index == 0 && self.member.is_none()
    }
}

/// Why a watermark says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatermarkError {
    /// There are records, but no watermark.
    #[error(
        "the watermark {} is missing, though the journal holds records up to {last}; put the file back, or accept what the journal holds, see runbooks/recovery.md", path.display()
    )]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        last: u64,
    },
    /// Neither slot can be read.
    #[error(
        "both slots of the watermark {} are damaged, so nothing shows which records were promised; put the file back, or check the journal with `swoosh wal verify` and accept what it holds, see runbooks/recovery.md", path.display()
    )]
    Damaged { path: PathBuf },
    /// One slot of a member's watermark cannot be read.
    #[error(
        "one slot of the watermark {} is damaged; a member of a cluster does not start on the other one alone, because it may hold an older vote: replace this member, see runbooks/recovery.md", path.display()
    )]
    OneSlot { path: PathBuf },
    /// It is that of a node that runs alone, and the directory is a member's.
    #[error(
        "the watermark {} is that of a node that runs alone, but the journal is that of a cluster's member: the watermark was put back from elsewhere, or the directory's founding was interrupted; see runbooks/recovery.md", path.display()
    )]
    NoMember { path: PathBuf },
    /// It is older than the journal shows, so that votes may be forgotten.
    #[error(
        "the watermark is older than the journal: {what}; it may have forgotten a vote, so that this member does not start: put the newest file back, or replace this member, see runbooks/recovery.md"
    )]
    Older { what: String },
    /// It is of another incarnation than the journal.
    #[error(
        "the watermark is of incarnation {found}, the journal of incarnation {expected}: one of them was put back from elsewhere; see runbooks/recovery.md"
    )]
    Incarnation {
        /// The journal's.
        expected: u64,
        /// The watermark's.
        found: u64,
    },
    /// The file cannot be read or written.
    #[error("the watermark {} {what}: {reason}", path.display())]
    File { path: PathBuf, what: &'static str, reason: String },
}

/// The watermark's file for the journal in a directory: beside it, so that restoring an old copy of the directory
/// does not restore its promise.
pub fn beside(journal: &Path) -> PathBuf {
    let journal = std::path::absolute(journal).unwrap_or_else(|_| journal.to_path_buf());
    let mut name = journal.file_name().unwrap_or_default().to_os_string();
    name.push(".watermark");
    journal.with_file_name(name)
}

/// Content of a watermark file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) mark: Mark,
    slot: usize,
}

/// Reads the newest valid slot; `None` where there is no file. A file appears whole or not at all, so one
/// without a valid slot was damaged.
pub(super) fn read(place: &Place) -> Result<Option<Found>, WatermarkError> {
    let path = place.watermark();
    let found = match &place.medium {
        None => read_file(&path),
        Some(medium) => medium.read_watermark(),
    };
    let Some(bytes) = found.map_err(|error| failed(&path, "cannot be read", &error))? else { return Ok(None) };
    newest(&bytes, path).map(Some)
}

/// The newest slot of a file.
fn newest(bytes: &[u8], path: PathBuf) -> Result<Found, WatermarkError> {
    let slots: Vec<Vec<Mark>> = bytes.chunks(SLOT_BYTES).map(copies).collect();
    let is_member = slots.iter().flatten().any(|mark| mark.member.is_some());
    let readable = slots.iter().enumerate().filter_map(|(slot, marks)| {
        // A node that runs alone has one copy in each slot, a member two: the part of it that only members have is
        // damaged where it cannot be read.
        let marks = marks.iter().filter(|mark| mark.member.is_some() == is_member);
        marks.max_by_key(|mark| mark.sequence).map(|mark| Found { mark: *mark, slot })
    });
    let readable: Vec<Found> = readable.collect();
    if is_member && readable.len() < 2 {
        return Err(WatermarkError::OneSlot { path });
    }
    let newest = readable.into_iter().max_by_key(|found| found.mark.sequence);
    newest.ok_or(WatermarkError::Damaged { path })
}

/// The copies in a slot that can be read.
fn copies(slot: &[u8]) -> Vec<Mark> {
    slot.chunks(WRITTEN_BYTES).take(2).filter_map(decode).collect()
}

fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let limit = 2 * SLOT_BYTES as u64;
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The watermark, open for writing.
pub(super) struct Watermark {
    path: PathBuf,
    paper: Paper,
    found: Found,
}

/// The medium of a watermark.
enum Paper {
    File(File),
    Medium(Arc<dyn Medium>),
}

impl Paper {
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Paper::File(file) => file.write_all_at(bytes, at),
            Paper::Medium(medium) => medium.write_watermark(at, bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Paper::File(file) => file.sync_data(),
            Paper::Medium(medium) => medium.sync_watermark(),
        }
    }
}

impl Watermark {
    /// Opens the file that holds what was found.
    pub(super) fn open(place: &Place, found: Found) -> Result<Watermark, WatermarkError> {
        let path = place.watermark();
        if let Some(medium) = &place.medium {
            return Ok(Watermark { path, paper: Paper::Medium(medium.clone()), found });
        }
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| failed(&path, "cannot be opened", &error))?;
        // A file that was cut is laid out again, or its writes would change metadata each time.
        let whole = file.metadata().map(|metadata| metadata.len() >= 2 * SLOT_BYTES as u64);
        if !whole.map_err(|error| failed(&path, "cannot be read", &error))? {
            return Watermark::create(place, found.mark);
        }
        Ok(Watermark { path, paper: Paper::File(file), found })
    }

    /// Makes the file, whole or not at all, with both slots saying the same.
    pub(super) fn create(place: &Place, mark: Mark) -> Result<Watermark, WatermarkError> {
        let (path, found) = (place.watermark(), Found { mark, slot: 0 });
        if let Some(medium) = &place.medium {
            let made = medium.make_watermark(&both_slots(&mark));
            made.map_err(|error| failed(&path, "cannot be made", &error))?;
            return Ok(Watermark { path, paper: Paper::Medium(medium.clone()), found });
        }
        let laid_out = files::replace(&path, &both_slots(&mark), files::PRIVATE);
        laid_out.map_err(|error| failed(&path, "cannot be made", &error))?;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| failed(&path, "cannot be opened", &error))?;
        Ok(Watermark { path, paper: Paper::File(file), found })
    }

    pub(super) fn mark(&self) -> Mark {
        self.found.mark
    }

    /// Promises everything up to a record and a side write, on disk when it returns. After an error it is unknown which
    /// slot holds what: it must not be written again before it was read again.
    pub(super) fn advance(&mut self, (index, chain): (u64, Hash), sides: Sides) -> Result<(), WatermarkError> {
        self.write(Mark { index, chain, sides, ..self.found.mark })
    }

    /// Promises the end of a member's records and of the cluster's log, on disk when it returns.
    pub(super) fn advance_log(&mut self, (index, chain): (u64, Hash), pledge: Pledge) -> Result<(), WatermarkError> {
        self.write(Mark { index, chain, member: Some(pledge), ..self.found.mark })
    }

    /// The same, in both slots: a vote that only one slot has is lost with that slot.
    pub(super) fn advance_vote(&mut self, end: (u64, Hash), pledge: Pledge) -> Result<(), WatermarkError> {
        self.advance_log(end, pledge)?;
        self.advance_log(end, pledge)
    }

    /// Writes the slot whose turn it is, and syncs it.
    fn write(&mut self, mark: Mark) -> Result<(), WatermarkError> {
        let mark = Mark { sequence: self.found.mark.sequence + 1, ..mark };
        let slot = 1 - self.found.slot;
        let at = (slot * SLOT_BYTES) as u64;
        let sector = encode(&mark);
        let written = match mark.member {
            None => self.paper.write(at, &sector),
            Some(_) => self.paper.write(at, &[sector, sector].concat()),
        };
        written.map_err(|error| failed(&self.path, "cannot be written", &error))?;
        self.paper.sync().map_err(|error| failed(&self.path, "cannot be synced", &error))?;
        self.found = Found { mark, slot };
        Ok(())
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", self.found, self.path.display())
    }
}

fn failed(path: &Path, what: &'static str, error: &io::Error) -> WatermarkError {
    WatermarkError::File { path: path.to_path_buf(), what, reason: error.to_string() }
}

fn both_slots(mark: &Mark) -> Vec<u8> {
    let mut bytes = vec![0; 2 * SLOT_BYTES];
    for slot in bytes.chunks_mut(SLOT_BYTES) {
        let sectors = if mark.member.is_some() { 2 } else { 1 };
        let content = [encode(mark); 2].concat();
        slot.iter_mut().zip(content).take(sectors * WRITTEN_BYTES).for_each(|(to, from)| *to = from);
    }
    bytes
}

fn encode(mark: &Mark) -> [u8; WRITTEN_BYTES] {
    let numbers = [VERSION.to_be_bytes().as_slice(), &mark.sequence.to_be_bytes(), &mark.index.to_be_bytes()].concat();
    let (incarnation, sides) = (mark.incarnation.to_be_bytes(), mark.sides.number.to_be_bytes());
    let link = mark.sides.link.as_bytes();
    let content = [MAGIC.as_slice(), &numbers, mark.chain.as_bytes(), &incarnation, &sides, link].concat();
    let check = Hash::of(&content);
    let mut bytes = [0; WRITTEN_BYTES];
    let all = content.iter().chain(check.as_bytes());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    if let Some(pledge) = &mark.member {
        pledge::encode(pledge, &mut bytes);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let version = bytes.strip_prefix(MAGIC)?.first_chunk::<4>().map(|version| u32::from_be_bytes(*version))?;
    let (_, length) = CONTENT_BYTES.into_iter().find(|(known, _)| *known == version)?;
    let (content, rest) = bytes.split_at_checked(length)?;
    if rest.get(..32)? != Hash::of(content).as_bytes().as_slice() {
        return None;
    }
    let rest = content.get(MAGIC.len() + 4..)?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<8>()?;
    let (chain, rest) = rest.split_first_chunk::<32>()?;
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    Some(Mark {
        sequence: u64::from_be_bytes(*sequence),
        index: u64::from_be_bytes(*index),
        chain: Hash::from_bytes(*chain),
        incarnation: u64::from_be_bytes(*incarnation),
        sides: if rest.is_empty() { Sides::NONE } else { decode_sides(rest)? },
        member: pledge::decode(bytes),
    })
}

fn decode_sides(bytes: &[u8]) -> Option<Sides> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some(Sides { number: u64::from_be_bytes(*number), link: Hash::from_bytes(*rest.first_chunk::<32>()?) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mark(index: u64) -> Mark {
        let sides = Sides { number: index + 1, link: Hash::of(b"the last side write") };
        Mark { sequence: 0, index, chain: Hash::of(&index.to_be_bytes()), incarnation: 1, sides, member: None }
    }

    fn corrupt(path: &Path, at: u64) {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }

    /// A watermark advanced to 7 and then 9.
    fn advanced() -> (tempfile::TempDir, PathBuf, Place) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::directory(directory.path().join("journal"));
        let path = place.watermark();
        assert_eq!(read(&place), Ok(None));
        let mut watermark = Watermark::create(&place, mark(0)).unwrap();
        for index in [7, 9] {
            watermark.advance((index, mark(index).chain), mark(index).sides).unwrap();
        }
        (directory, path, place)
    }

    #[test]
    fn the_newest_slot_counts_and_the_file_never_grows() {
        let (directory, path, place) = advanced();
        assert_eq!(path, directory.path().join("journal.watermark"));
        let found = read(&place).unwrap().unwrap();
        assert_eq!(found.mark, Mark { sequence: 2, ..mark(9) });
        let mut watermark = Watermark::open(&place, found).unwrap();
        watermark.advance((10, mark(10).chain), mark(10).sides).unwrap();
        assert_eq!(read(&place).unwrap().unwrap().mark.index, 10);
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * SLOT_BYTES as u64);
    }

    #[test]
    fn a_torn_slot_leaves_the_other_and_is_the_next_to_be_written() {
        let (_directory, path, place) = advanced();
        corrupt(&path, 20);
        let found = read(&place).unwrap().unwrap();
        assert_eq!(found.mark.index, 7);
        let mut watermark = Watermark::open(&place, found).unwrap();
        watermark.advance((11, mark(11).chain), mark(11).sides).unwrap();
        corrupt(&path, SLOT_BYTES as u64 + 20);
        assert_eq!(read(&place).unwrap().unwrap().mark.index, 11, "the torn slot was written, not the good one");
    }

    #[test]
    fn any_flipped_byte_of_a_slot_is_noticed_and_two_bad_slots_are_damage() {
        for at in 0..(108 + 32) {
            let (_directory, path, place) = advanced();
            corrupt(&path, at);
            assert_eq!(read(&place).unwrap().unwrap().mark.index, 7, "byte {at}");
            corrupt(&path, SLOT_BYTES as u64 + at);
            assert_eq!(read(&place), Err(WatermarkError::Damaged { path: path.clone() }), "byte {at}");
        }
    }

    #[test]
    fn a_watermark_of_the_first_version_is_read_as_one_without_side_writes() {
        let chain = mark(9).chain;
        let content = [
            MAGIC.as_slice(),
            &1_u32.to_be_bytes(),
            &5_u64.to_be_bytes(),
            &9_u64.to_be_bytes(),
            chain.as_bytes(),
            &3_u64.to_be_bytes(),
        ];
        let content = content.concat();
        let bytes = [content.as_slice(), Hash::of(&content).as_bytes(), &[0; 400]].concat();
        let expected = Mark { sequence: 5, incarnation: 3, sides: Sides::NONE, ..mark(9) };
        assert_eq!(decode(&bytes), Some(expected));
        let newer = [MAGIC.as_slice(), &3_u32.to_be_bytes(), &[0; 500]].concat();
        assert_eq!(decode(&newer), None, "what a newer program wrote is not guessed at");
    }

    #[test]
    fn a_cut_file_is_laid_out_again() {
        let (_directory, path, place) = advanced();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(WRITTEN_BYTES as u64).unwrap();
        let found = read(&place).unwrap().unwrap();
        let mut watermark = Watermark::open(&place, found).unwrap();
        watermark.advance((12, mark(12).chain), mark(12).sides).unwrap();
        assert_eq!(read(&place).unwrap().unwrap().mark.index, 12);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert_eq!(read(&place), Err(WatermarkError::Damaged { path }));
    }
}
