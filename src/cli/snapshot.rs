//! `swoosh snapshot`: list and take snapshots of a data directory.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::connect::exit;
use super::data::{self, DataArgs};
use super::output::{Output, Table, count};
use crate::journal::{Journal, Snapshot};
use crate::machine::head::Head;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::text::ProjectName;

/// What `swoosh snapshot` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "List or take snapshots",
    long_about = "List or take snapshots.\n\nA snapshot is a project's whole state as one of its records left it. A node \
        takes them by itself (journal.snapshot_every), so that a start has little to replay."
)]
pub struct SnapshotCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    action: SnapshotAction,
}

#[derive(Debug, clap::Subcommand)]
enum SnapshotAction {
    /// List snapshots, each checked against the record that it is of
    #[command(
        after_help = "Examples:\n  swoosh snapshot list\n  swoosh snapshot --data /var/lib/swoosh list --project alpha"
    )]
    List {
        /// This project's alone
        #[arg(long, value_name = "PROJECT")]
        project: Option<ProjectName>,
    },
    /// Take a snapshot of every project that has records since its last one
    ///
    /// Needs the directory for itself: stop the node first.
    #[command(after_help = "Example:\n  swoosh snapshot --data /var/lib/swoosh take")]
    Take {
        /// This project's alone
        #[arg(long, value_name = "PROJECT")]
        project: Option<ProjectName>,
    },
}

/// A snapshot, looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listed {
    project: ProjectName,
    index: u64,
    hlc: Option<Hlc>,
    hash: Option<Hash>,
    problem: Option<String>,
}

impl SnapshotCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match &self.action {
            SnapshotAction::List { project } => list(output, &self.data.open()?, project.as_ref()),
            SnapshotAction::Take { project } => {
                let journal = self.data.open_to_write();
                let held = || format!("snapshots of {} cannot be taken", self.data.path().display());
                take(output, &journal.with_context(held)?, project.as_ref())
            }
        }
    }
}

fn list(output: Output, journal: &Journal, project: Option<&ProjectName>) -> anyhow::Result<ExitCode> {
    let mut snapshots = Vec::new();
    for project in data::projects(journal, project)? {
        for index in journal.snapshots(&project)? {
            snapshots.push(look(journal, &project, index));
        }
    }
    let good = snapshots.iter().all(|snapshot| snapshot.problem.is_none());
    output.say(&json!({"ok": good, "snapshots": snapshots}), || list_text(&snapshots))?;
    Ok(exit(good))
}

fn look(journal: &Journal, project: &ProjectName, index: u64) -> Listed {
    let found = journal.snapshot(project, index).map_err(|error| error.to_string());
    let problem = found.as_ref().err().map(|error| format!("{error}; a start passes it over"));
    let snapshot = found.ok().flatten();
    Listed {
        project: project.clone(),
        index,
        hlc: snapshot.as_ref().map(|snapshot| snapshot.hlc),
        hash: snapshot.map(|snapshot| Head::of(snapshot.state).hash()),
        problem,
    }
}

fn list_text(snapshots: &[Listed]) -> String {
    if snapshots.is_empty() {
        return "there are no snapshots; a start replays the whole log".to_owned();
    }
    let mut table = Table::with(&["", "project", "record", "clock", "state hash"]);
    for snapshot in snapshots {
        let mark = if snapshot.problem.is_none() { "✓" } else { "✗" };
        let clock = snapshot.hlc.map(|hlc| hlc.to_string()).unwrap_or_default();
        let hash = snapshot.hash.map(|hash| hash.to_string()).or_else(|| snapshot.problem.clone()).unwrap_or_default();
        table.row([mark.to_owned(), snapshot.project.to_string(), snapshot.index.to_string(), clock, hash]);
    }
    table.text(0)
}

fn take(output: Output, journal: &Journal, project: Option<&ProjectName>) -> anyhow::Result<ExitCode> {
    let recovered = journal.recover()?;
    let wanted = data::projects(journal, project)?;
    let mut taken = Vec::new();
    for project in &wanted {
        let Some(head) = recovered.heads.get(project).filter(|head| head.index > head.snapshot_index) else { continue };
        let index = head.index;
        let stored = journal.record(index)?.with_context(|| format!("record {index} is missing"))?;
        journal.put_snapshot(Snapshot::of(&stored.record, stored.chain, head.head.state()))?;
        taken.push(look(journal, project, index));
    }
    journal.sync()?;
    output.say(&json!({"taken": taken, "projects": wanted.len()}), || {
        let table = if taken.is_empty() { String::new() } else { format!("\n{}", list_text(&taken)) };
        format!("{} of {} taken{table}", count(taken.len() as u64, "snapshot"), count(wanted.len() as u64, "project"))
    })?;
    Ok(ExitCode::SUCCESS)
}
