//! A simulated disk that holds one journal, and the faults that it injects.
//!
//! ```text
//! write ──► rows, and how to undo them ── sync ──► undone no more
//! power lost ──► a suffix of what was not synced is gone, the watermark's last write may be torn
//! killed ──► nothing is gone, and nothing more is durable than was
//! sync fails ──► its writes stay volatile until the store is reopened and writes them again
//! ```
//! Traps are set before they fire and count operations, so that a run is a function of its deeds.

mod harm;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swoosh_journal::{Backend, Change, Medium, Step, StorageError, StoredRow};
use swoosh_testkit::random::Random;

type Bytes = Arc<[u8]>;
type Rows = BTreeMap<Bytes, Bytes>;
/// A row's place.
type Place = (&'static str, Bytes);
/// A row before a write, and its content before an undetected bit flip.
type Before = (Place, Option<Bytes>, Option<Bytes>);

/// A fault at an operation of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trap {
    /// The machine loses power.
    PowerLoss,
    /// The process is killed.
    Kill,
    FailWrite,
    FailSync,
    FailRead,
    /// There is no room from here on.
    Full,
}

/// The misbehaviour of the disk under a planted bug (see `planted.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// Syncs say yes and do nothing.
    pub skips_syncs: bool,
    /// Syncs that fail say yes.
    pub ignores_failed_syncs: bool,
    /// The watermark is never written.
    pub forgets_watermark: bool,
    /// The watermark is cut before it is written.
    pub cuts_watermark: bool,
}

/// The watermark's file, once it was made.
#[derive(Clone, Default)]
struct Sheet {
    bytes: Option<Vec<u8>>,
    /// Positions of flipped bits.
    flipped: BTreeSet<usize>,
}

#[derive(Default)]
struct Watermark {
    /// Content seen by readers.
    shown: Sheet,
    /// Content after a loss of power.
    durable: Sheet,
    /// Writes that no sync has brought to disk.
    pending: Vec<(usize, Vec<u8>)>,
}

/// The rows of a directory. Copies have the same flipped rows, so damage is in every copy, and an operator who
/// restores a copy can repair its rows too.
#[derive(Clone, Default)]
struct Image {
    families: BTreeMap<&'static str, Rows>,
    /// The flipped rows, before their flips.
    flipped: BTreeMap<Place, Bytes>,
}

#[derive(Default)]
struct Contents {
    rows: Image,
    unsynced: Vec<Vec<Before>>,
    /// Writes behind the last one of a record, synced or not, while each is one of the outbox.
    behind: Vec<Vec<Before>>,
    /// A sync failed: nothing becomes durable until the store is reopened.
    adrift: bool,
    watermark: Watermark,
    made: bool,
    unreadable: BTreeSet<Place>,
    /// An older copy of the directory, and the newest one while the older is in its place.
    older: Option<Image>,
    newest: Option<Image>,
    traps: Vec<(Trap, u32)>,
    fired: Vec<Trap>,
    full: bool,
    off: Option<Trap>,
    lies: Lies,
}

pub struct Disk(Mutex<Contents>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated disk")
    }
}

fn error(text: &str) -> StorageError {
    StorageError::new(text)
}

fn no_room() -> StorageError {
    error("IO error: No space left on device: While appending to file: journal/000004.log")
}

impl Image {
    /// Puts or deletes a row; returns its content, and that before a flip.
    fn set(
        &mut self,
        place: &Place,
        value: Option<Bytes>,
        flipped_from: Option<Bytes>,
    ) -> (Option<Bytes>, Option<Bytes>) {
        let rows = self.families.entry(place.0).or_default();
        let was = match value {
            Some(value) => rows.insert(place.1.clone(), value),
            None => rows.remove(&place.1),
        };
        let was_flipped_from = match flipped_from {
            Some(first) => self.flipped.insert(place.clone(), first),
            None => self.flipped.remove(place),
        };
        (was, was_flipped_from)
    }

    fn mend(&mut self) {
        for ((family, key), was) in std::mem::take(&mut self.flipped) {
            let row = self.families.get_mut(family).and_then(|rows| rows.get_mut(&key));
            row.into_iter().for_each(|row| *row = was.clone());
        }
    }
}

impl Contents {
    fn is_on(&self) -> Result<(), StorageError> {
        if self.off.is_some() { Err(error("the machine is off")) } else { Ok(()) }
    }

    /// Counts an operation; the trap that fires at it, if it is one of these.
    fn passes(&mut self, which: &[Trap]) -> Option<Trap> {
        let set = self.traps.iter_mut().find(|(trap, _)| which.contains(trap))?;
        if set.1 > 0 {
            set.1 -= 1;
            return None;
        }
        let trap = set.0;
        self.traps.retain(|(other, _)| *other != trap);
        self.fired.push(trap);
        match trap {
            Trap::PowerLoss | Trap::Kill => self.off = Some(trap),
            Trap::Full => self.full = true,
            Trap::FailWrite | Trap::FailSync | Trap::FailRead => {}
        }
        Some(trap)
    }

