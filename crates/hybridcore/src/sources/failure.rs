//! Why git did not do what it was asked, sorted by what helps.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::leave::Stop;
use crate::retry::Transient;

/// The class of a failure. It decides about retries and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The other side cannot be reached, or the connection broke.
    Network,
    /// The time limit passed, or nothing came for too long.
    TimedOut,
    /// The other side does not believe who we are.
    Authentication,
    /// The other side is not who it should be.
    Identity,
    /// There is no repository at the address.
    NoRepository,
    /// The commit is not there.
    NoCommit,
    /// Local files are damaged or incomplete.
    Damaged,
    /// A mirror leaves out history or objects.
    Incomplete,
    /// A mirror is damaged.
    BadMirror,
    /// A mirror may not be read.
    Unreadable,
    /// A repository has a form that is not supported.
    Unsupported,
    /// A folder of ours belongs to another user.
    Owner,
    /// More than the limits allow.
    TooLarge,
    DiskFull,
    /// The folder cannot be written.
    Unwritable,
    /// Another program is at work in the working tree.
    Busy,
    /// Something that is not allowed.
    Refused,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Whether the same again may well succeed.
    pub fn is_transient(self) -> bool {
        matches!(self, FailureKind::Network | FailureKind::TimedOut)
    }

    pub fn remedy(self) -> &'static str {
        match self {
            FailureKind::Network => {
                "see that the network is up and the host is right, then run it again; without a network, set a mirror \
                 (`swoosh sources mirrors --help`)"
            }
            FailureKind::TimedOut => "run it again, or raise the time limit",
            FailureKind::Authentication => {
                "give credentials that may read it: an ssh agent (SSH_AUTH_SOCK), or for https a token that is bound to \
                 its address: sources.credentials in a node's settings, SWOOSH_GIT_TOKEN with SWOOSH_GIT_URL_PREFIX for \
                 commands"
            }
            FailureKind::Identity => {
                "see that it is the right host; for ssh add its key to ~/.ssh/known_hosts, for https let \
                 SSL_CERT_FILE name the authority that signed its certificate"
            }
            FailureKind::NoRepository => "see that the address is spelled right and that you may read it",
            FailureKind::NoCommit => "name a commit that the repository has",
            FailureKind::Damaged => "remove that folder and sync again",
            FailureKind::Incomplete => "mend the mirror, or name a whole one",
            FailureKind::BadMirror => {
                "look at the mirror with `git fsck`, and make it again with `git clone --mirror URL`"
            }
            FailureKind::Unreadable => {
                "let this user read it (chmod -R a+rX on the machine that writes the medium), or mount it for this user \
                 (mount -o uid=…), or copy it"
            }
            FailureKind::Unsupported => "name a mirror of another form: `git clone --mirror URL` with git's defaults",
            FailureKind::Owner => "give the folder to this user (chown -R), or run as its owner",
            FailureKind::TooLarge => "raise the limit under `limits`, if so much is wanted",
            FailureKind::DiskFull => "make room on that file system and run it again",
            FailureKind::Unwritable => "give this user write access to the folder and run it again",
            FailureKind::Busy => {
                "wait until that program is done; when none is, remove the .lock file inside .git that it names"
            }
            FailureKind::Refused => "use a repository without it, or one that may be read",
            FailureKind::Other => "see git's message, and run it again when that is mended",
        }
    }
}

/// A failure as the child tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub kind: FailureKind,
    pub detail: String,
}

/// Why git did not do what it was asked. Its text holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GitError {
    /// It says why.
    #[error("{what} failed: {}; {}", failure.detail, failure.kind.remedy())]
    Failed { what: &'static str, failure: Failure },
    /// It ended without an answer.
    #[error("{what} failed: git ended with {end}{}; {}", said(output), FailureKind::Other.remedy())]
    Ended {
        what: &'static str,
        /// The code or signal.
        end: String,
        /// The last lines that it wrote to either stream.
        output: String,
    },
    /// The work had to stop.
    #[error("{what} was interrupted: {stop}")]
    Stopped { what: &'static str, stop: Stop },
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(" and said {output:?}") }
}

impl GitError {
    /// The kind of failure; `None` when the work was stopped.
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            GitError::Failed { failure, .. } => Some(failure.kind),
            GitError::Ended { .. } => Some(FailureKind::Other),
            GitError::Stopped { .. } => None,
        }
    }

    /// Whether the same again may well succeed.
    pub fn is_transient(&self) -> bool {
        self.kind().is_some_and(FailureKind::is_transient)
    }
}

impl Transient for GitError {
    fn is_transient(&self) -> bool {
        GitError::is_transient(self)
    }
}

impl GitError {
    /// An answer to another question.
    pub(super) fn unexpected(what: &'static str, reply: &impl std::fmt::Debug) -> GitError {
        let detail = format!("git answered {reply:?}, which is no answer to that");
        GitError::Failed { what, failure: Failure { kind: FailureKind::Other, detail } }
    }
}
