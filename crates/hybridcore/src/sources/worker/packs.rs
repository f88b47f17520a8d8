//! One pack with the objects that are wanted of a mirror, and no others.
//!
//! Entries of the mirror's packs are copied as they are, with their deltas, so that neither time nor memory goes into packing them
//! again. The indexer of libgit2 hashes every object of the result. Objects that lie in no pack are packed by libgit2.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use git2::{OdbPackwriter, Oid, Repository};
use sha1::{Digest as _, Sha1};

use super::index::Index;
use super::mirror::{Mirror, bad, of_files};
use super::{FailureKind, Said, failure};
use crate::sources::failure::Failure;
use crate::sources::git::{Limits, Phase, Progress};

/// How much is copied at once.
const PIECE: usize = 256 << 10;
/// The most bytes of an entry's head: its type and size, and the name of its base.
const HEAD_BYTES: usize = 32;
/// The checksum at the end of a pack.
const TRAILER: usize = 20;
const OFFSET_DELTA: u8 = 6;
const NAMED_DELTA: u8 = 7;

/// Writes the objects into one pack. Either all of them are there afterwards, or none.
pub(super) fn write(
    ours: &Repository,
    mirror: &Mirror,
    url: &str,
    wanted: &[Oid],
    limits: &Limits,
    said: &mut Said,
) -> Result<u64, Failure> {
    let fail = |error: git2::Error| bad(url, &error);
    let chosen = Chosen::of(mirror, url, wanted)?;
    if chosen.bytes(url)? > limits.received_bytes {
        return Err(super::local::too_large(url, limits));
    }
    let lent = mirror.repository(url)?;
    let mut builder = lent.packbuilder().map_err(fail)?;
    for id in &chosen.unpacked {
        builder.insert_object(*id, None).map_err(fail)?;
    }
    let odb = ours.odb().map_err(fail)?;
    let writer = odb.packwriter().map_err(fail)?;
    let (sum, held) = (Sha1::new(), Vec::with_capacity(2 * PIECE));
    let mut out = Out { writer, held, sum, at: 0, url, said, limit: limits.received_bytes };
    let entries = chosen.entries() + builder.object_count();
    let entries = u32::try_from(entries)
        .map_err(|_| failure(FailureKind::TooLarge, format!("{url} holds more objects than a pack may")))?;
    out.put(b"PACK")?;
    out.put(&2u32.to_be_bytes())?;
    out.put(&entries.to_be_bytes())?;
    chosen.copy(url, &mut out)?;
    if builder.object_count() > 0 {
        out.append(&mut builder)?;
    }
    out.finish()
}

/// The pack that is written.
struct Out<'a> {
    writer: OdbPackwriter<'a>,
    /// Bytes that the indexer has not received yet. It maps the file again for each piece that it receives.
    held: Vec<u8>,
    sum: Sha1,
    at: u64,
    url: &'a str,
    said: &'a mut Said,
    limit: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.at += bytes.len() as u64;
        if self.at > self.limit {
            let detail = format!("{} holds more than {} bytes", self.url, self.limit);
            return Err(failure(FailureKind::TooLarge, detail));
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.sum.update(&self.held);
        self.writer.write_all(&self.held).map_err(|_| bad(self.url, &git2::Error::last_error(-1)))?;
        self.held.clear();
        self.said.tell(&Progress { phase: Phase::Receiving, done: self.at, total: 0, bytes: self.at });
        Ok(())
    }

    /// Appends what libgit2 packs. Its deltas name their bases by hash or by distance, so they hold at any place.
    fn append(&mut self, builder: &mut git2::PackBuilder<'_>) -> Result<(), Failure> {
        // The pack's head is this long. Its checksum is known by being the last bytes.
        let (mut head, mut held, mut failed) = (12, Vec::new(), None);
        let walked = builder.foreach(|bytes| {
            let skipped = head.min(bytes.len());
            head -= skipped;
            held.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
            let known = held.len().saturating_sub(TRAILER);
            let written = self.put(held.get(..known).unwrap_or_default());
            held.drain(..known);
            written.map_err(|failure| failed = Some(failure)).is_ok()
        });
        match failed {
            Some(failure) => Err(failure),
            None => walked.map_err(|error| bad(self.url, &error)),
        }
    }

    fn finish(mut self) -> Result<u64, Failure> {
        self.flush()?;
        let sum = self.sum.clone().finalize();
        self.put(&sum)?;
        self.flush()?;
        self.said.tell(&Progress { phase: Phase::Indexing, done: 0, total: 0, bytes: self.at });
        self.writer.commit().map_err(|error| bad(self.url, &error))?;
        Ok(self.at)
    }
}

/// A pack of the mirror.
struct Pack {
    path: PathBuf,
    index: Index,
    /// Offsets of the entries that are copied.
    chosen: BTreeSet<u64>,
}

