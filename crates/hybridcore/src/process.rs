//! Child processes that cannot run away: argument lists and no shell, a cleared environment, a process
//! group of their own, a time limit, a bound on output, and an interrupt before the kill.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

use super::leave::{Leave, Stop};

pub mod sentinel;

use sentinel::Sentinel;

/// Between two looks at clock, leave and child.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the output of a child that has ended may keep coming, from grandchildren that hold its pipes.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Lines that wait to be looked at; a flood waits in the child's pipe.
const LINES_IN_FLIGHT: usize = 256;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program: a path, or a name that is looked up in this process's `PATH`.
    pub program: OsString,
    /// Its arguments, never read by a shell.
    pub arguments: Vec<OsString>,
    /// Where it runs; here when left out.
    pub folder: Option<PathBuf>,
    /// Its whole environment; nothing is inherited.
    pub environment: BTreeMap<OsString, OsString>,
    /// Bytes for its standard input; none if empty.
    pub input: Vec<u8>,
    /// A `swoosh` program whose [`sentinel`] ends it when this process is killed; none when left out.
    pub sentinel: Option<PathBuf>,
}

impl Program {
    /// A program without arguments, in an environment that holds `PATH` alone.
    pub fn new(program: impl Into<OsString>) -> Program {
        let mut environment = BTreeMap::new();
        environment.extend(std::env::var_os("PATH").map(|path| (OsString::from("PATH"), path)));
        Program {
            program: program.into(),
            arguments: Vec::new(),
            folder: None,
            environment,
            input: Vec::new(),
            sentinel: None,
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Program {
        self.arguments.push(argument.into());
        self
    }

    /// The same with one more variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Program {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The same with those of this process's variables that are on the list.
    #[must_use]
    pub fn inherit(mut self, names: &[&str]) -> Program {
        let inherited = names.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        self.environment.extend(inherited);
        self
    }

    #[expect(clippy::disallowed_methods, reason = "its caller asks the gate before and while it runs")]
    fn spawn(&self) -> io::Result<Child> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.spawn()
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most that it may run.
    pub time_limit: Duration,
    /// Between the interrupt and the kill.
    pub grace: Duration,
    /// The most that it may write to both streams together, in bytes.
    pub output_bytes: u64,
    /// Longer lines are cut there.
    pub line_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            time_limit: Duration::from_secs(600),
            grace: Duration::from_secs(10),
            output_bytes: 64 << 20,
            line_bytes: 64 << 10,
        }
    }
}

/// Which of its streams a child wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// How a child ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended with this code; 0 says that all is well.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Why a child did not end by itself, or never began.
#[derive(Debug, Error)]
pub enum RunError {
    /// There is no such program.
    #[error("{program} is not installed, or not in PATH; install it and run this again")]
    Missing { program: String },
    /// It cannot be started.
    #[error("{program} cannot be started ({source}); see that it may be executed and that its folder is there")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    /// It ran too long and was ended.
    #[error("{program} was ended after {limit_s} s, its time limit; raise the limit, or find out what it waits for")]
    TimedOut {
        program: String,
        /// The limit in seconds.
        limit_s: u64,
    },
    /// It wrote too much and was ended.
    #[error("{program} was ended after {limit} bytes of output, its limit; make it say less")]
    TooMuchOutput {
        program: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// It had to stop.
    #[error("{program} was interrupted: {stop}")]
    Stopped { program: String, stop: Stop },
    /// The system lost sight of it.
    #[error("{program} cannot be waited for: {source}")]
    Wait {
        program: String,
        #[source]
        source: io::Error,
    },
}

/// Runs a program to its end. `on_line` sees each line of both streams as it comes, in the order of each
/// stream, cut to the bound, with what is no UTF-8 replaced.
pub fn run(
    program: &Program,
    bounds: &Bounds,
    leave: &dyn Leave,
    on_line: &mut dyn FnMut(Stream, &str),
) -> Result<End, RunError> {
    if let Some(stop) = leave.stop() {
        return Err(RunError::Stopped { program: program.name(), stop });
    }
    let mut child = program.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if program.folder.as_ref().is_none_or(|folder| folder.is_dir()) => {
            RunError::Missing { program: program.name() }
        }
        _ => RunError::Spawn { program: program.name(), source },
    })?;
    // Without one the child is no worse off than without asking for one.
    let sentinel = program.sentinel.as_ref();
    let _sentinel = sentinel.and_then(|own| Sentinel::start(own.as_os_str(), child.id(), bounds.grace).ok());
    let lines = read_streams(&mut child, &program.input, bounds.line_bytes);
    let mut watch = Watch { program, bounds, leave, child, begun: Instant::now(), seen: 0 };
    let result = watch.until_end(&lines, on_line);
    watch.end_group();
    let end = result?;
    watch.last_words(&lines, on_line);
    Ok(end)
}

