//! The child's side: reads one request, performs it with libgit2, and writes the result.
//!
//! Nothing in a repository makes us run anything: libgit2 knows no hooks and no external filters, submodules are
//! left alone, symbolic links become plain files that hold their target, and the system's configuration is not read.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use git2::{ErrorClass, ErrorCode};

use super::child::{Envelope, Line};
use super::failure::{Failure, FailureKind};
use super::git::{Phase, Progress, Reply, Request};
use crate::logs::Redactor;

mod digest;
mod edited;
mod index;
mod local;
mod mirror;
mod packs;
mod remote;
mod survey;
mod tree;

/// The most that a request may be long, in bytes.
const REQUEST_BYTES: u64 = 1 << 20;
/// Between two lines of progress.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// Answers the request on standard input. Returns whether it was done.
pub fn serve() -> bool {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(REQUEST_BYTES).read_to_end(&mut input);
    let envelope: Envelope = match read.map(|_| serde_json::from_slice(&input)) {
        Ok(Ok(envelope)) => envelope,
        _ => {
            eprintln!("this command is how swoosh talks to itself; for sources, see `swoosh sources --help`");
            return false;
        }
    };
    if !end_with(envelope.parent) {
        return false;
    }
    let mut said = Said::default();
    match answer(&envelope.request, &mut said) {
        Ok(reply) => write(&Line::Reply(reply)).is_ok(),
        Err(mut failure) => {
            failure.detail = redactor(&envelope.request).clean(&failure.detail);
            let _ = write(&Line::Failed(failure));
            false
        }
    }
}

/// Has the system kill this process when the one that asked dies; a clone must not go on without its lock.
fn end_with(parent: u32) -> bool {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let armed = set_parent_process_death_signal(Some(Signal::KILL));
    let alive = getppid().is_some_and(|id| u32::try_from(id.as_raw_nonzero().get()) == Ok(parent));
    armed.is_ok() && alive
}

fn redactor(request: &Request) -> Redactor {
    let credentials = request.remote().and_then(|remote| remote.credentials.as_ref());
    Redactor::new(credentials.map(|credentials| credentials.password.clone()))
}

fn answer(request: &Request, said: &mut Said) -> Result<Reply, Failure> {
    match request {
        Request::List { remote } => remote::list(remote),
        Request::Fetch { remote, folder, wanted, limits } => remote::fetch(remote, folder, wanted, limits, said),
        Request::Checkout { folder, commit, limits } => tree::checkout(folder, commit, limits, said),
        Request::Inspect { folder } => tree::inspect(folder),
        Request::Edited { folder, commits } => edited::edited(folder, commits),
        Request::Descends { folder, ancestor, descendant } => tree::descends(folder, ancestor, descendant),
        Request::Survey { folder, commit, rules } => tree::survey(folder, commit, rules.as_deref(), said),
        Request::Digest { folder, commit, list, limits } => digest::digest(folder, commit, list, limits, said),
    }
}

fn write(line: &Line) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Time of the last progress report.
#[derive(Default)]
struct Said {
    last: Option<(Instant, Phase)>,
}

impl Said {
    /// Tells progress, not too often. Returns whether anybody listens still.
    fn tell(&mut self, progress: &Progress) -> bool {
        let is_news = self.last.is_none_or(|(at, phase)| phase != progress.phase || at.elapsed() >= TELL_AGAIN);
        if !is_news {
            return true;
        }
        self.last = Some((Instant::now(), progress.phase));
        write(&Line::Progress(progress.clone())).is_ok()
    }
}

fn failure(kind: FailureKind, detail: impl Into<String>) -> Failure {
    Failure { kind, detail: detail.into() }
}

/// A failure of libgit2 while it talked to another side. Only what the connection may have done is the network's.
fn far(url: &str, error: &git2::Error) -> Failure {
    let text = error.message();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let kind = match (common(error), error.class()) {
        (Some(kind), _) => kind,
        (None, _) if is_unknown(error) => FailureKind::NoRepository,
        (None, _) if says(&["shallow", "missing", "no match for id", "repository corruption"]) => {
            FailureKind::Incomplete
        }
        (None, _) if says(&["object format", "object-format", "unsupported", "not supported"]) => {
            FailureKind::Unsupported
        }
        (
            None,
            ErrorClass::None
            | ErrorClass::Os
            | ErrorClass::Net
            | ErrorClass::Http
            | ErrorClass::Ssl
            | ErrorClass::Ssh
            | ErrorClass::Callback
            | ErrorClass::Indexer
            | ErrorClass::Zlib,
        ) => FailureKind::Network,
        (None, _) => FailureKind::BadMirror,
    };
    // How libgit2 takes the list of references of a clone whose history is cut.
    if kind == FailureKind::Network && text.contains("invalid packet line") {
        let detail = format!(
            "{url}: {text}; a shallow clone is served like that: mend it with `git fetch --unshallow` there, or serve a whole one \
             (git clone --mirror URL)"
        );
        return failure(FailureKind::Incomplete, detail);
    }
    failure(kind, format!("{url}: {text}"))
}

/// A failure of libgit2 in a folder of ours.
fn near(folder: &std::path::Path, error: &git2::Error) -> Failure {
    let kind = match (common(error), error.class()) {
        (Some(kind), _) => kind,
        (None, ErrorClass::Repository) if error.code() == ErrorCode::NotFound => FailureKind::NoRepository,
        _ => FailureKind::Damaged,
    };
    failure(kind, format!("{}: {}", folder.display(), error.message()))
}

fn common(error: &git2::Error) -> Option<FailureKind> {
    let text = error.message();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["No space left", "Disk quota exceeded", "File too large"]) {
        return Some(FailureKind::DiskFull);
    }
    if says(&["status code: 5", "status code: 429", "status code: 408"]) {
        return Some(FailureKind::Network);
    }
    match error.code() {
        ErrorCode::Auth => Some(FailureKind::Authentication),
        ErrorCode::Certificate => Some(FailureKind::Identity),
        ErrorCode::Timeout => Some(FailureKind::TimedOut),
        ErrorCode::Locked => Some(FailureKind::Busy),
        ErrorCode::Owner => Some(FailureKind::Owner),
        _ if says(&["status code: 401", "status code: 403", "authentication"]) => Some(FailureKind::Authentication),
        _ if says(&["SSL", "certificate"]) && error.class() == ErrorClass::Ssl => Some(FailureKind::Identity),
        _ if says(&["Read-only file system"]) => Some(FailureKind::Unwritable),
        _ if says(&["Permission denied"]) && error.class() == ErrorClass::Os => Some(FailureKind::Unwritable),
        _ => None,
    }
}

fn is_unknown(error: &git2::Error) -> bool {
    let text = error.message();
    let no_path = error.class() == ErrorClass::Os && text.contains("No such file or directory");
    let no_repository = error.class() == ErrorClass::Repository && error.code() == ErrorCode::NotFound;
    no_path || no_repository || text.contains("status code: 404") || text.contains("not found")
}
