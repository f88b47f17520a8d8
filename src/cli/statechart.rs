//! `swoosh statechart`: checks the chart, draws it, and lists it.
//!
//! The model and its check are the very files that `build.rs` uses, so that a chart that passes here
//! also builds.

use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::wrapped;
use crate::types::canonical::{CanonicalError, try_canonical_bytes};
use crate::types::hash::Hash;
use crate::types::yaml;
use swoosh_chart::{generate, model};

mod diagram;
mod list;
mod tables;
#[cfg(test)]
mod tests;

/// The chart that this build was made from.
const EMBEDDED: &str = swoosh_chart::CHART;

/// Arguments of `swoosh statechart`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check, draw or list the statechart",
    long_about = "Check, draw or list the statechart.\n\n\
        The statechart says which transitions there are, from which state to which, who may sign them, which \
        guards judge them, and which effects they open. It is one YAML file, statechart.yaml; this program was \
        generated from it and carries a copy. Without FILE every command works on that copy."
)]
pub struct StatechartCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prove a chart well formed
    ///
    /// Checks that every state can be reached and, unless terminal or resting, left again; that every name a
    /// transition uses (region, state, role, guard, window class, effect) exists; that every guard is used;
    /// and that every effect is opened somewhere and names the outcomes for success, failure and
    /// "unknown", each of which closes it. Prints every problem on a line of its own and exits with 1 when there
    /// is one. What only the compiler can tell (the types of inputs, a reducer for every transition) is
    /// found when SWOOSH is built.
    #[command(after_help = "Examples:\n  swoosh statechart check\n  swoosh statechart check statechart.yaml\n  \
        swoosh --json statechart check my-chart.yaml")]
    Check(Source),
    /// Draw a chart as a Mermaid state diagram
    ///
    /// Prints Mermaid stateDiagram-v2 text: the regions as parallel composite states inside the top-level
    /// phases, every transition labelled. Markdown viewers that know Mermaid show it inside a ```mermaid
    /// block; mermaid.live takes it as it is.
    #[command(after_help = "Examples:\n  swoosh statechart render > chart.mmd\n  \
        swoosh statechart render my-chart.yaml")]
    Render(Source),
    /// List a chart: as text on a terminal, else as Markdown tables
    ///
    /// One list or table of transitions for each region (from, to, signers, guards, window, effects, inputs), then
    /// guards, effects, roles, what passes while a project is blocked, and the bounds of the state's lists.
    #[command(after_help = "Examples:\n  swoosh statechart table | less\n  swoosh statechart table my-chart.yaml")]
    Table(Source),
}

#[derive(Debug, clap::Args)]
struct Source {
    /// The chart, `-` for standard input; left out, the chart that this program was built from
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A chart that has been read and is well formed.
pub struct Statechart {
    chart: model::Chart,
    schema_hash: Hash,
}

/// Why a chart cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatechartError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}; name a chart, or leave FILE out to use the embedded one")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a chart.
    #[error("{path} is not a statechart: {source}; see statechart.yaml for the form")]
    Form {
        /// Which.
        path: String,
        source: yaml_serde::Error,
    },
    /// The chart contradicts itself: every problem.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// The chart cannot be hashed.
    #[error("the chart has no canonical form: {0}")]
    Hash(#[from] serde_json::Error),
    /// A number is out of bounds.
    #[error("the chart cannot be hashed: {0}")]
    Number(#[from] CanonicalError),
}

impl StatechartError {
    /// Every problem, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        match self {
            StatechartError::Problems(problems) => problems.clone(),
            other => vec![other.to_string()],
        }
    }
}

impl Statechart {
    /// The chart that this program was built from.
    pub fn embedded() -> Result<Statechart, StatechartError> {
        Statechart::read("the embedded chart", EMBEDDED)
    }

