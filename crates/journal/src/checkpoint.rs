//! A consistent copy of the journal while a node writes to it.
//!
//! RocksDB hard-links its immutable tables into another directory and writes the rest there. Appends wait meanwhile,
//! so the watermark beside the copy is that of its last record, as after a stop at this moment. Memtables are flushed
//! before that, while appends go on, so that they wait for moments only.

use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;

use super::error::{AppendError, ReadError, RecoverError, StorageError};
use super::store::Place;
use super::tail::Walk;
use super::watermark::{Mark, Watermark, WatermarkError};
use super::{Inner, Journal, Mode, Stage};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The journal takes no writes, so its end is not known.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the journal cannot be copied to {}: {source}", path.display())]
    Storage {
        /// Where to.
        path: PathBuf,
        source: StorageError,
    },
    /// The watermark beside the copy cannot be made.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// A copy of a member would hold rows that the cluster did not commit.
    #[error("the journal is that of a cluster's member, which is not copied like one of a node that runs alone")]
    Member,
}

impl Journal {
    /// Copies the journal to a new directory in an existing parent, and the watermark beside it. Tables are
    /// hard-linked where both are on one file system. The copy is durable on return.
    pub fn checkpoint(&self, to: &Path) -> Result<Mark, CheckpointError> {
        let journal = &*self.0;
        if matches!(journal.mode, Mode::ReadOnly) {
            return Err(AppendError::ReadOnly.into());
        }
        if journal.member.is_some() {
            return Err(CheckpointError::Member);
        }
        let failed = |source| CheckpointError::Storage { path: to.to_path_buf(), source };
        journal.flush().map_err(failed)?;
        let _no_appends = journal.appending();
        let (stage, end) = {
            let tail = journal.tail();
            (tail.stage, (tail.last_index, tail.last_chain))
        };
        match stage {
            Stage::Recovered => {}
            Stage::Opened => return Err(AppendError::NotRecovered.into()),
            Stage::Stopped { full, corrupt } => return Err(AppendError::Stopped { full, corrupt }.into()),
        }
        // No side write between what is copied and what its watermark says.
        let sides = journal.sides();
        journal.or_stop(journal.db.sync()).map_err(failed)?;
        journal.or_stop(journal.promise(end)).map_err(failed)?;
        let db = journal.db.directory().map_err(failed)?;
        let copied = Checkpoint::new(db).and_then(|checkpoint| checkpoint.create_checkpoint(to));
        copied.map_err(|error| failed(error.into()))?;
        let incarnation = journal.identity.incarnation;
        let mark = Mark { sequence: 0, index: end.0, chain: end.1, incarnation, sides: *sides, member: None };
        Ok(Watermark::create(&Place::from(to), mark)?.mark())
    }

    /// Follows the chain from the first record that is there to the last one, and compares its end with the
    /// watermark. Returns the number of records. `progress` receives the last index now and then.
    pub fn check_chain(&self, progress: &mut dyn FnMut(u64)) -> Result<u64, RecoverError> {
        let journal = &*self.0;
        let promised = journal.keeper.promised()?;
        journal.check_log(promised.as_ref())?;
        let before = journal.first_index() - 1;
        let mut walk = Walk::from(journal, before)?;
        walk.run(progress)?;
        journal.keeps(promised.as_ref(), walk.last_index)?;
        Ok(walk.last_index - before)
    }

    /// Whether this journal holds a record with this link.
    pub fn has_link(&self, index: u64, chain: &swoosh_types::hash::Hash) -> Result<bool, ReadError> {
        Ok(self.0.chain_at(index)? == *chain)
    }
}

impl Inner {
    /// Writes what is in memory to tables, every family's together.
    fn flush(&self) -> Result<(), StorageError> {
        self.db.flush(&self.families())
    }
}