    fn put(&mut self, family: &'static str, key: Bytes, value: Option<Bytes>, undo: &mut Vec<Before>) {
        let place = (family, key);
        let before = self.rows.set(&place, value, None);
        self.unreadable.remove(&place);
        undo.push((place, before.0, before.1));
    }

    fn apply(&mut self, changes: Vec<Change>) {
        // A write to an older copy makes that copy the newest: no acknowledged write is missing from it.
        self.newest = None;
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                Change::Put(family, key, value) => self.put(family, key, Some(value), &mut undo),
                Change::Delete(family, key) => self.put(family, key, None, &mut undo),
                Change::DeleteRange(family, from, end) => {
                    let rows = self.rows.families.entry(family).or_default();
                    let doomed: Vec<Bytes> = rows.range(from..end).map(|(key, _)| key.clone()).collect();
                    doomed.into_iter().for_each(|key| self.put(family, key, None, &mut undo));
                }
            }
        }
        let of = |family| undo.iter().any(|((of, _), ..)| *of == family);
        match of("outbox") && !of("wal") {
            true => self.behind.push(undo.clone()),
            false => self.behind.clear(),
        }
        self.unsynced.push(undo);
    }

    fn undo(&mut self, batch: Vec<Before>) {
        for (place, value, flipped_from) in batch.into_iter().rev() {
            self.rows.set(&place, value, flipped_from);
        }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        match self.passes(&[Trap::PowerLoss, Trap::Kill, Trap::FailSync]) {
            Some(Trap::FailSync) => {
                self.adrift = true;
                if self.lies.ignores_failed_syncs {
                    return Ok(());
                }
                return Err(error("IO error: Input/output error: While fsync: journal/000004.log"));
            }
            Some(_) => return self.is_on(),
            None => {}
        }
        if !self.lies.skips_syncs && !self.adrift {
            self.unsynced.clear();
        }
        Ok(())
    }

    fn readable(&mut self, family: &'static str, key: &Bytes) -> Result<(), StorageError> {
        if self.unreadable.is_empty() || !self.unreadable.contains(&(family, key.clone())) {
            return Ok(());
        }
        Err(error("Corruption: block checksum mismatch in journal/000011.sst"))
    }

    fn read(&mut self) -> Result<(), StorageError> {
        self.is_on()?;
        match self.passes(&[Trap::FailRead]) {
            Some(_) => Err(error("IO error: Input/output error: While pread: journal/000011.sst")),
            None => Ok(()),
        }
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(lies: Lies) -> Disk {
        Disk(Mutex::new(Contents { lies, ..Contents::default() }))
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a trap that fires at an operation of its kind after so many others. One of each kind is set at a time.
    pub fn set(&self, trap: Trap, after: u32) {
        let mut contents = self.contents();
        contents.traps.retain(|(other, _)| *other != trap);
        contents.traps.push((trap, after));
    }

    /// Traps that fired since this was asked last.
    pub fn take_fired(&self) -> Vec<Trap> {
        std::mem::take(&mut self.contents().fired)
    }

    /// Whether a trap fired that is not reported yet.
    pub fn has_fired(&self) -> bool {
        !self.contents().fired.is_empty()
    }

    /// Whether the machine, or the process, went off.
    pub fn is_off(&self) -> bool {
        self.contents().off.is_some()
    }

    /// Goes off now.
    pub fn switch_off(&self, how: Trap) {
        self.contents().off = Some(how);
    }

    /// Switches the disk on again after a crash or a loss of power.
    pub fn switch_on(&self, random: &mut Random) {
        let mut contents = self.contents();
        if contents.off.take() == Some(Trap::PowerLoss) {
            let kept = random.index(contents.unsynced.len() + 1);
            for batch in contents.unsynced.split_off(kept).into_iter().rev() {
                contents.undo(batch);
            }
            contents.unsynced.clear();
            contents.behind.clear();
            contents.adrift = false;
            contents.watermark.lose_power(random);
        }
        contents.traps.retain(|(trap, _)| !matches!(trap, Trap::PowerLoss | Trap::Kill));
    }

    /// Takes every trap away that has not fired.
    pub fn disarm(&self) {
        self.contents().traps.clear();
    }

    /// There is room again.
    pub fn make_room(&self) {
        self.contents().full = false;
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.contents().full
    }

    /// Flips a bit of some row of a family; a silent flip is not noticed by the store itself. Whether there was one.
    pub fn flip(&self, family: &'static str, silent: bool, random: &mut Random) -> bool {
        let contents = &mut *self.contents();
        let Some(rows) = contents.rows.families.get_mut(family) else { return false };
        // The latest rows are the likeliest to be read.
        let nth = random.index(rows.len().min(40));
        let Some((key, value)) = rows.iter_mut().rev().nth(nth) else { return false };
        let place = (family, key.clone());
        if !silent {
            return contents.unreadable.insert(place);
        }
        let was = value.clone();
        let mut bytes = was.to_vec();
        let at = random.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << random.below(8);
        }
        *value = bytes.into();
        contents.rows.flipped.entry(place).or_insert(was);
        true
    }

    /// Drops up to `most` of the newest rows of a family: a snapshot rollback.
    pub fn drop_newest(&self, family: &'static str, most: usize) -> usize {
        let contents = &mut *self.contents();
        let Some(rows) = contents.rows.families.get(family) else { return 0 };
        let doomed: Vec<Bytes> = rows.keys().rev().take(most).cloned().collect();
        doomed.iter().for_each(|key| _ = contents.rows.set(&(family, key.clone()), None, None));
        doomed.len()
    }

    /// Flips a bit of the watermark's file. Whether there is one.
    pub fn flip_watermark(&self, random: &mut Random) -> bool {
        let contents = &mut *self.contents();
        let at = random.index(100) + 4096 * random.index(2);
        let shown = contents.watermark.shown.flip(at);
        contents.watermark.durable.flip(at) || shown
    }

    /// Keeps a copy of the directory.
    pub fn keep_copy(&self) {
        let mut contents = self.contents();
        contents.older = Some(contents.rows.clone());
    }

    /// Puts the copy in the place of the directory; the watermark, which lies beside it, stays. Whether there is one.
    pub fn put_copy_back(&self) -> bool {
        let contents = &mut *self.contents();
        let Some(older) = contents.older.take().filter(|_| contents.newest.is_none()) else { return false };
        contents.newest = Some(std::mem::replace(&mut contents.rows, older));
        contents.unsynced.clear();
        contents.behind.clear();
        true
    }

    /// An operator's repair: restores the newest copy, every row and the watermark.
    pub fn repair(&self) {
        let contents = &mut *self.contents();
        contents.behind.clear();
        if let Some(newest) = contents.newest.take() {
            contents.rows = newest;
        }
        contents.unreadable.clear();
        contents.rows.mend();
        contents.watermark.shown.mend();
        contents.watermark.durable.mend();
        contents.full = false;
        contents.traps.clear();
    }
}

