//! Errors of opening, reading, writing and replaying the journal.

use std::path::PathBuf;

use swoosh_machine::replay::Divergence;
use swoosh_types::canonical::DecodeError;
use swoosh_types::cluster::{Ballot, Position};
use swoosh_types::hash::Hash;
use swoosh_types::ids::IdemKey;
use swoosh_types::json::JsonError;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::{ClusterId, ProjectName};

use super::layout::FORMAT;
use super::sides::SidesLost;
use super::watermark::WatermarkError;

/// The store could not do what it was asked; the text is RocksDB's, or the watermark's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(pub(super) String);

impl StorageError {
    /// An error of another store than RocksDB.
    pub fn new(text: impl Into<String>) -> StorageError {
        StorageError(text.into())
    }

    fn lacks_room(&self) -> bool {
        ["No space left on device", "Disk quota exceeded"].iter().any(|sign| self.0.contains(sign))
    }

    /// Where to read on, if a start fails because of it.
    fn runbook(&self) -> &'static str {
        if self.lacks_room() { "runbooks/disk-full.md" } else { "runbooks/recovery.md" }
    }

    /// Whether the disk was full during a write. A sync on a full disk is different: its writes may be lost.
    pub fn is_full(&self) -> bool {
        let room = self.lacks_room();
        let step = |rest: &str| rest.split(':').next().is_some_and(|words| words.contains("sync"));
        room && !self.0.split("While ").skip(1).any(step) && !self.0.contains("cannot be synced")
    }
}

impl StorageError {
    /// Whether stored bytes do not match their checksum.
    pub fn is_corruption(&self) -> bool {
        self.0.contains("Corruption:")
    }

    /// Whether bytes on the disk changed, or the disk does not give them back. Other errors may pass by themselves.
    pub fn is_damage(&self) -> bool {
        ["Corruption:", "Input/output error"].iter().any(|sign| self.0.contains(sign))
    }
}

impl From<WatermarkError> for StorageError {
    fn from(error: WatermarkError) -> StorageError {
        StorageError(error.to_string())
    }
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> StorageError {
        StorageError(error.into_string())
    }
}

/// The way out for a place that cannot be looked at.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "permission denied: run the command as the user of the daemon",
        _ => "check the path and the disk",
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no journal to read.
    #[error("there is no journal in {}; name the data directory of a node that has run", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The place cannot be looked at, so that it is not known whether there is a journal.
    #[error("the journal in {} cannot be read ({source}); {}", path.display(), remedy(source))]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Another process, or this one, holds the directory.
    #[error("the data directory {} is held by another process; stop it, or use another directory ({source})", path.display())]
    Held { path: PathBuf, source: StorageError },
    /// The directory belongs to another node.
    #[error("the data directory {} belongs to node {found}, this node is {expected}; use that node's key, or another directory", path.display())]
    OtherNode {
        path: PathBuf,
        /// The node that opens it.
        expected: PublicKey,
        /// The node that it belongs to.
        found: PublicKey,
    },
    /// The directory belongs to another cluster.
    #[error("the data directory {} belongs to cluster {found}, this node is of {expected}; set cluster {found}, or use another directory", path.display())]
    OtherCluster {
        path: PathBuf,
        /// The cluster of the node that opens it.
        expected: ClusterId,
        /// The cluster that it belongs to.
        found: ClusterId,
    },
    /// The layout has another version.
    #[error("the data directory {} has format {found}, this program knows format {FORMAT}; use the program that wrote it", path.display())]
    Format {
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// The directory follows another node.
    #[error("the data directory {} follows {primary}, and nothing else is written to it; go on with `swoosh follow`, or take it over for good with `swoosh promote`, see runbooks/promote-follower.md", path.display())]
    Following {
        path: PathBuf,
        /// The node that it follows.
        primary: String,
    },
    /// The directory belongs to a node that writes.
    #[error("the data directory {} is that of a node that writes, which nothing may be followed with; name a directory of its own for the follower", path.display())]
    NotFollowing { path: PathBuf },
    /// The directory belongs to a cluster's member.
    #[error("the data directory {} is that of a cluster's member, so that nothing is written to it outside of the cluster", path.display())]
    Member { path: PathBuf },
    /// The directory belongs to a node that runs alone.
    #[error("the data directory {} is that of a node that runs alone, not of a cluster's member", path.display())]
    NotMember { path: PathBuf },
    /// The cluster's log ends before what the watermark promises.
    #[error(
        "the cluster's log in {} ends at row {last}, but its watermark promises rows up to {promised}: a part of the journal was lost. Nothing was changed; replace this member, see runbooks/recovery.md", path.display()
    )]
    LogLost {
        path: PathBuf,
        /// Index of the last row; 0 for none.
        last: u64,
        promised: Position,
    },
    /// The directory's identity is missing or mangled.
    #[error("the data directory {} does not say what it is: {what}; restore it from a snapshot, see runbooks/recovery.md", path.display())]
    Mangled { path: PathBuf, what: String },
    /// The journal ends before what the watermark promises.
    #[error(
        "the journal in {} ends at record {last}, but its watermark promises records up to {promised}: record {index} is the first one missing. Nothing was changed; put back what was lost, see runbooks/recovery.md", path.display()
    )]
    Lost {
        path: PathBuf,
        /// Last record found; 0 for none.
        last: u64,
        /// The first record that is missing.
        index: u64,
        /// The last record that was promised.
        promised: u64,
    },
    /// The journal lacks held outcomes or notes of attempts that the watermark promises.
    #[error(
        "in {}, {lost}: a part of the journal was lost. Nothing was changed; put back what was lost, or accept the loss, see runbooks/recovery.md", path.display()
    )]
    SidesLost {
        path: PathBuf,
        /// How many there are, and how many were promised.
        lost: SidesLost,
    },
    /// The journal lacks a record between others.
    #[error(
        "the journal in {} has records up to {last}, but record {index} is missing: a part of it was lost, or put back from an old copy. Nothing was changed; put back what was lost, see runbooks/recovery.md", path.display()
    )]
    Gap {
        path: PathBuf,
        /// The first record that is missing.
        index: u64,
        last: u64,
    },
    /// The watermark says nothing.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// RocksDB cannot open what was promised.
    #[error("the data directory {} cannot be opened ({source}), and its watermark promises records up to {promised}; no record was skipped, see {}", path.display(), source.runbook())]
    Damaged {
        path: PathBuf,
        source: StorageError,
        /// The last record that was promised.
        promised: u64,
    },
    /// RocksDB cannot open it.
    #[error("the data directory {} cannot be opened ({source}); see runbooks/recovery.md", path.display())]
    Storage { path: PathBuf, source: StorageError },
}

