//! `swoosh demo`, `swoosh bench` and `swoosh chaos`: they run `swoosh-lab`, which is a program of its own, so that the shipped one has
//! neither its code nor its dependencies.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use swoosh_terminal::programs;

/// The program that has these commands.
const LAB: &str = "swoosh-lab";
/// Names this program to the lab, which starts it as the node.
const OWN: &str = "SWOOSH";

/// What `swoosh demo`, `bench` and `chaos` take: anything. `swoosh-lab` reads it, `--help` included.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, after_help = "`--help` is answered by `swoosh-lab`, which must be installed.")]
pub struct LabCommand {
    /// Arguments of `swoosh-lab`
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The command whose help was asked for as `swoosh help COMMAND`, if `swoosh-lab` has it.
pub(super) fn asked_for_help(arguments: impl Iterator<Item = OsString>) -> Option<&'static str> {
    let mut words = arguments.filter(|word| word != "--json");
    words.next().filter(|word| word == "help")?;
    let command = words.next()?;
    ["demo", "bench", "chaos"].into_iter().find(|name| command == *name)
}

/// Becomes `swoosh-lab` with all arguments of this process. The process id stays, so that signals and the exit code are those of
/// `swoosh-lab`.
pub(super) fn become_lab(command: &str) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let lab = match find(command, &own, std::env::var_os("PATH").as_deref()) {
        Ok(lab) => lab,
        // A question is answered without the program too.
        Err(missing) if is_question(std::env::args_os().skip(1)) => {
            swoosh_terminal::output::print(&format!("{}\n\n{missing:#}.", about(command)))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(missing) => return Err(missing),
    };
    #[expect(clippy::disallowed_methods, reason = "this process becomes that program; no node runs here")]
    let mut program = std::process::Command::new(&lab);
    program.args(std::env::args_os().skip(1));
    // A program that was replaced since its start has no file any longer.
    if programs::is_program(&own) {
        program.env(OWN, &own);
    }
    Err(program.exec()).with_context(|| format!("cannot run {}", lab.display()))
}

fn about(command: &str) -> &'static str {
    match command {
        "demo" => "swoosh demo: shows a whole project on a temporary node.",
        "bench" => "swoosh bench: measures this machine.",
        _ => "swoosh chaos: puts faults on simulated and real nodes.",
    }
}

/// Whether help was asked for.
fn is_question(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut words = arguments.filter(|word| word != "--json").peekable();
    words.peek().is_some_and(|word| word == "help") || words.any(|word| word == "--help" || word == "-h")
}

fn find(command: &str, own: &Path, path: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    programs::find(LAB, own, path).with_context(|| {
        format!(
            "`swoosh {command}` needs the program {LAB}, and it is neither beside {} nor in PATH. Releases have `swoosh` alone (`make dist`): build {LAB} in \
             the source tree with `cargo build --locked --package {LAB}`, and put it beside `swoosh` or into a directory of PATH",
            own.display()
        )
    })
}
