//! One working tree: brought to a commit as a whole, or left unchanged.
//!
//! A new tree is made beside its place, in `.NAME.partial`, and renamed when it is complete. An existing tree is
//! inspected first: uncommitted changes, or another commit than the recorded one, stop the operation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::failure::{FailureKind, GitError};
use super::git::{Inspection, Remote, Reply, Request, Wanted};
use super::session::Session;
use crate::state::files::{self, WriteError};
use swoosh_types::text::{GitId, Name};

/// A working tree and the commit it should be at.
#[derive(Clone, Debug)]
pub struct Target {
    /// The source.
    pub name: Name,
    pub folder: PathBuf,
    /// Where its commits come from.
    pub remote: Remote,
    /// The commit.
    pub wanted: Wanted,
    /// Commit at which it was left; `None` if unknown.
    pub left_at: Option<GitId>,
    /// Whether it may only move on to descendants of where it was left.
    pub only_forward: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The tree of the wanted commit.
    pub tree: GitId,
    /// Whether anything had to be done.
    pub changed: bool,
}

/// Why a working tree is not at the wanted commit. The tree is unchanged.
#[derive(Debug, Error)]
pub enum TreeError {
    /// It has uncommitted changes.
    #[error(
        "{} has {changed} uncommitted change(s), {examples}; keep them elsewhere and clean it (git -C {} reset --hard \
         && git -C {} clean -fdx), or remove the folder, then run this again",
        folder.display(), folder.display(), folder.display()
    )]
    Dirty {
        folder: PathBuf,
        /// How many files.
        changed: u64,
        /// The first of them.
        examples: String,
    },
    /// It was moved by another program.
    #[error(
        "{} is at {found}, but was left at {left_at}; go back (git -C {} checkout --detach {left_at}), or force that \
         commit with its approval (swoosh sources pin --help), then run this again",
        folder.display(), folder.display()
    )]
    Diverged {
        folder: PathBuf,
        found: String,
        /// Where it should be.
        left_at: GitId,
    },
    /// The branch was rewritten.
    #[error(
        "the new commit {commit} of {name} does not descend from {left_at}, where it was left: the branch was \
         rewritten; look at what changed, then force the commit with its approval (swoosh sources pin --help)"
    )]
    Rewritten {
        /// The source.
        name: Name,
        /// The new commit.
        commit: GitId,
        /// The old one.
        left_at: GitId,
    },
    /// Its place holds something else.
    #[error("{} is {what}; move it away, and run this again", folder.display())]
    InTheWay { folder: PathBuf, what: &'static str },
    /// Git failed.
    #[error("{name}: {source}")]
    Git {
        /// The source.
        name: Name,
        #[source]
        source: GitError,
    },
    /// The file system failed.
    #[error("{} cannot be {verb} ({source}): {}", path.display(), files::remedy(source))]
    Files {
        path: PathBuf,
        /// The failed action.
        verb: &'static str,
        #[source]
        source: io::Error,
    },
    /// A marker cannot be written.
    #[error(transparent)]
    Marker(#[from] WriteError),
}

impl TreeError {
    /// Whether the same again may well succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, TreeError::Git { source, .. } if source.is_transient())
    }
}

/// How a working tree was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// A clone that was never finished.
    Partial,
    /// One that an interrupted checkout of ours left.
    Interrupted,
    /// One that can be used.
    Whole(Inspection),
}

/// Looks at a working tree; nothing is changed.
pub fn look(session: &Session<'_>, name: &Name, folder: &Path) -> Result<Found, TreeError> {
    let kind = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(if beside(folder, PARTIAL).exists() { Found::Partial } else { Found::Nothing });
        }
        Err(source) => return Err(TreeError::Files { path: folder.to_owned(), verb: "read", source }),
        Ok(metadata) => metadata.file_type(),
    };
    if !kind.is_dir() {
        let what = if kind.is_symlink() { "a symbolic link, which is not followed" } else { "no folder" };
        return Err(TreeError::InTheWay { folder: folder.to_owned(), what });
    }
    if beside(folder, BUSY).exists() {
        return Ok(Found::Interrupted);
    }
    let looked = session.ask_once(name, &Request::Inspect { folder: folder.to_owned() });
    match looked.clone() {
        Ok(Reply::Inspected(inspection)) if inspection.head.is_some() => Ok(Found::Whole(inspection)),
        Err(GitError::Stopped { what, stop }) => {
            Err(TreeError::Git { name: name.clone(), source: GitError::Stopped { what, stop } })
        }
        Err(source) if !matches!(source.kind(), Some(FailureKind::Damaged | FailureKind::NoRepository)) => {
            Err(TreeError::Git { name: name.clone(), source })
        }
        // No commit, or no repository. Without other files it is half a clone; other files could be a user's. A damaged
        // repository may have been whole and may hold a user's commits.
        Ok(_) | Err(_) if !is_damaged(&looked) && holds_nothing_but_git(folder) => Ok(Found::Partial),
        _ => Err(TreeError::InTheWay { folder: folder.to_owned(), what: "no whole git repository, but holds files" }),
    }
}

