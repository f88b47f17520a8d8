//! `swoosh windows`: the state of the window schedule, and the next windows.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::connect::{NodeArgs, ProjectWord};
use super::output::{self, Output, Table, fields};
use super::time::{now, parse_time, spell};
use super::{names, source};
use crate::client::WindowsView;
use crate::settings::{Overrides, Settings, backbeat, schedule_of};
use crate::types::backbeat::{LOOP, Outlook, Schedule};
use crate::types::hlc::Hlc;
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh windows`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show the window schedule: now, and which windows open next",
    long_about = "Show the window schedule: now, and which windows open next.\n\nAsks the node, whose schedule a live \
        BACKBEAT source may lead; or reads a schedule file, or the one that a settings file names, without any node. \
        Plans are locked and new beats begin in `plan` windows, work goes to review and back in `review` windows, \
        approvals and submissions belong into `reverb` windows. docs/backbeat.md explains schedules.",
    after_help = "Examples:\n  swoosh windows\n  swoosh windows --at 2026-01-31T12:00:00Z --count 20\n  \
        swoosh windows --file backbeat.yaml          # check and show a schedule before a node uses it\n  \
        swoosh windows --config swoosh.yaml\n  swoosh windows --built-in\n  swoosh --json windows | jq .outlook.next"
)]
pub struct WindowsCommand {
    /// Time to look at, RFC 3339; left out, now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Hlc>,
    /// How many of the next windows to list
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(0..=1000))]
    count: u64,
    /// Read this schedule file and ask no node
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "built_in"])]
    file: Option<PathBuf>,
    /// Read the schedule that this settings file names and ask no node
    #[arg(long, value_name = "FILE", conflicts_with = "built_in")]
    config: Option<PathBuf>,
    /// Show the built-in schedule and ask no node
    #[arg(long)]
    built_in: bool,
    #[command(flatten)]
    project: ProjectWord,
    #[command(flatten)]
    node: NodeArgs,
}

impl WindowsCommand {
    /// Shows it.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let (title, outlook, schedule) = match self.offline()? {
            Some((title, schedule)) => {
                let outlook = schedule.outlook(self.at.unwrap_or_else(now), usize::try_from(self.count)?);
                (title, outlook, schedule)
            }
            None => self.ask()?,
        };
        let document = serde_json::json!({"from": title, "outlook": outlook, "schedule": schedule});
        output.say(&document, || text(&title, &outlook, &schedule))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The schedule of a file, and its name.
    fn offline(&self) -> anyhow::Result<Option<(String, Schedule)>> {
        if let Some(file) = &self.file {
            let name = file.display();
            let written = String::from_utf8(source::read(file)?)
                .map_err(|_| Usage(format!("{name} is no UTF-8 text; save it as UTF-8")))?;
            let schedule = schedule_of(&written)
                .map_err(|why| Usage(format!("{name}: {why}; config/backbeat.yaml explains the form")))?;
            return Ok(Some((file.display().to_string(), schedule)));
        }
        if let Some(config) = &self.config {
            let settings = Settings::load(Some(config), Overrides::default())?;
            let named = settings.backbeat.file.as_ref();
            let title = named.map_or("the built-in schedule".to_owned(), |file| file.display().to_string());
            return Ok(Some((title, settings.schedule()?)));
        }
        Ok(self.built_in.then(|| ("the built-in schedule".to_owned(), backbeat())))
    }

    fn ask(&self) -> anyhow::Result<(String, Outlook, Schedule)> {
        let node = self.node.reader()?;
        let view: WindowsView = node.ask(node.client().windows(self.project.project(), self.at, self.count))?;
        names::note_absence(&node, self.project.project());
        // A reader that may not see the node's health still sees the windows.
        if node.ask(node.client().health()).is_ok_and(|health| health.mode == "following") {
            let document = serde_json::json!({"follower": node.client().address()});
            output::note(&document, || {
                "this node is a follower: it shows the schedule of its own settings, which may differ from its node's"
                    .to_owned()
            });
        }
        let known = view.known.with_context(|| {
            format!(
                "the node knows no valid window schedule for {}; `swoosh fact show` shows what it believes",
                view.project
            )
        })?;
        Ok((format!("project {} on {}", view.project, node.client().address()), known.outlook, known.schedule))
    }
}

fn text(title: &str, outlook: &Outlook, schedule: &Schedule) -> String {
    let mut parts = vec![format!("{title}\n{}", about(outlook, schedule)), format!("now:\n{}", classes(outlook))];
    if outlook.next.is_empty() {
        parts.push("next: none".to_owned());
    } else {
        let mut table = Table::new();
        for next in &outlook.next {
            let wait_ms = next.opens_at.physical_ms().saturating_sub(outlook.at.physical_ms());
            let long_ms = next.closes_at.physical_ms().saturating_sub(next.opens_at.physical_ms());
            let cells = [
                next.class.to_string(),
                next.window_id.to_string(),
                plain(next.opens_at),
                format!("in {}", spell(wait_ms)),
                format!("for {}", spell(long_ms)),
            ];
            table.row(cells);
        }
        parts.push(format!("next:\n{}", table.text(2)));
    }
    parts.join("\n\n")
}

/// A time without its logical part, which is 0.
fn plain(time: Hlc) -> String {
    time.to_string().trim_end_matches("#0").to_owned()
}

fn about(outlook: &Outlook, schedule: &Schedule) -> String {
    let phase = format!("{} of {}", outlook.phase_beats + 1, outlook.cycle_beats);
    let live = match (outlook.led, outlook.shift_ms) {
        (false, 0) => "none leads".to_owned(),
        (true, shift_ms) => format!("leads; beats are shifted by {shift_ms} ms"),
        (false, shift_ms) => format!("is silent; beats stay shifted by {shift_ms} ms"),
    };
    fields(&[
        ("time", outlook.at.to_string()),
        ("window", outlook.window_id.to_string()),
        ("beat", format!("{}, {phase} in the cycle, {} each", outlook.beat, spell(schedule.beat_ms))),
        ("pressure", format!("{} of 1000", outlook.pressure)),
        ("live source", live),
    ])
}

fn classes(outlook: &Outlook) -> String {
    let mut table = Table::new();
    for class in LOOP {
        let (how, when) = match outlook.windows.get(&class) {
            Some(view) if view.open => {
                ("open", view.closes_in_ms.map_or("never closes".to_owned(), |ms| format!("closes in {}", spell(ms))))
            }
            Some(view) => {
                ("closed", view.opens_in_ms.map_or("never opens".to_owned(), |ms| format!("opens in {}", spell(ms))))
            }
            None => ("closed", "never opens: the schedule has no such window".to_owned()),
        };
        table.row([class.to_string(), how.to_owned(), when]);
    }
    table.text(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_open_and_what_comes() {
        let schedule = backbeat();
        let outlook = schedule.outlook(parse_time("2025-10-19T02:35:00Z").unwrap(), 2);
        let text = text("the built-in schedule", &outlook, &schedule);
        for line in [
            "window       backbeat:W-2025-10-19-02",
            "36 of 60 in the cycle, 1m each",
            "plan    closed  opens in 25m",
            "review  open    closes in 10m",
            "reverb  open    closes in 25m",
            "plan    backbeat:W-2025-10-19-03  2025-10-19T03:00:00.000+00:00  in 25m  for 20m",
            "live source  none leads",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
