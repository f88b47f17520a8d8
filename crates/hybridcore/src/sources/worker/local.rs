//! Objects of a repository on this disk, copied and hashed on the way.
//!
//! libgit2's own transport for files packs the whole repository again, in memory and without progress. Here the objects that the commit
//! needs and that are missing are listed first. Few are written one by one, each synced; more go into one pack. A mirror that was packed
//! again holds the same objects under other names, so it adds what is new. Links are not followed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};

use super::mirror::{Mirror, bad};
use super::{FailureKind, Said, failure};
use crate::sources::failure::Failure;
use crate::sources::git::{Limits, Phase, Progress};

/// How deep trees may be nested.
const MOST_DEPTH: usize = 512;
/// More objects than this go into a pack, since each single one is synced.
const MOST_SINGLE: usize = 100;

/// Copies the commit with its history from the mirror, as far as it is not here.
pub(super) fn copy(
    ours: &Repository,
    mirror: &Mirror,
    url: &str,
    commit: Oid,
    limits: &Limits,
    said: &mut Said,
) -> Result<u64, Failure> {
    remove_leftovers(ours);
    // Each object is read once, so libgit2's cache of 256 MB would only take memory.
    git2::opts::enable_caching(false);
    let to = ours.odb().map_err(|error| bad(url, &error))?;
    let Some((commit, ObjectType::Commit)) = mirror.peeled(commit) else { return Ok(0) };
    let mut commits = missing_commits(&to, mirror, url, commit)?;
    if commits.is_empty() {
        // A copy of an earlier version that was interrupted may have left the commit alone.
        commits.push(commit);
    }
    let mut walk = Walk { to: &to, mirror, url, said, seen: HashSet::new(), missing: Vec::new() };
    // The oldest first, each after all that it leads to, so that a commit that is here is here whole.
    for commit in commits.iter().rev() {
        walk.commit(*commit)?;
    }
    let missing = walk.missing;
    if let Some(absent) = missing.iter().find(|id| !mirror.odb.exists(**id)) {
        return Err(mirror.lacks(*absent));
    }
    if missing.len() > MOST_SINGLE {
        return super::packs::write(ours, mirror, url, &missing, limits, said);
    }
    let mut written = 0;
    for id in missing {
        written += copy_one(&to, mirror, url, id, limits.received_bytes.saturating_sub(written))?;
        said.tell(&Progress { phase: Phase::Receiving, done: 0, total: 0, bytes: written });
    }
    Ok(written)
}

/// Removes what libgit2 leaves of a pack or an object when it is killed. The caller's lock keeps other writers away.
fn remove_leftovers(ours: &Repository) {
    let objects = ours.path().join("objects");
    let packs = files(&objects.join("pack"), |name| name.starts_with("pack_git2_"));
    for file in packs.into_iter().chain(files(&objects, |name| name.starts_with("tmp_object_git2_"))) {
        // One that cannot be removed costs room and nothing else.
        let _ = fs::remove_file(file);
    }
}

/// Whether an object is here, by what was known of the repository when it was opened.
fn is_here(to: &Odb<'_>, id: Oid) -> bool {
    to.exists_ext(id, OdbLookupFlags::NO_REFRESH)
}

fn copy_one(to: &Odb<'_>, mirror: &Mirror, url: &str, id: Oid, room: u64) -> Result<u64, Failure> {
    let (kind, data) = object(mirror, url, id)?;
    let bytes = data.len() as u64;
    if bytes > room {
        return Err(failure(FailureKind::TooLarge, format!("{url} holds more than the limit of bytes")));
    }
    let found = to.write(kind, &data).map_err(|error| bad(url, &error))?;
    if found != id {
        let detail = format!("{url}: the object {id} is not what its name says");
        return Err(failure(FailureKind::BadMirror, detail));
    }
    Ok(bytes)
}

/// Commits of a history that are not here, the youngest first.
fn missing_commits(to: &Odb<'_>, mirror: &Mirror, url: &str, commit: Oid) -> Result<Vec<Oid>, Failure> {
    let (mut open, mut missing) = (vec![commit], HashMap::new());
    while let Some(id) = open.pop() {
        if !missing.contains_key(&id) && !is_here(to, id) {
            let parents = parents(mirror, url, id)?;
            open.extend(&parents);
            missing.insert(id, parents);
        }
    }
    Ok(ordered(commit, &missing))
}

