//! Rows of the cluster's log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Configuration, MemberId, Position};
use crate::hash::Hash;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub at: Position,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The first row of a term, and others without content.
    Blank,
    Barrier(Barrier),
    /// Shared: a batch is never copied on its way to disk and peers.
    Batch(Arc<Batch>),
    Members(Configuration),
}

impl Body {
    /// Bytes of its records, objects and notes, for bounds of messages and reads; other rows count as one record's overhead.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 256;
        match self {
            Body::Batch(batch) => OVERHEAD + batch.size(),
            _ => OVERHEAD,
        }
    }
}

/// The beginning of a reign. A leader judges only after its barrier is applied: then it knows all that was committed before. A later
/// batch belongs to the newest barrier before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Barrier {
    pub member: MemberId,
    /// Counts the reigns of one leader in one term, from 1.
    pub epoch: u64,
}

/// Consecutive records, sealed by the leader, and all that a follower needs to check and store them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Index of the first record; of the next one, where the batch has only notes.
    pub first: u64,
    /// Link of the chain before the first record.
    pub before: Hash,
    /// Link of the chain after the last record; `before` where the batch has none.
    pub after: Hash,
    /// One frame for each record, as the `wal` family stores it.
    pub frames: Vec<Vec<u8>>,
    /// Inputs and facts that the records name.
    pub objects: Vec<Object>,
    /// Replicated notes, as RFC 8785 JSON; empty for none.
    pub notes: Vec<u8>,
}

impl Batch {
    /// Number of records.
    pub fn count(&self) -> u64 {
        self.frames.len() as u64
    }

    pub fn size(&self) -> usize {
        let frames = self.frames.iter().map(Vec::len).sum::<usize>();
        let objects = self.objects.iter().map(|object| object.bytes.len()).sum::<usize>();
        frames + objects + self.notes.len()
    }
}

/// Inputs or a fact, stored under its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub hash: Hash,
    pub bytes: Vec<u8>,
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Blank => f.write_str("blank"),
            Body::Barrier(barrier) => write!(f, "barrier {} of member {}", barrier.epoch, barrier.member),
            Body::Batch(batch) => write!(f, "batch of {} from record {}", batch.count(), batch.first),
            Body::Members(configuration) => write!(f, "members {:?}", configuration.voters),
        }
    }
}
