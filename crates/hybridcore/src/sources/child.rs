//! Git in a child process of our own program: a clean home, a cleared environment, bounds on everything.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureKind, GitError};
use super::git::{Git, Progress, Reply, Request};
use crate::leave::{Leave, Stop};
use crate::process::{self, Bounds, End, Program, RunError, Stream};

/// The hidden command of our program that answers requests.
pub const COMMAND: &str = "__git";
/// Variables that the child gets from us; everything else stays behind.
pub const INHERITED: &[&str] = &[
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "TMPDIR",
    "LANG",
];
/// Names the file of ssh host keys; `~/.ssh/known_hosts` when it is not set.
pub const KNOWN_HOSTS_VARIABLE: &str = "SWOOSH_SSH_KNOWN_HOSTS";
/// A home without any configuration.
const NO_HOME: &str = "/nonexistent";
/// How many lines of what a dying child says are kept.
const LAST_LINES: usize = 20;

/// The child's input: a request, and the parent's process id.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    pub request: Request,
    /// The child ends when this process does.
    pub parent: u32,
}

/// A line of the child's output.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Progress(Progress),
    Reply(Reply),
    Failed(Failure),
}

/// Time limits of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The most that one request may take; an hour by default.
    pub request: Duration,
    /// The most that the other side may be silent; two minutes by default.
    pub silence: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times { request: Duration::from_secs(3600), silence: Duration::from_secs(120) }
    }
}

/// Runs each request in a child process.
#[derive(Clone, Debug)]
pub struct ChildGit {
    program: PathBuf,
    times: Times,
    known_hosts: Option<PathBuf>,
}

impl ChildGit {
    /// Git in children of this program, which must be a `swoosh`.
    pub fn new(program: impl Into<PathBuf>) -> ChildGit {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh/known_hosts"));
        let known_hosts = std::env::var_os(KNOWN_HOSTS_VARIABLE).map(PathBuf::from).or(home);
        ChildGit { program: program.into(), times: Times::default(), known_hosts }
    }

    /// Git in children of the program that runs now, also when its file was replaced meanwhile.
    pub fn of_this_program() -> std::io::Result<ChildGit> {
        let own = Path::new("/proc/self/exe");
        Ok(ChildGit::new(if own.exists() { own.to_owned() } else { std::env::current_exe()? }))
    }

    /// The same with other time limits.
    #[must_use]
    pub fn within(mut self, times: Times) -> ChildGit {
        self.times = times;
        self
    }

    fn program(&self, request: &Request, home: &Path) -> Program {
        let envelope = Envelope { request: request.clone(), parent: std::process::id() };
        let mut program = Program::new(&self.program).argument(COMMAND).inherit(INHERITED).variable("HOME", home);
        program.input = serde_json::to_vec(&envelope).unwrap_or_default();
        program
    }
}

impl Git for ChildGit {
    fn run(
        &self,
        request: &Request,
        leave: &dyn Leave,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Reply, GitError> {
        let what = request.what();
        let home = Home::of(request, self.known_hosts.as_deref())
            .map_err(|source| failed(what, FailureKind::Unwritable, source))?;
        // A file has no remote side that could fall silent.
        let far = request.remote().filter(|remote| !remote.url.starts_with("file://"));
        let silence = far.map(|_| self.times.silence);
        let leave = Patient {
            leave,
            begun: Instant::now(),
            silence,
            heard_ms: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        };
        let bounds = Bounds {
            time_limit: self.times.request,
            grace: Duration::from_secs(2),
            output_bytes: 256 << 20,
            line_bytes: 64 << 20,
        };
        let (mut result, mut rest) = (None, Vec::new());
        let mut on_line = |stream: Stream, text: &str| match (stream, serde_json::from_str(text)) {
            (Stream::Output, Ok(Line::Progress(now))) => {
                leave.heard();
                progress(&now);
            }
            (Stream::Output, Ok(Line::Reply(reply))) => result = Some(Ok(reply)),
            (Stream::Output, Ok(Line::Failed(failure))) => result = Some(Err(GitError::Failed { what, failure })),
            _ => keep_last(&mut rest, text),
        };
        let end = process::run(&self.program(request, home.path()), &bounds, &leave, &mut on_line);
        match (end, result) {
            (Ok(_), Some(result)) => result,
            (Ok(end), None) => Err(GitError::Ended { what, end: describe(end), output: rest.join("\n") }),
            (Err(error), _) => Err(stopped(what, error, &leave)),
        }
    }
}

fn keep_last(lines: &mut Vec<String>, text: &str) {
    if lines.len() == LAST_LINES {
        lines.remove(0);
    }
    lines.push(text.chars().take(300).collect());
}

fn describe(end: End) -> String {
    match end {
        End::Code(code) => format!("code {code}"),
        End::Signal(signal) => format!("signal {signal}"),
    }
}

fn failed(what: &'static str, kind: FailureKind, detail: impl ToString) -> GitError {
    GitError::Failed { what, failure: Failure { kind, detail: detail.to_string() } }
}

fn stopped(what: &'static str, error: RunError, leave: &Patient<'_>) -> GitError {
    match error {
        RunError::Stopped { .. } if leave.silent.load(Ordering::Acquire) => {
            let seconds = leave.silence.unwrap_or_default().as_secs();
            failed(what, FailureKind::TimedOut, format!("the other side was silent for {seconds} s"))
        }
        RunError::Stopped { stop, .. } => GitError::Stopped { what, stop },
        RunError::TimedOut { limit_s, .. } => {
            failed(what, FailureKind::TimedOut, format!("it took longer than {limit_s} s"))
        }
        RunError::TooMuchOutput { .. } => failed(what, FailureKind::TooLarge, error),
        other => failed(what, FailureKind::Other, other),
    }
}

/// The caller's leave, which also ends when the other side was silent for too long.
struct Patient<'a> {
    leave: &'a dyn Leave,
    begun: Instant,
    silence: Option<Duration>,
    heard_ms: AtomicU64,
    silent: AtomicBool,
}

