//! `swoosh demo`: runs one project from start to end on a temporary daemon and narrates it in the terminal.
//!
//! The daemon is the program `swoosh` as a child process. Each actor has a key and a client of its own and speaks
//! HTTP; the crash is a SIGKILL. The servers outside (license, beats, decision records, tools)
//! are stand-ins that speak the real wire formats on real sockets; git and packer are the real ones. Whatever does not come out as the story says ends
//! it with exit code 1.

#![allow(clippy::disallowed_methods, reason = "it plays the callers of nodes, and starts those nodes itself")]

mod beats;
mod cast;
mod chapters;
mod daemon;
mod follow;
mod git_server;
mod moment;
mod outside;
mod project;
mod repositories;
mod servers;
mod ship;
mod stage;
mod story;
mod watch;
mod wording;
mod workspace;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use stage::Stage;
use story::Story;
use swoosh_platform::shutdown::{StopSignal, StopSignals};

/// What `swoosh demo` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show a whole project on a temporary node",
    long_about = "Show a whole project on a temporary node.\n\nStarts a daemon in a temporary directory, makes keys \
        for all actors, starts stand-ins for the servers outside (KACHING, BACKBEAT, BUBBLE and two MCP servers), makes git repositories, and drives the project `default` from UNINITIALIZED to REVERB and round the loop \
        twice, over HTTP. The node ingests the sources and has packer build the environment by itself; git and packer \
        must be there. On the way every guard refuses a proposal and says why, a candidate is overtaken and tries again, a \
        proposal is sent twice, an image is changed, found, taken down and built again, a tool goes away and comes back, the license is denied, runs \
        out and is renewed, and a breach quarantines the project. Then the daemon is killed under load and started \
        again, and everything is checked: receipts, log, decision records, replay. \
        It takes about half a minute, touches nothing outside of its directory, and removes that at the end. \
        Exits with 1 if any step has another outcome than expected.",
    after_help = "Examples:\n  swoosh demo\n  swoosh demo --keep\n  swoosh --json demo | jq -r .step"
)]
pub struct DemoCommand {
    /// Keep the directory with the keys of all actors, and say how to look around in it
    #[arg(long)]
    keep: bool,
}

impl DemoCommand {
    /// Tells the story.
    pub fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let directory = tempfile::Builder::new().prefix("swoosh-demo-").tempdir();
        let directory =
            directory.context("cannot make a temporary directory; set TMPDIR to one that can be written")?;
        let outcome = runtime.block_on(tell(directory.path(), json));
        if self.keep {
            let path = directory.keep();
            say_kept(&path, json);
        }
        outcome
    }
}

/// Runs the story until its end or a stop signal. The daemon is gone when this returns.
async fn tell(directory: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen().context("cannot listen for signals")?;
    tokio::select! {
        outcome = story(directory, json) => outcome.map(|()| ExitCode::SUCCESS),
        signal = signals.next() => {
            eprintln!("{signal}: the demo ends here, and its daemon with it");
            Ok(ExitCode::from(status(signal)))
        }
    }
}

/// 128 and the signal's number, as shells have it.
fn status(signal: StopSignal) -> u8 {
    match signal {
        StopSignal::HangUp => 129,
        StopSignal::Interrupt => 130,
        StopSignal::Terminate => 143,
    }
}

async fn story(directory: &Path, json: bool) -> anyhow::Result<()> {
    let story = Story::new(json);
    let mut stage = chapters::node::open(directory, story).await?;
    stage.cast.keep(&directory.join(KEYS))?;
    let outcome = chapters(&mut stage).await;
    stage.daemon.kill().await;
    let context = || format!("the daemon's log tells more; run `swoosh demo --keep` and read {}", daemon::LOG);
    outcome.with_context(context)
}

async fn chapters(stage: &mut Stage) -> anyhow::Result<()> {
    chapters::boot::tell(stage).await?;
    chapters::ingestion::tell(stage).await?;
    chapters::council::tell(stage).await?;
    chapters::environment::tell(stage).await?;
    chapters::license::tell(stage).await?;
    chapters::execution::tell(stage).await?;
    chapters::rollback::tell(stage).await?;
    let before = chapters::crash::tell(stage).await?;
    chapters::decisions::tell(stage).await?;
    chapters::replay::tell(stage, before).await
}

/// Folder of the actors' keys.
const KEYS: &str = "keys";

/// A reader that went away (`| head`) is no error.
fn say_kept(path: &Path, json: bool) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}", if json { kept_json(path) } else { kept_text(path) }));
}

fn kept_json(path: &Path) -> String {
    serde_json::json!({
        "step": "kept",
        "directory": path,
        "data": path.join(ship::DATA),
        "variables": variables(path).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
    .to_string()
}

fn kept_text(path: &Path) -> String {
    let data = path.join(ship::DATA);
    let exports: String = variables(path).iter().map(|(name, value)| format!("  export {name}='{value}'\n")).collect();
    let (path, data) = (path.display(), data.display());
    let settings = ship::SETTINGS;
    let log = daemon::LOG;
    format!(
        "\nKept in {path}, with the keys of all actors in {path}/{KEYS}. To look around:\n  swoosh wal show --data {data}\n  \
         swoosh wal verify --data {data}\n  swoosh replay --data {data}\n  swoosh serve --config {path}/{settings}\n  \
         less {path}/{log}\nFor commands that ask this node, or sign as its operator:\n{exports}"
    )
}

/// Variables that name the kept node to commands.
fn variables(path: &Path) -> Vec<(&'static str, String)> {
    let below = |name: &str| path.join(name).display().to_string();
    vec![
        ("SWOOSH_URL", "http://127.0.0.1:7400".to_owned()),
        ("SWOOSH_PROJECT", "default".to_owned()),
        ("SWOOSH_KEY", below(&format!("{KEYS}/operator.key"))),
        ("SWOOSH_KNOWN_NODES", below("known_nodes")),
    ]
}
