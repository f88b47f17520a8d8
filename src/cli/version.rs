//! `swoosh version`: of what this program was made, and what it reads and writes.

use std::process::ExitCode;

use serde::Serialize;

use super::output::{JSON_VERSION, Output, Table};
use crate::journal;
use crate::machine::{policy, upgrade};
use crate::types::hash::Hash;
use swoosh_node::{backup, export};

/// Arguments of `swoosh version`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Print version, commit, features, and the versions of written formats",
    long_about = "Print version, commit, features, and the versions of written formats.\n\nThe commit is that of the release \
        (SWOOSH_COMMIT at build time, which `make dist` and the Dockerfile set). A build of a working tree says the commit that it \
        began from, followed by -dev; a build without git says none.",
    after_help = "Examples:\n  swoosh version\n  swoosh version --json | jq -r .commit"
)]
pub struct VersionCommand {}

/// The program's version and build.
#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    commit: Option<&'static str>,
    features: Vec<&'static str>,
    target: &'static str,
    formats: Formats,
    /// Version of the documents that `--json` prints.
    json: u64,
    chart: Chart,
    policy_engine: String,
}

/// Versions of what is written to disk.
#[derive(Debug, Serialize)]
struct Formats {
    journal: u64,
    /// The oldest journal that is read.
    journal_oldest: u64,
    backup: u64,
    export: u64,
}

/// The statechart that new records are judged by.
#[derive(Debug, Serialize)]
struct Chart {
    version: u64,
    hash: Hash,
}

impl VersionCommand {
    /// Prints it.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let version = Version::of_this_program();
        output.say(&version, || version.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Version {
    fn of_this_program() -> Version {
        let upgrade::Chart { version, schema_hash } = upgrade::PRESENT;
        Version {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SWOOSH_BUILT_COMMIT"),
            features: if cfg!(feature = "crash-points") { vec!["crash-points"] } else { Vec::new() },
            target: env!("SWOOSH_BUILT_TARGET"),
            formats: Formats {
                journal: journal::FORMAT,
                journal_oldest: journal::OLDEST_FORMAT,
                backup: backup::FORMAT,
                export: export::FORMAT,
            },
            json: JSON_VERSION,
            chart: Chart { version, hash: schema_hash },
            policy_engine: policy::engine_version().to_owned(),
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        row("version", self.version.to_owned());
        row("commit", self.commit.unwrap_or("unknown").to_owned());
        row("features", if self.features.is_empty() { "none".to_owned() } else { self.features.join(", ") });
        row("target", self.target.to_owned());
        row("journal format", format!("{}, reads from {}", self.formats.journal, self.formats.journal_oldest));
        row("backup format", self.formats.backup.to_string());
        row("export format", self.formats.export.to_string());
        row("JSON of commands", self.json.to_string());
        row("statechart", format!("{} ({})", self.chart.version, self.chart.hash));
        row("policy engine", self.policy_engine.clone());
        table.text(0)
    }
}
