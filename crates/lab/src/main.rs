//! The command line of `swoosh-lab`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use swoosh_lab::{bench, chaos, demo};
use swoosh_platform::private;
use swoosh_terminal::failure;
use swoosh_terminal::output::Output;

/// The same as in `swoosh`: the load generator shares its processors with the node that it measures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The arguments of every command.
#[derive(Debug, Parser)]
#[command(
    name = "swoosh-lab",
    version,
    about = "The laboratory of SWOOSH: show a node at work, measure it, and put faults on it",
    long_about = "The laboratory of SWOOSH: show a node at work, measure it, and put faults on it.\n\n\
        Each command starts the program `swoosh` as a node in a temporary directory, and removes that directory at the end. The \
        program is the `swoosh` in the directory of `swoosh-lab`, then the first one in PATH; SWOOSH names another file. \
        `swoosh demo`, `swoosh bench` and `swoosh chaos` run this program with the same arguments.",
    after_help = "Start with `swoosh-lab demo` (40 seconds). `swoosh-lab bench --quick` measures this machine in two minutes. \
        `swoosh-lab chaos sim --transitions 20000` runs simulated nodes with faults, and `swoosh-lab chaos real --seconds 10` a real one, each \
        in some minutes. It is not for production: no command works on the data of a node in use.\n\n\
        Exit codes: 0 done, 1 failed or a promise was broken, 2 wrong usage, 130 interrupted."
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
    Demo(demo::DemoCommand),
    Bench(bench::BenchCommand),
    Chaos(chaos::ChaosCommand),
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    private::keep_new_files_private();
    let output = Output::new(json);
    let done = match command {
        Command::Demo(command) => command.run(json),
        Command::Bench(command) => command.run(json),
        Command::Chaos(command) => command.run(&output),
    };
    done.unwrap_or_else(|error| {
        failure::print(&error, json);
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_of_the_lab_is_consistent() {
        Cli::command().debug_assert();
    }
}
