//! Reading what is there.

use super::error::{ReadError, StorageError};
use super::frame::{Frame, StoredRecord};
use super::layout::{Family, parse_scoped, scope_end, scoped_key, wal_index, wal_key};
use super::store::{Item, Scan, Walk};
use super::{Inner, Journal};
use swoosh_types::hash::Hash;
use swoosh_types::text::ProjectName;

impl Journal {
    pub fn record(&self, index: u64) -> Result<Option<StoredRecord>, ReadError> {
        if index > self.0.shown() {
            return Ok(None);
        }
        let Some(bytes) = self.0.frame_bytes(index)? else { return Ok(None) };
        let frame = Frame::parse(index, &bytes)?;
        frame.stored(frame.decode_record()?).map(Some)
    }

    /// The records from an index on, as they are now. A gap is an error; the first error ends it.
    pub fn records_from(&self, index: u64) -> impl Iterator<Item = Result<StoredRecord, ReadError>> {
        let mut failed = false;
        let shown = self.0.shown();
        let rows = self.0.rows_from(index.max(1));
        let rows = rows.take_while(move |row| row.as_ref().map_or(true, |row| row.index <= shown));
        rows.map_while(move |row| {
            let stored = row.and_then(|row| {
                let frame = Frame::parse(row.index, &row.value)?;
                frame.stored(frame.decode_record()?)
            });
            let go_on = !failed;
            failed = stored.is_err();
            go_on.then_some(stored)
        })
    }

    /// The canonical bytes of inputs or a fact. Bytes that do not hash to their address are an error.
    pub fn object(&self, hash: &Hash) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(bytes) = self.0.get(Family::Objects, hash.as_bytes())? else { return Ok(None) };
        match Hash::of(&bytes) {
            found if found == *hash => Ok(Some(bytes)),
            found => Err(ReadError::ObjectMangled { expected: *hash, found }),
        }
    }

    /// Whether an object is there already, so that it need not be written again.
    pub fn has_object(&self, hash: &Hash) -> Result<bool, ReadError> {
        Ok(self.0.db.has_cf(self.0.family(Family::Objects), hash.as_bytes())?)
    }

    /// Indexes of a project's records, from `from` on, rising.
    pub fn project_indexes(
        &self,
        project: &ProjectName,
        from: u64,
    ) -> impl Iterator<Item = Result<u64, ReadError>> + use<'_> {
        let shown = self.0.shown();
        self.0
            .project_indexes(project, from)
            .take_while(move |index| index.as_ref().map_or(true, |index| *index <= shown))
    }

    /// Indexes of a project's records below `before`, falling.
    pub fn project_indexes_before(
        &self,
        project: &ProjectName,
        before: u64,
    ) -> impl Iterator<Item = Result<u64, ReadError>> + use<'_> {
        let end = before.min(self.0.shown().saturating_add(1));
        let mut keys = self.0.keys(Family::Decisions, scoped_key(project, 0), scoped_key(project, end));
        let (project, mut failed) = (project.clone(), false);
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = indexed(keys.previous_row(), &project);
            failed = matches!(next, Some(Err(_)));
            next
        })
    }
}

/// The index in the key of a row of a project.
fn indexed(row: Result<Option<Item<'_>>, StorageError>, project: &ProjectName) -> Option<Result<u64, ReadError>> {
    match row {
        Err(error) => Some(Err(error.into())),
        Ok(None) => None,
        Ok(Some((key, _))) => {
            let index = parse_scoped(key).map(|(_, index, _)| index);
            Some(index.ok_or_else(|| mangled(project, Family::Decisions)))
        }
    }
}

/// The error of a row that is not what its family holds.
pub(super) fn mangled(project: &ProjectName, family: Family) -> ReadError {
    ReadError::Row { project: project.to_string(), family: family.name() }
}

/// One row of the WAL, not looked into yet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: u64,
    pub(super) value: Box<[u8]>,
}

/// Rows of the WAL without a gap.
struct Rows<'a> {
    rows: Passing<'a>,
    pruned: Option<ReadError>,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pruned) = self.pruned.take() {
            return Some(Err(pruned));
        }
        let row = self.rows.next_row()?;
        Some(row.map(|(index, value)| Row { index, value: value.into() }))
    }
}

