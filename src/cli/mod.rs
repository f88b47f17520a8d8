//! The command line: one module per command, human output by default, `--json` everywhere.

#[cfg(feature = "server")]
use std::process::ExitCode;

#[cfg(feature = "server")]
use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
use crate::platform::private;

#[cfg(feature = "server")]
mod backup;
#[cfg(feature = "server")]
mod bench;
#[cfg(feature = "server")]
mod builds;
#[cfg(feature = "server")]
mod chaos;
#[cfg(feature = "server")]
mod clock;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod connect;
#[cfg(feature = "server")]
mod council;
#[cfg(feature = "server")]
mod data;
#[cfg(feature = "server")]
mod decisions;
#[cfg(feature = "server")]
mod demo;
#[cfg(feature = "server")]
mod effects;
#[cfg(feature = "server")]
mod export;
#[cfg(feature = "server")]
mod fact;
#[cfg(feature = "server")]
mod follow;
#[cfg(feature = "server")]
mod identity;
mod interrupt;
#[cfg(feature = "server")]
mod keys;
#[cfg(feature = "server")]
mod known_nodes;
#[cfg(feature = "server")]
mod license;
#[cfg(feature = "server")]
mod logging;
#[cfg(feature = "server")]
mod manual;
#[cfg(feature = "server")]
mod mcp;
#[cfg(feature = "server")]
mod migration;
#[cfg(feature = "server")]
mod nodes;
mod output;
#[cfg(feature = "server")]
mod packer;
#[cfg(feature = "server")]
mod policy;
mod progress;
#[cfg(feature = "server")]
mod promote;
#[cfg(feature = "server")]
mod propose;
#[cfg(feature = "server")]
mod provisioners;
#[cfg(feature = "server")]
mod reads;
#[cfg(feature = "server")]
mod receipt;
#[cfg(feature = "server")]
mod refusal;
#[cfg(feature = "server")]
pub mod reguard;
#[cfg(feature = "server")]
mod replay;
#[cfg(feature = "server")]
mod secrets;
#[cfg(feature = "server")]
mod serve;
pub mod small;
#[cfg(feature = "server")]
mod snapshot;
#[cfg(feature = "server")]
mod source;
mod sources;
#[cfg(feature = "server")]
mod state;
#[cfg(feature = "server")]
pub mod statechart;
#[cfg(feature = "server")]
mod templates;
mod time;
#[cfg(feature = "server")]
mod transitions;
#[cfg(feature = "server")]
mod ucxl;
mod upstreams;
#[cfg(feature = "server")]
mod version;
#[cfg(feature = "server")]
mod wal;
#[cfg(feature = "server")]
mod windows;
mod worklog;

/// What every command takes.
#[cfg(feature = "server")]
#[derive(Debug, Parser)]
#[command(
    name = "swoosh",
    version,
    about = "A deterministic orchestrator: signed transitions, pure guards, a hash-chained log",
    after_help = "Start with `swoosh demo`, which tells the whole story on a temporary node, or with\n\
        `swoosh serve` in an empty directory and `swoosh transitions` beside it.\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 wrong usage. SWOOSH_URL names the node for commands\n\
        that ask one (https: SWOOSH_CA, SWOOSH_CERT), SWOOSH_KEY the key file for commands that sign,\n\
        SWOOSH_CLUSTER the cluster that they sign for. `swoosh nodes` lists the nodes that are known."
)]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[cfg(feature = "server")]
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoCommand),
    Bench(bench::BenchCommand),
    Chaos(chaos::ChaosCommand),
    Follow(follow::FollowCommand),
    Backup(backup::BackupCommand),
    Restore(backup::RestoreCommand),
    Promote(promote::PromoteCommand),
    Serve(serve::ServeCommand),
    Clock(clock::ClockCommand),
    Keygen(keys::KeygenCommand),
    Key(keys::KeyCommand),
    Propose(propose::ProposeCommand),
    State(state::StateCommand),
    Transitions(transitions::TransitionsCommand),
    Windows(windows::WindowsCommand),
    Projects(reads::ProjectsCommand),
    Decision(reads::DecisionCommand),
    Decisions(decisions::DecisionsCommand),
    Ucxl(ucxl::UcxlCommand),
    Rejections(reads::RejectionsCommand),
    Effects(effects::EffectsCommand),
    Health(reads::HealthCommand),
    Nodes(nodes::NodesCommand),
    #[command(visible_alias = "facts")]
    Fact(fact::FactCommand),
    License(license::LicenseCommand),
    Identity(identity::IdentityCommand),
    Council(council::CouncilCommand),
    Mcp(mcp::McpCommand),
    Migration(migration::MigrationCommand),
    Receipt(receipt::ReceiptCommand),
    Wal(wal::WalCommand),
    Replay(replay::ReplayCommand),
    Snapshot(snapshot::SnapshotCommand),
    Policy(policy::PolicyCommand),
    Secrets(secrets::SecretsCommand),
    Sources(sources::SourcesCommand),
    Upstreams(upstreams::UpstreamsCommand),
    Packer(packer::PackerCommand),
    #[command(name = "__git", hide = true)]
    Git(sources::GitCommand),
    #[command(name = "__sentinel", hide = true)]
    Sentinel(packer::SentinelCommand),
    Config(config::ConfigCommand),
    Templates(templates::TemplatesCommand),
    Provisioners(provisioners::ProvisionersCommand),
    Statechart(statechart::StatechartCommand),
    Version(version::VersionCommand),
    Completions(manual::CompletionsCommand),
    Man(manual::ManCommand),
}