struct Line {
    stream: Stream,
    /// `None` for what was cut off a long line, which only counts.
    text: Option<String>,
    /// As many as came, however long the line was cut.
    bytes: u64,
}

/// Threads that read both streams and write the input; they end with the child's pipes.
fn read_streams(child: &mut Child, input: &[u8], line_bytes: usize) -> Receiver<Line> {
    let (sender, lines) = sync_channel(LINES_IN_FLIGHT);
    if let Some(output) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || read_lines(output, Stream::Output, line_bytes, &sender));
    }
    if let Some(error) = child.stderr.take() {
        thread::spawn(move || read_lines(error, Stream::Error, line_bytes, &sender));
    }
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A child that does not read its input is no error; its pipe breaks when it ends.
        thread::spawn(move || stdin.write_all(&input));
    }
    lines
}

fn read_lines(from: impl Read, stream: Stream, line_bytes: usize, to: &SyncSender<Line>) {
    let mut reader = BufReader::new(from);
    let (mut kept, mut bytes, mut is_cut) = (Vec::new(), 0, false);
    while let Ok(chunk) = reader.fill_buf() {
        if chunk.is_empty() {
            break;
        }
        let (part, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&chunk[..at], true),
            None => (chunk, false),
        };
        let room = line_bytes.saturating_sub(kept.len()).min(part.len());
        kept.extend_from_slice(&part[..room]);
        let used = part.len() + usize::from(ended);
        bytes += used as u64;
        reader.consume(used);
        // A line without an end is counted as it comes, or a flood of it would never be noticed.
        if ended || bytes >= line_bytes as u64 {
            let text = take_text(&mut kept);
            let text = (!is_cut).then_some(text);
            is_cut = !ended;
            if to.send(Line { stream, text, bytes: std::mem::take(&mut bytes) }).is_err() {
                return;
            }
        }
    }
    if !kept.is_empty() {
        let text = Some(take_text(&mut kept)).filter(|_| !is_cut);
        let _ = to.send(Line { stream, text, bytes });
    }
}

fn take_text(bytes: &mut Vec<u8>) -> String {
    let text = String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
    bytes.clear();
    text
}

struct Watch<'a> {
    program: &'a Program,
    bounds: &'a Bounds,
    leave: &'a dyn Leave,
    child: Child,
    begun: Instant,
    seen: u64,
}

impl Watch<'_> {
    fn until_end(&mut self, lines: &Receiver<Line>, on_line: &mut dyn FnMut(Stream, &str)) -> Result<End, RunError> {
        loop {
            match lines.recv_timeout(LOOK_AGAIN) {
                Ok(line) => {
                    self.hear(&line, on_line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Both streams are closed: nothing comes but the end.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(1)),
            }
            let wait = |source| RunError::Wait { program: self.program.name(), source };
            if let Some(status) = self.child.try_wait().map_err(wait)? {
                return Ok(end_of(status));
            }
            if let Some(error) = self.why_stop() {
                self.interrupt(lines);
                return Err(error);
            }
        }
    }

    fn why_stop(&self) -> Option<RunError> {
        let program = || self.program.name();
        if let Some(stop) = self.leave.stop() {
            return Some(RunError::Stopped { program: program(), stop });
        }
        if self.seen > self.bounds.output_bytes {
            return Some(RunError::TooMuchOutput { program: program(), limit: self.bounds.output_bytes });
        }
        let limit_s = self.bounds.time_limit.as_secs();
        (self.begun.elapsed() > self.bounds.time_limit).then(|| RunError::TimedOut { program: program(), limit_s })
    }

    /// Asks the group to end, and waits for the child as long as the grace lasts. What it still says is
    /// read, so that it does not hang on a full pipe, and thrown away.
    fn interrupt(&mut self, lines: &Receiver<Line>) {
        self.signal(Signal::INT);
        let asked = Instant::now();
        while asked.elapsed() < self.bounds.grace {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            let _ = lines.recv_timeout(Duration::from_millis(10));
        }
    }

    /// Kills whatever of the group is left, so that no grandchild outlives the run.
    fn end_group(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // A group that is gone already is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    fn last_words(&mut self, lines: &Receiver<Line>, on_line: &mut dyn FnMut(Stream, &str)) {
        let ended = Instant::now();
        while let Some(left) = LAST_WORDS.checked_sub(ended.elapsed())
            && self.seen <= self.bounds.output_bytes
            && let Ok(line) = lines.recv_timeout(left)
        {
            self.hear(&line, on_line);
        }
    }

    fn hear(&mut self, line: &Line, on_line: &mut dyn FnMut(Stream, &str)) {
        self.seen += line.bytes;
        if let Some(text) = &line.text {
            on_line(line.stream, text);
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
pub mod tests;
