//! `swoosh replay`: reduce a whole log again, and with `--reguard` judge it again.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::connect::exit;
use super::data::{self, DataArgs};
use super::output::{Output, Table, count, fields};
use super::reguard::{Reguard, ReguardReport};
use crate::journal::Journal;
use crate::journal::replay::{ReplayReport, replay};

/// Arguments of `swoosh replay`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Reduce a whole log again and compare every hash",
    long_about = "Reduce a whole log again and compare every hash.\n\n\
        Starts every project from genesis, without any snapshot, and checks the chain, the inputs and both state \
        hashes of every record, and that the log holds every acknowledged one. With --reguard every record is also judged again, on the head before it, at its \
        stamped time, by the facts that it names: guards and reasons must come out exactly as recorded. Where \
        another version of the policy engine judged, that is reported as engine_differs and is no mismatch.\n\n\
        Names the first record that differs and exits with 1. Writes nothing; a node may run meanwhile.",
    after_help = "Examples:\n  swoosh replay\n  swoosh replay --data /var/lib/swoosh --reguard\n  \
        swoosh --json replay | jq .heads"
)]
pub struct ReplayCommand {
    #[command(flatten)]
    data: DataArgs,
    /// Judge every record again by its recorded facts
    #[arg(long)]
    reguard: bool,
}

impl ReplayCommand {
    /// Replays.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let journal = self.data.open()?;
        let (report, reguarded) = replayed(&journal, self.reguard, &mut data::progress(journal.last().0));
        data::progress_done();
        // A log that lost its tail replays well as far as it goes.
        let lost = match report.fault {
            None => journal.keeps_promise(report.last_index).err(),
            Some(_) => None,
        };
        let lost = lost.map(|error| error.to_string());
        output.say(&document(&report, lost.as_deref(), reguarded.as_ref()), || {
            text(&report, lost.as_deref(), reguarded.as_ref())
        })?;
        let agrees = report.fault.is_none() && lost.is_none();
        Ok(exit(agrees && reguarded.is_none_or(|reguarded| reguarded.is_good())))
    }
}

fn replayed(journal: &Journal, reguard: bool, progress: &mut dyn FnMut(u64)) -> (ReplayReport, Option<ReguardReport>) {
    if !reguard {
        return (replay(journal, progress, None), None);
    }
    let mut judge = Reguard::new(journal);
    let report = replay(journal, progress, Some(&mut |stored, head, inputs| judge.visit(stored, head, inputs)));
    (report, Some(judge.report()))
}

fn document(report: &ReplayReport, lost: Option<&str>, reguarded: Option<&ReguardReport>) -> Value {
    let heads = report.heads.iter().map(|(project, head)| {
        (project.to_string(), json!({"hash": head.hash, "index": head.index, "records": head.records}))
    });
    let fault = report.fault.as_ref().map(|fault| json!({"index": fault.index(), "reason": fault.to_string()}));
    let mut document = json!({
        "ok": report.fault.is_none() && lost.is_none() && reguarded.is_none_or(ReguardReport::is_good),
        "replayed": report.replayed,
        "last_index": report.last_index,
        "last_chain": report.last_chain,
        "heads": heads.collect::<serde_json::Map<_, _>>(),
        "fault": fault,
        "lost": lost,
    });
    if let (Some(reguarded), Some(members)) = (reguarded, document.as_object_mut()) {
        members.insert("reguard".to_owned(), json!(reguarded));
    }
    document
}

fn text(report: &ReplayReport, lost: Option<&str>, reguarded: Option<&ReguardReport>) -> String {
    let mut table = Table::with(&["project", "records", "last", "head"]);
    for (project, head) in &report.heads {
        let hash = head.hash.to_string();
        table.row([project.to_string(), head.records.to_string(), head.index.to_string(), hash]);
    }
    let records = count(report.replayed, "record");
    let mut parts = Vec::new();
    if !report.heads.is_empty() {
        parts.push(table.text(0));
    }
    let chain = fields(&[("last record", report.last_index.to_string()), ("chain", report.last_chain.to_string())]);
    parts.push(match &report.fault {
        None => format!("{records} replayed, every hash agrees\n{chain}"),
        Some(fault) => format!(
            "replay differs after {records}: {fault}\n{chain}\nnothing was changed; follow {}",
            data::DAMAGE_RUNBOOKS
        ),
    });
    parts.extend(lost.map(|lost| format!("acknowledged records are missing: {lost}")));
    parts.extend(reguarded.map(reguard_text));
    parts.join("\n\n")
}

fn reguard_text(report: &ReguardReport) -> String {
    let judged = count(report.judged, "record");
    let mut lines = Vec::new();
    if report.is_good() {
        lines.push(format!("{judged} judged again, every guard as recorded"));
    } else {
        lines.push(format!("{judged} judged again, {} otherwise than recorded:", report.mismatch_count));
    }
    for mismatch in &report.mismatches {
        lines
            .extend(mismatch.differences.iter().map(|difference| format!("  record {}: {difference}", mismatch.index)));
    }
    if let Some((index, engine)) = &report.other_engine {
        let differs = count(report.engine_differs, "record");
        lines.push(format!(
            "  engine_differs: {differs}, the first is {index}, judged by {engine}; policy guards there are not compared"
        ));
    }
    lines.join("\n")
}
