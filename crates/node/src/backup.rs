//! Backups: copies of a whole data directory that a node can be put back from.
//!
//! ```text
//! DIR/backups/<id>.json        what one backup holds, with hashes; written last
//! DIR/objects/<ab>/<hash>[.age] files by the hash of their content; backups share them
//! DIR/lock                     held by the writer
//! ```
//! Tables of the journal never change, so that a backup writes only those that are new since the last one.
//! Objects that no backup names do not count: an interrupted backup leaves only files that the next one removes.

pub mod check;
pub mod checkpoint;
pub mod control;
pub mod create;
pub mod origin;
pub mod prune;
pub mod repository;
pub mod restore;

use serde::{Deserialize, Serialize};

pub use checkpoint::Staged as StagedCheckpoint;
pub use control::Control;
pub use create::{Damaged, Job, create};
pub use origin::Origin;
pub use prune::{Keep, prune};
pub use repository::Repository;

use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

/// Version of the manifest's form. Form 1 does not say when its last record was stamped; forms 1 and 2 are not signed.
pub const FORMAT: u64 = 3;
/// The journal's place in a backup and in a data directory.
const JOURNAL: &str = "journal";
/// The watermark's, beside it.
const WATERMARK: &str = "journal.watermark";
/// Position of deliveries to WHOOSH, for a directory whose journal has none.
const WHOOSH_POSITION: &str = "migration/position";
/// The node's key.
const NODE_KEY: &str = "node.key";

/// The manifest of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub format: u64,
    /// Its name.
    pub id: String,
    /// The program that made it.
    pub version: String,
    /// Version of the journal's layout.
    pub journal_format: u64,
    pub node: PublicKey,
    pub cluster: ClusterId,
    pub incarnation: u64,
    /// How the incarnations after the first one began.
    pub incarnations: Vec<Incarnation>,
    pub first_index: u64,
    pub last_index: u64,
    pub last_chain: Hash,
    /// Stamp of the last record; none in an empty log, and in form 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stamp: Option<Hlc>,
    /// By the wall clock, which may be wrong.
    pub taken_at: Hlc,
    /// Recipients of its encrypted files; with none, files are plain.
    pub recipients: Vec<String>,
    pub files: Vec<Stored>,
    /// The node's signature, see `origin.rs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<origin::Seal>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Below the data directory, with slashes.
    pub path: String,
    /// Of what it holds.
    pub sha256: Hash,
    pub bytes: u64,
    /// Below the backup directory, with slashes.
    pub object: String,
    /// Of the stored object.
    pub object_sha256: Hash,
    pub object_bytes: u64,
}

impl Manifest {
    /// Whether the node's key is in it.
    pub fn has_node_key(&self) -> bool {
        self.files.iter().any(|file| file.path == NODE_KEY)
    }

    /// Whether it ends at the same record as another one and begins no later.
    pub fn holds_as_much_as(&self, other: &Manifest) -> bool {
        let end = |manifest: &Manifest| (manifest.incarnation, manifest.last_index, manifest.last_chain);
        end(self) == end(other) && self.first_index <= other.first_index
    }
}
