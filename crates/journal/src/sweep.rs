//! Snapshots of projects that are not in memory, beside the commit path.

use super::error::{FoldError, ReadError};
use super::recover::{RecoveredHead, SnapshotWarning};
use super::{AppendError, Batch, Journal, PruneError, Snapshot, Write};
use swoosh_types::text::ProjectName;

/// Why projects got no snapshots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A base could not be mended.
    #[error(transparent)]
    Base(#[from] PruneError),
}

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
                        match self.snapshot_of(&found) {
                            Ok(snapshot) => batch.writes.push(Write::Snapshot(Box::new(snapshot))),
                            Err(error) => self.no_snapshot(project, error.into(), &mut report)?,
                        }
                    }
                }
                Err(error) => self.no_snapshot(project, error, &mut report)?,
            }
        }
        report.taken = batch.writes.len();
        if report.taken > 0 {
            self.append(&batch)?;
        }
        Ok(report)
    }

    /// A damaged project gets no snapshot and holds up no other one; an error that may pass ends the sweep.
    fn no_snapshot(&self, project: &ProjectName, error: FoldError, report: &mut SweepReport) -> Result<(), SweepError> {
        match error {
            FoldError::Read(error) if !error.is_damage() => Err(error.into()),
            error => {
                self.set_aside(project);
                report.damaged.push((project.clone(), error));
                Ok(())
            }
        }
    }

    /// No look for old records finds the project until a snapshot covers some of them. It holds the replay floor.
    pub fn set_aside(&self, project: &ProjectName) {
        self.0.tail().unsnapshotted.set_aside(project);
    }

    /// The snapshot of a head that was loaded.
    pub fn snapshot_of(&self, found: &RecoveredHead) -> Result<Snapshot, ReadError> {
        let index = found.index;
        let stored = self.record(index)?.ok_or(ReadError::Missing { index })?;
        Ok(Snapshot::of(&stored.record, stored.chain, found.head.state()))
    }
}
