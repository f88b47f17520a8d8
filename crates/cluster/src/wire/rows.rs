//! Rows: what the header has of them, and their blobs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swoosh_types::cluster::{Ballot, Barrier, Batch, Body, Configuration, Object, Position, Row};
use swoosh_types::hash::Hash;

use super::WireError;
use super::frame::Draft;
use crate::messages::Append;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppendForm {
    ballot: Ballot,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Position>,
    rows: Vec<RowForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<Position>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowForm {
    at: Position,
    body: BodyForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum BodyForm {
    Blank,
    Barrier(Barrier),
    Batch(BatchForm),
    Members(Configuration),
}

/// Lengths of the blobs, which follow in this order: frames, objects, notes. An object's blob begins with its hash, whose 32 bytes the
/// length does not count.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchForm {
    first: u64,
    before: Hash,
    after: Hash,
    frames: Vec<u32>,
    objects: Vec<u32>,
    notes: u32,
}

impl From<&Append> for AppendForm {
    fn from(append: &Append) -> AppendForm {
        AppendForm {
            ballot: append.ballot,
            previous: append.previous,
            rows: append.rows.iter().map(row_form).collect(),
            committed: append.committed,
        }
    }
}

fn row_form(row: &Row) -> RowForm {
    let body = match &row.body {
        Body::Blank => BodyForm::Blank,
        Body::Barrier(barrier) => BodyForm::Barrier(*barrier),
        Body::Batch(batch) => BodyForm::Batch(batch_form(batch)),
        Body::Members(configuration) => BodyForm::Members(configuration.clone()),
    };
    RowForm { at: row.at, body }
}

/// A length beyond the bound of a frame is written as the greatest one; the frame's own bound refuses the message then.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn batch_form(batch: &Batch) -> BatchForm {
    BatchForm {
        first: batch.first,
        before: batch.before,
        after: batch.after,
        frames: batch.frames.iter().map(|frame| length(frame)).collect(),
        objects: batch.objects.iter().map(|object| length(&object.bytes)).collect(),
        notes: length(&batch.notes),
    }
}

fn batches(append: &Append) -> impl Iterator<Item = &Batch> {
    append.rows.iter().filter_map(|row| match &row.body {
        Body::Batch(batch) => Some(batch.as_ref()),
        _ => None,
    })
}

/// Bytes of all blobs.
pub(super) fn blob_bytes(append: &Append) -> usize {
    batches(append).map(|batch| batch.size() + batch.objects.len() * Hash::ZERO.as_bytes().len()).sum()
}

pub(super) fn push_blobs(append: &Append, draft: &mut Draft) {
    for batch in batches(append) {
        batch.frames.iter().for_each(|frame| draft.push(frame));
        for object in &batch.objects {
            draft.push(object.hash.as_bytes());
            draft.push(&object.bytes);
        }
        draft.push(&batch.notes);
    }
}

/// The blobs of a frame that are not taken yet.
pub(super) struct Blobs<'f>(pub(super) &'f [u8]);

impl Blobs<'_> {
    pub(super) fn take(&mut self, length: u32) -> Result<Vec<u8>, WireError> {
        let (blob, rest) = self.0.split_at_checked(length as usize).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(blob.to_vec())
    }

    fn take_hash(&mut self) -> Result<Hash, WireError> {
        let (bytes, rest) = self.0.split_first_chunk::<32>().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(Hash::from_bytes(*bytes))
    }

    /// Fails where the header does not name all of the blobs.
    pub(super) fn finish(self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(WireError::Leftover(bytes as u64)),
        }
    }
}

pub(super) fn read_append(form: AppendForm, blobs: &mut Blobs<'_>) -> Result<Append, WireError> {
    let rows = form.rows.into_iter().map(|row| read_row(row, blobs)).collect::<Result<_, _>>()?;
    Ok(Append { ballot: form.ballot, previous: form.previous, rows, committed: form.committed })
}

fn read_row(form: RowForm, blobs: &mut Blobs<'_>) -> Result<Row, WireError> {
    let body = match form.body {
        BodyForm::Blank => Body::Blank,
        BodyForm::Barrier(barrier) => Body::Barrier(barrier),
        BodyForm::Batch(batch) => Body::Batch(Arc::new(read_batch(batch, blobs)?)),
        BodyForm::Members(configuration) => Body::Members(configuration),
    };
    Ok(Row { at: form.at, body })
}

fn read_batch(form: BatchForm, blobs: &mut Blobs<'_>) -> Result<Batch, WireError> {
    let frames = form.frames.into_iter().map(|length| blobs.take(length)).collect::<Result<_, _>>()?;
    let mut objects = Vec::with_capacity(form.objects.len());
    for length in form.objects {
        objects.push(Object { hash: blobs.take_hash()?, bytes: blobs.take(length)? });
    }
    let notes = blobs.take(form.notes)?;
    Ok(Batch { first: form.first, before: form.before, after: form.after, frames, objects, notes })
}