/// Why something of the journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// RocksDB failed on a record.
    #[error("record {index} cannot be read ({source})")]
    RecordStorage { index: u64, source: StorageError },
    /// RocksDB failed on something else.
    #[error("the journal cannot be read ({0})")]
    Storage(#[from] StorageError),
    /// A record that must be there is not.
    #[error("record {index} is missing")]
    Missing { index: u64 },
    /// The asker is gone, so the read was ended.
    #[error("the read was ended: its asker is gone")]
    Abandoned,
    /// A record was pruned.
    #[error("record {index} is pruned: the log begins at record {first}{exported}")]
    Pruned {
        index: u64,
        /// The first record that is there.
        first: u64,
        /// Where it was exported to, as the end of a sentence; empty if it was not.
        exported: String,
    },
    /// A project has no good snapshot, and its records are pruned.
    #[error("no snapshot of project {project} is good, and its records up to {index} are pruned")]
    Baseless {
        project: ProjectName,
        /// The last record of it that is gone.
        index: u64,
    },
    /// A key of the WAL is no index.
    #[error("after record {index} the WAL has a key that is no index")]
    Key {
        /// The record before it.
        index: u64,
    },
    /// The frame around a record is mangled.
    #[error("the frame of record {index} is mangled: {what}")]
    Frame { index: u64, what: &'static str },
    /// A record does not follow from the one before.
    #[error("the chain breaks at record {index}: it says {found}, its bytes give {expected}")]
    Chain { index: u64, expected: Hash, found: Hash },
    /// Inputs or a fact are not what they were when they were stored under their hash.
    #[error("the object {expected} is mangled: what is stored there hashes to {found}")]
    ObjectMangled {
        /// The hash that it is stored under.
        expected: Hash,
        found: Hash,
    },
    /// A record does not decode.
    #[error("record {index} does not decode: {source}")]
    Record { index: u64, source: DecodeError },
    /// The kind or the project of a record cannot be read.
    #[error("record {index} cannot be made out: {what}")]
    Outline { index: u64, what: String },
    /// A record has the key of another.
    #[error("record {found} is stored in the place of record {index}")]
    Misplaced {
        index: u64,
        /// Index of the record that is stored there.
        found: u64,
    },
    /// The inputs of a record are gone.
    #[error("the inputs {hash} of record {index} are missing")]
    InputsMissing { index: u64, hash: Hash },
    /// The inputs of a record are no JSON.
    #[error("the inputs of record {index} are mangled: {source}")]
    Inputs { index: u64, source: JsonError },
    /// A bound key and the record that it names do not belong together.
    #[error("the idempotency key {key} of project {project} is bound to record {index}, {what}")]
    Binding { project: ProjectName, key: IdemKey, index: u64, what: &'static str },
    /// A row of the cluster's log is mangled, missing, or does not follow.
    #[error("row {index} of the cluster's log {what}")]
    Log { index: u64, what: String },
    /// A row of a project is mangled.
    #[error("a row of project {project} in {family} is mangled")]
    Row {
        /// Its project, as far as it can be read.
        project: String,
        /// In which column family.
        family: &'static str,
    },
}

impl ReadError {
    /// The record that is at fault, where it is one.
    pub fn index(&self) -> Option<u64> {
        match self {
            ReadError::RecordStorage { index, .. }
            | ReadError::Missing { index }
            | ReadError::Pruned { index, .. }
            | ReadError::Baseless { index, .. }
            | ReadError::Key { index }
            | ReadError::Frame { index, .. }
            | ReadError::Chain { index, .. }
            | ReadError::Record { index, .. }
            | ReadError::Outline { index, .. }
            | ReadError::Misplaced { index, .. }
            | ReadError::InputsMissing { index, .. }
            | ReadError::Inputs { index, .. }
            | ReadError::Binding { index, .. } => Some(*index),
            ReadError::Storage(_)
            | ReadError::Row { .. }
            | ReadError::Log { .. }
            | ReadError::ObjectMangled { .. }
            | ReadError::Abandoned => None,
        }
    }

    /// Whether the stored bytes are at fault: reading them again gives the same error. Neither a pruned record nor a read
    /// that was ended is damage.
    pub fn is_damage(&self) -> bool {
        match self {
            ReadError::Pruned { .. } | ReadError::Abandoned => false,
            ReadError::Storage(error) => error.is_damage(),
            _ => true,
        }
    }
}

/// Why records do not lead where they say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// One does not follow.
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

impl FoldError {
    /// Whether the stored bytes are at fault: reading them again gives the same error.
    pub fn is_damage(&self) -> bool {
        match self {
            FoldError::Read(error) => error.is_damage(),
            FoldError::Diverged(_) => true,
        }
    }

    /// The record that is at fault, where it is one.
    pub fn index(&self) -> Option<u64> {
        match self {
            FoldError::Read(error) => error.index(),
            FoldError::Diverged(
                Divergence::PreHash { index, .. }
                | Divergence::InputsHash { index, .. }
                | Divergence::Inputs { index, .. }
                | Divergence::PostHash { index, .. }
                | Divergence::Newer { index, .. },
            ) => Some(*index),
        }
    }
}

/// Why a start refuses to go on. Nothing is skipped and nothing is repaired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// A record is damaged, missing, or does not lead where it says.
    #[error("{0}; nothing was skipped or changed, see runbooks/recovery.md")]
    Fault(#[from] FoldError),
    /// The chain at the watermark is another one.
    #[error(
        "record {index} has the chain value {found}, but the watermark promises {expected}: the journal was put back from elsewhere, or changed; see runbooks/recovery.md"
    )]
    Forked {
        index: u64,
        expected: Hash,
        /// Chain value that is stored there.
        found: Hash,
    },
    /// A row written with the last record is missing.
    #[error("record {index} is there, but its {what} is not: a part of the journal was lost; see runbooks/recovery.md")]
    Torn { index: u64, what: &'static str },
    /// Held outcomes or notes of attempts that were promised are not there.
    #[error("{0}: a part of the journal was lost; see runbooks/recovery.md")]
    SidesLost(#[from] SidesLost),
    /// The watermark says nothing, or cannot be written.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// The WAL ends before something that was written after it.
    #[error(
        "the WAL ends at record {last}, but {witness} shows that there was a record {index}; see runbooks/recovery.md"
    )]
    Lost {
        /// Last record found.
        last: u64,
        /// A record that is missing.
        index: u64,
        witness: String,
    },
}

