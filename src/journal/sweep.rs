//! Snapshots of projects that nobody has in memory, beside the commit path.

use super::error::{FoldError, ReadError};
use super::recover::{RecoveredHead, SnapshotWarning};
use super::{AppendError, Batch, Journal, PruneError, Snapshot, Write};
use crate::types::text::ProjectName;

/// Why projects got no snapshots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What is there cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A base could not be mended.
    #[error(transparent)]
    Base(#[from] PruneError),
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct SweepReport {
    /// Snapshots that were taken.
    pub taken: usize,
    /// Snapshots that were passed over on the way.
    pub warnings: Vec<SnapshotWarning>,
    /// Projects that cannot be loaded, and why. They are not looked at again before the next start.
    pub damaged: Vec<(ProjectName, FoldError)>,
}

impl Journal {
    /// Loads projects, with every check, and takes a snapshot of each that has a record after its newest one.
    pub fn sweep(&self, projects: &[ProjectName]) -> Result<SweepReport, SweepError> {
        let (mut report, mut batch) = (SweepReport::default(), Batch::default());
        for project in projects {
            match self.latest_head(project) {
                Ok(None) => {}
                Ok(Some(mut found)) => {
                    let wanted = found.index > found.snapshot_index || !found.warnings.is_empty();
                    report.warnings.append(&mut found.warnings);
                    if wanted && found.index < self.first_index() {
                        self.0.mend_base(project)?;
                    } else if wanted {
                        batch.writes.push(Write::Snapshot(Box::new(self.snapshot_of(&found)?)));
                    }
                }
                Err(FoldError::Read(error)) if error.index().is_none() => return Err(error.into()),
                Err(error) => {
                    self.0.tail().unsnapshotted.set_aside(project);
                    report.damaged.push((project.clone(), error));
                }
            }
        }
        report.taken = batch.writes.len();
        if report.taken > 0 {
            self.append(&batch)?;
        }
        Ok(report)
    }

    /// The snapshot of a head that was loaded.
    pub fn snapshot_of(&self, found: &RecoveredHead) -> Result<Snapshot, ReadError> {
        let index = found.index;
        let stored = self.record(index)?.ok_or(ReadError::Missing { index })?;
        Ok(Snapshot::of(&stored.record, stored.chain, found.head.state()))
    }
}
