//! The command line: one module per command, human output by default, `--json` everywhere.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod serve;
pub mod statechart;

/// What every command takes.
#[derive(Debug, Parser)]
#[command(
    name = "swoosh",
    version,
    about = "A deterministic orchestrator: signed transitions, pure guards, a hash-chained log",
    after_help = "Start with `swoosh demo`, which tells the whole story on a temporary node, or with\n\
        `swoosh serve` in an empty directory and `swoosh transitions` beside it."
)]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::BenchCommand),
    Serve(serve::ServeCommand),
    Statechart(statechart::StatechartCommand),
}

/// Runs the command line; errors go to standard error with their causes.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Bench(command) => command.run(cli.json),
        Command::Serve(command) => command.run(),
        Command::Statechart(command) => command.run(cli.json),
    };
    result.unwrap_or_else(|error| {
        if cli.json {
            eprintln!("{}", serde_json::json!({ "error": format!("{error:#}") }));
        } else {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}
