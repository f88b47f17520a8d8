//! `swoosh chaos`: proof by faults. `sim` runs the simulation.

mod sim;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::Output;

/// Faults of every kind, and what must hold all the same
#[derive(Debug, Args)]
pub(super) struct ChaosCommand {
    #[command(subcommand)]
    command: ChaosSubcommand,
}

#[derive(Debug, Subcommand)]
enum ChaosSubcommand {
    Sim(sim::SimCommand),
}

impl ChaosCommand {
    pub fn run(&self, output: &Output) -> anyhow::Result<ExitCode> {
        match &self.command {
            ChaosSubcommand::Sim(command) => command.run(output),
        }
    }
}
