//! `swoosh config`: render, validate and explain the configuration of builds.

use std::process::ExitCode;

use super::output::Output;
use builds::{ExplainArgs, RenderArgs, ValidateArgs};

mod builds;

pub(super) use builds::changes;

/// The arguments of `swoosh config`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Render, validate and explain the configuration of builds",
    long_about = "Render, validate and explain the configuration of builds.\n\nOverlays are merged (default, platform, variant, \
        environment, answers; a later one wins), checked against schema.yaml, and written for packer as \
        configs/ENV/BUILD.pkrvars.hcl. The same input gives the same bytes. A file that was edited by hand is not overwritten. \
        Secrets are named as env(\"NAME\") and are in no file. No daemon is needed; see docs/hybridcore.md. The settings of a node \
        are another thing: see `swoosh settings`."
)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigAction {
    /// Render the variable files of a build under configs/ENV/
    #[command(after_help = "Examples:\n  swoosh config render dev --builder file.linux-image\n  \
            swoosh config render prod --builder proxmox-iso.linux-debian-12 --variant hardened --answers answers.yaml\n  \
            swoosh config render dev --builder file.linux-image --set image_version=1.1.0 --print")]
    Render(RenderArgs),
    /// Check the configuration of a build and print errors, warnings and notes; writes nothing
    #[command(
        after_help = "Example:\n  swoosh config validate dev --builder file.linux-image\n\nEnds with 1 when anything is an error."
    )]
    Validate(ValidateArgs),
    /// Show which layer and file gave each value, and which value it replaced
    #[command(after_help = "Examples:\n  swoosh config explain prod --builder file.linux-image\n  \
            swoosh config explain prod --builder file.linux-image --variable network")]
    Explain(ExplainArgs),
}

impl ConfigCommand {
    /// Runs the action.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            ConfigAction::Render(args) => builds::render(&args, output),
            ConfigAction::Validate(args) => builds::validate(&args, output),
            ConfigAction::Explain(args) => builds::explain(&args, output),
        }
    }
}
