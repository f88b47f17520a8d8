//! `swoosh chaos real`: the daemon itself under load, while its process, files, disk, clock and servers fail.

mod caller;
mod check;
mod clock;
mod disk;
mod episodes;
mod faults;
mod history;
mod outside;
mod probe;
mod proxy;
mod report;
mod run;
mod site;
mod stage;
mod tally;
mod tracer;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use faults::Fault;
use report::Report;
use run::Plan;
use swoosh_journal::Journal;
use swoosh_terminal::output::exit;
use swoosh_terminal::output::{Output, Table, count};

/// What `swoosh chaos real` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Run the daemon under load while it is killed, stopped, starved and damaged, and check what must hold",
    long_about = "Run the daemon under load while it is killed, stopped, starved and damaged, and check what must \
        hold.\n\nStarts this very program as a node, puts load on it from several clients through a proxy that \
        duplicates, reorders, drops and delays, and lets faults happen from a seed: first each as often as it must, \
        in an order by chance, then any, until the time is up. Clients write down what they send and get; at the end every receipt \
        must be in the log, byte for byte and once, every project's history must be linear, and `swoosh wal \
        verify` and `swoosh replay --reguard` must agree.\n\nA fault that this machine does not allow is reported as \
        skipped, never as passed; one that happened less often than it must fails the run. The data directory lies on \
        a disk in memory of the run's own (`unshare`), so that it can be filled and made read-only; needs no root.\n\n\
        Exits with 1 if an invariant is violated; the report names the seed, the step, and the expected and found values. \
        The data directory is then kept beside the logs.",
    after_long_help = after_help()
)]
pub(crate) struct RealCommand {
    /// How long faults happen at the least
    #[arg(long, value_name = "SECONDS", default_value_t = 240, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Seed that determines the faults, their times and their targets
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Clients
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=999))]
    clients: u16,
    /// How long each client waits after every proposal, for runs of hours: the data directory lies in memory
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pace: u64,
    /// Accepted transitions at the least; the run goes on until there are so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    transitions: u64,
    /// These faults alone
    #[arg(long, value_name = "FAULTS", value_delimiter = ',')]
    faults: Vec<Fault>,
    /// How often each fault must happen, in the place of its own number
    #[arg(long, value_name = "TIMES")]
    times: Option<u64>,
    /// Where logs and report go; made when it is missing, and must be empty of other runs
    #[arg(long, value_name = "DIR", default_value = "chaos-run")]
    output: PathBuf,
    /// Keep logs and data directory also when all is well, for `swoosh chaos check`
    #[arg(long)]
    keep: bool,
    /// What `swoosh --json chaos sim` said; it goes into the report
    #[arg(long, value_name = "FILE")]
    simulation: Option<PathBuf>,
    /// Have a Prometheus watch by these alerting rules; none may fire once nothing is wrong any more (waits an hour)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// List the faults, how often each must happen, and which this machine allows
    #[arg(long)]
    list: bool,
}

fn after_help() -> String {
    let mut text = "Examples:\n  swoosh chaos real --list\n  swoosh chaos real --seconds 60 --seed 7\n  \
        swoosh chaos real --faults kill,torn-log --times 3 --keep\n  swoosh chaos check chaos-run\n  \
        swoosh chaos real --seconds 14400 --rules deploy/prometheus/swoosh.rules.yml\n\n\
        Faults:\n"
        .to_owned();
    let mut table = Table::new();
    Fault::ALL.iter().for_each(|fault| table.row([fault.to_string(), fault.what().to_owned()]));
    text.push_str(&table.text(2));
    text
}

/// Says that the run is over, and what became of it, to `check`.
const RUN: &str = "run.json";

impl RealCommand {
    /// Runs, or lists.
    pub fn run(&self, output: Output) -> anyhow::Result<ExitCode> {
        if let Some(code) = disk::moved()? {
            return Ok(code);
        }
        let wanted = if self.faults.is_empty() { Fault::ALL.to_vec() } else { self.faults.clone() };
        let (mut faults, mut skipped) = (Vec::new(), Vec::new());
        for fault in Fault::ALL.into_iter().filter(|fault| wanted.contains(fault)) {
            match probe::skipped(fault) {
                None => faults.push(fault),
                Some(why) => skipped.push((fault, why)),
            }
        }
        if self.list {
            return self.tell_list(output, &faults, &skipped);
        }
        skipped.iter().for_each(|(fault, why)| eprintln!("SKIPPED {fault}: {why}"));
        let simulation = self.simulation.as_deref().map(read_simulation).transpose()?;
        let (seed, seconds, transitions, times) = (self.seed, self.seconds, self.transitions, self.times);
        let (clients, rules) = (self.clients.into(), self.rules.clone());
        let plan = Plan { seed, seconds, transitions, clients, pace_ms: self.pace, times, faults, rules };
        let outcome = run::run(&plan, &self.empty_output()?, self.keep)?;
        let report = Report::new(plan, &skipped, outcome, simulation);
        self.tell(output, &report)
    }

