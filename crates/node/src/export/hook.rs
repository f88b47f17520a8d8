//! The command that is run after a round.

use std::time::Duration;

use anyhow::Context as _;

use swoosh_hybridcore::leave::Leave;
use swoosh_hybridcore::process::{self, Bounds, End, Program};

/// Bytes of its output that are kept; the rest is read and dropped.
const KEPT_BYTES: usize = 16 << 10;
/// Between the interrupt and the kill of a command that takes too long.
const GRACE: Duration = Duration::from_secs(5);
/// Variables that it gets; no other, so that none of the node's secrets is among them.
const ENVIRONMENT: &[&str] = &["HOME", "LANG", "PATH", "TZ", "TMPDIR"];

/// A program and its arguments, run without a shell.
pub struct Hook {
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

    /// Runs it, and waits for its good end. It may reach outside, so it needs leave as whatever does.
    pub fn run(&self, last_index: u64, now_ms: u64, leave: &dyn Leave) -> anyhow::Result<()> {
        let mut program = Program::new(&self.program).inherit(ENVIRONMENT);
        for word in &self.arguments {
            program = program
                .argument(word.replace("{index}", &last_index.to_string()).replace("{time}", &now_ms.to_string()));
        }
        let bounds = Bounds { time_limit: self.timeout, grace: GRACE, output_bytes: u64::MAX, ..Bounds::default() };
        let mut said = String::new();
        let end = process::run(&program, &bounds, leave, &mut |_, line| {
            if said.len() + line.len() < KEPT_BYTES {
                said.push_str(line);
                said.push('\n');
            }
        });
        let end = end.with_context(|| format!("the command {:?} came to nothing", self.program))?;
        let how = match end {
            End::Code(0) => return Ok(()),
            End::Code(code) => format!("exit status {code}"),
            End::Signal(signal) => format!("signal {signal}"),
        };
        anyhow::bail!("the command {:?} ended with {how}: {}", self.program, said.trim())
    }
}
