//! `swoosh decisions`: decision records of a data directory, made again from its log.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::connect::exit;
use super::data::{self, DataArgs};
use super::output::{Output, Table, count, has_room};
use super::reads::decision_text;
use super::source;
use super::wal;
use crate::decisions::{self, Redaction};
use crate::journal::{Journal, StoredRecord};
use crate::settings::{Overrides, Settings};
use crate::types::canonical::{from_json, try_canonical_bytes};
use crate::types::decision::Decision;
use crate::types::ids::DecisionId;
use crate::types::json::Json;
use crate::types::text::ProjectName;
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh decisions`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show, check and export decision records of a data directory",
    long_about = "Show, check and export decision records of a data directory.\n\nEvery accepted transition leaves a decision \
        record: the decision, its signer and reason, and how every guard judged. It follows from the log alone, so all who \
        have the log can make it again and compare. Nothing is written to the directory, also while a node runs on it. \
        `swoosh decision` asks a running node instead."
)]
pub struct DecisionsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show one decision record, made from the log
    #[command(after_help = "Examples:\n  swoosh decisions show 17\n  \
        swoosh decisions show bubble://dr/default/17-0123456789abcdef\n  swoosh decisions show 17 --redacted")]
    Show(ShowArgs),
    /// List decision records
    #[command(
        after_help = "Examples:\n  swoosh decisions list\n  swoosh decisions list --project alpha --from 100 --limit 20"
    )]
    List(ListArgs),
    /// Make every decision record again and compare
    ///
    /// Without FILE, compares with what the node stored beside each record. With FILE, compares documents
    /// of the exporters, one a line: of a redacted one the hashes are compared. Lists every
    /// field that differs and exits with 1.
    #[command(
        after_help = "Examples:\n  swoosh decisions verify\n  swoosh decisions verify decisions.jsonl --data /var/lib/swoosh\n  \
        curl -s https://bubble.example/dr | swoosh decisions verify -"
    )]
    Verify(VerifyArgs),
    /// Write decision records as the exporters would, redacted, one JSON document a line
    ///
    /// For a first fill of a sink, or to see what a redaction policy comes to. The exporters' positions stay as they are.
    #[command(after_help = "Examples:\n  swoosh decisions export > decisions.jsonl\n  \
        swoosh decisions export --from 1000 --redaction strict.yaml --out decisions.jsonl")]
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Id of the decision record, or index of its record in the log
    #[arg(value_name = "ID|INDEX")]
    of: String,
    /// As it leaves the node: redacted
    #[arg(long)]
    redacted: bool,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    /// This project's records alone
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// Index of the first record
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u64,
    /// Most records
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    /// File of documents, one a line; - is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Index of the first record
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u64,
    /// File to write, which must not be there yet; left out, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, clap::Args)]
struct PolicyArgs {
    /// Redaction policy; left out, that of the settings
    #[arg(long, value_name = "FILE")]
    redaction: Option<PathBuf>,
    /// Settings file that names one; left out, the built-in policy
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl PolicyArgs {
    fn load(&self) -> anyhow::Result<Redaction> {
        let mut settings = Settings::load(self.config.as_deref(), Overrides::default())?;
        if self.redaction.is_some() {
            settings.decisions.redaction = self.redaction.clone();
        }
        Ok(Redaction::parse(&settings.redaction_text()?)?)
    }
}

impl DecisionsCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Show(args) => show(output, &args),
            Action::List(args) => list(output, &args),
            Action::Verify(args) => match &args.file {
                Some(file) => verify_file(output, &args.data.open()?, file),
                None => verify_stored(output, &args.data.open()?),
            },
            Action::Export(args) => export(&args),
        }
    }
}

fn show(output: Output, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let id = args.of.parse::<DecisionId>();
    let index = match (&id, args.of.parse::<u64>()) {
        (_, Ok(index)) => index,
        (Ok(id), _) => id.index,
        (Err(_), Err(_)) => {
            let form = "neither a decision record's id (bubble://dr/<project>/<index>-<hash>) nor an index";
            return Err(Usage(format!("{:?} is {form}", args.of)).into());
        }
    };
    let journal = args.data.open()?;
    let decision = decisions::recompute_at(&journal, index)?;
    if let Ok(id) = id {
        anyhow::ensure!(decision.id == id, "record {index} of this log made {}, not {id}", decision.id);
    }
    if args.redacted {
        let exported = args.policy.load()?.apply(&decision)?;
        output.document(&serde_json::from_slice::<serde_json::Value>(&exported.bytes)?)?;
    } else {
        wal::name_keys_of(&journal, [&decision.project].into_iter());
        output.say(&decision, || decision_text(&decision))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(output: Output, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let journal = args.data.open()?;
    let mut found = Vec::new();
    for stored in records(&journal, args)? {
        found.push(decisions::recompute(&journal, &stored)?);
    }
    output.say(&json!({"decisions": found}), || list_text(&found))?;
    Ok(ExitCode::SUCCESS)
}

fn records(journal: &Journal, args: &ListArgs) -> anyhow::Result<Vec<StoredRecord>> {
    let Some(project) = &args.project else {
        return Ok(journal
            .records_from(data::beginning(journal, args.from))
            .take(args.limit)
            .collect::<Result<_, _>>()?);
    };
    data::projects(journal, Some(project))?;
    let mut records = Vec::new();
    for index in journal.project_indexes(project, data::beginning(journal, args.from)).take(args.limit) {
        records.extend(journal.record(index?)?);
    }
    Ok(records)
}

fn list_text(found: &[Decision]) -> String {
    if found.is_empty() {
        return "no such decision records".to_owned();
    }
    // `swoosh decision PROJECT INDEX` names a record too.
    let ids = has_room(110);
    let mut table =
        Table::with(&[if ids { "decision record" } else { "record" }, "accepted at", "transition"]).noted("summary");
    for decision in found {
        let short = format!("{} {}", decision.project, decision.index);
        let (at, transition) = (decision.timestamp.to_string(), decision.transition.to_string());
        table.row([if ids { decision.id.to_string() } else { short }, at, transition]);
        table.note(decision.summary.clone());
    }
    table.text(0)
}

/// The result of a verification: the number compared, and differences by record.
#[derive(Default)]
struct Comparison {
    compared: u64,
    problems: Vec<(String, String)>,
}

impl Comparison {
    fn note(&mut self, of: &str, problems: impl IntoIterator<Item = String>) {
        self.problems.extend(problems.into_iter().map(|problem| (of.to_owned(), problem)));
    }

    fn tell(&self, output: Output, with: &str) -> anyhow::Result<ExitCode> {
        let good = self.problems.is_empty();
        let problems: Vec<_> =
            self.problems.iter().map(|(of, what)| json!({"decision": of, "problem": what})).collect();
        output.say(&json!({"ok": good, "compared": self.compared, "problems": problems}), || {
            let compared = count(self.compared, "decision record");
            if good {
                return format!("{compared} made again from the log: the same as {with}");
            }
            let lines: Vec<_> = self.problems.iter().map(|(of, what)| format!("  {of}: {what}")).collect();
            let head =
                format!("{compared} made again from the log: {} in {with}", count(lines.len() as u64, "difference"));
            format!("{head}\n{}", lines.join("\n"))
        })?;
        Ok(exit(good))
    }
}

fn verify_stored(output: Output, journal: &Journal) -> anyhow::Result<ExitCode> {
    let mut comparison = Comparison::default();
    let mut progress = data::progress(journal.last().0);
    for stored in journal.records_from(journal.first_index()) {
        let stored = stored.context("`swoosh wal verify` lists everything that is wrong")?;
        let decision = decisions::recompute(journal, &stored)?;
        let bytes = journal.decision(&decision.project, decision.index);
        comparison.compared += 1;
        progress(decision.index);
        let problems = match bytes {
            Err(error) => vec![error.to_string()],
            Ok(None) => vec!["it is not stored".to_owned()],
            Ok(Some(bytes)) if try_canonical_bytes(&decision).is_ok_and(|again| again == bytes) => Vec::new(),
            Ok(Some(bytes)) => match Json::parse(&bytes) {
                Ok(document) => decisions::differences(&document, &decision),
                Err(error) => vec![format!("the stored document is no JSON: {error}")],
            },
        };
        comparison.note(&decision.id.to_string(), problems);
    }
    data::progress_done();
    if let Err(lost) = journal.keeps_promise(journal.last().0) {
        comparison.note("the log", vec![format!("acknowledged records are missing: {lost}")]);
    }
    comparison.tell(output, "the stored documents")
}

fn verify_file(output: Output, journal: &Journal, file: &Path) -> anyhow::Result<ExitCode> {
    let mut comparison = Comparison::default();
    for (number, line) in source::read_whole(file)?.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        comparison.compared += 1;
        let place = format!("line {}", number + 1);
        match compare(journal, line) {
            Ok((id, problems)) => comparison.note(&id.to_string(), problems),
            Err(error) => comparison.note(&place, [format!("{error:#}")]),
        }
    }
    comparison.tell(output, &file.display().to_string())
}

/// Compares one document with the log.
fn compare(journal: &Journal, line: &[u8]) -> anyhow::Result<(DecisionId, Vec<String>)> {
    let document = Json::parse(line).context("it is no strict JSON")?;
    let id = document.as_object().and_then(|members| members.get("id")).context("it has no id")?;
    let id: DecisionId = from_json(id).context("its id is none")?;
    let decision = decisions::recompute_at(journal, id.index)?;
    Ok((id, decisions::differences(&document, &decision)))
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let journal = args.data.open()?;
    let redaction = args.policy.load()?;
    let mut out: Box<dyn std::io::Write> = match &args.out {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => Box::new(
            std::fs::File::create_new(path)
                .with_context(|| format!("cannot make {}; name a new file", path.display()))?,
        ),
    };
    for stored in journal.records_from(data::beginning(&journal, args.from)) {
        let mut line = redaction.apply(&decisions::recompute(&journal, &stored?)?)?.bytes;
        line.push(b'\n');
        match out.write_all(&line) {
            // The reader closed the pipe.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written?,
        }
    }
    out.flush()?;
    if let Err(lost) = journal.keeps_promise(journal.last().0) {
        anyhow::bail!("the export is not complete: acknowledged records are missing: {lost}");
    }
    Ok(ExitCode::SUCCESS)
}
