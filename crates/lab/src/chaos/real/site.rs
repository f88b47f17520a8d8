//! The node under test: its directory, its settings, and the processes that run on it one after the other.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::outside::Outside;
use super::proxy::Upstream;
use crate::bench::world::World;
use swoosh_testkit::http;

/// How long a start may take before it counts as failed.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a node may take to answer a question about itself.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// Small, so that tables are written and log files change within a short run.
const WRITE_BUFFER_BYTES: u64 = 8 << 20;

/// Where everything of a run is.
pub(super) struct Site {
    /// Logs of clients and node, settings, report.
    pub folder: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    settings: PathBuf,
    program: PathBuf,
    upstream: Upstream,
}

/// A start that came to nothing: what the node said.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// The exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Its standard error.
    pub said: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}: {}", self.code, self.said.trim())
    }
}

/// A running node. Killed when it is dropped.
pub(super) struct Node {
    child: Child,
    /// Where it listens, behind the proxy.
    pub address: SocketAddr,
    upstream: Upstream,
}

impl Site {
    /// Writes settings, schedule and facts of a node whose data is in `data`.
    pub fn new(
        folder: &Path,
        data: &Path,
        world: &World,
        outside: &Outside,
        upstream: Upstream,
    ) -> anyhow::Result<Site> {
        let mut settings = world.settings(folder)?;
        settings.data = data.to_path_buf();
        settings.journal.write_buffer_bytes = WRITE_BUFFER_BYTES;
        settings.journal.snapshot_every = 200;
        outside.configure(&mut settings)?;
        let path = folder.join("swoosh.yaml");
        std::fs::write(&path, yaml_serde::to_string(&settings)?)?;
        let (folder, data, program) = (folder.to_path_buf(), data.to_path_buf(), crate::program::swoosh()?);
        Ok(Site { folder, data, settings: path, program, upstream })
    }

    /// The journal's directory.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// The watermark's file.
    pub fn watermark(&self) -> PathBuf {
        self.data.join("journal.watermark")
    }

    /// Starts the node and waits until it listens. Clients do not see it until it is published.
    pub fn start(&self, environment: &[(&str, String)]) -> anyhow::Result<Result<Node, Refused>> {
        let mut child = self.spawn(environment)?;
        let stderr = child.stderr.take().context("the node has no standard error")?;
        let mut node = Node { child, address: ([127, 0, 0, 1], 0).into(), upstream: self.upstream.clone() };
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut said = String::new();
        let Some(address) = lines.find_map(|line| {
            let address = line.strip_prefix("listening on http://").and_then(|address| address.trim().parse().ok());
            said.push_str(&line);
            said.push('\n');
            address
        }) else {
            return Ok(Err(Refused { code: node.child.wait()?.code(), said }));
        };
        // What it says later is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        node.address = address;
        Ok(Ok(node))
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&self, environment: &[(&str, String)]) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.folder.join("node.log"))?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(&self.settings).args(["--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::piped());
        command.spawn().context("cannot start the node")
    }

    /// Runs a command of `swoosh` on the data directory, with JSON asked for.
    pub fn tool(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        command.arg("--json").args(arguments).arg("--data").arg(&self.data);
        command.output().with_context(|| format!("cannot run swoosh {}", arguments.join(" ")))
    }
}

impl Node {
    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets the proxy find it.
    pub fn publish(&self) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.address);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the node has no process id")?;
        Ok(kill_process(id, signal)?)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // A process that is gone already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Status and body of what the node answers itself, past the proxy.
    pub fn get(&self, target: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, ASK_PATIENCE)?;
        stream.set_read_timeout(Some(ASK_PATIENCE))?;
        write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let message = http::Message::of(answer);
        Ok((message.status(), message.body().to_vec()))
    }

    /// What `/health` says; null where it says nothing.
    pub fn health(&self) -> Value {
        self.get("/health").ok().and_then(|(_, body)| serde_json::from_slice(&body).ok()).unwrap_or_default()
    }

    /// Whether it takes proposals.
    pub fn is_ready(&self) -> bool {
        self.get("/health/ready").is_ok_and(|(status, _)| status == 200)
    }

    /// Waits until it takes proposals, or the patience is at an end.
    pub fn wait_until_ready(&self, patience: Duration) -> bool {
        eventually(patience, || self.is_ready())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something is so; whether it came to be within the patience.
pub(super) fn eventually(patience: Duration, mut so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if so() {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long a start may take.
pub(super) const fn start_limit() -> Duration {
    START_LIMIT
}
