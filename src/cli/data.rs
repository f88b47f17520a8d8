//! A data directory on the disk, looked at without a node.

use std::path::{Path, PathBuf};

pub(super) use swoosh_terminal::progress::{progress, progress_done};

use crate::journal::{Journal, JournalOptions};
use crate::types::text::ProjectName;

/// Where to read on after damaged records. The node itself shows which of the two applies.
pub(super) const DAMAGE_RUNBOOKS: &str =
    "runbooks/corrupt-journal.md if the node starts, runbooks/recovery.md if it does not";

/// Arguments of every command on a data directory.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Data directory of a node, running or not
    #[arg(long, value_name = "DIR", default_value = "./data", global = true)]
    data: PathBuf,
}

/// Records between snapshots, for a journal that gets no records.
const NO_SNAPSHOTS: u64 = 1_000_000;

impl DataArgs {
    /// A data directory named by another command.
    pub fn at(data: &Path) -> DataArgs {
        DataArgs { data: data.to_path_buf() }
    }

    /// Where the journal is: in the node's data directory, or the directory itself is one.
    pub fn journal(&self) -> PathBuf {
        if self.data.join("CURRENT").is_file() { self.data.clone() } else { self.data.join("journal") }
    }

    /// The journal, to look at: nothing is written, and a node may run meanwhile.
    pub fn open(&self) -> anyhow::Result<Journal> {
        Ok(Journal::open_read_only(self.journal())?)
    }

    /// The journal, to write to, after the checks of a start: refused while a node runs on it, and where a node would
    /// not start.
    pub fn open_to_write(&self) -> anyhow::Result<Journal> {
        let found = self.open()?;
        let (identity, follows) = (found.identity().clone(), found.follows().is_some());
        drop(found);
        let wanted = JournalOptions {
            path: self.journal(),
            node: identity.node,
            cluster: identity.cluster,
            snapshot_every: NO_SNAPSHOTS,
            durability: crate::journal::Durability::Sync,
            store: crate::journal::StoreLimits::default(),
            medium: None,
        };
        let journal = if follows { Journal::reopen_following(wanted) } else { Journal::open(wanted) }?;
        journal.recover_tail()?;
        Ok(journal)
    }

    /// The directory, as given by the caller.
    pub fn path(&self) -> &Path {
        &self.data
    }
}

/// The projects of a journal, or the one that was named, which must be there.
pub(super) fn projects(journal: &Journal, named: Option<&ProjectName>) -> anyhow::Result<Vec<ProjectName>> {
    let all = journal.projects()?;
    let Some(project) = named else { return Ok(all) };
    anyhow::ensure!(all.contains(project), "there is no project {project}; there are {}", list(&all));
    Ok(vec![project.clone()])
}

/// Where to begin: 1 means the first record that is not pruned.
pub(super) fn beginning(journal: &Journal, from: u64) -> u64 {
    if from <= 1 { journal.first_index() } else { from }
}

fn list(projects: &[ProjectName]) -> String {
    let names: Vec<&str> = projects.iter().take(10).map(ProjectName::as_str).collect();
    match (projects.len(), names.join(", ")) {
        (0, _) => "none".to_owned(),
        (more, names) if more > 10 => format!("{names} and {} more", more - 10),
        (_, names) => names,
    }
}
