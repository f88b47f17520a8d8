//! Rows of the family `raft`.
//!
//! ```text
//! 1 byte   version          8 bytes  last record up to this row
//! 8 bytes  term             32 bytes its link
//! 1 byte   kind             the content of the kind, see below
//! 32 bytes hash of the row before
//! 32 bytes sha256 over the row's index and all of it; numbers are big-endian
//!
//! 0 blank
//! 1 barrier  8 bytes member, 8 bytes epoch
//! 2 batch    8 bytes first record, 4 bytes count, 32 bytes link before, 4 bytes number of objects, their hashes, notes
//! 3 members  the configuration in JSON
//! ```
//! Records and objects of a batch are in their own families. A row names the row before, so that notes are chained like records.

use std::sync::Arc;

use super::LogPoint;
use crate::Inner;
use crate::error::ReadError;
use crate::frame::Frame;
use crate::layout::{Family, raft_key};
use swoosh_types::cluster::{Barrier, Batch, Body, Configuration, MemberId, Object, Position, Row};
use swoosh_types::hash::Hash;

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"swoosh/row/v1\n";

/// A row as it is stored.
pub(super) struct StoredRow {
    /// Hash of the row before.
    pub(super) before: Hash,
    /// The log after it.
    pub(super) point: LogPoint,
    pub(super) body: StoredBody,
}

pub(super) enum StoredBody {
    Blank,
    Barrier(Barrier),
    Batch { first: u64, count: u64, before: Hash, objects: Vec<Hash>, notes: Vec<u8> },
    Members(Configuration),
}

/// The bytes of a row, and its hash. `after` is the last record up to it.
pub(super) fn encode(row: &Row, before: &Hash, (record, chain): (u64, Hash)) -> Result<(Vec<u8>, Hash), String> {
    let (kind, content) = content(&row.body)?;
    let mut bytes = Vec::with_capacity(114 + content.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&row.at.term.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(before.as_bytes());
    bytes.extend_from_slice(&record.to_be_bytes());
    bytes.extend_from_slice(chain.as_bytes());
    bytes.extend_from_slice(&content);
    let hash = hash(row.at.index, &bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok((bytes, hash))
}

fn hash(index: u64, content: &[u8]) -> Hash {
    Hash::of_parts([DOMAIN, index.to_be_bytes().as_slice(), content])
}

fn content(body: &Body) -> Result<(u8, Vec<u8>), String> {
    Ok(match body {
        Body::Blank => (0, Vec::new()),
        Body::Barrier(barrier) => (1, [barrier.member.0.to_be_bytes(), barrier.epoch.to_be_bytes()].concat()),
        Body::Batch(batch) => {
            let count = u32::try_from(batch.frames.len()).map_err(|_| "it has too many records".to_owned())?;
            let objects = u32::try_from(batch.objects.len()).map_err(|_| "it has too many objects".to_owned())?;
            let mut bytes = batch.first.to_be_bytes().to_vec();
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(batch.before.as_bytes());
            bytes.extend_from_slice(&objects.to_be_bytes());
            batch.objects.iter().for_each(|object| bytes.extend_from_slice(object.hash.as_bytes()));
            bytes.extend_from_slice(&batch.notes);
            (2, bytes)
        }
        Body::Members(configuration) => (3, serde_json::to_vec(configuration).map_err(|error| error.to_string())?),
    })
}

/// Splits a row; the hash in it is checked.
pub(super) fn parse(index: u64, bytes: &[u8]) -> Result<StoredRow, ReadError> {
    split(index, bytes).ok_or_else(|| fault(index, "is mangled"))
}

fn fault(index: u64, what: impl Into<String>) -> ReadError {
    ReadError::Log { index, what: what.into() }
}

fn split(index: u64, bytes: &[u8]) -> Option<StoredRow> {
    let (content, check) = bytes.split_last_chunk::<32>()?;
    let row = hash(index, content);
    let (version, rest) = content.split_first()?;
    if *check != *row.as_bytes() || *version != VERSION {
        return None;
    }
    let (term, rest) = number(rest)?;
    let (kind, rest) = rest.split_first()?;
    let (before, rest) = link(rest)?;
    let (record, rest) = number(rest)?;
    let (chain, rest) = link(rest)?;
    let body = match kind {
        0 if rest.is_empty() => StoredBody::Blank,
        1 => {
            let (member, epoch) = number(rest)?;
            StoredBody::Barrier(Barrier { member: MemberId(member), epoch: u64::from_be_bytes(epoch.try_into().ok()?) })
        }
        2 => batch(rest)?,
        3 => StoredBody::Members(serde_json::from_slice(rest).ok()?),
        _ => return None,
    };
    let point = LogPoint { at: Some(Position { term, index }), row, record, chain };
    Some(StoredRow { before, point, body })
}

fn batch(bytes: &[u8]) -> Option<StoredBody> {
    let (first, rest) = number(bytes)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (before, rest) = link(rest)?;
    let (objects, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*objects)).ok()?.checked_mul(32)?;
    let (hashes, notes) = rest.split_at_checked(length)?;
    let objects = hashes.as_chunks::<32>().0.iter().map(|bytes| Hash::from_bytes(*bytes)).collect();
    let count = u64::from(u32::from_be_bytes(*count));
    Some(StoredBody::Batch { first, count, before, objects, notes: notes.to_vec() })
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(number, rest)| (u64::from_be_bytes(*number), rest))
}

