//! The scenarios of docs/hybridcore.md, with git played by a script.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use super::binding::Wallet;
use super::failure::{Failure, FailureKind, GitError};
use super::git::{Digest, Git, Inspection, Progress, Remote, RemoteRef, Reply, Request, Survey};
use super::mirrors::MirrorTable;
use super::retry::Waiter;
use super::session::{Event, Rules, Session, Workspace};
use crate::leave::{Cancellable, Leave};
use crate::logs::{Logger, Redactor, Rotation};
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitId, Name};

mod records;
mod recovery;
mod requests;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A commit or tree id out of one digit.
fn id(digit: char) -> GitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn network() -> GitError {
    failed(FailureKind::Network)
}

fn failed(kind: FailureKind) -> GitError {
    GitError::Failed { what: "fetching", failure: Failure { kind, detail: "as the test wants".to_owned() } }
}

/// Git as a test wants it: remotes have references, folders have heads, and some requests fail.
#[derive(Default)]
struct FakeGit {
    asked: Mutex<Vec<Request>>,
    /// References by name, with their commits.
    refs: Mutex<BTreeMap<String, GitId>>,
    /// Heads by folder.
    heads: Mutex<BTreeMap<String, GitId>>,
    /// Changed files by folder.
    changes: Mutex<BTreeMap<String, u64>>,
    /// Files by folder that no checkout can have left.
    edits: Mutex<BTreeMap<String, u64>>,
    /// Failures of requests to come, by what is asked.
    failures: Mutex<Vec<(&'static str, GitError)>>,
    rewritten: bool,
    /// The content of every tree.
    survey: Mutex<Survey>,
}

impl FakeGit {
    fn with_refs(refs: &[(&str, char)]) -> FakeGit {
        let git = FakeGit::default();
        *git.survey.lock().unwrap() = Survey { files: 3, bytes: 30, ..Survey::default() };
        refs.iter().for_each(|(name, digit)| git.point(name, *digit));
        git
    }

    fn point(&self, name: &str, digit: char) {
        self.refs.lock().unwrap().insert(name.to_owned(), id(digit));
    }

    fn fail_next(&self, what: &'static str, error: GitError) {
        self.failures.lock().unwrap().push((what, error));
    }

    fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn whats(&self) -> Vec<&'static str> {
        self.asked().iter().map(Request::what).collect()
    }

    fn answer(&self, request: &Request) -> Reply {
        match request {
            Request::List { .. } => {
                let one = |(name, commit): (&String, &GitId)| RemoteRef {
                    name: name.clone(),
                    commit: commit.clone(),
                    symref: None,
                };
                Reply::Refs { refs: self.refs.lock().unwrap().iter().map(one).collect() }
            }
            Request::Fetch { .. } => Reply::Fetched { received_bytes: 1 },
            Request::Checkout { folder, commit, .. } => {
                // A new tree is renamed when it is whole.
                let file = folder.file_name().unwrap().to_str().unwrap();
                let place = folder.with_file_name(file.trim_start_matches('.').trim_end_matches(".partial"));
                self.heads.lock().unwrap().insert(place.display().to_string(), commit.clone());
                Reply::CheckedOut { tree: id('e') }
            }
            Request::Inspect { folder } => {
                let key = folder.display().to_string();
                let head = self.heads.lock().unwrap().get(&key).cloned();
                let changed = self.changes.lock().unwrap().get(&key).copied().unwrap_or(0);
                let examples = (0..changed).map(|n| format!("File-{n}")).collect();
                Reply::Inspected(Inspection { tree: head.as_ref().map(|_| id('e')), head, changed, examples })
            }
            Request::Edited { folder, .. } => {
                let changed = self.edits.lock().unwrap().get(&folder.display().to_string()).copied().unwrap_or(0);
                Reply::Edited { changed, examples: (0..changed).map(|n| format!("edit-{n}")).collect() }
            }
            Request::Descends { .. } => Reply::Descends { descends: !self.rewritten },
            Request::Survey { .. } => Reply::Surveyed(self.survey.lock().unwrap().clone()),
            Request::Digest { .. } => Reply::Digested(Digest { content: Hash::of(b""), files: 3, bytes: 30 }),
        }
    }
}

impl Git for FakeGit {
    fn run(
        &self,
        request: &Request,
        leave: &dyn Leave,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Reply, GitError> {
        if let Some(stop) = leave.stop() {
            return Err(GitError::Stopped { what: request.what(), stop });
        }
        self.asked.lock().unwrap().push(request.clone());
        if let Request::Fetch { folder, .. } = request {
            fs::create_dir_all(folder.join(".git")).unwrap();
            fs::write(folder.join(".git/half"), "half").unwrap();
        }
        let mut failures = self.failures.lock().unwrap();
        if let Some(at) = failures.iter().position(|(what, _)| *what == request.what()) {
            return Err(failures.remove(at).1);
        }
        drop(failures);
        progress(&Progress { phase: super::git::Phase::Receiving, done: 1, total: 1, bytes: 1 });
        Ok(self.answer(request))
    }
}

/// Remembers waits and lets no time pass.
#[derive(Default)]
struct Waits(Mutex<Vec<u64>>);

impl Waiter for Waits {
    fn wait(&self, delay: Duration, _leave: &dyn Leave) {
        self.0.lock().unwrap().push(delay.as_millis().try_into().unwrap());
    }
}

/// A workspace with a script for git.
struct World {
    folder: tempfile::TempDir,
    git: FakeGit,
    waits: Waits,
    leave: Cancellable,
    mirrors: MirrorTable,
    patience: Duration,
}

/// 2025-10-19T01:23:45.678Z.
const NOW_MS: u64 = 1_760_837_025_678;

fn now_ms() -> u64 {
    NOW_MS
}

fn ignore(_event: &Event) {}

impl World {
    fn new(git: FakeGit) -> World {
        World {
            folder: tempfile::tempdir().unwrap(),
            git,
            waits: Waits::default(),
            leave: Cancellable::default(),
            mirrors: MirrorTable::default(),
            patience: Duration::ZERO,
        }
    }

    fn session(&self) -> Session<'_> {
        let workspace = Workspace::new(self.folder.path());
        let log = Logger::to_folder(&workspace.logs(), "sources", Rotation::default(), Redactor::default()).unwrap();
        let floating = [(name("beta"), "main".parse().unwrap())].into();
        Session {
            workspace,
            git: &self.git,
            leave: &self.leave,
            events: &ignore,
            log,
            operator: "olga".to_owned(),
            command_id: "cmd-1".to_owned(),
            rules: Rules { floating, patience: self.patience, ..Rules::default() },
            mirrors: self.mirrors.clone(),
            wallet: Wallet::default(),
            waiter: &self.waits,
            now_ms,
        }
    }

    fn tree(&self, source: &str) -> String {
        self.folder.path().join("sources").join(source).display().to_string()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("logs/sources.log")).unwrap()
    }

    fn state(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join("state").join(file)).unwrap_or_default()
    }

    /// Everything in the state folder but its lock.
    fn all_state(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.folder.path().join("state")).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").map(|name| (name.clone(), self.state(&name))).collect()
    }
}

/// Sources by name and reference.
fn set(sources: &[(&str, &str)]) -> SourceSet {
    let spec = |source: &str, reference: &str| SourceSpec {
        url: format!("https://h.example/{source}.git").parse().unwrap(),
        reference: reference.parse().unwrap(),
    };
    sources.iter().map(|(source, reference)| (name(source), spec(source, reference))).collect()
}

fn remote(source: &str) -> Remote {
    Remote::open(format!("https://h.example/{source}.git"))
}
