//! `swoosh chaos`: proof by faults. `real` runs the daemon itself, `check` looks at a run again.

mod real;

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
    Real(real::RealCommand),
    Check(real::CheckCommand),
}

impl ChaosCommand {
    pub fn run(&self, output: &Output) -> anyhow::Result<ExitCode> {
        match &self.command {
            ChaosSubcommand::Real(command) => command.run(*output),
            ChaosSubcommand::Check(command) => command.run(*output),
        }
    }
}