impl Patient<'_> {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn heard(&self) {
        self.heard_ms.store(self.elapsed_ms(), Ordering::Release);
    }
}

impl Leave for Patient<'_> {
    fn stop(&self) -> Option<Stop> {
        let since = Duration::from_millis(self.elapsed_ms().saturating_sub(self.heard_ms.load(Ordering::Acquire)));
        if self.silence.is_some_and(|silence| since > silence) {
            self.silent.store(true, Ordering::Release);
            return Some(Stop::Cancelled);
        }
        self.leave.stop()
    }
}

/// A home folder that holds the ssh host keys and nothing else, or none at all.
enum Home {
    None,
    Made(tempfile::TempDir),
}

impl Home {
    fn of(request: &Request, known_hosts: Option<&Path>) -> std::io::Result<Home> {
        let is_ssh = request.remote().is_some_and(|remote| remote.url.starts_with("ssh://"));
        let Some(known_hosts) = known_hosts.filter(|path| is_ssh && path.is_file()) else { return Ok(Home::None) };
        let home = tempfile::Builder::new().prefix("swoosh-git-").tempdir()?;
        std::fs::create_dir(home.path().join(".ssh"))?;
        std::fs::copy(known_hosts, home.path().join(".ssh/known_hosts"))?;
        Ok(Home::Made(home))
    }

    fn path(&self) -> &Path {
        match self {
            Home::None => Path::new(NO_HOME),
            Home::Made(folder) => folder.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;
    use crate::sources::git::Remote;

    fn run(script: &str, times: Times) -> Result<Reply, GitError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("fake");
        crate::process::tests::write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        let request = Request::List { remote: Remote::open("https://h.example/a") };
        ChildGit::new(&program).within(times).run(&request, &Always, &mut |_| ())
    }

    #[test]
    fn mocked_failure_output_and_remedy_of_a_nonzero_exit_propagate() {
        let error =
            run("cat >/dev/null; echo from-stdout; echo from-stderr >&2; exit 3", Times::default()).unwrap_err();
        let GitError::Ended { end, output, .. } = &error else { panic!("{error}") };
        assert_eq!(end, "code 3");
        assert!(output.contains("from-stdout") && output.contains("from-stderr"), "{output}");
        let text = error.to_string();
        assert!(text.contains("from-stderr") && text.contains(FailureKind::Other.remedy()), "{text}");
    }

    #[test]
    fn a_child_gets_the_request_and_an_environment_without_ours() {
        let script = r#"read line
case "$line" in *'"operation":"list"'*'https://h.example/a'*) ;; *) echo "$line" >&2; exit 1;; esac
[ "$1" = __git ] || exit 2
[ "$HOME" = /nonexistent ] || exit 3
[ -z "$CARGO_MANIFEST_DIR" ] || exit 4
echo '{"reply":{"reply":"refs","refs":[]}}'"#;
        assert_eq!(run(script, Times::default()).unwrap(), Reply::Refs { refs: Vec::new() });
    }

    #[test]
    fn a_silent_server_and_one_that_takes_forever_are_given_up() {
        let brief = Duration::from_millis(200);
        let silent = Times { request: Duration::from_secs(600), silence: brief };
        let error = run("sleep 600", silent).unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("was silent"), "{error}");
        let slow = Times { request: brief, silence: Duration::from_secs(600) };
        let error = run("sleep 600", slow).unwrap_err();
        assert!(error.to_string().contains("it took longer"), "{error}");
    }
}