    /// Reads a chart and checks it; `path` is what errors call it.
    pub fn read(path: &str, text: &str) -> Result<Statechart, StatechartError> {
        let chart = yaml::checked(text).and_then(model::Chart::read);
        let chart = chart.map_err(|source| StatechartError::Form { path: path.to_owned(), source })?;
        let mut problems = chart.problems();
        problems.extend(generate::check_fields(&chart));
        if !problems.is_empty() {
            return Err(StatechartError::Problems(problems));
        }
        let schema_hash = Hash::of(&try_canonical_bytes(&chart.without_prose()?)?);
        Ok(Statechart { chart, schema_hash })
    }

    /// The chart's version.
    pub fn version(&self) -> u64 {
        self.chart.version
    }

    /// sha256 of the chart's canonical JSON without its prose.
    pub fn schema_hash(&self) -> Hash {
        self.schema_hash
    }

    /// The chart as Mermaid `stateDiagram-v2` text.
    pub fn diagram(&self) -> String {
        diagram::diagram(&self.chart)
    }

    /// The chart as Markdown tables.
    pub fn tables(&self) -> String {
        tables::tables(&self.chart)
    }

    /// The same for a terminal, in lines of its width.
    pub fn list(&self) -> String {
        list::list(&self.chart)
    }

    /// Version, schema hash and size in a sentence.
    pub fn summary(&self) -> String {
        let chart = &self.chart;
        format!(
            "version {}, {} regions, {} states, {} transitions, {} guards, {} effects; schema hash {}",
            chart.version,
            chart.regions.len(),
            chart.regions.values().map(|region| region.states.len()).sum::<usize>(),
            chart.transitions.len(),
            chart.guards.len(),
            chart.effects.len(),
            self.schema_hash
        )
    }
}

impl Source {
    fn read(&self) -> Result<Statechart, StatechartError> {
        let Some(path) = &self.file else { return Statechart::embedded() };
        let name = if is_standard_input(path) { "standard input".into() } else { path.display().to_string() };
        match text_of(path) {
            Ok(text) => Statechart::read(&name, &text),
            Err(source) => Err(StatechartError::File { path: name, source }),
        }
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if !is_standard_input(path) {
        return crate::files::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map(|_| text)
}

/// The output of a command, and whether it succeeded.
#[derive(Debug)]
struct Answer {
    ok: bool,
    text: String,
    json: Value,
}

impl StatechartCommand {
    /// Runs the command; exits with 1 when the chart has a problem.
    pub fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let answer = self.answer();
        if json {
            print(std::io::stdout(), &format!("{:#}", answer.json))?;
        } else if answer.ok {
            print(std::io::stdout(), &answer.text)?;
        } else {
            print(std::io::stderr(), &answer.text)?;
        }
        Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn answer(&self) -> Answer {
        let (Action::Check(source) | Action::Render(source) | Action::Table(source)) = &self.action;
        let chart = match source.read() {
            Ok(chart) => chart,
            Err(error) => return refused(&error),
        };
        let (text, json) = match self.action {
            Action::Check(_) => {
                let text = wrapped(&format!("The statechart is well formed: {}", chart.summary()));
                (text, checked(&chart))
            }
            Action::Render(_) => (chart.diagram(), json!({"ok": true, "mermaid": chart.diagram()})),
            Action::Table(_) => {
                let text = if std::io::stdout().is_terminal() { chart.list() } else { chart.tables() };
                (text, json!({"ok": true, "markdown": chart.tables()}))
            }
        };
        Answer { ok: true, text, json }
    }
}

fn checked(chart: &Statechart) -> Value {
    json!({"ok": true, "problems": [], "version": chart.version(), "schema_hash": chart.schema_hash()})
}

fn refused(error: &StatechartError) -> Answer {
    let problems = error.problems();
    let text = problems.join("\n");
    Answer { ok: false, text, json: json!({"ok": false, "problems": problems, "version": null, "schema_hash": null}) }
}

/// Writes text with one line end; a reader that went away (`| head`) is no error.
fn print(mut out: impl std::io::Write, text: &str) -> std::io::Result<()> {
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    written.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}
