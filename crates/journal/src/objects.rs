//! Collects inputs and facts that no record refers to: mark and sweep, while the node runs.
//!
//! Marks are bits in a fixed filter, so that memory does not grow with the log: about one unused object in four
//! hundred is taken for a used one and stays until the next collection.
//!
//! A writer of records pins objects from the choice of those that need not be written again until the records are
//! appended. A sweep deletes only while none are pinned, and first marks the records appended since the mark.

use std::sync::{MutexGuard, PoisonError};

use super::store::{Scan, WriteBatch};

use super::error::{ReadError, StorageError};
use super::frame::Frame;
use super::layout::Family;
use super::prune::PruneError;
use super::{Inner, Journal};
use swoosh_types::hash::Hash;

/// Objects that are deleted at once.
const AT_ONCE: usize = 1_024;
/// Records that are marked before it is asked whether to go on.
const MARKED_AT_ONCE: usize = 10_000;
/// Bits for each record: it names inputs, and shares its facts with others.
const BITS_PER_RECORD: u64 = 24;
/// The largest filter, in bits: 64 MiB.
const MOST_BITS: u64 = 1 << 29;

/// Objects that are relied upon: none is collected while this is held.
pub struct ObjectsPin<'a>(MutexGuard<'a, u64>);

impl ObjectsPin<'_> {
    /// How many collections there were: after another one, nothing is known to be there.
    pub fn collections(&self) -> u64 {
        *self.0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectReport {
    /// Objects that were looked at.
    pub objects: u64,
    /// Those that are gone.
    pub collected: u64,
}

/// Hashes of objects that may go, and where to look on.
type Doomed = (Vec<[u8; 32]>, Option<Vec<u8>>);

/// The filter of what is needed, and how far the log was read for it.
struct Marks {
    bits: Vec<u64>,
    /// The last record that was read.
    last: u64,
    /// The link that the next one follows.
    link: Hash,
}

impl Marks {
    /// Of so many records, which begin after `last`.
    fn after(last: u64, link: Hash, records: u64) -> Marks {
        let bits = records.saturating_mul(BITS_PER_RECORD).clamp(1 << 16, MOST_BITS);
        Marks { bits: vec![0; usize::try_from(bits / 64 + 1).unwrap_or(1 << 10)], last, link }
    }

    /// Word and bit of each place; a hash is as random as any.
    fn places(&self, hash: &[u8; 32]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let words = self.bits.len() as u64;
        let parts = *hash;
        (0..4).map(move |n| {
            let part = parts.as_chunks::<8>().0.get(n).copied().unwrap_or_default();
            let place = u64::from_be_bytes(part);
            (usize::try_from((place / 64) % words).unwrap_or(0), 1 << (place % 64))
        })
    }

    fn mark(&mut self, hash: &Hash) {
        for (word, bit) in self.places(hash.as_bytes()) {
            if let Some(word) = self.bits.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn has(&self, hash: &[u8; 32]) -> bool {
        self.places(hash).all(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }
}

impl Journal {
    /// Pins the objects: until this is dropped, what is there stays there.
    pub fn pin_objects(&self) -> ObjectsPin<'_> {
        ObjectsPin(self.0.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Deletes inputs and facts that no record of the log names. Ends early, with what was done, when `goes_on`
    /// says so, which it asks often.
    ///
    /// Nothing is deleted on the word of a damaged log: a record that is missing, or does not follow from the one
    /// before, is an error.
    pub fn collect_objects(&self, goes_on: &dyn Fn() -> bool) -> Result<CollectReport, PruneError> {
        self.0.may_change()?;
        let (last, _) = self.last();
        let first = self.first_index();
        let mut marks = Marks::after(first - 1, self.0.link_after(first - 1)?, last + 1 - first);
        let mut report = CollectReport::default();
        while marks.last < last {
            if !goes_on() {
                return Ok(report);
            }
            if self.0.mark(&mut marks, MARKED_AT_ONCE)? == 0 {
                return Err(ReadError::Missing { index: marks.last + 1 }.into());
            }
        }
        let mut cursor = Some(Vec::new());
        while let Some(from) = cursor.filter(|_| goes_on()) {
            let (doomed, next) = self.0.unmarked(&from, &marks, &mut report)?;
            cursor = next;
            if doomed.is_empty() {
                continue;
            }
            let mut pin = self.pin_objects();
            self.0.mark(&mut marks, usize::MAX)?;
            report.collected += self.0.sweep_objects(&doomed, &marks)?;
            *pin.0 += 1;
        }
        Ok(report)
    }
}

impl Inner {
    /// Marks what at most so many more records name; how many there were.
    fn mark(&self, marks: &mut Marks, most: usize) -> Result<u64, ReadError> {
        let before = marks.last;
        // Of a member also the records that are not applied: their objects are there already.
        for row in self.logged_from(before + 1).take(most) {
            let row = row?;
            let frame = Frame::parse(row.index, &row.value)?;
            frame.check_link(&marks.link)?;
            let record = frame.decode_record()?;
            marks.mark(&record.inputs_hash);
            record.facts().iter().for_each(|hash| marks.mark(hash));
            (marks.last, marks.link) = (row.index, self.onward(row.index, frame.chain));
        }
        Ok(marks.last - before)
    }

    /// Some objects from a key on that are not marked, and where to go on.
    fn unmarked(&self, from: &[u8], marks: &Marks, report: &mut CollectReport) -> Result<Doomed, StorageError> {
        let mut rows = self.db.walk(self.family(Family::Objects), Scan { once: true, ..Scan::default() });
        let mut doomed = Vec::new();
        rows.seek(from);
        while let Some((key, _)) = rows.item()? {
            report.objects += 1;
            if let Ok(hash) = <[u8; 32]>::try_from(key)
                && !marks.has(&hash)
            {
                doomed.push(hash);
                if doomed.len() == AT_ONCE {
                    return Ok((doomed, Some([key, &[0]].concat())));
                }
            }
            rows.next();
        }
        Ok((doomed, None))
    }

    fn sweep_objects(&self, doomed: &[[u8; 32]], marks: &Marks) -> Result<u64, StorageError> {
        let mut rows = WriteBatch::default();
        let still = doomed.iter().filter(|hash| !marks.has(hash));
        let mut count = 0;
        for hash in still {
            rows.delete_cf(self.family(Family::Objects), hash);
            count += 1;
        }
        self.or_stop(self.write(rows, false))?;
        Ok(count)
    }
}
