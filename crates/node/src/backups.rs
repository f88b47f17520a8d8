//! The backups that a node makes by itself, and the socket over which others ask for a checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::growth::list;
use crate::backup::{Damaged, Job, Keep, Origin, Repository, StagedCheckpoint, create, prune};
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_telemetry::metrics::Metrics;
use swoosh_terminal::time;

/// The backups of one node.
#[derive(Clone)]
pub struct Backups {
    handle: Handle,
    metrics: Arc<Metrics>,
    data: PathBuf,
    workspaces: PathBuf,
    node_key: PathBuf,
    directory: PathBuf,
    recipients: Vec<String>,
    keep: Keep,
    stopped: Arc<AtomicBool>,
}

impl Backups {
    /// Those of the settings; `None` where they name no directory.
    pub fn of(settings: &Settings, handle: &Handle, metrics: &Arc<Metrics>) -> Option<Backups> {
        let backup = &settings.backup;
        Some(Backups {
            handle: handle.clone(),
            metrics: metrics.clone(),
            data: settings.data.clone(),
            workspaces: settings.workspaces_path(),
            node_key: settings.node_key_path(),
            directory: backup.directory.clone()?,
            recipients: backup.recipients.clone(),
            keep: Keep { newest: backup.keep, younger_than_ms: backup.keep_ms },
            stopped: Arc::default(),
        })
    }

    /// Lets a backup end soon: a node that stops waits for it.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Shows the newest backup of an earlier run, so that a restart does not look like a node without one.
    pub fn recall(&self) {
        let listed = Repository::at(&self.directory).list();
        let listed = listed.inspect_err(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, runbook = "runbooks/restore-backup.md", "the earlier backups cannot be listed");
        });
        let mut good = listed.into_iter().flatten().filter_map(|listed| listed.found.ok());
        if let Some(newest) = good.rfind(|manifest| manifest.origin() == Origin::Signed) {
            self.metrics.backed_up(newest.last_index, newest.taken_at.physical_ms());
        }
    }

    /// Makes one, and removes those that need not stay.
    pub fn round(&self) {
        let taken_at = time::now();
        match self.make() {
            Ok(last_index) => self.metrics.backed_up(last_index, taken_at.physical_ms()),
            Err(_) if self.stopped.load(Ordering::Acquire) => {}
            Err(error) => {
                self.metrics.backup_failed();
                if let Some(Damaged(findings)) = error.downcast_ref() {
                    findings.iter().for_each(|finding| list(&self.handle, finding));
                }
                tracing::error!(
                    error = format!("{error:#}"),
                    runbook = "runbooks/restore-backup.md",
                    "the backup failed; earlier ones are as they were, and the next round tries again"
                );
            }
        }
    }

    fn make(&self) -> anyhow::Result<u64> {
        let repository = Repository::at(&self.directory);
        let staged = StagedCheckpoint::of(&self.handle.journal(), &self.data)?;
        let made = create(&Job {
            checkpoint: staged.path(),
            data: &self.data,
            workspaces: &self.workspaces,
            node_key: &self.node_key,
            repository: &repository,
            recipients: &self.recipients,
            taken_at: time::now(),
            goes_on: &|| !self.stopped.load(Ordering::Acquire),
        })?;
        drop(staged);
        let (id, last_index) = (&made.manifest.id, made.manifest.last_index);
        tracing::info!(id, last_index, files = made.written, bytes = made.written_bytes, "made a backup");
        for object in &made.mended {
            tracing::warn!(object, "a file of earlier backups was damaged; check the disk, and `swoosh backup verify`");
        }
        let pruned = prune(&repository, self.keep, time::now())?;
        if !pruned.backups.is_empty() {
            tracing::info!(backups = pruned.backups.len(), files = pruned.files, "removed old backups");
        }
        Ok(last_index)
    }
}
