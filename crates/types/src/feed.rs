//! The feed of a node to its followers: records with everything that proves them.

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::incarnation::Incarnation;
use super::json::Json;
use super::keys::PublicKey;
use super::receipt::BatchSeal;
use super::record::Record;
use super::text::ClusterId;

/// A stretch of the log of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedPage {
    pub cluster: ClusterId,
    /// The node, which sealed the records.
    pub node: PublicKey,
    /// How the incarnations of the log after the first one began.
    pub incarnations: Vec<Incarnation>,
    /// Index of the first record that is not pruned.
    pub first_index: u64,
    /// Index of the last durable record.
    pub last_index: u64,
    /// Records by rising index.
    pub records: Vec<FeedRecord>,
    /// Every fact that they name, each once.
    pub facts: Vec<FeedFact>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedRecord {
    pub record: Record,
    /// Its link in the chain.
    pub chain: Hash,
    /// The inputs that it names by hash.
    pub inputs: Json,
    /// The signed root of the batch that it was committed in.
    pub seal: BatchSeal,
    /// Path from its leaf to that root.
    pub path: Vec<Hash>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedFact {
    /// Its address: the hash of its canonical bytes.
    pub hash: Hash,
    pub fact: Json,
}
