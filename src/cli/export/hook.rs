//! The command that is run after a round.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Output of each stream that is kept, in bytes; the rest is read and dropped.
const OUTPUT_BYTES: u64 = 16 << 10;
/// How often it is looked whether the command is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long its last output is waited for: a child that it left behind may hold the pipes.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// A program and its arguments, run without a shell.
pub(in crate::cli) struct Hook {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
}

impl Hook {
    /// The hook of a list of words; none for an empty one.
    pub fn new(words: Vec<String>, timeout: Duration) -> Option<Hook> {
        let mut words = words.into_iter();
        let program = words.next()?;
        Some(Hook { program, arguments: words.collect(), timeout })
    }

    /// Runs it, and waits for its good end.
    pub fn run(&self, last_index: u64, now_ms: u64, goes_on: &dyn Fn() -> bool) -> anyhow::Result<()> {
        let fill =
            |word: &String| word.replace("{index}", &last_index.to_string()).replace("{time}", &now_ms.to_string());
        let mut command = Command::new(&self.program);
        command.args(self.arguments.iter().map(fill));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("the command {:?} cannot be run", self.program))?;
        let said = (capped(child.stdout.take()), capped(child.stderr.take()));
        let status = self.wait(&mut child, goes_on)?;
        let said = [said.0, said.1].map(|stream| stream.recv_timeout(OUTPUT_PATIENCE).unwrap_or_default()).concat();
        anyhow::ensure!(status.success(), "the command {:?} ended with {status}: {}", self.program, said.trim());
        Ok(())
    }

    fn wait(&self, child: &mut Child, goes_on: &dyn Fn() -> bool) -> anyhow::Result<std::process::ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() >= self.timeout || !goes_on() {
                child.kill()?;
                child.wait()?;
                anyhow::bail!(
                    "the command {:?} took longer than {} ms and was ended",
                    self.program,
                    self.timeout.as_millis()
                );
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// Reads a stream to its end, and keeps its beginning.
fn capped(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            // A stream that breaks has said what it had to say.
            let _ = stream.by_ref().take(OUTPUT_BYTES).read_to_end(&mut kept);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        let _ = send.send(String::from_utf8_lossy(&kept).into_owned());
    });
    receive
}
