//! `swoosh clock`: how the clock of a running node is, and that it is right as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::{Output, fields};
use swoosh_node::{ClockAsk, ClockView, ask_clock};

/// Arguments of `swoosh clock`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show and accept the clock of a running node",
    long_about = "Show and accept the clock of a running node.\n\nAsks the node that runs on a data directory, as the user \
        that it runs as.",
    after_help = "Examples:\n  swoosh clock show --data /var/lib/swoosh\n  swoosh clock accept --data /var/lib/swoosh"
)]
pub struct ClockCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(Show),
    Accept(Accept),
}

#[derive(Debug, clap::Args)]
#[command(
    about = "Show the clock of a running node",
    long_about = "Show the clock of a running node.\n\nExits with 0 while the clock is trusted and with 1 while it is not.",
    after_help = "Example:\n  swoosh clock show --data /var/lib/swoosh"
)]
struct Show {
    /// Data directory of the node
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(
    about = "Tell a running node that its wall clock is right",
    long_about = "Tell a running node that its wall clock is right.\n\nA jump of the wall clock is accepted. Where the last \
        record is stamped ahead of the wall clock, stamps go on from there and run ahead, so that they never go back; \
        facts, windows and callers are judged by the wall clock. Compare the wall clock with another machine's first: see \
        runbooks/clock.md.",
    after_help = "Example:\n  swoosh clock accept --data /var/lib/swoosh"
)]
struct Accept {
    /// Data directory of the node
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl ClockCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let view = match self.what {
            What::Show(show) => ask_clock(&show.data, ClockAsk::Show)?,
            What::Accept(accept) => ask_clock(&accept.data, ClockAsk::Accept)?,
        };
        output.say(&view, || text(&view))?;
        Ok(if view.problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(view: &ClockView) -> String {
    let mut lines = vec![
        ("trusted", if view.problem.is_none() { "yes" } else { "no" }.to_owned()),
        ("wall clock", view.wall.to_string()),
        ("jumped by", format!("{} ms", view.jumped_ms)),
        ("last stamp ahead", format!("{} ms", view.stamps_ahead_ms)),
        ("accepted lead", format!("{} ms", view.lead_ms)),
    ];
    lines.extend(view.problem.iter().map(|problem| ("reason", problem.clone())));
    fields(&lines)
}