fn link(bytes: &[u8]) -> Option<(Hash, &[u8])> {
    bytes.split_first_chunk::<32>().map(|(hash, rest)| (Hash::from_bytes(*hash), rest))
}

impl LogPoint {
    /// The log after a row that follows, and the row's bytes; why it does not follow.
    pub(super) fn follow(&self, row: &Row, inner: &Inner) -> Result<(LogPoint, Vec<u8>), String> {
        if self.at.is_some_and(|at| row.at.index != at.index + 1 || row.at.term < at.term) {
            return Err(format!("the log ends at {}", self.place()));
        }
        let end = match &row.body {
            Body::Batch(batch) => self.follow_batch(batch, inner)?,
            Body::Blank | Body::Barrier(_) | Body::Members(_) => self.end(),
        };
        let (bytes, hash) = encode(row, &self.row, end)?;
        Ok((LogPoint { at: Some(row.at), row: hash, record: end.0, chain: end.1 }, bytes))
    }

    /// The last record of a batch and its link. A batch that does not follow the last record is never stored.
    fn follow_batch(&self, batch: &Batch, inner: &Inner) -> Result<(u64, Hash), String> {
        let (mut record, mut chain) = self.end();
        let mut previous = inner.onward(record, chain);
        if batch.first != record + 1 || batch.before != previous {
            return Err(format!("record {} does not follow record {record}", batch.first));
        }
        for bytes in &batch.frames {
            let frame = Frame::parse(record + 1, bytes).map_err(|error| error.to_string())?;
            frame.check_link(&previous).map_err(|error| error.to_string())?;
            (record, chain) = (record + 1, frame.chain);
            previous = inner.onward(record, chain);
        }
        let after = if batch.frames.is_empty() { batch.before } else { chain };
        if batch.after == after { Ok((record, chain)) } else { Err("the batch names another last link".to_owned()) }
    }
}

impl Inner {
    /// A row as it is stored; `None` where there is none of that index.
    pub(super) fn stored_row(&self, index: u64) -> Result<Option<StoredRow>, ReadError> {
        let bytes = self.get(Family::Raft, &raft_key(index))?;
        bytes.map(|bytes| parse(index, &bytes)).transpose()
    }

    /// The log after a row; `None` where there is none of that index.
    pub(crate) fn logged_point(&self, index: u64) -> Result<Option<LogPoint>, ReadError> {
        Ok(self.stored_row(index)?.map(|row| row.point))
    }

    /// A row with its records and objects.
    pub(super) fn row(&self, index: u64) -> Result<Option<Row>, ReadError> {
        let Some(StoredRow { point, body, .. }) = self.stored_row(index)? else { return Ok(None) };
        let at = point.at.unwrap_or(Position { term: 0, index });
        let body = match body {
            StoredBody::Blank => Body::Blank,
            StoredBody::Barrier(barrier) => Body::Barrier(barrier),
            StoredBody::Members(configuration) => Body::Members(configuration),
            StoredBody::Batch { first, count, before, objects, notes } => {
                let frame = |index| self.frame_bytes(index)?.ok_or(ReadError::Missing { index });
                let frames: Vec<Vec<u8>> = (first..first + count).map(frame).collect::<Result<_, _>>()?;
                let object = |hash: &Hash| self.stored_object(index, hash);
                let objects = objects.iter().map(object).collect::<Result<_, _>>()?;
                let after = if count == 0 { before } else { point.chain };
                Body::Batch(Arc::new(Batch { first, before, after, frames, objects, notes }))
            }
        };
        Ok(Some(Row { at, body }))
    }

    fn stored_object(&self, index: u64, hash: &Hash) -> Result<Object, ReadError> {
        let Some(bytes) = self.get(Family::Objects, hash.as_bytes())? else {
            return Err(fault(index, format!("names the object {hash}, which is missing")));
        };
        match Hash::of(&bytes) {
            found if found == *hash => Ok(Object { hash: *hash, bytes }),
            found => Err(ReadError::ObjectMangled { expected: *hash, found }),
        }
    }
}