/// Refuses a working tree that must not be touched: dirty, or moved by another program.
pub fn refuse_strange(target: &Target, inspection: &Inspection) -> Result<(), TreeError> {
    let folder = target.folder.clone();
    if inspection.changed > 0 {
        let examples = inspection.examples.join(", ");
        return Err(TreeError::Dirty { folder, changed: inspection.changed, examples });
    }
    match (&target.left_at, &inspection.head) {
        (Some(left_at), Some(head)) if head != left_at && *head != target.wanted.commit => {
            Err(TreeError::Diverged { folder, found: head.to_string(), left_at: left_at.clone() })
        }
        _ => Ok(()),
    }
}

/// Refuses a working tree that was edited after an interrupted checkout: continuing would overwrite the edits.
pub fn refuse_edited(
    session: &Session<'_>,
    name: &Name,
    folder: &Path,
    left_at: Option<&GitId>,
) -> Result<(), TreeError> {
    let begun = fs::read_to_string(beside(folder, BUSY)).ok().and_then(|text| text.trim().parse().ok());
    let commits = begun.into_iter().chain(left_at.cloned()).collect();
    let request = Request::Edited { folder: folder.to_owned(), commits };
    let fail = |source| TreeError::Git { name: name.clone(), source };
    match session.ask_once(name, &request).map_err(fail)? {
        Reply::Edited { changed: 0, .. } => Ok(()),
        Reply::Edited { changed, examples } => {
            Err(TreeError::Dirty { folder: folder.to_owned(), changed, examples: examples.join(", ") })
        }
        other => Err(fail(GitError::unexpected(request.what(), &other))),
    }
}

/// Brings a working tree to its commit. The caller holds the lock of its folder, and calls [`settle`] when it has
/// recorded the commit.
pub fn bring(session: &Session<'_>, target: &Target) -> Result<Brought, TreeError> {
    clear_interrupted_fetch(target)?;
    match look(session, &target.name, &target.folder)? {
        Found::Nothing => make(session, target),
        Found::Partial => {
            session.note(&target.name, format!("removing an unfinished clone of {}", target.folder.display()));
            remove(&target.folder)?;
            make(session, target)
        }
        Found::Interrupted => {
            refuse_edited(session, &target.name, &target.folder, target.left_at.as_ref())?;
            session.note(&target.name, "finishing a checkout that was interrupted");
            remove_git_locks(&target.folder.join(".git"));
            move_on(session, target)
        }
        Found::Whole(inspection) => {
            refuse_strange(target, &inspection)?;
            match inspection {
                Inspection { head: Some(head), tree: Some(tree), .. } if head == target.wanted.commit => {
                    Ok(Brought { tree, changed: false })
                }
                _ => move_on(session, target),
            }
        }
    }
}

/// Has everything at hand that [`bring`] needs, without moving a working tree that is there; one that is not
/// is made. The caller holds the lock of its folder.
pub fn prepare(session: &Session<'_>, target: &Target) -> Result<(), TreeError> {
    clear_interrupted_fetch(target)?;
    match look(session, &target.name, &target.folder)? {
        Found::Whole(inspection) => {
            refuse_strange(target, &inspection)?;
            fetch_into(session, target)
        }
        Found::Nothing | Found::Partial | Found::Interrupted => bring(session, target).map(|_| ()),
    }
}

/// Removes lock files that a killed fetch left. The working tree is unchanged.
fn clear_interrupted_fetch(target: &Target) -> Result<(), TreeError> {
    let fetching = beside(&target.folder, FETCHING);
    if fetching.exists() {
        remove_git_locks(&target.folder.join(".git"));
        remove(&fetching)?;
    }
    Ok(())
}

/// Fetches into a working tree that is there.
fn fetch_into(session: &Session<'_>, target: &Target) -> Result<(), TreeError> {
    let fetching = beside(&target.folder, FETCHING);
    files::replace(&fetching, b"")?;
    let fetched = fetch(session, target, &target.folder, || ());
    if !matches!(fetched, Err(TreeError::Git { source: GitError::Stopped { .. } | GitError::Ended { .. }, .. })) {
        remove(&fetching)?;
    }
    fetched
}