impl Sheet {
    fn of(bytes: Vec<u8>) -> Sheet {
        Sheet { bytes: Some(bytes), flipped: BTreeSet::new() }
    }

    /// Flips a bit of a byte; whether there is one.
    fn flip(&mut self, at: usize) -> bool {
        let Some(byte) = self.bytes.as_mut().and_then(|bytes| bytes.get_mut(at)) else { return false };
        *byte ^= 4;
        if !self.flipped.remove(&at) {
            self.flipped.insert(at);
        }
        true
    }

    fn mend(&mut self) {
        std::mem::take(&mut self.flipped).into_iter().for_each(|at| _ = self.flip(at));
        self.flipped.clear();
    }

    fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let file = self.bytes.get_or_insert_with(Vec::new);
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        self.flipped.retain(|place| !(at..at + bytes.len()).contains(place));
    }
}

impl Watermark {
    fn lose_power(&mut self, random: &mut Random) {
        let kept = random.index(self.pending.len() + 1);
        let torn = random.below(2) == 0;
        for (nth, (at, bytes)) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            let written = match nth.cmp(&kept) {
                std::cmp::Ordering::Less => bytes.len(),
                std::cmp::Ordering::Equal if torn => random.index(bytes.len()),
                _ => 0,
            };
            self.durable.overwrite(at, bytes.get(..written).unwrap_or_default());
        }
        self.shown.clone_from(&self.durable);
    }
}

/// The store on a disk, open.
struct Opened {
    disk: Arc<Disk>,
    writes: bool,
}

