//! Two histories of one log: which record is the first that differs, and who signed both.

use std::path::Path;

use serde::Serialize;

use swoosh_client::{self as client, Client};
use swoosh_journal::{self as journal, Journal, StoredRecord};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::feed::FeedRecord;
use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;
use swoosh_types::receipt::{BatchSeal, Receipt};
use swoosh_types::record::Record;

/// The file in the follower's data directory that proves it.
pub const EVIDENCE: &str = "equivocation.json";

/// Why the first record that differs was not found. It says nothing of the node.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Asked(#[from] client::ReadError),
    #[error("the local log cannot be read: {0}")]
    Held(#[from] journal::ReadError),
}

/// One of two records at the same place, with what proves that the node made it.
#[derive(Debug, Serialize)]
struct Side {
    record: Record,
    chain: Hash,
    seal: BatchSeal,
    path: Vec<Hash>,
}

/// Two records at one place.
#[derive(Debug, Serialize)]
pub struct Fork {
    index: u64,
    /// The node that sealed both in one term; absent where one of the seals does not hold.
    sealed_by: Option<PublicKey>,
    here: Side,
    there: Side,
}

impl From<StoredRecord> for Side {
    fn from(stored: StoredRecord) -> Side {
        Side { record: stored.record, chain: stored.chain, seal: stored.seal, path: stored.path }
    }
}

impl From<FeedRecord> for Side {
    fn from(entry: FeedRecord) -> Side {
        Side { record: entry.record, chain: entry.chain, seal: entry.seal, path: entry.path }
    }
}

impl Side {
    fn holds(&self, journal: &Journal) -> bool {
        let identity = journal.identity();
        let receipt = Receipt::of(&self.record, self.chain, self.path.clone(), self.seal.clone());
        journal.seals(&self.seal.node) && receipt.verify(&identity.cluster).is_ok()
    }

    fn name(&self) -> String {
        format!("{} of project {} with link {}", self.record.transition, self.record.project, self.chain)
    }
}

/// The first record at or before `last`, where both differ, that differs.
pub async fn find(client: &Client, journal: &Journal, last: u64, first: u64) -> Result<Option<Fork>, FindError> {
    let (mut same, mut differs) = (first.saturating_sub(1), last);
    while differs - same > 1 {
        let middle = same + (differs - same) / 2;
        let there = client.feed(middle, 1, 0).await?.records.into_iter().next();
        let alike = match there {
            Some(there) => journal.has_link(middle, &there.chain)?,
            None => false,
        };
        if alike { same = middle } else { differs = middle }
    }
    let there = client.feed(differs, 1, 0).await?.records.into_iter().next();
    let (Some(there), Some(here)) = (there, journal.record(differs)?) else { return Ok(None) };
    let (here, there) = (Side::from(here), Side::from(there));
    // A leader that lost its term may have sealed another record there in that term, which never committed.
    let alike = (here.seal.node, here.seal.batch.term) == (there.seal.node, there.seal.batch.term);
    let both = alike && here.holds(journal) && there.holds(journal);
    let sealed_by = both.then_some(here.seal.node);
    Ok(Some(Fork { index: differs, sealed_by, here, there }))
}

impl Fork {
    /// Both records, in words.
    pub fn text(&self) -> String {
        let (index, here, there) = (self.index, self.here.name(), self.there.name());
        let whose = match self.sealed_by {
            Some(node) => format!("node {node} sealed both: it equivocates, or runs twice on copies of one directory"),
            None => "not both are sealed by one node in one term: another node answers there".to_owned(),
        };
        format!("record {index} is {here} here, and {there} there; {whose}")
    }

    /// Keeps both with their seals.
    pub fn keep(&self, data: &Path) -> anyhow::Result<()> {
        crate::export::write_whole(&data.join(EVIDENCE), &canonical_bytes(self)).map(drop)
    }
}
