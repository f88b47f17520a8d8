//! The daemon: the program `swoosh` as a child process.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The daemon's log, in the demo's directory.
pub(super) const LOG: &str = "daemon.log";

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long a stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What the line that names the address begins with.
const LISTENING: &str = "listening on ";

/// A running daemon. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    /// Its address.
    pub url: String,
    /// How long its start took.
    pub start_took: Duration,
}

impl Daemon {
    /// Starts a daemon on the settings file and waits until it listens. `environment` is laid over our own.
    pub async fn start(
        settings: &Path,
        directory: &Path,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Daemon> {
        let began = Instant::now();
        let program = crate::program::swoosh()?;
        let log = File::options().create(true).append(true).open(directory.join(LOG))?;
        let mut command = Command::new(&program);
        command.arg0("swoosh").arg("serve").arg("--config").arg(settings).args(["--listen", "127.0.0.1:0"]);
        command.envs(environment);
        command.current_dir(directory).stdin(Stdio::null()).stdout(log).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C in the terminal is for the demo, which then stops its daemon.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let stderr = child.stderr.take().context("the daemon has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let listening = tokio::time::timeout(START_PATIENCE, address(&mut lines)).await;
        let url = listening.context("the daemon did not say where it listens within 20 s")??;
        tokio::spawn(keep(lines, directory.join(LOG)));
        Ok(Daemon { child, url, start_took: began.elapsed() })
    }

    /// The daemon's process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells the daemon to read its fact file now. Without `kill` it finds the change within a second.
    pub async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    /// SIGKILL: no last word, no flush.
    pub async fn kill(&mut self) {
        // It may be gone already, which is as good.
        drop(self.child.kill().await);
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("-TERM").await;
        let Ok(status) = tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await else {
            self.kill().await;
            bail!("the daemon did not stop within 10 s of SIGTERM");
        };
        let status = status?;
        if status.success() { Ok(()) } else { bail!("the daemon ended with {status} after SIGTERM") }
    }

    async fn signal(&self, signal: &str) {
        if let Some(id) = self.child.id() {
            drop(Command::new("kill").arg(signal).arg(id.to_string()).status().await);
        }
    }
}

async fn address(lines: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<String> {
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix(LISTENING) {
            return Ok(url.trim().to_owned());
        }
        said.push(line);
    }
    bail!("the daemon ended before it listened: {}", said.join("; "))
}

/// Keeps what the daemon says afterwards, beside its log.
async fn keep(mut lines: Lines<BufReader<ChildStderr>>, path: PathBuf) {
    let Ok(mut log) = tokio::fs::OpenOptions::new().append(true).open(path).await else { return };
    while let Ok(Some(line)) = lines.next_line().await {
        if log.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