impl Backend for Opened {
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let contents = &mut *self.disk.contents();
        contents.read()?;
        let row = contents.rows.families.get(family).and_then(|rows| rows.get_key_value(key));
        let Some((key, value)) = row.map(|(key, value)| (key.clone(), value.clone())) else { return Ok(None) };
        contents.readable(family, &key).map(|()| Some(value))
    }

    fn step(&self, family: &'static str, step: Step<'_>) -> Result<Option<StoredRow>, StorageError> {
        let contents = &mut *self.disk.contents();
        contents.read()?;
        let Some(rows) = contents.rows.families.get(family) else { return Ok(None) };
        let from = |bound| rows.range::<[u8], _>((bound, Bound::Unbounded)).next();
        let row = match step {
            Step::At(key) => from(Bound::Included(key)),
            Step::Behind(key) => from(Bound::Excluded(key)),
            Step::Before(Some(key)) => rows.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key))).next_back(),
            Step::Before(None) => rows.last_key_value(),
        };
        let Some((key, value)) = row.map(|(key, value)| (key.clone(), value.clone())) else { return Ok(None) };
        contents.readable(family, &key).map(|()| Some((key, value)))
    }

    fn write(&self, changes: Vec<Change>, sync: bool) -> Result<(), StorageError> {
        let contents = &mut *self.disk.contents();
        contents.is_on()?;
        if !self.writes {
            return Err(error("Not implemented: Not supported operation in read only mode."));
        }
        if contents.full {
            return Err(no_room());
        }
        match contents.passes(&[Trap::PowerLoss, Trap::Kill, Trap::FailWrite, Trap::Full]) {
            None => {}
            Some(Trap::Full) => return Err(no_room()),
            Some(Trap::FailWrite) => {
                return Err(error("IO error: Input/output error: While appending to file: journal/000004.log"));
            }
            // An unacknowledged write may or may not survive a crash: both happen.
            Some(_) if changes.len().is_multiple_of(2) => {
                contents.apply(changes);
                return contents.is_on();
            }
            Some(_) => return contents.is_on(),
        }
        contents.apply(changes);
        if sync { contents.sync() } else { Ok(()) }
    }

    fn sync(&self) -> Result<(), StorageError> {
        let contents = &mut *self.disk.contents();
        contents.is_on()?;
        contents.sync()
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

/// A disk as a node holds it: the nodes of one run share it.
#[derive(Debug)]
pub struct Mounted(pub Arc<Disk>);

impl Medium for Mounted {
    fn is_there(&self) -> bool {
        self.0.contents().made
    }

    fn open(&self, write: bool) -> Result<Arc<dyn Backend>, StorageError> {
        let contents = &mut *self.0.contents();
        contents.read()?;
        if write {
            contents.made = true;
            if contents.full {
                return Err(no_room());
            }
            // Opening writes what the log holds to tables and syncs them.
            contents.adrift = false;
            contents.sync()?;
        }
        Ok(Arc::new(Opened { disk: self.0.clone(), writes: write }))
    }

    fn find_room(&self) -> io::Result<()> {
        if self.0.is_full() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_watermark(&self) -> io::Result<Option<Vec<u8>>> {
        let mut contents = self.0.contents();
        contents.read().map_err(|error| broken(&error.to_string()))?;
        Ok(contents.watermark.shown.bytes.clone())
    }

    fn make_watermark(&self, bytes: &[u8]) -> io::Result<()> {
        let contents = &mut *self.0.contents();
        contents.is_on().map_err(|error| broken(&error.to_string()))?;
        match contents.passes(&[Trap::PowerLoss, Trap::Kill, Trap::FailSync]) {
            Some(_) => return Err(broken("Input/output error")),
            None => contents.watermark = Watermark::default(),
        }
        contents.watermark.shown = Sheet::of(bytes.to_vec());
        contents.watermark.durable = Sheet::of(bytes.to_vec());
        Ok(())
    }

    fn write_watermark(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let contents = &mut *self.0.contents();
        contents.is_on().map_err(|error| broken(&error.to_string()))?;
        if contents.lies.forgets_watermark {
            return Ok(());
        }
        if contents.lies.cuts_watermark {
            (contents.watermark.shown, contents.watermark.durable) = (Sheet::of(Vec::new()), Sheet::of(Vec::new()));
        }
        let at = usize::try_from(at).map_err(|_| broken("far out"))?;
        let fired = contents.passes(&[Trap::PowerLoss, Trap::Kill, Trap::FailWrite]);
        if fired == Some(Trap::FailWrite) {
            return Err(broken("Input/output error"));
        }
        contents.watermark.shown.overwrite(at, bytes);
        contents.watermark.pending.push((at, bytes.to_vec()));
        contents.is_on().map_err(|error| broken(&error.to_string()))
    }

    fn sync_watermark(&self) -> io::Result<()> {
        let contents = &mut *self.0.contents();
        contents.is_on().map_err(|error| broken(&error.to_string()))?;
        match contents.passes(&[Trap::PowerLoss, Trap::Kill, Trap::FailSync]) {
            // Failed writes are dropped: the next sync succeeds without them.
            Some(Trap::FailSync) => {
                contents.watermark.pending.clear();
                if contents.lies.ignores_failed_syncs {
                    return Ok(());
                }
                return Err(broken("Input/output error"));
            }
            Some(_) => return Err(broken("the machine is off")),
            None => {}
        }
        if contents.lies.skips_syncs {
            return Ok(());
        }
        for (at, bytes) in std::mem::take(&mut contents.watermark.pending) {
            contents.watermark.durable.overwrite(at, &bytes);
        }
        Ok(())
    }
}
