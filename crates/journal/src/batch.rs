//! A batch of records with their writes, and the interface of the commit.

use std::sync::Arc;

use super::decision;
use super::error::{AppendError, StorageError};
use super::frame;
use super::layout::{Family, idem_key, meta, scoped_key, wal_key};
use super::receipts::{BoundKey, ReceiptSum, StoredReceipt};
use super::snapshot::Snapshot;
use super::store::WriteBatch;
use super::{Durability, Inner, Journal, Mode, Stage, SweepCandidate, Tail};
use swoosh_machine::blocks::Blocks;
use swoosh_types::decision::Wording;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::incarnation::{self, Incarnation};
use swoosh_types::receipt::EncodedSeal;
use swoosh_types::record::Linked;
use swoosh_types::text::ProjectName;

/// Limit of one search for projects with old records, so that its cost does not grow with their number.
pub const SWEEP_AT_ONCE: usize = 64;

/// One record on its way into the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    pub index: u64,
    pub project: ProjectName,
    /// Its canonical bytes and its link in the chain.
    pub linked: Arc<Linked>,
    /// The seal of its batch; the entries of a batch share one.
    pub seal: Arc<EncodedSeal>,
    /// Path from its leaf to the seal's root.
    pub path: Vec<Hash>,
}

/// A row that committed records write beside the log.
#[derive(Clone, Debug)]
pub enum Write {
    /// Inputs or a fact, under their hash.
    Object {
        hash: Hash,
        bytes: Vec<u8>,
    },
    /// The part of a decision record that is not in its WAL record. Every record has one, which also lists the record
    /// under its project.
    Decision {
        project: ProjectName,
        index: u64,
        wording: Wording,
    },
    /// An idempotency key, bound.
    Key {
        /// The project, which the key is scoped to.
        project: ProjectName,
        key: IdemKey,
        /// See [`super::fingerprint`].
        fingerprint: Hash,
        index: u64,
        /// Of the receipt's bytes, which every repeat gets.
        receipt: ReceiptSum,
    },
    EffectOpened {
        id: EffectId,
        /// Since when.
        opened_at: Hlc,
    },
    /// An effect is open no more: its row goes, and what was noted of it.
    EffectClosed {
        id: EffectId,
    },
    /// Sets the reasons that hold a project up.
    Blocked {
        project: ProjectName,
        /// The reasons; empty where the project goes on.
        blocks: Blocks,
    },
    Snapshot(Box<Snapshot>),
}

/// A batch: log entries and, as separate values, their writes. A replicated log applies the writes when the entries
/// are committed; the local one writes both together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records, in order, directly after the last one of the log.
    pub entries: Vec<LogEntry>,
    pub writes: Vec<Write>,
}

/// The seam behind which a batch is committed.
pub trait Log: Send {
    /// Returns when the batch is committed; after an error nothing of it may be answered.
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError>;

    /// The journal was reopened: drops the handles of the previous one.
    fn reopened(&mut self, journal: &Journal);
}

impl Log for Journal {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        Journal::append(self, batch)
    }

    fn reopened(&mut self, journal: &Journal) {
        *self = journal.clone();
    }
}

impl Journal {
    /// Commits a batch whole or not at all, on disk and promised by the watermark by the time it returns (see
    /// [`Durability`]). After an error of the disk nothing more is taken until the journal is opened again.
    pub fn append(&self, batch: &Batch) -> Result<(), AppendError> {
        let Mode::ReadWrite { durability } = self.0.mode else { return Err(AppendError::ReadOnly) };
        if self.0.member.is_some() {
            return Err(AppendError::Replicated);
        }
        let _one_at_a_time = self.0.appending();
        let (mut rows, end) = self.0.stage(batch)?;
        batch.writes.iter().for_each(|write| self.0.stage_write(&mut rows, write));
        self.0
            .or_stop(self.0.stage_batch_policies(&mut rows, batch).map_err(|error| StorageError(error.to_string())))?;
        let synced = durability == Durability::Sync;
        self.0.or_stop(self.0.write(rows, synced))?;
        if synced {
            self.0.or_stop(self.0.promise(end))?;
        }
        let mut tail = self.0.tail();
        (tail.last_index, tail.last_chain) = end;
        if synced {
            self.0.show(end.0);
        }
        drop(tail);
        self.0.note_blocked(&batch.writes);
        Ok(())
    }

