//! The store behind the journal: RocksDB, or one that is handed in, as the simulation's disk is.
//!
//! ```text
//! Place { path, medium } ── none ──► RocksDB in the directory, the watermark's file beside it
//!                        └─ some ──► Medium::open ──► Backend: get, step, write, sync
//! ```
//! One `match` in each call selects the store, so that RocksDB costs no more than before. The code above this level
//! is the same for both.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rocksdb::{ColumnFamily, DB, DBRawIterator, FlushOptions, ReadOptions, WriteOptions};

use super::error::{OpenError, StorageError};
use super::layout::Family;
use super::{JournalOptions, watermark};

/// Key and value of a row.
pub type StoredRow = (Arc<[u8]>, Arc<[u8]>);

/// A change of one row, or of the rows of a range, in the column family of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row gets this value.
    Put(&'static str, Arc<[u8]>, Arc<[u8]>),
    /// A row goes.
    Delete(&'static str, Arc<[u8]>),
    /// The rows from a key to before another one go.
    DeleteRange(&'static str, Arc<[u8]>, Arc<[u8]>),
}

/// Where a walk over a column family goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// To the first row at or behind this key.
    At(&'a [u8]),
    /// To the first row behind this key.
    Behind(&'a [u8]),
    /// To the last row before this key; to the very last one where there is no key.
    Before(Option<&'a [u8]>),
}

/// An open store of sorted rows in column families, in the place of RocksDB. The journal relies on three guarantees:
/// a write is applied whole or not at all; a synced write survives a crash with every write before it; reading a
/// damaged row is an error.
pub trait Backend: Send + Sync {
    /// The value of a row.
    fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Arc<[u8]>>, StorageError>;
    /// The next row of a walk.
    fn step(&self, family: &'static str, step: Step<'_>) -> Result<Option<StoredRow>, StorageError>;
    /// Applies changes, on disk by the time it returns where `sync` is set.
    fn write(&self, changes: Vec<Change>, sync: bool) -> Result<(), StorageError>;
    /// Brings everything written to disk.
    fn sync(&self) -> Result<(), StorageError>;
}

/// A disk that holds one journal and its watermark, in the place of a directory.
pub trait Medium: Send + Sync + Debug {
    /// Whether there is a store already.
    fn is_there(&self) -> bool;
    /// Opens the store; to look at it only, where `write` is not set.
    fn open(&self, write: bool) -> Result<Arc<dyn Backend>, StorageError>;
    /// Whether there is room for what opening it again writes.
    fn find_room(&self) -> io::Result<()>;
    /// The watermark's bytes; `None` where there is none.
    fn read_watermark(&self) -> io::Result<Option<Vec<u8>>>;
    /// Creates the watermark, whole or not at all; on disk when it returns.
    fn make_watermark(&self, bytes: &[u8]) -> io::Result<()>;
    /// Writes a part of it.
    fn write_watermark(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Brings what was written of it to disk.
    fn sync_watermark(&self) -> io::Result<()>;
}

/// Where a journal is: a directory, or a disk in its place.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) path: PathBuf,
    pub(super) medium: Option<Arc<dyn Medium>>,
}

impl Place {
    pub(super) fn directory(path: impl Into<PathBuf>) -> Place {
        Place { path: path.into(), medium: None }
    }

    /// Whether there is a store already.
    pub(super) fn is_there(&self) -> bool {
        match &self.medium {
            None => self.path.join("CURRENT").is_file(),
            Some(medium) => medium.is_there(),
        }
    }

    /// Why it cannot be told whether there is a store: another reason than that nothing is there.
    pub(super) fn unreadable(&self) -> Option<OpenError> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let looked = self.medium.is_none().then(|| std::fs::metadata(self.path.join("CURRENT")))?;
        let source = looked.err().filter(|error| !matches!(error.kind(), NotFound | NotADirectory))?;
        Some(OpenError::Unreadable { path: self.path.clone(), source })
    }

    pub(super) fn watermark(&self) -> PathBuf {
        watermark::beside(&self.path)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        Place::directory(path)
    }
}

impl From<&JournalOptions> for Place {
    fn from(options: &JournalOptions) -> Place {
        Place { path: options.path.clone(), medium: options.medium.clone() }
    }
}

/// A store, open.
pub(super) enum Store {
    Rocks(Box<DB>),
    Other(Arc<dyn Backend>),
}

/// A column family of a store.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    family: Family,
    handle: Option<&'a ColumnFamily>,
}

/// Changes that are written at once.
#[derive(Default)]
pub(super) struct WriteBatch {
    rocks: rocksdb::WriteBatch,
    changes: Vec<Change>,
}

impl WriteBatch {
    pub(super) fn len(&self) -> usize {
        self.rocks.len() + self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rocks.is_empty() && self.changes.is_empty()
    }

    pub(super) fn put_cf(&mut self, column: Column<'_>, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        match column.handle {
            Some(handle) => self.rocks.put_cf(handle, key, value),
            None => {
                self.changes.push(Change::Put(column.family.name(), key.as_ref().into(), value.as_ref().into()));
            }
        }
    }

    pub(super) fn delete_cf(&mut self, column: Column<'_>, key: impl AsRef<[u8]>) {
        match column.handle {
            Some(handle) => self.rocks.delete_cf(handle, key),
            None => self.changes.push(Change::Delete(column.family.name(), key.as_ref().into())),
        }
    }

    pub(super) fn delete_range_cf(&mut self, column: Column<'_>, from: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        match column.handle {
            Some(handle) => self.rocks.delete_range_cf(handle, from.as_ref(), end.as_ref()),
            None => {
                let (from, end) = (from.as_ref().into(), end.as_ref().into());
                self.changes.push(Change::DeleteRange(column.family.name(), from, end));
            }
        }
    }
}

