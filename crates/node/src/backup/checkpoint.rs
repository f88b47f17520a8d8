//! Where checkpoints are made: in the data directory, so that tables are linked and not copied.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::JOURNAL;
use swoosh_journal::Journal;

/// The folder of checkpoints in a data directory.
const FOLDER: &str = "checkpoints";

/// A checkpoint; it is removed when this is dropped.
pub struct Staged(tempfile::TempDir);

impl Staged {
    /// Makes one of a journal that is open.
    pub fn of(journal: &Journal, data: &Path) -> anyhow::Result<Staged> {
        let folder = data.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let staged = tempfile::Builder::new().prefix("checkpoint-").tempdir_in(&folder);
        let staged = Staged(staged.with_context(|| format!("cannot write to {}", folder.display()))?);
        journal.checkpoint(&staged.path().join(JOURNAL))?;
        Ok(staged)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Removes the checkpoints that a process left that was killed.
pub fn tidy(data: &Path) -> anyhow::Result<()> {
    let folder: PathBuf = data.join(FOLDER);
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
