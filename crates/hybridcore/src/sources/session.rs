//! Context of every operation on sources: folders, the git back end, and the receiver of events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::binding::Wallet;
use super::failure::GitError;
use super::fence::Fence;
use super::git::{Git, Limits, Progress, Remote, Reply, Request};
use super::mirrors::{MirrorTable, Route};
use super::retry::{RetryPolicy, Waiter};
use crate::leave::Leave;
use crate::logs::Logger;
use swoosh_types::text::{GitRef, Name};

/// The folders of one set of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace whose folders stand in `root`, an absolute path.
    pub fn new(root: impl Into<PathBuf>) -> Workspace {
        Workspace { root: root.into() }
    }

    /// The folder of all of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The working trees: `sources/`.
    pub fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    /// The state documents: `state/`.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The logs: `logs/`.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// One source's working tree.
    pub fn tree(&self, name: &Name) -> PathBuf {
        self.sources().join(name.as_str())
    }
}

/// Permissions and retry limits.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Sources that may follow a branch, and which.
    pub floating: BTreeMap<Name, GitRef>,
    /// Bounds on repositories.
    pub limits: Limits,
    /// Tries.
    pub retry: RetryPolicy,
    /// How long to wait for another writer.
    pub patience: Duration,
    /// Where `file://` may lead; anywhere where it is left out, as on the command line.
    pub fence: Option<Fence>,
}

/// Progress of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Work on a source began.
    Begun {
        /// The source.
        name: Name,
    },
    /// How far it is.
    Progress {
        /// The source.
        name: Name,
        /// How far.
        progress: Progress,
    },
    /// A try failed; there will be another.
    Retrying {
        /// The source.
        name: Name,
        error: String,
        /// The wait before the next, in milliseconds.
        delay_ms: u64,
    },
    /// Something worth knowing, in words.
    Noted {
        /// The source.
        name: Name,
        text: String,
    },
    /// Work on a source ended.
    Ended {
        /// The source.
        name: Name,
        /// Whether it did what it should.
        ok: bool,
        text: String,
    },
}

/// A text about a thing without the thing's name at its beginning, for lines that begin with the name themselves.
pub fn without_name<'a>(name: &str, text: &'a str) -> &'a str {
    text.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text)
}

/// One operator's work on a workspace.
pub struct Session<'a> {
    pub workspace: Workspace,
    /// The git back end.
    pub git: &'a dyn Git,
    /// May stop the work.
    pub leave: &'a dyn Leave,
    /// Receiver of events. Parallel fetches call it from several threads.
    pub events: &'a (dyn Fn(&Event) + Sync),
    pub log: Logger,
    /// In whose name: the person or program that is recorded.
    pub operator: String,
    /// This run's id, which log lines, records and audit entries share.
    pub command_id: String,
    pub rules: Rules,
    /// Mirrors in force.
    pub mirrors: MirrorTable,
    /// Credentials.
    pub wallet: Wallet,
    /// Waits between attempts.
    pub waiter: &'a dyn Waiter,
    /// The clock: milliseconds since 1970.
    pub now_ms: fn() -> u64,
}

impl Session<'_> {
    /// The time now, RFC 3339.
    pub fn now(&self) -> String {
        swoosh_types::civil::rfc3339((self.now_ms)())
    }

    /// Sends a note to the receiver of events and to the log.
    pub fn note(&self, name: &Name, text: impl Into<String>) {
        let text = text.into();
        self.log.clone().with("source", name).info(&text);
        (self.events)(&Event::Noted { name: name.clone(), text });
    }

    /// The other side of a route, with the credentials that are bound to its very address.
    pub fn remote(&self, route: &Route) -> Remote {
        let url = route.address.as_str();
        let fence = self.rules.fence.as_ref().filter(|_| route.address.scheme() == "file");
        let fence = fence.map(|fence| if route.mirror.is_some() { fence.for_mirror() } else { fence.clone() });
        Remote { url: url.to_owned(), credentials: self.wallet.for_address(url).cloned(), fence }
    }

    pub(super) fn ask_once(&self, name: &Name, request: &Request) -> Result<Reply, GitError> {
        let mut tell = |progress: &Progress| {
            (self.events)(&Event::Progress { name: name.clone(), progress: progress.clone() });
        };
        self.git.run(request, self.leave, &mut tell)
    }

    /// Asks git, again where that may help; `before_retry` cleans up what a failed try left.
    pub(super) fn ask(
        &self,
        name: &Name,
        request: &Request,
        mut before_retry: impl FnMut(),
    ) -> Result<Reply, GitError> {
        let log = self.log.clone().with("source", name);
        let between = |error: &GitError, delay: Duration| {
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            log.warn(&format!("{error}; trying again in {delay_ms} ms"));
            (self.events)(&Event::Retrying { name: name.clone(), error: error.to_string(), delay_ms });
            before_retry();
        };
        self.rules.retry.run(self.waiter, self.leave, || self.ask_once(name, request), between)
    }
}