/// Bounds and mode of an iteration.
#[derive(Default)]
pub(super) struct Scan {
    /// Keys before this one are not seen.
    pub(super) from: Option<Vec<u8>>,
    /// Nor are those from this one on.
    pub(super) end: Option<Vec<u8>>,
    /// Whether the scan is large and should not fill the block cache.
    pub(super) once: bool,
}

impl Scan {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(from) = &self.from {
            options.set_iterate_lower_bound(from.clone());
        }
        if let Some(end) = &self.end {
            options.set_iterate_upper_bound(end.clone());
        }
        if self.once {
            options.fill_cache(false);
            options.set_readahead_size(2 << 20);
        }
        options
    }
}

impl Store {
    pub(super) fn rocks(db: DB) -> Store {
        Store::Rocks(Box::new(db))
    }

    /// A column family; `None` where the store has none of that name.
    pub(super) fn column(&self, family: Family) -> Option<Column<'_>> {
        match self {
            Store::Rocks(db) => db.cf_handle(family.name()).map(|handle| Column { family, handle: Some(handle) }),
            Store::Other(_) => Some(Column { family, handle: None }),
        }
    }

    pub(super) fn get_cf(&self, column: Column<'_>, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, StorageError> {
        match (self, column.handle) {
            (Store::Rocks(db), Some(handle)) => Ok(db.get_cf(handle, key)?),
            (Store::Other(backend), _) => {
                Ok(backend.get(column.family.name(), key.as_ref())?.map(|value| value.to_vec()))
            }
            (Store::Rocks(_), None) => Err(foreign()),
        }
    }

    /// Whether a row is there.
    pub(super) fn has_cf(&self, column: Column<'_>, key: impl AsRef<[u8]>) -> Result<bool, StorageError> {
        match (self, column.handle) {
            (Store::Rocks(db), Some(handle)) => Ok(db.get_pinned_cf(handle, key)?.is_some()),
            (Store::Other(backend), _) => Ok(backend.get(column.family.name(), key.as_ref())?.is_some()),
            (Store::Rocks(_), None) => Err(foreign()),
        }
    }

    pub(super) fn walk<'a>(&'a self, column: Column<'a>, scan: Scan) -> Walk<'a> {
        match (self, column.handle) {
            (Store::Rocks(db), Some(handle)) => Walk::Rocks(db.raw_iterator_cf_opt(handle, scan.options())),
            (Store::Other(backend), _) => {
                Walk::Other { backend: &**backend, family: column.family.name(), scan, now: Ok(None) }
            }
            (Store::Rocks(_), None) => Walk::Failed(foreign()),
        }
    }

    pub(super) fn write(&self, rows: WriteBatch, sync: bool) -> Result<(), StorageError> {
        match self {
            Store::Rocks(db) => write_to_rocks(db, &rows.rocks, sync),
            Store::Other(backend) => backend.write(rows.changes, sync),
        }
    }

    /// Brings everything written to disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        match self {
            Store::Rocks(db) => Ok(db.flush_wal(true)?),
            Store::Other(backend) => backend.sync(),
        }
    }

    /// The last keys of a family's tables.
    pub(super) fn table_ends(&self, family: Family) -> Result<Vec<Vec<u8>>, StorageError> {
        let Store::Rocks(db) = self else { return Ok(Vec::new()) };
        let tables = db.live_files()?.into_iter().filter(|table| table.column_family_name == family.name());
        Ok(tables.filter_map(|table| table.end_key).collect())
    }

    /// Gives back the room of tables that hold nothing but rows of a range. RocksDB counts `last` itself to the range,
    /// unlike the end of every other range: a table that ends with it goes.
    pub(super) fn drop_tables(&self, column: Column<'_>, from: &[u8], last: &[u8]) -> Result<(), StorageError> {
        match (self, column.handle) {
            (Store::Rocks(db), Some(handle)) => Ok(db.delete_file_in_range_cf(handle, from, last)?),
            _ => Ok(()),
        }
    }

    /// RocksDB in its directory, for what only it can do.
    pub(super) fn directory(&self) -> Result<&DB, StorageError> {
        match self {
            Store::Rocks(db) => Ok(db),
            Store::Other(_) => Err(error_of("only a directory can be copied while it is open")),
        }
    }

    /// Writes what is in memory to tables, these families' together.
    pub(super) fn flush(&self, families: &[Family]) -> Result<(), StorageError> {
        let Store::Rocks(db) = self else { return self.sync() };
        let handles: Vec<_> = families.iter().filter_map(|family| db.cf_handle(family.name())).collect();
        Ok(db.flush_cfs_opt(&handles, &FlushOptions::default())?)
    }

    /// RocksDB itself, which tests of what is on disk look into.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn inside(&self) -> &DB {
        match self {
            Store::Rocks(db) => db,
            Store::Other(_) => panic!("another store"),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl<'a> Column<'a> {
    /// RocksDB's handle.
    #[allow(clippy::unwrap_used, reason = "it is for tests")]
    pub(super) fn inside(self) -> &'a ColumnFamily {
        self.handle.unwrap()
    }
}