/// Commits so that each is before its parents.
fn ordered(commit: Oid, parents: &HashMap<Oid, Vec<Oid>>) -> Vec<Oid> {
    let (mut done, mut order, mut open) = (HashSet::new(), Vec::new(), vec![(commit, false)]);
    while let Some((id, is_left)) = open.pop() {
        if is_left {
            order.push(id);
        } else if let Some(parents) = parents.get(&id)
            && done.insert(id)
        {
            open.push((id, true));
            open.extend(parents.iter().map(|parent| (*parent, false)));
        }
    }
    order.reverse();
    order
}

/// An object of the mirror, or why it is of no use.
fn object(mirror: &Mirror, url: &str, id: Oid) -> Result<(ObjectType, Vec<u8>), Failure> {
    match mirror.odb.read(id) {
        Ok(object) => Ok((object.kind(), object.data().to_vec())),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Err(mirror.lacks(id)),
        Err(error) => Err(bad(url, &error)),
    }
}

fn parents(mirror: &Mirror, url: &str, id: Oid) -> Result<Vec<Oid>, Failure> {
    let (_, data) = object(mirror, url, id)?;
    let text = String::from_utf8_lossy(&data);
    let head = text.lines().take_while(|line| !line.is_empty());
    Ok(head.filter_map(|line| Oid::from_str(line.strip_prefix("parent ")?).ok()).collect())
}

/// Lists the objects that a commit needs and that are not here.
struct Walk<'a> {
    to: &'a Odb<'a>,
    mirror: &'a Mirror,
    url: &'a str,
    said: &'a mut Said,
    seen: HashSet<Oid>,
    missing: Vec<Oid>,
}

impl Walk<'_> {
    fn commit(&mut self, id: Oid) -> Result<(), Failure> {
        let (_, data) = object(self.mirror, self.url, id)?;
        let text = String::from_utf8_lossy(&data);
        let tree = text.lines().next().and_then(|line| Oid::from_str(line.strip_prefix("tree ")?).ok());
        if let Some(tree) = tree {
            self.tree(tree, 0)?;
        }
        self.note(id);
        // A missing object is found below. This call notices that the parent no longer reads.
        self.said.tell(&Progress { phase: Phase::Connecting, done: self.missing.len() as u64, total: 0, bytes: 0 });
        Ok(())
    }

    fn tree(&mut self, id: Oid, depth: usize) -> Result<(), Failure> {
        if !self.seen.insert(id) || depth > MOST_DEPTH {
            return Ok(());
        }
        let (_, data) = object(self.mirror, self.url, id)?;
        for (mode, entry) in entries(&data) {
            match mode {
                // A submodule is a commit of another repository.
                Mode::Submodule => {}
                Mode::Tree => self.tree(entry, depth + 1)?,
                Mode::Blob => {
                    if self.seen.insert(entry) {
                        self.note(entry);
                    }
                }
            }
        }
        self.note(id);
        Ok(())
    }

    fn note(&mut self, id: Oid) {
        if !is_here(self.to, id) {
            self.missing.push(id);
        }
    }
}

enum Mode {
    Tree,
    Blob,
    Submodule,
}

/// The entries of a tree's bytes: `MODE NAME\0ID`.
fn entries(data: &[u8]) -> Vec<(Mode, Oid)> {
    let (mut found, mut rest) = (Vec::new(), data);
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ')
        && let Some(end) = rest.iter().position(|byte| *byte == 0)
        && let Some(id) = rest.get(end + 1..end + 21)
        && let Ok(id) = Oid::from_bytes(id)
    {
        let mode = match rest.get(..blank) {
            Some(b"40000") => Mode::Tree,
            Some(b"160000") => Mode::Submodule,
            _ => Mode::Blob,
        };
        found.push((mode, id));
        rest = rest.get(end + 21..).unwrap_or_default();
    }
    found
}

pub(super) fn too_large(url: &str, limits: &Limits) -> Failure {
    failure(FailureKind::TooLarge, format!("{url} holds more than {} bytes", limits.received_bytes))
}

/// The plain files of a folder whose names are wanted, in their order.
pub(super) fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut files: Vec<PathBuf> =
        plain.filter(|entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path()).collect();
    files.sort();
    files
}