/// Where the wanted objects lie. An object is always taken from the first pack that holds it, so deltas make no circles.
struct Chosen {
    packs: Vec<Pack>,
    unpacked: Vec<Oid>,
}

impl Chosen {
    fn of(mirror: &Mirror, url: &str, wanted: &[Oid]) -> Result<Chosen, Failure> {
        let mut chosen = Chosen { packs: packs(mirror, url)?, unpacked: Vec::new() };
        for id in wanted {
            match chosen.find(*id) {
                Some((number, offset)) => drop(chosen.choose(number, offset)),
                None => chosen.unpacked.push(*id),
            }
        }
        if chosen.add_bases(url)? {
            return Ok(chosen);
        }
        // A delta of a pack leads to an object that is in none; libgit2 reads that.
        Ok(Chosen { packs: Vec::new(), unpacked: wanted.to_vec() })
    }

    fn find(&self, id: Oid) -> Option<(usize, u64)> {
        let mut places = self.packs.iter().enumerate();
        places.find_map(|(number, pack)| Some((number, pack.index.offset(id)?)))
    }

    fn choose(&mut self, number: usize, offset: u64) -> bool {
        self.packs.get_mut(number).is_some_and(|pack| pack.chosen.insert(offset))
    }

    /// Chooses what deltas build on. That lies in the same pack or in one before it, so the last pack comes first.
    fn add_bases(&mut self, url: &str) -> Result<bool, Failure> {
        for number in (0..self.packs.len()).rev() {
            let Some(pack) = self.packs.get(number) else { continue };
            let mut open: Vec<u64> = pack.chosen.iter().copied().collect();
            if open.is_empty() {
                continue;
            }
            let file = pack.open(url)?;
            while let Some(offset) = open.pop() {
                let Some(pack) = self.packs.get(number) else { continue };
                let Some(base) = pack.base(&file, offset, url)? else { continue };
                let Some((at, base)) = self.find(base) else { return Ok(false) };
                if self.choose(at, base) && at == number {
                    open.push(base);
                }
            }
        }
        Ok(true)
    }

    fn entries(&self) -> usize {
        self.packs.iter().map(|pack| pack.chosen.len()).sum()
    }

    /// Bytes of all that is copied.
    fn bytes(&self, url: &str) -> Result<u64, Failure> {
        let mut bytes = 0;
        for pack in &self.packs {
            for offset in &pack.chosen {
                bytes += pack.end(*offset, url)?.saturating_sub(*offset);
            }
        }
        Ok(bytes)
    }

    /// Copies the entries, each delta behind its base unless that lies behind it in the mirror as well.
    fn copy(&self, url: &str, out: &mut Out<'_>) -> Result<(), Failure> {
        let mut written: HashMap<Oid, u64> = HashMap::new();
        for pack in self.packs.iter().filter(|pack| !pack.chosen.is_empty()) {
            let file = pack.open(url)?;
            for offset in &pack.chosen {
                let head = pack.head(&file, *offset, url)?;
                let base = pack.base(&file, *offset, url)?;
                let id = pack.index.id_at(*offset).ok_or_else(|| pack.damaged(url))?;
                written.insert(id, out.at);
                let start = base.map(|base| match written.get(&base) {
                    Some(before) => head.as_delta(OFFSET_DELTA, &distance(out.at.saturating_sub(*before))),
                    None => head.as_delta(NAMED_DELTA, base.as_bytes()),
                });
                out.put(&start.unwrap_or_else(|| head.size.clone()))?;
                pack.copy(&file, (offset + head.length as u64)..pack.end(*offset, url)?, url, out)?;
            }
        }
        Ok(())
    }
}

/// All packs of a mirror with an index that can be read.
fn packs(mirror: &Mirror, url: &str) -> Result<Vec<Pack>, Failure> {
    let mut found = Vec::new();
    for folder in &mirror.objects {
        for path in
            super::local::files(&folder.join("pack"), |name| name.starts_with("pack-") && name.ends_with(".pack"))
        {
            let index = path.with_extension("idx");
            let bytes = match fs::read(&index) {
                // Without an index it is no part of the repository (yet).
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes.map_err(|error| of_files(url, &index, &error))?,
            };
            let bytes_of_pack = fs::metadata(&path).map_err(|error| of_files(url, &path, &error))?.len();
            // libgit2 reads packs whose index has another version.
            if let Some(index) = Index::read(bytes, bytes_of_pack.saturating_sub(TRAILER as u64)) {
                found.push(Pack { path, index, chosen: BTreeSet::new() });
            }
        }
    }
    Ok(found)
}