/// The first pause of a write that RocksDB is not ready for, and the longest.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Writes to RocksDB. Back-pressure of compaction is awaited here and not inside RocksDB: a writer stalled there on a
/// full disk would block the recovery that it waits for (deadlock), also once there is room again. Here the next
/// attempt returns the error.
fn write_to_rocks(db: &DB, rows: &rocksdb::WriteBatch, sync: bool) -> Result<(), StorageError> {
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    options.set_no_slowdown(true);
    let mut pause = PAUSE;
    loop {
        match db.write_opt(rocksdb::WriteBatch::from_data(rows.data()), &options) {
            Err(error) if is_stall(&error) => {}
            written => return Ok(written?),
        }
        thread::sleep(pause);
        // A stop ends when tables are written, which is soon noticed. A slow-down counts every try as bytes to come,
        // so trying at once again would put it off.
        let is_stopped = matches!(db.property_int_value("rocksdb.is-write-stopped"), Ok(Some(1)));
        pause = if is_stopped { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
    }
}

/// Whether RocksDB asks for patience, and nothing was written.
fn is_stall(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::Incomplete && error.as_ref().contains("Write stall")
}

fn error_of(text: &str) -> StorageError {
    StorageError(text.to_owned())
}

fn foreign() -> StorageError {
    error_of("a column family of another store was named")
}

/// Key and value of a row, where it is held.
pub(super) type Item<'a> = (&'a [u8], &'a [u8]);

/// A walk over the rows of a family.
pub(super) enum Walk<'a> {
    Rocks(DBRawIterator<'a>),
    Other { backend: &'a dyn Backend, family: &'static str, scan: Scan, now: Result<Option<StoredRow>, StorageError> },
    Failed(StorageError),
}

impl Walk<'_> {
    pub(super) fn seek(&mut self, key: impl AsRef<[u8]>) {
        match self {
            Walk::Rocks(rows) => rows.seek(key),
            Walk::Other { .. } => self.go(Step::At(key.as_ref())),
            Walk::Failed(_) => {}
        }
    }

    pub(super) fn seek_to_first(&mut self) {
        match self {
            Walk::Rocks(rows) => rows.seek_to_first(),
            Walk::Other { scan, .. } => {
                let from = scan.from.clone().unwrap_or_default();
                self.go(Step::At(&from));
            }
            Walk::Failed(_) => {}
        }
    }

    pub(super) fn seek_to_last(&mut self) {
        match self {
            Walk::Rocks(rows) => rows.seek_to_last(),
            Walk::Other { scan, .. } => {
                let end = scan.end.clone();
                self.go(Step::Before(end.as_deref()));
            }
            Walk::Failed(_) => {}
        }
    }

    pub(super) fn next(&mut self) {
        match self {
            Walk::Rocks(rows) => rows.next(),
            Walk::Other { now: Ok(Some((key, _))), .. } => {
                let key = key.clone();
                self.go(Step::Behind(&key));
            }
            Walk::Other { .. } | Walk::Failed(_) => {}
        }
    }

    pub(super) fn prev(&mut self) {
        match self {
            Walk::Rocks(rows) => rows.prev(),
            Walk::Other { now: Ok(Some((key, _))), .. } => {
                let key = key.clone();
                self.go(Step::Before(Some(&key)));
            }
            Walk::Other { .. } | Walk::Failed(_) => {}
        }
    }

    fn go(&mut self, step: Step<'_>) {
        if let Walk::Other { backend, family, scan, now } = self {
            let within = |row: &StoredRow| {
                scan.from.as_ref().is_none_or(|from| row.0[..] >= from[..])
                    && scan.end.as_ref().is_none_or(|end| row.0[..] < end[..])
            };
            *now = backend.step(family, step).map(|row| row.filter(within));
        }
    }

    /// Key and value at the iterator's position; `None` at the end.
    pub(super) fn item(&self) -> Result<Option<Item<'_>>, StorageError> {
        match self {
            Walk::Rocks(rows) => {
                let item = rows.item();
                if item.is_none() {
                    rows.status()?;
                }
                Ok(item)
            }
            Walk::Other { now, .. } => match now {
                Ok(row) => Ok(row.as_ref().map(|(key, value)| (&**key, &**value))),
                Err(error) => Err(error.clone()),
            },
            Walk::Failed(error) => Err(error.clone()),
        }
    }
}