    /// Brings everything appended so far to disk, and promises it. A sync that failed is never tried again:
    /// the operating system may have dropped what it could not write, and would say yes.
    pub fn sync(&self) -> Result<(), StorageError> {
        if matches!(self.0.mode, Mode::ReadOnly) {
            return Ok(());
        }
        // Records appended during the sync are not covered by it.
        if self.0.member.is_some() {
            return self.0.or_stop(self.0.db.sync());
        }
        let (stage, end) = {
            let tail = self.0.tail();
            (tail.stage, (tail.last_index, tail.last_chain))
        };
        match stage {
            Stage::Opened => self.0.db.sync(),
            Stage::Stopped { .. } => Err(StorageError("an earlier write or sync failed".to_owned())),
            Stage::Recovered => {
                self.0.or_stop(self.0.db.sync())?;
                self.0.or_stop(self.0.promise(end))?;
                self.0.show(end.0);
                Ok(())
            }
        }
    }

    /// Whether a project has as many records since its last snapshot as it may have.
    pub fn is_snapshot_due(&self, project: &ProjectName) -> bool {
        self.0.tail().unsnapshotted.is_due(project)
    }

    /// Whether a snapshot covers all records of a project.
    pub fn is_covered(&self, project: &ProjectName) -> bool {
        !self.0.tail().unsnapshotted.has(project)
    }

    /// A project's newest snapshot is not to be trusted: another one is wanted.
    pub fn distrust_snapshot(&self, project: &ProjectName, last_index: u64) {
        self.0.tail().unsnapshotted.record(project, last_index);
    }

    /// Projects whose oldest record without a snapshot is more than `records` behind the last one, oldest first and
    /// at most [`SWEEP_AT_ONCE`]: snapshots of these shorten a start.
    pub fn sweep_candidates(&self, records: u64) -> Vec<SweepCandidate> {
        let tail = self.0.tail();
        let last_index = tail.last_index;
        tail.unsnapshotted.older_than(last_index.saturating_sub(records.saturating_add(1)), SWEEP_AT_ONCE)
    }
}

impl Tail {
    /// Checks that a batch follows, and says where the log ends after it.
    fn follow(&self, batch: &Batch, incarnations: &[Incarnation]) -> Result<(u64, Hash), AppendError> {
        match self.stage {
            Stage::Opened => return Err(AppendError::NotRecovered),
            Stage::Stopped { full, corrupt } => return Err(AppendError::Stopped { full, corrupt }),
            Stage::Recovered => {}
        }
        let (mut last, mut chain) = (self.last_index, self.last_chain);
        let mut previous = incarnation::onward(incarnations, last, chain);
        for entry in &batch.entries {
            if Some(entry.index) != last.checked_add(1) {
                return Err(AppendError::OutOfOrder { last, found: entry.index });
            }
            let found = entry.linked.previous();
            if found != previous {
                return Err(AppendError::Chain { index: entry.index, expected: previous, found });
            }
            (last, chain) = (entry.index, entry.linked.chain());
            previous = incarnation::onward(incarnations, last, chain);
        }
        snapshots_follow(&batch.writes, last)?;
        Ok((last, chain))
    }

    /// Keeps account of what lies behind snapshots.
    fn note(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            self.unsnapshotted.record(&entry.project, entry.index);
        }
        self.note_snapshots(&batch.writes);
    }

    fn note_snapshots(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Snapshot(snapshot) = write {
                self.unsnapshotted.snapshot(&snapshot.project, snapshot.index);
            }
        }
    }
}

/// Refuses snapshots of records behind the last one.
pub(super) fn snapshots_follow(writes: &[Write], last: u64) -> Result<(), AppendError> {
    for write in writes {
        if let Write::Snapshot(snapshot) = write
            && snapshot.index > last
        {
            let (project, index) = (snapshot.project.clone(), snapshot.index);
            return Err(AppendError::SnapshotAhead { project, index, last });
        }
    }
    Ok(())
}

