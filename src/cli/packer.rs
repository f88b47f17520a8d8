//! `swoosh packer`: machine images and files built by packer, without a daemon.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::interrupt;
use super::output::{self, Output};
use super::sources::{command_id, operator};
use super::worklog;
use crate::hybridcore::leave::{Cancellable, Leave as _};
use crate::hybridcore::logs::{Logger, Redactor, now_ms};
use crate::hybridcore::packer::{Event, Session, Tool};
use crate::hybridcore::retry::Sleep;
use crate::hybridcore::sources::Workspace;

mod arguments;
mod progress;
mod text;
mod work;

use arguments::Action;
use progress::Lines;
use swoosh_terminal::failure::Usage;

/// How long a command waits for another build of the same name.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// How long commands that only look or remove wait.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `swoosh packer`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Build images and files with packer, and keep track of them",
    long_about = "Build images and files with packer, and keep track of them.\n\nThe program packer does the work (1.6.6 or \
        later). Each build runs in a folder of its own, state/runs/ID/, with a log, packer's manifest and the output; what \
        it made is hashed, and run.json there lists it with all inputs. A build whose inputs did not change and \
        whose artifacts are still there is skipped. Packer runs in a process group of its own with a cleared \
        environment, a time limit and a limit of output; an interrupt lets it clean up first. No daemon is needed.",
    after_help = "Begin:\n  swoosh packer validate templates/web.pkr.hcl\n  swoosh packer build templates/web.pkr.hcl\n  \
        swoosh packer status\n\n\
        A template should write to var.swoosh_output and end with a manifest of this run:\n\n  \
        variable \"swoosh_output\" { default = \"output\" }\n  \
        variable \"swoosh_manifest\" { default = \"manifest.json\" }\n  \
        variable \"swoosh_run\" { default = \"none\" }\n  \
        build {\n    sources = [\"source.file.web\"]\n    post-processor \"manifest\" {\n      output      = var.swoosh_manifest\n      \
        custom_data = { run = var.swoosh_run }\n    }\n  }\n\n\
        JSON templates read {{env `SWOOSH_OUTPUT`}}, SWOOSH_MANIFEST and SWOOSH_RUN among their variables instead.\n\
        Exit codes: 0 done, 1 failed or something is not as it should be, 2 wrong usage, 130 interrupted."
)]
pub struct PackerCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

/// Where, with which packer, and in whose name.
#[derive(Debug, clap::Args)]
struct Place {
    /// Folder that holds state/ and logs/; relative paths of this command are below it
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".", env = "SWOOSH_PACKER_ROOT")]
    root: PathBuf,
    /// The program packer: a path, or a name in PATH
    #[arg(long, global = true, value_name = "PROGRAM", default_value = "packer", env = "SWOOSH_PACKER")]
    packer: PathBuf,
    /// Folder of plugins; state/packer/plugins when left out
    #[arg(long, global = true, value_name = "FOLDER", env = "SWOOSH_PACKER_PLUGINS")]
    plugins: Option<PathBuf>,
    /// The recorded operator; your user name when left out
    #[arg(long, global = true, value_name = "NAME", env = "SWOOSH_OPERATOR")]
    operator: Option<String>,
}

impl PackerCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let root = std::path::absolute(&self.place.root)?;
        if !root.is_dir() {
            return Err(Usage(format!("{} is no folder; make it, or name another with --root", root.display())).into());
        }
        let (leave, lines) = (interrupt::leave(), Lines::new(output.is_json()));
        let show = |event: &Event| lines.show(event);
        let session = session(&self.place, &self.action, root, &leave, &show);
        match work::run(&session, self.action, output) {
            Err(error) if leave.stop().is_some() => {
                output::note(&json!({"interrupted": format!("{error:#}")}), || format!("interrupted: {error:#}"));
                Ok(interrupt::exit_code())
            }
            Ok(code) if code != ExitCode::SUCCESS && leave.stop().is_some() => Ok(interrupt::exit_code()),
            other => other,
        }
    }
}

fn session<'a>(
    place: &Place,
    action: &Action,
    root: PathBuf,
    leave: &'a Cancellable,
    events: &'a (dyn Fn(&Event) + Sync),
) -> Session<'a> {
    let workspace = Workspace::new(root);
    let (operator, command_id) = (operator(place.operator.as_deref()), command_id());
    let writes = action.bounds().is_some() || matches!(action, Action::Remove { .. });
    let redactor = Redactor::default();
    let log = match writes {
        true => worklog::open(&workspace.logs(), "packer", &redactor),
        false => Logger::silent("packer", redactor),
    };
    // Packer runs elsewhere, where a relative path would mean another program.
    let program = match place.packer.components().count() {
        1 => place.packer.clone(),
        _ => std::path::absolute(&place.packer).unwrap_or_else(|_| place.packer.clone()),
    };
    let mut tool = Tool { program: program.into(), plugins: place.plugins.clone(), ..Tool::default() };
    // Without one, a packer that this command leaves behind is ended by the next build of the name.
    // The link works also when the program's file was replaced meanwhile.
    let own = PathBuf::from("/proc/self/exe");
    tool.sentinel = if own.exists() { Some(own) } else { std::env::current_exe().ok() };
    if let Some(bounds) = action.bounds() {
        bounds.apply(&mut tool);
    }
    Session {
        workspace,
        tool,
        leave,
        events,
        log: log.with("command", &command_id).with("operator", &operator),
        operator,
        command_id,
        patience: if action.bounds().is_some() { PATIENCE } else { SHORT_PATIENCE },
        waiter: &Sleep,
        now_ms,
    }
}

/// Guards a child of another swoosh.
#[derive(Debug, clap::Args)]
pub struct SentinelCommand {
    group: i32,
    grace_ms: u64,
}

impl SentinelCommand {
    /// Waits, and ends the group unless success was reported.
    pub(super) fn run(self) -> ExitCode {
        crate::hybridcore::process::sentinel::serve(self.group, Duration::from_millis(self.grace_ms));
        ExitCode::SUCCESS
    }
}