    /// The folder, made; its whole path, as settings that lie in it name others.
    fn empty_output(&self) -> anyhow::Result<PathBuf> {
        let folder = &self.output;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        anyhow::ensure!(
            !folder.join(RUN).exists() && !folder.join(run::LOGS).exists(),
            "{} holds another run; remove it, or name another directory with --output",
            folder.display()
        );
        folder.canonicalize().with_context(|| format!("cannot look at {}", folder.display()))
    }

    fn tell(&self, output: Output, report: &Report) -> anyhow::Result<ExitCode> {
        let (document, failures) = (report.document(), report.failures());
        std::fs::write(self.output.join("REPORT.md"), report.markdown())?;
        std::fs::write(self.output.join("report.json"), serde_json::to_string_pretty(&document)?)?;
        std::fs::write(self.output.join(RUN), json!({"seed": self.seed}).to_string())?;
        if failures.is_empty() && !self.keep {
            std::fs::remove_dir_all(self.output.join(run::LOGS))?;
        }
        output.say(&document, || text(report, &failures, &self.output))?;
        Ok(exit(failures.is_empty()))
    }

    fn tell_list(&self, output: Output, faults: &[Fault], skipped: &[(Fault, String)]) -> anyhow::Result<ExitCode> {
        let why = |fault: &Fault| skipped.iter().find(|(found, _)| found == fault).map(|(_, why)| why.clone());
        let listed = || Fault::ALL.into_iter().filter(|fault| faults.contains(fault) || why(fault).is_some());
        let least = |fault: Fault| self.times.unwrap_or_else(|| fault.least());
        let rows: Vec<Value> = listed()
            .map(|fault| json!({"fault": fault.name(), "what": fault.what(), "least": least(fault), "skipped": why(&fault)}))
            .collect();
        output.say(&rows, || {
            let mut table = Table::with(&["fault", "at least", "here", "what happens"]);
            for fault in listed() {
                let here = why(&fault).map_or_else(|| "yes".to_owned(), |why| format!("SKIPPED: {why}"));
                table.row([fault.to_string(), least(fault).to_string(), here, fault.what().to_owned()]);
            }
            table.text(0)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read_simulation(path: &Path) -> anyhow::Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not what the simulation said", path.display()))
}

fn text(report: &Report, failures: &[String], folder: &Path) -> String {
    let mut table = Table::with(&["fault", "fired", "at least", "heal p50 ms", "heal p99 ms"]);
    for row in &report.rows {
        let heal = |ms: Option<u64>| ms.map_or_else(String::new, |ms| ms.to_string());
        let fired = if row.skipped.is_some() { "SKIPPED".to_owned() } else { row.fired.to_string() };
        let cells = [row.fault.to_string(), fired, row.least.to_string(), heal(row.heal_p50_ms), heal(row.heal_p99_ms)];
        table.row(cells);
    }
    let outcome = &report.outcome;
    let mut lines = vec![
        table.text(0),
        String::new(),
        format!(
            "{} accepted, {} in the log, {} held against it; seed {}",
            count(outcome.accepted, "transition"),
            count(outcome.checked.records, "record"),
            count(outcome.checked.receipts as u64, "receipt"),
            report.plan.seed
        ),
    ];
    lines.push(match failures {
        [] => {
            format!("nothing lost, nothing twice, nothing silent; the report is {}", folder.join("REPORT.md").display())
        }
        failures => format!("FAILED: {}", failures.join("; ")),
    });
    lines.join("\n")
}

/// What `swoosh chaos check` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Hold the clients' logs of a kept run against its log again",
    long_about = "Hold the clients' logs of a kept run against its log again.\n\nReads the directory that `swoosh \
        chaos real --keep` left, or one that a violation left, and writes nothing. Exits with 1 if a receipt is not \
        in the log, a key occurs twice, a history is not linear, or a record was not requested.",
    after_help = "Examples:\n  swoosh chaos check chaos-run\n  swoosh --json chaos check chaos-run"
)]
pub(crate) struct CheckCommand {
    /// The run's directory
    #[arg(value_name = "DIR", default_value = "chaos-run")]
    run: PathBuf,
}

impl CheckCommand {
    /// Checks.
    pub fn run(&self, output: Output) -> anyhow::Result<ExitCode> {
        let data = self.run.join(run::KEPT_DATA);
        let hint = || format!("there is no kept run in {}; `swoosh chaos real --keep` leaves one", self.run.display());
        let about: Value = serde_json::from_slice(&std::fs::read(self.run.join(RUN)).with_context(hint)?)?;
        let journal = Journal::open_read_only(data.join("journal")).with_context(hint)?;
        let seed = about["seed"].as_u64().unwrap_or(0);
        let checked = check::check(&journal, &self.run.join(run::LOGS), seed)?;
        let is_good = checked.violation_count == 0;
        output.say(&checked, || {
            let mut lines: Vec<String> = checked.violations.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "{} held against {}: {}",
                count(checked.receipts as u64, "receipt"),
                count(checked.records, "record"),
                if is_good { "all is well".to_owned() } else { count(checked.violation_count, "violation") }
            ));
            lines.join("\n")
        })?;
        Ok(exit(is_good))
    }
}
