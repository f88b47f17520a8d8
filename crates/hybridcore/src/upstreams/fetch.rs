//! `make fetch`: every upstream at its pin, side by side.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;
use thiserror::Error;

use super::FOLDER;
use crate::sources::git::Wanted;
use crate::sources::resolve::{self, RefKind, ResolveError};
use crate::sources::tree::{self, Found, Target, TreeError};
use crate::sources::{Event, Session};
use crate::state::{Lock, LockError};
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitId, GitRef, Name};

/// How many are fetched at once.
const AT_ONCE: usize = 4;

/// One upstream and the result of its fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// Its folder's name.
    pub name: Name,
    /// Its pin.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// The commit that is there.
    pub commit_sha: Option<GitId>,
    /// That commit's tree.
    pub tree_sha: Option<GitId>,
    /// Why it is not at its pin, and what to do.
    pub error: Option<String>,
}

/// Why an upstream is not at its pin.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Another fetch is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The pin means nothing.
    #[error("{error}{place}", error = .0, place = pin_place(.0))]
    Resolve(#[from] ResolveError),
    /// The working tree cannot be brought there.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The tag was moved upstream since it was fetched.
    #[error(
        "{name}: the tag {reference} was moved upstream from {before} to {now}; find out why, then remove {folder} to \
         accept it, or pin the commit {before}"
    )]
    TagMoved {
        /// The upstream.
        name: Name,
        /// The tag.
        reference: GitRef,
        /// The commit that is here.
        before: GitId,
        /// The commit that it means now.
        now: GitId,
        /// The working tree.
        folder: String,
    },
}

/// Where to mend a pin, when it is the pin that is wrong.
fn pin_place(error: &ResolveError) -> &'static str {
    match error {
        ResolveError::Missing { .. } | ResolveError::Floats { .. } => " (the pin is in tools/upstreams.env)",
        ResolveError::Route { .. }
        | ResolveError::Git { .. }
        | ResolveError::Overrides(_)
        | ResolveError::Shared(_) => "",
    }
}

/// Brings all upstreams to their pins. A failure of one does not hold the others back. Only one fetch is at work in
/// a repository at a time.
pub fn fetch(session: &Session<'_>, set: &SourceSet) -> Result<Vec<Upstream>, LockError> {
    let lock = folder(session).join(".lock");
    let _lock = Lock::take(&lock, "upstreams fetch", session.rules.patience, session.leave)?;
    let upstreams: Vec<(&Name, &SourceSpec)> = set.iter().collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(upstreams.len()) {
            scope.spawn(|| {
                while let Some((name, spec)) = upstreams.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let upstream = fetch_one(session, name, spec);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(upstream);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(done)
}

fn folder(session: &Session<'_>) -> PathBuf {
    session.workspace.root().join(FOLDER)
}

fn fetch_one(session: &Session<'_>, name: &Name, spec: &SourceSpec) -> Upstream {
    (session.events)(&Event::Begun { name: name.clone() });
    let brought = bring(session, name, spec);
    let log = session.log.clone().with("upstream", name);
    let text = match &brought {
        Ok((commit, _)) => format!("at {} ({commit})", spec.reference),
        Err(error) => error.to_string(),
    };
    if brought.is_ok() {
        log.info(&text)
    } else {
        log.error(&text)
    }
    (session.events)(&Event::Ended { name: name.clone(), ok: brought.is_ok(), text });
    let error = brought.as_ref().err().map(ToString::to_string);
    let (commit_sha, tree_sha) = brought.ok().unzip();
    Upstream { name: name.clone(), reference: spec.reference.clone(), commit_sha, tree_sha, error }
}

fn bring(session: &Session<'_>, name: &Name, spec: &SourceSpec) -> Result<(GitId, GitId), FetchError> {
    let resolution = resolve::resolve_one(session, name, spec)?;
    let folder = folder(session).join(name.as_str());
    // The tag is local once it was fetched; its commit is the tree's commit.
    let before = match tree::look(session, name, &folder)? {
        Found::Whole(inspection) if inspection.changed == 0 => inspection.head,
        Found::Nothing | Found::Partial | Found::Interrupted | Found::Whole(_) => None,
    };
    if let Some(before) = before.filter(|_| resolution.kind == RefKind::Tag)
        && before != resolution.commit
        && tag_here(&folder, &spec.reference).as_ref() == Some(&before)
    {
        let (name, reference, folder) = (name.clone(), spec.reference.clone(), folder.display().to_string());
        return Err(FetchError::TagMoved { name, reference, before, now: resolution.commit, folder });
    }
    let target = Target {
        name: name.clone(),
        folder,
        remote: session.remote(&resolution.route),
        wanted: Wanted { commit: resolution.commit.clone(), reference: resolution.reference },
        left_at: None,
        only_forward: false,
    };
    let brought = tree::bring(session, &target)?;
    tree::settle(&target.folder)?;
    note_tag(&target.folder, resolution.kind, &spec.reference, &resolution.commit);
    Ok((resolution.commit, brought.tree))
}

/// The file inside `.git` that says which tag the tree was brought to.
fn tag_file(folder: &std::path::Path) -> PathBuf {
    folder.join(".git/swoosh-tag")
}

fn tag_here(folder: &std::path::Path, reference: &GitRef) -> Option<GitId> {
    let text = std::fs::read_to_string(tag_file(folder)).ok()?;
    let (commit, tag) = text.trim().split_once(' ')?;
    if tag == reference.as_str() { commit.parse().ok() } else { None }
}

/// Without the note a moved tag is not noticed, which is no reason to fail.
fn note_tag(folder: &std::path::Path, kind: RefKind, reference: &GitRef, commit: &GitId) {
    let _ = match kind {
        RefKind::Tag => std::fs::write(tag_file(folder), format!("{commit} {reference}\n")),
        RefKind::Commit | RefKind::Branch => std::fs::remove_file(tag_file(folder)),
    };
}

/// How every upstream is, by its folder alone; nothing is asked outside and nothing is written.
pub fn status(session: &Session<'_>, set: &SourceSet) -> Vec<Upstream> {
    let one = |(name, spec): (&Name, &SourceSpec)| {
        let folder = folder(session).join(name.as_str());
        let (head, tree, error) = match tree::look(session, name, &folder) {
            Ok(Found::Whole(inspection)) => {
                let changes = (inspection.changed > 0)
                    .then(|| format!("{} change(s): {}", inspection.changed, inspection.examples.join(", ")));
                let moved =
                    tag_here(&folder, &spec.reference).filter(|commit| Some(commit) != inspection.head.as_ref());
                let moved = moved.map(|commit| format!("it is not at {} ({commit}); fetch again", spec.reference));
                let is_commit = spec.reference.as_str().parse::<GitId>().ok();
                let other = is_commit.filter(|commit| Some(commit) != inspection.head.as_ref());
                let other = other.map(|commit| format!("it is not at {commit}; fetch again"));
                (inspection.head, inspection.tree, changes.or(moved).or(other))
            }
            Ok(Found::Nothing) => (None, None, Some("it was not fetched yet; run `swoosh upstreams fetch`".to_owned())),
            Ok(Found::Partial | Found::Interrupted) => {
                (None, None, Some("its fetch was interrupted; run `swoosh upstreams fetch`".to_owned()))
            }
            Err(error) => (None, None, Some(error.to_string())),
        };
        Upstream { name: name.clone(), reference: spec.reference.clone(), commit_sha: head, tree_sha: tree, error }
    };
    set.iter().map(one).collect()
}
