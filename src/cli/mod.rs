//! The command line: one module per command, human output by default, `--json` everywhere.

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::platform::private;
pub(crate) use swoosh_terminal::{interrupt, known_nodes, output, time, worklog};
pub(crate) use swoosh_upstreams::{sources, upstreams};

mod approve;
mod backup;
mod builds;
mod clock;
mod config;
mod connect;
mod council;
mod data;
mod decisions;
mod documents;
mod effects;
mod fact;
mod follow;
mod grouped;
mod health;
mod identity;
mod init;
mod inputs;
mod keys;
mod lab;
mod license;
mod listen;
mod manual;
mod mcp;
mod migration;
mod names;
mod nodes;
mod packer;
mod policy;
mod promote;
mod propose;
mod provisioners;
mod reads;
mod receipt;
mod refusal;
pub mod reguard;
mod renamed;
mod replay;
mod secrets;
mod serve;
mod settings;
mod snapshot;
mod source;
mod state;
pub mod statechart;
mod templates;
mod transition_name;
mod transitions;
mod ucxl;
mod usage;
mod version;
mod wait;
mod wal;
mod windows;

/// Heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Arguments of every command.
#[derive(Debug, Parser)]
#[command(
    name = "swoosh",
    version,
    about = "A deterministic orchestrator: signed transitions, pure guards, a hash-chained log",
    after_help = "Start with `swoosh init try`, which makes a directory to try a node in and says how to go on, or with\n\
        `swoosh demo`, which shows a whole project on a temporary node (it needs the program swoosh-lab).\n\n\
        Exit codes: 0 done, 1 refused or failed, 2 wrong usage; 3 and 4 where a command waits\n\
        (docs/command-line.md). SWOOSH_URL names the node for commands that ask one (https: SWOOSH_CA,\n\
        SWOOSH_CERT), SWOOSH_PROJECT the project, SWOOSH_KEY the key for commands that sign (a file,\n\
        env:NAME or fd:N), SWOOSH_CLUSTER the cluster that they sign for. `swoosh nodes` lists the nodes that are known."
)]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Print lists in full: whole hashes, keys and times, on lines as long as they are
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    wide: bool,
    /// Print the details of results
    #[arg(long, short, global = true, help_heading = EVERYWHERE)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a whole project on a temporary node (runs swoosh-lab)
    Demo(lab::LabCommand),
    /// Measure this machine (runs swoosh-lab)
    Bench(lab::LabCommand),
    /// Put faults on simulated and real nodes (runs swoosh-lab)
    Chaos(lab::LabCommand),
    Follow(follow::FollowCommand),
    Backup(backup::BackupCommand),
    Restore(backup::RestoreCommand),
    Promote(promote::PromoteCommand),
    Init(init::InitCommand),
    Serve(serve::ServeCommand),
    Clock(clock::ClockCommand),
    Keygen(keys::KeygenCommand),
    Key(keys::KeyCommand),
    Propose(propose::ProposeCommand),
    Approve(approve::ApproveCommand),
    Wait(wait::WaitCommand),
    State(state::StateCommand),
    Documents(documents::DocumentsCommand),
    Transitions(transitions::TransitionsCommand),
    Inputs(inputs::InputsCommand),
    Windows(windows::WindowsCommand),
    Projects(reads::ProjectsCommand),
    Decision(reads::DecisionCommand),
    Decisions(decisions::DecisionsCommand),
    Ucxl(ucxl::UcxlCommand),
    Rejections(reads::RejectionsCommand),
    Effects(effects::EffectsCommand),
    Health(health::HealthCommand),
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
    Settings(settings::SettingsCommand),
    Config(config::ConfigCommand),
    Templates(templates::TemplatesCommand),
    Provisioners(provisioners::ProvisionersCommand),
    Statechart(statechart::StatechartCommand),
    Version(version::VersionCommand),
    Completions(manual::CompletionsCommand),
    Man(manual::ManCommand),
}

/// Runs the command line; the reason of a failure goes to standard error.
pub fn main() -> ExitCode {
    let (json, done) = match lab::asked_for_help(std::env::args_os().skip(1)) {
        Some(command) => (false, lab::become_lab(command)),
        None => {
            let Cli { json, wide, verbose, command } = parsed();
            output::set_wide(wide);
            output::set_verbose(verbose);
            (json, run(command, json))
        }
    };
    done.unwrap_or_else(|error| {
        refusal::tell(&error, json);
        swoosh_terminal::failure::exit_code(&error)
    })
}

/// The arguments of this process. Wrong usage ends it.
fn parsed() -> Cli {
    let arguments = renamed::present(std::env::args_os().collect());
    let matches = grouped::command().try_get_matches_from(&arguments).unwrap_or_else(|mut error| {
        usage::without_environment(&mut error, grouped::command(), &arguments);
        usage::exit(&error, &arguments)
    });
    Cli::from_arg_matches(&matches)
        .unwrap_or_else(|error| usage::exit(&error.format(&mut grouped::command()), &arguments))
}

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

fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let output = output::Output::new(json);
    if !command.writes_for_others() {
        private::keep_new_files_private();
    }
    match command {
        Command::Bench(_) => lab::become_lab("bench"),
        Command::Chaos(_) => lab::become_lab("chaos"),
        Command::Follow(command) => command.run(),
        Command::Backup(command) => command.run(output),
        Command::Restore(command) => command.run(output),
        Command::Promote(command) => command.run(output),
        Command::Demo(_) => lab::become_lab("demo"),
        Command::Init(command) => command.run(output),
        Command::Serve(command) => command.run(),
        Command::Clock(command) => command.run(output),
        Command::Keygen(command) => command.run(output),
        Command::Key(command) => command.run(output),
        Command::Propose(command) => command.run(output),
        Command::Approve(command) => command.run(output),
        Command::Wait(command) => command.run(output),
        Command::State(command) => command.run(output),
        Command::Documents(command) => command.run(output),
        Command::Transitions(command) => command.run(output),
        Command::Inputs(command) => command.run(output),
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
        Command::Settings(command) => command.run(output),
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