/// Rows of the WAL without a gap, looked at where RocksDB holds them.
pub(super) struct Passing<'a> {
    rows: Walk<'a>,
    next: u64,
    started: bool,
    /// The last record that is looked at.
    last: u64,
}

impl Passing<'_> {
    /// Index and frame of the next row; `None` at the end of the log.
    pub(super) fn next_row(&mut self) -> Option<Result<(u64, &[u8]), ReadError>> {
        let index = self.next;
        if index > self.last {
            return None;
        }
        if self.started {
            self.rows.next();
        } else {
            self.rows.seek(wal_key(index));
            self.started = true;
        }
        self.next += 1;
        let (key, value) = match self.rows.item() {
            Ok(item) => item?,
            Err(source) => return Some(Err(ReadError::RecordStorage { index, source })),
        };
        Some(match wal_index(key) {
            Some(found) if found == index => Ok((index, value)),
            Some(_) => Err(ReadError::Missing { index }),
            None => Err(ReadError::Key { index: index.saturating_sub(1) }),
        })
    }
}

/// Keys of a family that lie within bounds.
pub(super) struct Keys<'a> {
    rows: Walk<'a>,
    started: bool,
}

impl Keys<'_> {
    /// Key and value of the next row.
    pub(super) fn next_row(&mut self) -> Result<Option<Item<'_>>, StorageError> {
        if self.started {
            self.rows.next();
        } else {
            self.rows.seek_to_first();
            self.started = true;
        }
        self.rows.item()
    }

    /// Key and value of the row before, from the last one backwards.
    pub(super) fn previous_row(&mut self) -> Result<Option<Item<'_>>, StorageError> {
        if self.started {
            self.rows.prev();
        } else {
            self.rows.seek_to_last();
            self.started = true;
        }
        self.rows.item()
    }
}

impl Inner {
    pub(super) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.db.get_cf(self.family(family), key)?)
    }

    pub(super) fn frame_bytes(&self, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if let Some(pruned) = self.pruned(index) {
            return Err(pruned);
        }
        let found = self.db.get_cf(self.family(Family::Wal), wal_key(index));
        found.map_err(|source| ReadError::RecordStorage { index, source })
    }

    /// Rows of the WAL from an index on; a gap, also right at the start, is an error.
    pub(super) fn rows_from(&self, index: u64) -> impl Iterator<Item = Result<Row, ReadError>> + use<'_> {
        Rows { rows: self.passing_from(index), pruned: self.pruned(index) }
    }

    /// The same rows, to be looked at in passing.
    pub(super) fn passing_from(&self, index: u64) -> Passing<'_> {
        self.passing_to(index, self.last_readable())
    }

    /// The same up to a record: a member has records that are not applied.
    fn passing_to(&self, index: u64, last: u64) -> Passing<'_> {
        let rows = self.db.walk(self.family(Family::Wal), Scan { once: true, ..Scan::default() });
        Passing { rows, next: index, started: false, last }
    }

    /// Rows of the WAL from an index on, those of a member that are not applied as well.
    pub(super) fn logged_from(&self, index: u64) -> impl Iterator<Item = Result<Row, ReadError>> + use<'_> {
        Rows { rows: self.passing_to(index, u64::MAX), pruned: self.pruned(index) }
    }

    /// Rows of a family with keys from `from` to before `end`.
    pub(super) fn keys(&self, family: Family, from: Vec<u8>, end: Vec<u8>) -> Keys<'_> {
        let scan = Scan { from: Some(from), end: Some(end), once: false };
        Keys { rows: self.db.walk(self.family(family), scan), started: false }
    }

    pub(super) fn project_indexes(
        &self,
        project: &ProjectName,
        from: u64,
    ) -> impl Iterator<Item = Result<u64, ReadError>> + use<'_> {
        let mut keys = self.keys(Family::Decisions, scoped_key(project, from), scope_end(project));
        let (project, mut failed) = (project.clone(), false);
        std::iter::from_fn(move || {
            // A walk stays where it failed, and would fail there for ever.
            if failed {
                return None;
            }
            let next = indexed(keys.next_row(), &project);
            failed = matches!(next, Some(Err(_)));
            next
        })
    }
}
