//! strace: fails or delays single system calls of the running node.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// A tracer at work. Dropped, it lets go of the node, which runs on.
pub(super) struct Tracer {
    child: Child,
    notes: PathBuf,
}

impl Tracer {
    /// Takes hold of every thread of a process and tampers with a call, on these files alone where some are named.
    pub fn attach(
        process: u32,
        files: &[PathBuf],
        call: &str,
        tampering: &str,
        notes: &Path,
    ) -> anyhow::Result<Tracer> {
        let mut command = Command::new("strace");
        command.arg("-f").arg("-o").arg(notes).args(["-p", &process.to_string()]);
        for file in files {
            command.arg("-P").arg(file);
        }
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{tampering}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("strace cannot be started")?;
        let stderr = child.stderr.take().context("strace has no standard error")?;
        let tracer = Tracer { child, notes: notes.to_path_buf() };
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let attached = lines.any(|line| {
            let attached = line.contains(" attached");
            said.push(line);
            attached
        });
        anyhow::ensure!(attached, "strace cannot trace here: {}", said.join("; "));
        std::thread::spawn(move || lines.for_each(drop));
        Ok(tracer)
    }

    /// How many calls were tampered with.
    pub fn tampered(&self) -> u64 {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        let is_tampered = |line: &&str| line.contains("(INJECTED)") || line.contains("(DELAYED)");
        notes.lines().filter(is_tampered).count() as u64
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Killed with SIGKILL, it would leave calls half tampered with.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// Whether processes can be traced here, or why not.
pub(super) fn is_possible() -> Result<(), String> {
    let mut command = Command::new("strace");
    command.args(["-e", "trace=none", "-o", "/dev/null", "true"]).stdin(Stdio::null()).stdout(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("strace cannot trace here ({})", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("strace cannot be started ({error}); Debian: apt-get install strace")),
    }
}