impl Inner {
    /// Checks a batch and stages its entries and the replay floor; says where the log ends after it.
    fn stage(&self, batch: &Batch) -> Result<(WriteBatch, (u64, Hash)), AppendError> {
        let mut tail = self.tail();
        let end = tail.follow(batch, &self.incarnations)?;
        let mut rows = WriteBatch::default();
        self.stage_entries(&mut rows, &batch.entries)?;
        tail.note(batch);
        self.stage_floor(&mut rows, &tail, &batch.writes, end.0);
        Ok((rows, end))
    }

    /// Notes the records and snapshots that a member applies, and stages the replay floor.
    pub(super) fn stage_applied(&self, rows: &mut WriteBatch, writes: &[Write], last: u64) -> Result<(), AppendError> {
        snapshots_follow(writes, last)?;
        let mut tail = self.tail();
        for write in writes {
            if let Write::Decision { project, index, .. } = write {
                tail.unsnapshotted.record(project, *index);
            }
        }
        tail.note_snapshots(writes);
        self.stage_floor(rows, &tail, writes, last);
        drop(tail);
        writes.iter().for_each(|write| self.stage_write(rows, write));
        Ok(())
    }

    /// Stages the replay floor, where snapshots are taken.
    fn stage_floor(&self, rows: &mut WriteBatch, tail: &Tail, writes: &[Write], last: u64) {
        let taken = writes.iter().filter_map(|write| match write {
            Write::Snapshot(snapshot) => Some((snapshot.index, snapshot.hlc)),
            Write::Object { .. }
            | Write::Decision { .. }
            | Write::Key { .. }
            | Write::EffectOpened { .. }
            | Write::EffectClosed { .. }
            | Write::Blocked { .. } => None,
        });
        if let Some((_, hlc)) = taken.max() {
            let floor = tail.unsnapshotted.floor(last);
            rows.put_cf(self.family(Family::Meta), meta::REPLAY_FLOOR, floor.to_string());
            rows.put_cf(self.family(Family::Meta), meta::LAST_SNAPSHOT, hlc.to_string());
        }
    }

    fn stage_entries(&self, rows: &mut WriteBatch, entries: &[LogEntry]) -> Result<(), AppendError> {
        let family = self.family(Family::Wal);
        for entry in entries {
            let frame = frame::encode(&entry.linked.chain(), entry.seal.bytes(), &entry.path, entry.linked.encoded());
            let frame = frame.ok_or(AppendError::TooLong { index: entry.index })?;
            rows.put_cf(family, wal_key(entry.index), frame);
        }
        Ok(())
    }

    pub(super) fn stage_write(&self, rows: &mut WriteBatch, write: &Write) {
        match write {
            Write::Object { hash, bytes } => rows.put_cf(self.family(Family::Objects), hash.as_bytes(), bytes),
            Write::Decision { project, index, wording } => {
                rows.put_cf(self.family(Family::Decisions), scoped_key(project, *index), decision::encode(wording));
            }
            Write::Key { project, key, fingerprint, index, receipt } => {
                let receipt = StoredReceipt::Sum(*receipt);
                let bound = BoundKey { fingerprint: *fingerprint, index: *index, receipt };
                rows.put_cf(self.family(Family::Idem), idem_key(project, key), bound.encode());
            }
            Write::EffectOpened { id, opened_at } => self.stage_opened(rows, id, *opened_at),
            Write::EffectClosed { id } => self.stage_closed(rows, id),
            Write::Blocked { project, blocks } => self.stage_blocked(rows, project, *blocks),
            // Pruning has overtaken this snapshot: the base in its place must not be replaced.
            Write::Snapshot(snapshot) if snapshot.index < self.first_index() => {}
            Write::Snapshot(snapshot) => {
                let key = scoped_key(&snapshot.project, snapshot.index);
                rows.put_cf(self.family(Family::Snapshots), key, snapshot.encode());
            }
        }
    }

    /// Takes nothing more after an error.
    pub(super) fn or_stop<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            let mut tail = self.tail();
            // The first failure decides.
            if !matches!(tail.stage, Stage::Stopped { .. }) {
                tail.stage = Stage::Stopped { full: error.is_full(), corrupt: error.is_corruption() };
            }
        }
        result
    }

    pub(super) fn write(&self, rows: WriteBatch, sync: bool) -> Result<(), StorageError> {
        self.db.write(rows, sync)
    }
}