impl From<ReadError> for RecoverError {
    fn from(error: ReadError) -> RecoverError {
        RecoverError::Fault(FoldError::Read(error))
    }
}

impl From<StorageError> for RecoverError {
    fn from(error: StorageError) -> RecoverError {
        ReadError::Storage(error).into()
    }
}

impl RecoverError {
    /// Whether the disk had no room for the watermark, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        match self {
            RecoverError::Fault(FoldError::Read(ReadError::Storage(error))) => error.is_full(),
            RecoverError::Watermark(error @ WatermarkError::File { .. }) => {
                StorageError::new(error.to_string()).is_full()
            }
            RecoverError::Fault(_)
            | RecoverError::Forked { .. }
            | RecoverError::Torn { .. }
            | RecoverError::SidesLost(_)
            | RecoverError::Watermark(_)
            | RecoverError::Lost { .. } => false,
        }
    }

    /// The record that is at fault, where it is one.
    pub fn index(&self) -> Option<u64> {
        match self {
            RecoverError::Fault(error) => error.index(),
            RecoverError::Lost { index, .. }
            | RecoverError::Forked { index, .. }
            | RecoverError::Torn { index, .. } => Some(*index),
            RecoverError::Watermark(_) | RecoverError::SidesLost(_) => None,
        }
    }
}

