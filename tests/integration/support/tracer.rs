//! A tracer (strace) that fails, delays or kills a running daemon at single system calls.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::daemon::Daemon;

/// A fault injected into a system call on one file.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    pub call: &'a str,
    /// strace's tampering expression, such as `error=EIO:when=1`.
    pub tampering: &'a str,
}

/// A tracer at work. Dropped, it lets go of the daemon, which runs on.
pub struct Tracer(Child);

impl Tracer {
    /// Takes hold of every thread of a daemon; says why where this machine does not let it. Calls are
    /// counted by thread.
    pub fn attach(daemon: &Daemon, file: &Path, fault: Fault<'_>) -> Result<Tracer, String> {
        let Fault { call, tampering } = fault;
        let tracer = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-p", &daemon.id().to_string(), "-P"])
            .arg(file)
            .args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{tampering}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut tracer = Tracer(tracer.map_err(|error| format!("strace cannot be started ({error})"))?);
        let mut lines = BufReader::new(tracer.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        while let Some(line) = lines.next() {
            said.push(line);
            if said.last().is_some_and(|line| line.contains(" attached")) {
                // It names each new thread, and a closed pipe would end it.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(tracer);
            }
        }
        Err(format!("strace cannot trace here ({})", said.join("; ")))
    }

    /// Lets go.
    pub fn detach(self) {}

    /// Waits until the daemon is gone, which ends the tracer too.
    pub fn wait(mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Killed with SIGKILL, it would leave calls half tampered with.
        let _ = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}