/// The head of an entry.
struct Head {
    /// Type and size as they are.
    size: Vec<u8>,
    kind: u8,
    /// The distance or the name of the base, for a delta.
    rest: Vec<u8>,
    /// Bytes of all of it.
    length: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Head> {
        let sized = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let size = bytes.get(..sized)?.to_vec();
        let kind = (size.first()? >> 4) & 7;
        let after = bytes.get(sized..)?;
        let rest = match kind {
            OFFSET_DELTA => after.get(..=after.iter().position(|byte| byte & 0x80 == 0)?)?.to_vec(),
            NAMED_DELTA => after.get(..20)?.to_vec(),
            1..=4 => Vec::new(),
            _ => return None,
        };
        let length = sized + rest.len();
        Some(Head { size, kind, rest, length })
    }

    /// The same entry as a delta of this kind, with this base.
    fn as_delta(&self, kind: u8, base: &[u8]) -> Vec<u8> {
        let mut bytes = self.size.clone();
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x8f) | (kind << 4);
        }
        bytes.extend_from_slice(base);
        bytes
    }
}

/// A distance between two entries as packs have it: groups of seven bits, the highest first, each but the last one more than it seems.
fn distance(mut distance: u64) -> Vec<u8> {
    let mut bytes = vec![(distance & 0x7f) as u8];
    while distance >> 7 > 0 {
        distance = (distance >> 7) - 1;
        bytes.push(0x80 | (distance & 0x7f) as u8);
    }
    bytes.reverse();
    bytes
}

/// The other way round.
fn distance_of(bytes: &[u8]) -> Option<u64> {
    let mut distance: u64 = 0;
    for (number, byte) in bytes.iter().enumerate() {
        if number > 0 {
            distance = distance.checked_add(1)?;
        }
        distance = distance.checked_mul(128)? | u64::from(byte & 0x7f);
    }
    Some(distance)
}

impl Pack {
    fn open(&self, url: &str) -> Result<File, Failure> {
        File::open(&self.path).map_err(|error| of_files(url, &self.path, &error))
    }

    fn damaged(&self, url: &str) -> Failure {
        let detail = format!("{url}: {} is damaged; see `git fsck`, or carry a whole clone", self.path.display());
        failure(FailureKind::BadMirror, detail)
    }

    /// Where an entry ends.
    fn end(&self, offset: u64, url: &str) -> Result<u64, Failure> {
        self.index.end(offset).ok_or_else(|| self.damaged(url))
    }

    fn head(&self, file: &File, offset: u64, url: &str) -> Result<Head, Failure> {
        let mut bytes = [0; HEAD_BYTES];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_files(url, &self.path, &error)),
            }
        }
        bytes.get(..read).and_then(Head::read).ok_or_else(|| self.damaged(url))
    }

    /// The base of a delta entry.
    fn base(&self, file: &File, offset: u64, url: &str) -> Result<Option<Oid>, Failure> {
        let head = self.head(file, offset, url)?;
        let base = match head.kind {
            OFFSET_DELTA => distance_of(&head.rest)
                .and_then(|distance| offset.checked_sub(distance))
                .and_then(|offset| self.index.id_at(offset)),
            NAMED_DELTA => Oid::from_bytes(&head.rest).ok(),
            _ => return Ok(None),
        };
        base.map(Some).ok_or_else(|| self.damaged(url))
    }

    fn copy(&self, file: &File, range: std::ops::Range<u64>, url: &str, out: &mut Out<'_>) -> Result<(), Failure> {
        let mut at = range.start;
        let mut piece = vec![0; PIECE.min(usize::try_from(range.end.saturating_sub(at)).unwrap_or(PIECE))];
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(PIECE).min(piece.len());
            let bytes = piece.get_mut(..most).unwrap_or_default();
            file.read_exact_at(bytes, at).map_err(|error| of_files(url, &self.path, &error))?;
            out.put(bytes)?;
            at += most as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_written_as_they_are_read() {
        for n in [0, 1, 127, 128, 129, 16_511, 16_512, 2_113_663, 2_113_664, 1 << 40] {
            assert_eq!(distance_of(&distance(n)), Some(n), "{n}");
        }
        assert_eq!(distance(128), [0x80, 0x00]);
        assert_eq!(distance_of(&[0xff; 12]), None);
    }

    #[test]
    fn a_head_is_read_with_what_it_is_a_delta_of() {
        let whole = Head::read(&[0xb5, 0x0a, 0x78, 0x9c]).unwrap();
        assert_eq!((whole.kind, whole.length), (3, 2));
        let delta = Head::read(&[0xe5, 0x0a, 0x80, 0x00, 0x78]).unwrap();
        assert_eq!((delta.kind, delta.rest.as_slice(), delta.length), (OFFSET_DELTA, &[0x80, 0x00][..], 4));
        assert_eq!(delta.as_delta(NAMED_DELTA, &[7; 20])[..3], [0xf5, 0x0a, 7]);
        for damaged in [&[][..], &[0x80; 32], &[0xf5, 0x0a, 1], &[0x05], &[0x55]] {
            assert!(Head::read(damaged).is_none(), "{damaged:?}");
        }
    }
}