/// Runs the command line; why it failed is told on standard error.
#[cfg(feature = "server")]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli.command, cli.json).unwrap_or_else(|error| {
        refusal::tell(&error, cli.json);
        ExitCode::FAILURE
    })
}

#[cfg(feature = "server")]
impl Command {
    /// Whether other users read the files that it writes: a node takes facts, licenses, policies and definitions. All other commands may
    /// write into a data directory.
    fn writes_for_others(&self) -> bool {
        matches!(
            self,
            Command::Fact(_) | Command::License(_) | Command::Policy(_) | Command::Templates(_) | Command::Man(_)
        )
    }
}

#[cfg(feature = "server")]
fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let output = output::Output::new(json);
    if !command.writes_for_others() {
        private::keep_new_files_private();
    }
    match command {
        Command::Bench(command) => command.run(json),
        Command::Chaos(command) => command.run(&output),
        Command::Follow(command) => command.run(),
        Command::Backup(command) => command.run(output),
        Command::Restore(command) => command.run(output),
        Command::Promote(command) => command.run(output),
        Command::Demo(command) => command.run(json),
        Command::Serve(command) => command.run(),
        Command::Clock(command) => command.run(output),
        Command::Keygen(command) => command.run(output),
        Command::Key(command) => command.run(output),
        Command::Propose(command) => command.run(output),
        Command::State(command) => command.run(output),
        Command::Transitions(command) => command.run(output),
        Command::Windows(command) => command.run(output),
        Command::Projects(command) => command.run(output),
        Command::Decision(command) => command.run(output),
        Command::Decisions(command) => command.run(output),
        Command::Ucxl(command) => command.run(output),
        Command::Rejections(command) => command.run(output),
        Command::Effects(command) => command.run(output),
        Command::Health(command) => command.run(output),
        Command::Nodes(command) => command.run(output),
        Command::Fact(command) => command.run(output),
        Command::License(command) => command.run(output),
        Command::Identity(command) => command.run(output),
        Command::Council(command) => command.run(output),
        Command::Mcp(command) => command.run(output),
        Command::Migration(command) => command.run(output),
        Command::Receipt(command) => command.run(output),
        Command::Wal(command) => command.run(output),
        Command::Replay(command) => command.run(output),
        Command::Snapshot(command) => command.run(output),
        Command::Policy(command) => command.run(output),
        Command::Secrets(command) => command.run(output),
        Command::Sources(command) => command.run(output),
        Command::Upstreams(command) => command.run(output),
        Command::Packer(command) => command.run(output),
        Command::Git(command) => Ok(command.run()),
        Command::Sentinel(command) => Ok(command.run()),
        Command::Config(command) => command.run(output),
        Command::Templates(command) => command.run(output),
        Command::Provisioners(command) => command.run(output),
        Command::Statechart(command) => command.run(json),
        Command::Version(command) => command.run(output),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

/// The age secret keys of a file; none where none is named.
#[cfg(feature = "server")]
fn age_identities(file: Option<&std::path::Path>) -> anyhow::Result<Vec<Box<dyn age::Identity>>> {
    snapshot::identities(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_put_together_well() {
        Cli::command().debug_assert();
    }
}
