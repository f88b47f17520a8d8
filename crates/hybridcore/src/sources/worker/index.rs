//! The index of a pack (version 2): which object lies at which offset.

use git2::Oid;

const MAGIC: &[u8] = b"\xfftOc\0\0\0\x02";
const FANOUT: usize = 256 * 4;
const NAME: usize = 20;
/// Two checksums end an index.
const SUMS: usize = 40;
/// Marks an offset that lies in the table of long ones.
const LONG: u32 = 1 << 31;

/// An index in memory.
pub(super) struct Index {
    bytes: Vec<u8>,
    count: usize,
    /// All offsets with the places of their names, sorted.
    by_offset: Vec<(u64, u32)>,
    /// Where the last entry ends.
    end: u64,
}

impl Index {
    /// Reads an index whose pack's entries end at `end`; `None` when it is damaged or of another version.
    pub fn read(bytes: Vec<u8>, end: u64) -> Option<Index> {
        bytes.strip_prefix(MAGIC)?;
        let count = usize::try_from(number(&bytes, MAGIC.len() + FANOUT - 4)?).ok()?;
        let mut index = Index { bytes, count, by_offset: Vec::new(), end };
        // Names, checksums and offsets of all must be there, before anything is reserved for as many.
        if index.offsets().checked_add(count.checked_mul(4)?)?.checked_add(SUMS)? > index.bytes.len() {
            return None;
        }
        let mut by_offset = Vec::with_capacity(count);
        for place in 0..count {
            by_offset.push((index.offset_at(place)?, u32::try_from(place).ok()?));
        }
        by_offset.sort_unstable();
        index.by_offset = by_offset;
        Some(index)
    }

    fn names(&self) -> usize {
        MAGIC.len() + FANOUT
    }

    fn offsets(&self) -> usize {
        self.names() + self.count * (NAME + 4)
    }

    fn name(&self, place: usize) -> Option<&[u8]> {
        let start = self.names() + place * NAME;
        self.bytes.get(start..start + NAME)
    }

    fn offset_at(&self, place: usize) -> Option<u64> {
        let short = number(&self.bytes, self.offsets() + place * 4)?;
        if short & LONG == 0 {
            return Some(u64::from(short));
        }
        let long = self.offsets() + self.count * 4 + usize::try_from(short & !LONG).ok()? * 8;
        let bytes = self.bytes.get(long..long.checked_add(8)?)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The offset of an object.
    pub fn offset(&self, id: Oid) -> Option<u64> {
        let name = id.as_bytes();
        let first = usize::from(*name.first()?);
        let fanout = |first: usize| number(&self.bytes, MAGIC.len() + first * 4).map(|count| count as usize);
        let mut low = match first.checked_sub(1) {
            Some(before) => fanout(before)?,
            None => 0,
        };
        let mut high = fanout(first)?.min(self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle)?.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.offset_at(middle),
            }
        }
        None
    }

    fn rank(&self, offset: u64) -> Option<usize> {
        self.by_offset.binary_search_by_key(&offset, |(offset, _)| *offset).ok()
    }

    /// The object at an offset.
    pub fn id_at(&self, offset: u64) -> Option<Oid> {
        let (_, place) = self.by_offset.get(self.rank(offset)?)?;
        Oid::from_bytes(self.name(usize::try_from(*place).ok()?)?).ok()
    }

    /// Where the entry at an offset ends.
    pub fn end(&self, offset: u64) -> Option<u64> {
        let end = self.by_offset.get(self.rank(offset)? + 1).map_or(self.end, |(next, _)| *next);
        (offset < end && end <= self.end).then_some(end)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> Oid {
        Oid::from_bytes(&[first; NAME]).unwrap()
    }

    /// An index of objects by the first byte of their names.
    fn index(objects: &[(u8, u64)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for first in 0..=255 {
            let count = objects.iter().filter(|(name, _)| *name <= first).count() as u32;
            bytes.extend(count.to_be_bytes());
        }
        objects.iter().for_each(|(first, _)| bytes.extend([*first; NAME]));
        objects.iter().for_each(|_| bytes.extend([0; 4]));
        let mut long = Vec::new();
        for (_, offset) in objects {
            let short = u32::try_from(*offset).ok().filter(|short| short & LONG == 0);
            bytes.extend(short.unwrap_or(LONG | (long.len() as u32 / 8)).to_be_bytes());
            if short.is_none() {
                long.extend(offset.to_be_bytes());
            }
        }
        [bytes, long, vec![0; SUMS]].concat()
    }

    #[test]
    fn objects_are_found_by_name_and_by_offset() {
        let large = 5 << 32;
        let bytes = index(&[(0, 500), (7, 12), (7, 12), (255, large)]);
        let index = Index::read(bytes, large + 9).unwrap();
        assert_eq!([0, 7, 255, 9].map(|first| index.offset(id(first))), [Some(500), Some(12), Some(large), None]);
        assert_eq!(index.id_at(500), Some(id(0)));
        assert_eq!((index.id_at(501), index.end(500), index.end(large)), (None, Some(large), Some(large + 9)));
    }

    #[test]
    fn an_index_that_is_cut_or_lies_is_refused() {
        let bytes = index(&[(1, 12), (2, 40)]);
        for length in 0..bytes.len() {
            assert!(Index::read(bytes[..length].to_vec(), 60).is_none(), "{length}");
        }
        let mut lies = bytes;
        lies[MAGIC.len() + FANOUT - 4..][..4].copy_from_slice(&[0xff; 4]);
        assert!(Index::read(lies, 60).is_none());
    }
}
