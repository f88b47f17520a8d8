//! The work of every effect, on the workspace of its project. [`crate::task`] has the list.

mod content;
pub(super) mod index;
pub(super) mod ingestion;
pub(super) mod outside;
pub(super) mod provision;
mod release;
mod workspace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use index::{Index, IndexedSource, indexed};
pub use workspace::{ProjectFolder, settle_index};

use super::outcome::Report;
use super::task::Build;
use super::worker::{Ended, Execute, Failed, Job, Work};
use swoosh_hybridcore::definitions::Definitions;
use swoosh_hybridcore::packer::Tool;
use swoosh_hybridcore::sources::child::ChildGit;
use swoosh_hybridcore::sources::config::ScanConfig;
use swoosh_hybridcore::sources::git::Limits;
use swoosh_hybridcore::sources::{Fence, Wallet};
use swoosh_types::inputs::{AssetOutcomes, ServersSeen, UnreachableServers};
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

/// The executors' access to facts and services outside of their workspace.
pub trait Outside: Send + Sync + 'static {
    /// Servers that answer as pinned, or why others do not.
    fn tooling(&self, project: &ProjectName) -> Result<ServersSeen, UnreachableServers>;
    /// Why the capacity for a project's allocation is not there.
    fn capacity(&self, project: &ProjectName) -> Result<(), String>;
    /// Says how the assets of a project were found.
    fn say_health(&self, project: &ProjectName, outcomes: &AssetOutcomes) -> Result<(), String>;
    /// The health of a project's assets as others report it; empty where the node's own checks are the report.
    fn reported_health(&self, project: &ProjectName) -> AssetOutcomes;
    /// Sends an index to SLURP; whether there is one to send it to. Blocks.
    fn post_index(&self, index: &Index, work: &Work<'_>) -> Result<bool, String>;
}

/// State shared by all executors.
pub struct Workshop {
    /// Where the workspaces of projects are; each project has a folder of its name.
    pub root: PathBuf,
    /// Branches that sources may follow, as `<url>#<ref>`.
    pub floating: BTreeSet<String>,
    pub git: ChildGit,
    /// Credentials with the addresses that they are bound to.
    pub wallet: Wallet,
    /// Where `file://` may lead.
    pub fence: Fence,
    /// Bounds on repositories.
    pub limits: Limits,
    /// How content is scanned.
    pub scan: ScanConfig,
    pub tool: Tool,
    pub definitions: Definitions,
    /// Builds for projects that name none.
    pub builds: Vec<Build>,
    pub outside: Box<dyn Outside>,
}

impl Execute for Workshop {
    fn run(&self, job: &Job, work: &Work<'_>) -> Ended {
        let done = job.task.run(self, job, work);
        match (done, work.leave.stop()) {
            (Ok((transition, report)), _) => match report.into_outcome(&job.id, transition) {
                Ok(outcome) => Ended::Done(outcome),
                Err(error) => Ended::Failed(Failed::lasting(format!("the outcome cannot be written: {error}"))),
            },
            // An attempt that was stopped failed because of the stop; its own report does not count.
            (Err(_), Some(stop)) => Ended::Stopped(stop),
            (Err(failed), None) => Ended::Failed(failed),
        }
    }
}

/// The outcome's transition and report.
pub type Done = Result<(Transition, Report), Failed>;

impl Workshop {
    fn folder(&self, project: &ProjectName) -> ProjectFolder {
        ProjectFolder::new(&self.root, project)
    }
}

/// A failure of the file system, with the path.
fn on_disk(path: &Path, error: &std::io::Error) -> Failed {
    Failed::passing(format!("{}: {error}; make room there, or let the node read and write it", path.display()))
}
