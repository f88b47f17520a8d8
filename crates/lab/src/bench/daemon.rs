//! The measured daemon: a child process of this one, on a port of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use swoosh_testkit::http::{self, Wire};

/// How long a start may take before it counts as failed.
const START_LIMIT: Duration = Duration::from_secs(600);

/// A daemon that answers. Killed when it is dropped.
pub(super) struct Daemon {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to the first `200` of `/health/ready`.
    pub ready_after: Duration,
}

impl Daemon {
    /// Starts one with a settings file and waits until it is ready.
    pub fn start(settings: &Path) -> anyhow::Result<Daemon> {
        let program = crate::program::swoosh()?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--config"])
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the daemon")?;
        let stderr = child.stderr.take().context("the daemon has no standard error")?;
        let mut daemon = Daemon { child, address: ([127, 0, 0, 1], 0).into(), ready_after: Duration::ZERO };
        daemon.address = listening(BufReader::new(stderr))?;
        while !is_ready(daemon.address) {
            anyhow::ensure!(began.elapsed() < START_LIMIT, "the daemon was not ready within {START_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.ready_after = began.elapsed();
        Ok(daemon)
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Memory that the process holds, in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc tells no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Processor time that its threads have taken. Unlike rates it hardly depends on what else runs.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut total_ns = 0_u64;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while it is looked at.
            let stat = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            total_ns += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(total_ns))
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // A process that is gone already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// The address that the daemon tells; what it says afterwards is read and dropped, so that it never waits.
fn listening(mut stderr: BufReader<std::process::ChildStderr>) -> anyhow::Result<SocketAddr> {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if stderr.read_line(&mut line)? == 0 {
            anyhow::bail!("the daemon did not start: {}", said.trim());
        }
        if let Some(address) = line.trim().strip_prefix("listening on http://") {
            let address = address.parse()?;
            std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
            return Ok(address);
        }
        said.push_str(&line);
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let answer = Wire::connect(address).and_then(|mut wire| wire.exchange(&http::get("/health/ready")));
    answer.is_ok_and(|answer| answer.status == 200)
}
