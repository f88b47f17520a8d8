//! `swoosh wal`: check and show the log of a data directory, and accept that a part of it is lost.

mod accept;
mod barriers;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::connect::exit;
use super::data::{self, DataArgs};
use super::output::{Output, Table, count, fields, has_room, name_keys};
use super::state;
use crate::client::{WalEntry, WalPage};
use crate::journal::verify::{Flaw, MAX_PROBLEMS, Problem, VerifyReport, verify};
use crate::journal::{Journal, StoredRecord};
use crate::types::json::Json;
use crate::types::text::ProjectName;

/// Arguments of `swoosh wal`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check or show the log of a data directory",
    long_about = "Check or show the log of a data directory.\n\nReads the directory itself and writes nothing (but for \
        accept), also while a node runs on it; then it sees the log of the time when the command began."
)]
pub struct WalCommand {
    #[command(subcommand)]
    action: WalAction,
}

#[derive(Debug, clap::Subcommand)]
enum WalAction {
    /// Check every record
    ///
    /// Checks frame, chain, canonical bytes, inputs and facts, the caller's signature, the batch's seal, the
    /// receipt, the decision record and the idempotency key; then every snapshot, what is open, and how far exporters
    /// are. Lists what is wrong by index, the first first, and
    /// exits with 1. Whether records lead to the states that they name, `swoosh replay` tells.
    #[command(after_help = "Examples:\n  swoosh wal verify\n  swoosh --json wal verify --data /var/lib/swoosh")]
    Verify(DataArgs),
    /// Show records
    #[command(
        after_help = "Examples:\n  swoosh wal show --limit 5\n  swoosh wal show --last 10\n  swoosh wal show --project alpha --from 100\n  \
        swoosh --json wal show --from 17 --limit 1     # the whole record with its inputs, as GET /wal"
    )]
    Show(ShowArgs),
    /// List the records from which another version holds
    ///
    /// Another version of a project's statechart, another bundle of policies, another policy engine: the first record
    /// that each judged, and what held before. The log's beginning is listed as well. Exits with 1 where a version went
    /// back, which no node lets happen. docs/upgrade.md tells what each barrier means.
    #[command(after_help = "Examples:\n  swoosh wal barriers --data /var/lib/swoosh\n  swoosh --json wal barriers")]
    Barriers(DataArgs),
    /// Accept that every record after the last one left is lost
    ///
    /// For a journal that a node refuses to start on, once nothing newer can be found (runbooks/recovery.md). Without
    /// --yes it says what would be given up and changes nothing. With --yes it writes the watermark again for the
    /// record that the journal ends at, and begins the next incarnation there, because other records will take the
    /// lost indexes. Followers of the old incarnation refuse it. No record is repaired. When, why and what was given up
    /// stays in the journal: `swoosh wal verify` shows it. Refused while a node runs on the directory.
    #[command(after_help = "Examples:\n  swoosh wal accept --data /var/lib/swoosh --last 41\n  \
        swoosh wal accept --data /var/lib/swoosh --last 41 --yes --reason \"ops: the disk died, no copy is newer\"")]
    Accept(accept::AcceptArgs),
}

/// Arguments of `swoosh wal show`.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Index of the first record
    ///
    /// The first one that is not pruned when left out
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Most records
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// The last N records, in place of the first ones
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "limit"], value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    last: Option<u64>,
    /// This project's records alone
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
}

impl WalCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            WalAction::Verify(args) => check(output, &args),
            WalAction::Show(args) => show(output, &args),
            WalAction::Barriers(args) => barriers::list(output, &args),
            WalAction::Accept(args) => accept::accept(output, &args),
        }
    }
}

fn check(output: Output, args: &DataArgs) -> anyhow::Result<ExitCode> {
    let journal = args.open()?;
    let report = verify(&journal, &mut data::progress(journal.last().0));
    data::progress_done();
    let problems =
        report.problems.iter().map(|problem| json!({"index": problem.index, "flaw": problem.flaw.to_string()}));
    let document = json!({
        "ok": report.is_good(),
        "node": report.identity.node,
        "cluster": report.identity.cluster,
        "incarnation": report.identity.incarnation,
        "records": report.records,
        "first_index": report.first_index,
        "last_index": report.last_index,
        "last_chain": report.last_chain,
        "complete": report.complete,
        "problem_count": report.problem_count,
        "problems": problems.collect::<Vec<_>>(),
        "accepted_losses": report.acceptances,
        "incarnations": report.incarnations,
    });
    output.say(&document, || report_text(&report))?;
    Ok(exit(report.is_good()))
}

fn report_text(report: &VerifyReport) -> String {
    let identity = &report.identity;
    let last = match report.records {
        0 if !report.complete => ("unknown: no record could be read".to_owned(), "unknown".to_owned()),
        _ => (report.last_index.to_string(), report.last_chain.to_string()),
    };
    let about = fields(&[
        ("node", identity.node.to_string()),
        ("cluster", format!("{}, incarnation {}", identity.cluster, identity.incarnation)),
        ("first record", first_text(report.first_index)),
        ("last record", last.0),
        ("chain", last.1),
    ]);
    let begun = report.incarnations.iter().map(|begun| {
        format!("  incarnation {} began after record {}, at {}: {}", begun.number, begun.after, begun.at, begun.reason)
    });
    let about = [vec![about], begun.collect(), accept::acceptances(&report.acceptances)].concat().join("\n");
    if report.is_good() {
        return format!("the log is good: {} checked\n{about}", count(report.records, "record"));
    }
    let mut lines = vec![format!(
        "the log is damaged: {} in {}",
        count(report.problem_count, "problem"),
        count(report.records, "record")
    )];
    lines.extend(report.problems.iter().map(|problem| format!("  {problem}")));
    if report.problem_count > MAX_PROBLEMS as u64 {
        lines.push(format!("  and {} more", report.problem_count - MAX_PROBLEMS as u64));
    }
    if !report.complete {
        lines.push("the log could not be read any further".to_owned());
    }
    lines.push(about);
    lines.push(format!("nothing was changed; follow {}", runbook(report)));
    lines.join("\n")
}

