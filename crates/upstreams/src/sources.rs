//! `swoosh sources`: repositories at pinned commits, without a daemon.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use serde_json::json;
use swoosh_hybridcore::leave::{Cancellable, Leave as _};
use swoosh_hybridcore::logs::{Logger, Redactor, now_ms};
use swoosh_hybridcore::sources::child::ChildGit;
use swoosh_hybridcore::sources::config::{CONFIG_FILE, SourcesConfig};
use swoosh_hybridcore::sources::documents::{self, MIRRORS_FILE};
use swoosh_hybridcore::sources::mirrors::{MirrorInventory, MirrorTable};
use swoosh_hybridcore::sources::retry::Sleep;
use swoosh_hybridcore::sources::{Event, Session, Wallet, Workspace};
use swoosh_terminal::failure::Usage;
use swoosh_terminal::interrupt;
use swoosh_terminal::output::{self, Output};
use swoosh_terminal::progress::Bars;
use swoosh_terminal::worklog;
use swoosh_types::inputs::SourceSet;
use swoosh_types::text::{GitId, Name};

mod arguments;
mod text;
mod work;

use arguments::Action;

/// Arguments of `swoosh sources`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Keep repositories at pinned commits",
    long_about = "Keep repositories at pinned commits.\n\nconfig/sources.yaml names repositories and their references (tags \
        or commits; branches only where it says so). `sync` brings each into sources/NAME and records its commit in \
        state/sources.json and state/sources.lock; from then on the same commit is brought everywhere, until the \
        configuration names another reference. A working tree with changes, or at another commit than it was left \
        at, stops everything before anything is changed. Git runs in a process of its own: no hooks, no \
        submodules, symbolic links as plain files, bounds on time and size. No daemon is needed.",
    after_help = "Begin:\n  swoosh sources sync\n  swoosh sources status\n\n\
        Private repositories: for https SWOOSH_GIT_TOKEN (and SWOOSH_GIT_USER), which goes to addresses below \
        SWOOSH_GIT_URL_PREFIX alone, such as https://git.example/team; for ssh an agent; host keys are looked up in ~/.ssh/known_hosts or SWOOSH_SSH_KNOWN_HOSTS. Behind a proxy: \
        https_proxy.\n\
        Without a network: `swoosh sources mirrors --help`.\n\
        Exit codes: 0 done, 1 failed or something is not as it should be, 2 wrong usage, 130 interrupted."
)]
pub struct SourcesCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

/// Where, and in whose name.
#[derive(Debug, clap::Args)]
struct Place {
    /// Folder that holds sources/, state/, logs/ and config/
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".", env = "SWOOSH_SOURCES_ROOT")]
    root: PathBuf,
    /// List of repositories; config/sources.yaml in the root when left out
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The recorded operator; your user name when left out
    #[arg(long, global = true, value_name = "NAME", env = "SWOOSH_OPERATOR")]
    operator: Option<String>,
}

/// Everything that an action needs, read and opened.
struct Desk {
    config: SourcesConfig,
    set: SourceSet,
    git: ChildGit,
    leave: Cancellable,
    workspace: Workspace,
    inventory: MirrorInventory,
    wallet: Wallet,
    operator: String,
    bars: Bars,
}

impl SourcesCommand {
    /// Does what was asked.
    pub fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let desk = Desk::open(&self.place, output)?;
        let show = |event: &Event| desk.bars.show(event);
        let session = desk.session(&show, self.action.writes());
        let done = work::run(&session, &desk, self.action, output);
        match done {
            Err(error) if desk.leave.stop().is_some() => {
                output::note(&json!({"interrupted": format!("{error:#}")}), || {
                    format!("interrupted: {error:#}; `swoosh sources resume` finishes the interrupted work")
                });
                Ok(interrupt::exit_code())
            }
            Ok(code) if code != ExitCode::SUCCESS && desk.leave.stop().is_some() => Ok(interrupt::exit_code()),
            other => other,
        }
    }
}

impl Desk {
    fn open(place: &Place, output: Output) -> anyhow::Result<Desk> {
        let root = std::path::absolute(&place.root)?;
        if !root.is_dir() {
            return Err(Usage(format!("{} is no folder; make it, or name another with --root", root.display())).into());
        }
        let file = place.config.clone().unwrap_or_else(|| root.join(CONFIG_FILE));
        let config = SourcesConfig::load(&file)?;
        let set = config.set();
        let workspace = Workspace::new(root);
        let inventory = documents::read(&workspace.state(), MIRRORS_FILE)?;
        let git = ChildGit::of_this_program().context("this program cannot find itself")?.within(config.times());
        let wallet = Wallet::from_environment()?;
        let operator = operator(place.operator.as_deref());
        let (leave, bars) = (interrupt::leave(), Bars::new(output.is_json()));
        Ok(Desk { config, set, git, leave, workspace, inventory, wallet, operator, bars })
    }

    fn session<'a>(&'a self, events: &'a (dyn Fn(&Event) + Sync), writes: bool) -> Session<'a> {
        let command_id = command_id();
        let redactor = Redactor::new(self.wallet.secrets());
        let log = if writes {
            worklog::open(&self.workspace.logs(), "sources", &redactor)
        } else {
            Logger::silent("sources", redactor)
        };
        Session {
            workspace: self.workspace.clone(),
            git: &self.git,
            leave: &self.leave,
            events,
            log: log.with("command", &command_id).with("operator", &self.operator),
            operator: self.operator.clone(),
            command_id,
            rules: self.config.rules(),
            mirrors: MirrorTable::from_environment(self.inventory.clone()),
            wallet: self.wallet.clone(),
            waiter: &Sleep,
            now_ms,
        }
    }

    /// The names that were given, or all.
    fn names(given: Vec<Name>) -> BTreeSet<Name> {
        given.into_iter().collect()
    }
}

/// An id that log lines and records of this run share.
pub fn command_id() -> String {
    format!("cmd-{}-{}", now_ms(), std::process::id())
}

/// The operator to record.
pub fn operator(given: Option<&str>) -> String {
    let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let name = given.map(str::to_owned).or_else(user);
    let name = name.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Answers a request of another swoosh.
#[derive(Debug, clap::Args)]
pub struct GitCommand {}

impl GitCommand {
    /// Answers it.
    pub fn run(self) -> ExitCode {
        if swoosh_hybridcore::sources::worker::serve() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Reads a commit id, and says what to write when it is none.
fn commit(text: &str) -> Result<GitId, String> {
    text.parse().map_err(|_| format!("{text:?} is no commit id; write all of its 40 lowercase digits"))
}
