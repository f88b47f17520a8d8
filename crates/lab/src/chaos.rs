//! `swoosh chaos`: proof by faults. `sim` runs the simulation, `real` the daemon itself; `check` looks at a run again.

#![allow(clippy::disallowed_methods, reason = "it plays the callers of nodes, and starts those nodes itself")]

mod real;
mod sim;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use swoosh_terminal::output::Output;

/// Faults of every kind, and what must hold all the same
#[derive(Debug, Args)]
pub struct ChaosCommand {
    #[command(subcommand)]
    command: ChaosSubcommand,
}

#[derive(Debug, Subcommand)]
enum ChaosSubcommand {
    Sim(sim::SimCommand),
    Real(real::RealCommand),
    Check(real::CheckCommand),
}

impl ChaosCommand {
    pub fn run(&self, output: &Output) -> anyhow::Result<ExitCode> {
        match &self.command {
            ChaosSubcommand::Sim(command) => command.run(output),
            ChaosSubcommand::Real(command) => command.run(*output),
            ChaosSubcommand::Check(command) => command.run(*output),
        }
    }
}
