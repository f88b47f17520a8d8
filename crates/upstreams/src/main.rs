//! The command line of `swoosh-upstreams`: the commands that need git alone, built without the daemon and its store.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use swoosh_terminal::output::Output;
use swoosh_upstreams::{sources, upstreams};

/// The arguments of every command.
#[derive(Debug, Parser)]
#[command(name = "swoosh-upstreams", version, about = "The commands of swoosh that need git alone")]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sources(sources::SourcesCommand),
    Upstreams(upstreams::UpstreamsCommand),
    #[command(name = "__git", hide = true)]
    Git(sources::GitCommand),
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let output = Output::new(json);
    let done = match command {
        Command::Sources(command) => command.run(output),
        Command::Upstreams(command) => command.run(output),
        Command::Git(command) => Ok(command.run()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_small_command_line_is_put_together_well() {
        Cli::command().debug_assert();
    }
}
