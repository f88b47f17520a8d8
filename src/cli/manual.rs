//! `swoosh completions` and `swoosh man`: what `make dist` puts beside the program for shells and for man.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::output::print;

const NAME: &str = "swoosh";

/// Arguments of `swoosh completions`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Print the completion script of a shell",
    after_help = "Examples:\n  swoosh completions bash > /usr/share/bash-completion/completions/swoosh\n  \
        swoosh completions zsh > /usr/share/zsh/site-functions/_swoosh\n  \
        swoosh completions fish > ~/.config/fish/completions/swoosh.fish"
)]
pub struct CompletionsCommand {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Arguments of `swoosh man`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Print the manual page, or write one for each command",
    after_help = "Examples:\n  swoosh man | man -l -\n  swoosh man --out /usr/local/share/man/man1"
)]
pub struct ManCommand {
    /// Directory for the pages: swoosh.1, swoosh-serve.1 and so on; it is made when it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl CompletionsCommand {
    /// Prints the script.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut without_hidden(Cli::command()), NAME, &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The command line without the commands that only the program itself runs: scripts offer those otherwise.
fn without_hidden(command: clap::Command) -> clap::Command {
    let visible: Vec<_> = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
    let arguments: Vec<_> = command.get_arguments().cloned().collect();
    clap::Command::new(NAME).version(env!("CARGO_PKG_VERSION")).args(arguments).subcommands(visible)
}

impl ManCommand {
    /// Prints or writes the pages.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(directory) = self.out else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&String::from_utf8(page)?)?;
            return Ok(ExitCode::SUCCESS);
        };
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        clap_mangen::generate_to(Cli::command(), &directory)
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