/// A new working tree, beside its place until it is whole.
fn make(session: &Session<'_>, target: &Target) -> Result<Brought, TreeError> {
    let partial = beside(&target.folder, PARTIAL);
    remove(&partial)?;
    let fetched = fetch(session, target, &partial, || {
        session.log.clone().with("source", &target.name).warn("the clone is incomplete; cleaning it up");
        // A failed removal shows again when the next attempt writes there.
        let _ = fs::remove_dir_all(&partial);
    });
    let made = fetched.and_then(|()| check_out(session, target, &partial));
    let tree = match made {
        Ok(tree) => tree,
        Err(error) => {
            // The remains of a failed clone are useless; those of an interrupted one are removed by the next.
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
    };
    let rename = fs::rename(&partial, &target.folder);
    rename.map_err(|source| TreeError::Files { path: target.folder.clone(), verb: "put in place", source })?;
    Ok(Brought { tree, changed: true })
}

/// A working tree that is there, to another commit.
fn move_on(session: &Session<'_>, target: &Target) -> Result<Brought, TreeError> {
    fetch_into(session, target)?;
    if let Some(left_at) = target.left_at.clone().filter(|_| target.only_forward) {
        let (folder, commit) = (target.folder.clone(), target.wanted.commit.clone());
        let request = Request::Descends { folder, ancestor: left_at.clone(), descendant: commit.clone() };
        let reply = session.ask_once(&target.name, &request);
        let reply = reply.map_err(|source| TreeError::Git { name: target.name.clone(), source })?;
        if reply == (Reply::Descends { descends: false }) {
            return Err(TreeError::Rewritten { name: target.name.clone(), commit, left_at });
        }
    }
    let busy = beside(&target.folder, BUSY);
    files::replace(&busy, format!("{}\n", target.wanted.commit).as_bytes())?;
    let tree = check_out(session, target, &target.folder)?;
    Ok(Brought { tree, changed: true })
}

/// Marks a tree as recorded at its commit. Until then it counts as interrupted: a moved tree without a record would
/// look like one that another program moved.
pub fn settle(folder: &Path) -> Result<(), TreeError> {
    remove(&beside(folder, BUSY))
}

fn fetch(session: &Session<'_>, target: &Target, folder: &Path, before_retry: impl FnMut()) -> Result<(), TreeError> {
    let request = Request::Fetch {
        remote: target.remote.clone(),
        folder: folder.to_owned(),
        wanted: target.wanted.clone(),
        limits: session.rules.limits,
    };
    let fetched = session.ask(&target.name, &request, before_retry);
    fetched.map(|_| ()).map_err(|source| TreeError::Git { name: target.name.clone(), source })
}

fn check_out(session: &Session<'_>, target: &Target, folder: &Path) -> Result<GitId, TreeError> {
    let (folder, commit) = (folder.to_owned(), target.wanted.commit.clone());
    let request = Request::Checkout { folder, commit, limits: session.rules.limits };
    let fail = |source| TreeError::Git { name: target.name.clone(), source };
    match session.ask_once(&target.name, &request).map_err(fail)? {
        Reply::CheckedOut { tree } => Ok(tree),
        other => Err(fail(GitError::unexpected(request.what(), &other))),
    }
}

/// Ends the name of a clone that is not whole.
const PARTIAL: &str = "partial";
/// Ends the name of the file that says that a checkout was begun.
const BUSY: &str = "busy";

/// Ends the name of the file that says that a fetch was begun.
const FETCHING: &str = "fetching";

/// `sources/.NAME.SUFFIX`: names of sources never begin with a dot.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    folder.with_file_name(format!(".{name}.{suffix}"))
}

fn is_damaged(looked: &Result<Reply, GitError>) -> bool {
    matches!(looked, Err(error) if error.kind() == Some(FailureKind::Damaged))
}

fn holds_nothing_but_git(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().all(|entry| entry.file_name() == ".git")
}

fn remove(path: &Path) -> Result<(), TreeError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|source| TreeError::Files { path: path.to_owned(), verb: "removed", source })
}

/// Removes the lock files that a killed child left. Ours is the only program that was at work there.
fn remove_git_locks(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name() != "objects" {
            remove_git_locks(&path);
        } else if !is_folder && path.extension().is_some_and(|extension| extension == "lock") {
            // One that stays is named by the checkout that follows.
            let _ = fs::remove_file(&path);
        }
    }
}