/// A node starts on damaged rows and refuses their projects; it does not start where acknowledged records are missing.
fn runbook(report: &VerifyReport) -> &'static str {
    let is = |wanted: fn(&Flaw) -> bool| move |problem: &Problem| wanted(&problem.flaw);
    if report.problems.iter().any(is(|flaw| matches!(flaw, Flaw::Promise(_)))) {
        "runbooks/recovery.md"
    } else if report.complete && report.problems.iter().all(is(|flaw| matches!(flaw, Flaw::Snapshot { .. }))) {
        "runbooks/snapshot-restore.md"
    } else {
        data::DAMAGE_RUNBOOKS
    }
}

fn first_text(first: u64) -> String {
    if first == 1 {
        "1".to_owned()
    } else {
        format!("{first}; those before it are pruned, and their base snapshots were checked")
    }
}

fn show(output: Output, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let journal = args.data.open()?;
    let records = records(&journal, args)?;
    if output.is_json() {
        let entries = records.iter().map(|stored| entry(&journal, stored)).collect::<anyhow::Result<Vec<_>>>()?;
        output.document(&WalPage { records: entries, last_index: journal.last().0 })?;
        return Ok(ExitCode::SUCCESS);
    }
    name_signers(&journal, &records);
    output.say(&(), || show_text(&records, journal.last().0))?;
    Ok(ExitCode::SUCCESS)
}

fn records(journal: &Journal, args: &ShowArgs) -> anyhow::Result<Vec<StoredRecord>> {
    let hint = "`swoosh wal verify` lists everything that is wrong";
    if let Some(last) = args.last {
        return last_records(journal, args.project.as_ref(), last).context(hint);
    }
    let from = args.from.unwrap_or_else(|| journal.first_index());
    if from < journal.first_index() {
        journal.record(from)?;
    }
    let Some(project) = &args.project else {
        let records = journal.records_from(from).take(args.limit).collect::<Result<_, _>>();
        return records.context(hint);
    };
    data::projects(journal, Some(project))?;
    let mut records = Vec::new();
    for index in journal.project_indexes(project, from).take(args.limit) {
        records.extend(journal.record(index.context(hint)?).context(hint)?);
    }
    Ok(records)
}

/// The newest records, in their order.
fn last_records(journal: &Journal, project: Option<&ProjectName>, last: u64) -> anyhow::Result<Vec<StoredRecord>> {
    let first = journal.first_index();
    let Some(project) = project else {
        let from = journal.last().0.saturating_add(1).saturating_sub(last).max(first);
        return Ok(journal.records_from(from).collect::<Result<_, _>>()?);
    };
    data::projects(journal, Some(project))?;
    let mut indexes = std::collections::VecDeque::new();
    for index in journal.project_indexes(project, first) {
        indexes.push_back(index?);
        if indexes.len() as u64 > last {
            indexes.pop_front();
        }
    }
    let mut records = Vec::new();
    for index in indexes {
        records.extend(journal.record(index)?);
    }
    Ok(records)
}

fn entry(journal: &Journal, stored: &StoredRecord) -> anyhow::Result<WalEntry> {
    let record = &stored.record;
    let bytes = journal.object(&record.inputs_hash)?;
    let bytes = bytes.with_context(|| format!("the inputs of record {} are missing", record.index))?;
    Ok(WalEntry { record: record.clone(), chain: stored.chain, inputs: Json::parse(&bytes)? })
}

/// Projects whose identities are read for their names.
const MOST_PROJECTS: usize = 20;

/// Names the signers of records in lists.
fn name_signers(journal: &Journal, records: &[StoredRecord]) {
    let projects: BTreeSet<&ProjectName> = records.iter().map(|stored| &stored.record.project).collect();
    name_keys_of(journal, projects.into_iter());
}

/// Names the node and the identities of projects, as far as they can be read.
pub(super) fn name_keys_of<'a>(journal: &Journal, projects: impl Iterator<Item = &'a ProjectName>) {
    name_keys([(journal.identity().node, "node".to_owned())]);
    for project in projects.take(MOST_PROJECTS) {
        if let Ok(Some(found)) = journal.latest_head(project) {
            state::name_identities(found.head.state());
        }
    }
}

fn show_text(records: &[StoredRecord], last_index: u64) -> String {
    if records.is_empty() {
        return format!("no such records; the log ends at record {last_index}");
    }
    // Hashes are left out where they would break other columns.
    let hashes = has_room(110);
    let mut headings = vec!["record", "accepted at", "project", "transition", "signer"];
    headings.extend(["head after", "chain"].into_iter().filter(|_| hashes));
    let mut table = Table::with(&headings);
    for StoredRecord { record, chain, .. } in records {
        let (index, at) = (record.index.to_string(), record.timestamp.to_string());
        let (project, transition) = (record.project.to_string(), record.transition.to_string());
        let signer = record.signer.to_string();
        match hashes {
            true => table.row([
                index,
                at,
                project,
                transition,
                signer,
                record.state_post_hash.to_string(),
                chain.to_string(),
            ]),
            false => table.row([index, at, project, transition, signer]),
        }
    }
    format!("{}\n\nthe log ends at record {last_index}", table.text(0))
}
