//! `swoosh upstreams`: pinned tool chains in `third_party/`, without a daemon.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::sources;
use swoosh_hybridcore::leave::{Cancellable, Leave as _};
use swoosh_hybridcore::logs::{Logger, Redactor, now_ms};
use swoosh_hybridcore::sources::child::ChildGit;
use swoosh_hybridcore::sources::documents::{self, MIRRORS_FILE};
use swoosh_hybridcore::sources::mirrors::MirrorTable;
use swoosh_hybridcore::sources::retry::Sleep;
use swoosh_hybridcore::sources::{Event, Rules, Session, Wallet, Workspace};
use swoosh_hybridcore::upstreams::fetch::{self, Upstream};
use swoosh_hybridcore::upstreams::pins::Pins;
use swoosh_hybridcore::upstreams::validate::{self, Check};
use swoosh_terminal::interrupt;
use swoosh_terminal::output::{Output, Table};
use swoosh_terminal::progress::Bars;
use swoosh_terminal::worklog;

/// How long a fetch waits for another.
const PATIENCE: Duration = Duration::from_secs(600);

/// Arguments of `swoosh upstreams`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Fetch and check pinned upstream tool chains",
    long_about = "Fetch and check pinned upstream tool chains.\n\ntools/upstreams.env is the single source of truth: NAME_URL, \
        NAME_REF, and the allow-list of those that may follow a branch. `fetch` brings each into third_party/, which version \
        control ignores; `validate` keeps pins, documents and capability file honest. docs/UPSTREAMS.md says why each is there. No \
        daemon is needed.",
    after_help = "Begin:\n  swoosh upstreams fetch        # or: make fetch\n  swoosh upstreams validate     # or: make validate\n\n\
        Without a network: `swoosh sources mirrors --help`; the same variables count here.\n\
        Exit codes: 0 done, 1 failed or something is not as it should be, 2 wrong usage, 130 interrupted."
)]
pub struct UpstreamsCommand {
    /// The repository's root, which holds tools/upstreams.env
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".")]
    root: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Bring every upstream to its pin, side by side
    ///
    /// Running it again brings the same commits. What was interrupted is finished by the next run; one that fails does not
    /// hold the others back; a working tree with changes is never overwritten.
    #[command(
        after_help = "Examples:\n  swoosh upstreams fetch\n  SWOOSH_SOURCES_MIRROR=file:///media/mirror swoosh upstreams fetch"
    )]
    Fetch,
    /// Check pins, required files, .gitignore, capability file and core documents
    #[command(after_help = "Example:\n  swoosh upstreams validate || echo 'read the findings above'")]
    Validate,
    /// Show which commit of each upstream is there; nothing is asked outside
    #[command(after_help = "Example:\n  swoosh --json upstreams status | jq -r '.[].commit_sha'")]
    Status,
}

impl UpstreamsCommand {
    /// Does what was asked.
    pub fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let root = std::path::absolute(&self.root)?;
        let leave = interrupt::leave();
        if matches!(self.action, Action::Validate) {
            let checks = validate::validate(&root, &leave);
            output.say(&checks, || text_of_checks(&checks))?;
            return Ok(code(checks.iter().all(|check| check.problems.is_empty())));
        }
        let pins = Pins::load(&root)?;
        let git = ChildGit::of_this_program().context("this program cannot find itself")?;
        let bars = Bars::new(output.is_json());
        let show = |event: &Event| bars.show(event);
        let fetches = matches!(self.action, Action::Fetch);
        let session = session(Workspace::new(root), &git, &leave, &show, &pins)?;
        let upstreams =
            if fetches { fetch::fetch(&session, &pins.set())? } else { fetch::status(&session, &pins.set()) };
        output.say(&upstreams, || text_of_upstreams(&upstreams))?;
        match leave.stop() {
            Some(_) => Ok(interrupt::exit_code()),
            None => Ok(code(upstreams.iter().all(|upstream| upstream.error.is_none()))),
        }
    }
}

fn session<'a>(
    workspace: Workspace,
    git: &'a ChildGit,
    leave: &'a Cancellable,
    events: &'a (dyn Fn(&Event) + Sync),
    pins: &Pins,
) -> anyhow::Result<Session<'a>> {
    let wallet = Wallet::from_environment()?;
    // Nothing is stored but the fetched source, unless the folder of logs is there already.
    let redactor = Redactor::new(wallet.secrets());
    let keeps_logs = workspace.logs().is_dir();
    let log = if keeps_logs {
        worklog::open(&workspace.logs(), "upstreams", &redactor)
    } else {
        Logger::silent("upstreams", redactor)
    };
    let mirrors = MirrorTable::from_environment(documents::read(&workspace.state(), MIRRORS_FILE)?);
    let rules = Rules { floating: pins.floating(), patience: PATIENCE, ..Rules::default() };
    let (operator, command_id) = (sources::operator(None), sources::command_id());
    Ok(Session {
        workspace,
        git,
        leave,
        events,
        log: log.with("command", &command_id).with("operator", &operator),
        operator,
        command_id,
        rules,
        mirrors,
        wallet,
        waiter: &Sleep,
        now_ms,
    })
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn text_of_checks(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for Check { check, problems } in checks {
        lines.push(format!("  {}  {check}", if problems.is_empty() { "✓" } else { "✗" }));
        lines.extend(problems.iter().map(|problem| format!("     {problem}")));
    }
    lines.join("\n")
}

fn text_of_upstreams(upstreams: &[Upstream]) -> String {
    let mut table = Table::new();
    for Upstream { name, reference, commit_sha, error, .. } in upstreams {
        let mark = if error.is_none() { "✓" } else { "✗" };
        let commit = commit_sha.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        table.row([mark.to_owned(), name.to_string(), reference.to_string(), commit]);
    }
    let errors = upstreams.iter().filter_map(|upstream| {
        let error = upstream.error.as_ref()?;
        let named = error.starts_with(upstream.name.as_str());
        Some(if named { error.clone() } else { format!("{}: {error}", upstream.name) })
    });
    let mut lines = vec![table.text(2)];
    lines.extend(errors);
    let at_pins = upstreams.iter().filter(|upstream| upstream.error.is_none()).count();
    lines.push(match upstreams.len() {
        1 => format!("{at_pins} of 1 upstream is at its pin"),
        all => format!("{at_pins} of {all} upstreams are at their pins"),
    });
    lines.join("\n")
}