/// Why a batch was not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk failed. Whether the batch is on disk is not known until the journal is opened again.
    #[error("the batch could not be made durable ({0})")]
    Storage(#[from] StorageError),
    /// An earlier append failed.
    #[error("an earlier batch could not be made durable")]
    Stopped {
        /// Whether for want of room alone.
        full: bool,
        /// Whether because a compaction read a damaged block.
        corrupt: bool,
    },
    /// The journal was opened for reading.
    #[error("the journal is open for reading only")]
    ReadOnly,
    /// Nothing may be appended to a chain that was not checked.
    #[error("the journal was not recovered yet; recover it before appending")]
    NotRecovered,
    /// The batch does not begin where the WAL ends.
    #[error("record {found} cannot follow record {last}")]
    OutOfOrder {
        /// Last record of the WAL.
        last: u64,
        /// The record that was to follow.
        found: u64,
    },
    /// The chain would break.
    #[error("record {index} follows the link {found}, but the log ends with {expected}")]
    Chain { index: u64, expected: Hash, found: Hash },
    /// A batch of more records than a path can prove, or a seal beyond all bounds.
    #[error("the seal or the path of record {index} is too long")]
    TooLong { index: u64 },
    /// The journal is a member's: its rows come through the cluster.
    #[error("the journal is that of a cluster's member, which takes no batch outside of the cluster's log")]
    Replicated,
    /// The journal is that of a node that runs alone.
    #[error("the journal is that of a node that runs alone, so that it has no log of a cluster")]
    NotMember,
    /// A row does not belong where it was to go. Nothing of it was written.
    #[error("row {at} of the cluster's log is refused: {what}")]
    Row { at: Position, what: String },
    /// A vote contradicts the one before.
    #[error("the vote «{given}» contradicts «{held}»")]
    Vote { held: Ballot, given: Ballot },
    /// A snapshot of the future.
    #[error("the snapshot of project {project} at record {index} is ahead of the WAL, which ends at {last}")]
    SnapshotAhead {
        project: ProjectName,
        index: u64,
        /// Last record of the WAL.
        last: u64,
    },
}

impl AppendError {
    /// Whether a damaged block of a table stopped the writes, though nothing is wrong with what is written.
    pub fn is_corruption(&self) -> bool {
        match self {
            AppendError::Storage(error) => error.is_corruption(),
            AppendError::Stopped { corrupt, .. } => *corrupt,
            AppendError::ReadOnly
            | AppendError::NotRecovered
            | AppendError::OutOfOrder { .. }
            | AppendError::Chain { .. }
            | AppendError::TooLong { .. }
            | AppendError::Replicated
            | AppendError::NotMember
            | AppendError::Row { .. }
            | AppendError::Vote { .. }
            | AppendError::SnapshotAhead { .. } => false,
        }
    }

    /// Whether the disk had no room, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        match self {
            AppendError::Storage(error) => error.is_full(),
            AppendError::Stopped { full, .. } => *full,
            AppendError::ReadOnly
            | AppendError::NotRecovered
            | AppendError::OutOfOrder { .. }
            | AppendError::Chain { .. }
            | AppendError::TooLong { .. }
            | AppendError::Replicated
            | AppendError::NotMember
            | AppendError::Row { .. }
            | AppendError::Vote { .. }
            | AppendError::SnapshotAhead { .. } => false,
        }
    }
}

impl OpenError {
    /// Whether the disk has no room, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        matches!(self, OpenError::Storage { source, .. } | OpenError::Damaged { source, .. } if source.is_full())
    }
}
