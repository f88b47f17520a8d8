//! `swoosh snapshot`: list and take snapshots of a data directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::connect::exit;
use super::data::{self, DataArgs};
use super::output::{Output, Table, count};
use crate::hybridcore::leave::Always;
use crate::journal::{Journal, Snapshot};
use crate::machine::head::Head;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::text::ProjectName;
use swoosh_terminal::failure::Usage;

use swoosh_node::export::{self, Checked, Plan, Rounds, Vault};

/// Arguments of `swoosh snapshot`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List, show, take, export or check snapshots",
    long_about = "List, show, take, export or check snapshots.\n\nA snapshot is a project's whole state as one of its records left it. A node \
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
    /// Show a snapshot with the project's live idempotency keys, as JSON
    #[command(after_help = "Examples:\n  swoosh snapshot show --project alpha\n  \
        swoosh snapshot show --project alpha --record 4711 | jq .state.execution")]
    Show {
        /// The project
        #[arg(long, value_name = "PROJECT")]
        project: ProjectName,
        /// Of which record; the newest snapshot when left out
        #[arg(long, value_name = "N")]
        record: Option<u64>,
    },
    /// Export what changed since the last export to the same directory
    ///
    /// One round, as a node makes it by itself with `exports.directory` set: a snapshot of every project that
    /// has new records, and with --wal the records. Needs the data directory for itself: stop the node first.
    #[command(after_help = "Examples:\n  swoosh snapshot --data /var/lib/swoosh export --to /export/swoosh\n  \
        swoosh snapshot export --to /export/swoosh --wal --recipient age1…")]
    Export {
        /// Where to
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// The records too
        #[arg(long)]
        wal: bool,
        /// An age public key to encrypt for; may be given several times
        #[arg(long = "recipient", value_name = "KEY")]
        recipients: Vec<String>,
    },
    /// Check an export directory
    ///
    /// Every file against the hash that its round names, every round against the one before; and what is in
    /// them, where they are not encrypted or the key is given: states, inputs, chain, receipts. Exits with 1
    /// when something is wrong.
    #[command(after_help = "Examples:\n  swoosh snapshot verify --from /export/swoosh\n  \
        swoosh snapshot verify --from /export/swoosh --identity key.txt")]
    Verify {
        /// The export directory
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// A file with age secret keys
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
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
            SnapshotAction::Show { project, record } => show(output, &self.data.open()?, project, *record),
            SnapshotAction::Export { to, wal, recipients } => {
                let held = || format!("{} cannot be exported", self.data.path().display());
                let journal = self.data.open_to_write().with_context(held)?;
                let vault = Vault::for_recipients(recipients)?;
                let plan = Plan { directory: to.clone(), wal: *wal, vault, hook: None };
                export(output, &journal, plan)
            }
            SnapshotAction::Verify { from, identity } => verify(output, from, identity.as_deref()),
        }
    }
}

fn show(output: Output, journal: &Journal, project: &ProjectName, record: Option<u64>) -> anyhow::Result<ExitCode> {
    data::projects(journal, Some(project))?;
    let taken = journal.snapshots(project)?;
    let none = || format!("project {project} has no snapshot; `swoosh snapshot take` takes one");
    let newest = taken.last().copied().with_context(none)?;
    let index = record.unwrap_or(newest);
    let found = journal.snapshot_document(project, index)?;
    let listed = || {
        let indexes: Vec<String> = taken.iter().map(ToString::to_string).collect();
        format!("project {project} has no snapshot at record {index}; it has some at {}", indexes.join(", "))
    };
    output.document(&found.with_context(listed)?)?;
    Ok(ExitCode::SUCCESS)
}

fn export(output: Output, journal: &Journal, plan: Plan) -> anyhow::Result<ExitCode> {
    let directory = plan.directory.display().to_string();
    let done = Rounds::new(plan).run(journal, &|| true, &Always)?;
    let (files, last_index) = done.map_or((0, journal.last().0), |done| (done.files, done.last_index));
    output.say(&json!({"files": files, "last_index": last_index, "directory": directory}), || match done {
        None => format!("nothing changed since the last export to {directory}, at record {last_index}"),
        Some(_) => format!("{} written to {directory}, up to record {last_index}", count(files as u64, "file")),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(output: Output, from: &Path, identity: Option<&Path>) -> anyhow::Result<ExitCode> {
    let checked = export::check(from, &identities(identity)?)?;
    let good = checked.problems.is_empty();
    output.say(&checked, || verify_text(&checked))?;
    Ok(exit(good))
}

pub(super) fn identities(file: Option<&Path>) -> anyhow::Result<Vec<Box<dyn age::Identity>>> {
    let Some(path) = file else { return Ok(Vec::new()) };
    let cannot = |error: &dyn std::fmt::Display| {
        Usage(format!("{} cannot be read as a file of age secret keys: {error}", path.display()))
    };
    let bytes = zeroize::Zeroizing::new(crate::files::read(path).map_err(|error| cannot(&error))?);
    let file = age::IdentityFile::from_buffer(bytes.as_slice()).map_err(|error| cannot(&error))?;
    let keys = file.into_identities().map_err(|error| cannot(&error))?;
    Ok(keys.into_iter().map(|key| key as Box<dyn age::Identity>).collect())
}

fn verify_text(checked: &Checked) -> String {
    let said = format!(
        "{} in {}, {} looked into; snapshots of {}, up to record {}",
        count(checked.files as u64, "file"),
        count(checked.rounds as u64, "round"),
        checked.opened,
        count(checked.projects as u64, "project"),
        checked.last_index
    );
    if checked.problems.is_empty() {
        return format!("the export is good: {said}");
    }
    let problems: Vec<String> = checked.problems.iter().map(|problem| format!("  {problem}")).collect();
    format!("the export is damaged: {said}\n{}", problems.join("\n"))
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
    journal.thin_snapshots()?;
    journal.sync()?;
    output.say(&json!({"taken": taken, "projects": wanted.len()}), || {
        let table = if taken.is_empty() { String::new() } else { format!("\n{}", list_text(&taken)) };
        format!("{} of {} taken{table}", count(taken.len() as u64, "snapshot"), count(wanted.len() as u64, "project"))
    })?;
    Ok(ExitCode::SUCCESS)
}
