//! Finds edits of a working tree after an interrupted checkout.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use git2::{DiffOptions, Oid, Repository, Tree};

use super::tree::{commit_tree, open, shown};
use super::{FailureKind, failure, near};
use crate::sources::failure::Failure;
use crate::sources::git::Reply;
use swoosh_types::text::GitId;

/// How many files are named.
const EXAMPLES: usize = 5;
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Files that are neither what the head or one of the commits has at their place, nor the beginning of that. What the
/// repository ignores does not count: a checkout leaves it alone.
pub(super) fn edited(folder: &Path, commits: &[GitId]) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let fail = |error: git2::Error| near(folder, &error);
    let head = repository.head().and_then(|head| head.peel_to_tree()).map_err(fail)?;
    let known = commits.iter().filter_map(|commit| commit_tree(&repository, commit).ok().map(|(_, tree)| tree));
    let trees: Vec<Tree<'_>> = known.chain([head]).collect();
    let mut options = DiffOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).ignore_submodules(true);
    let diff = repository.diff_tree_to_workdir(trees.first(), Some(&mut options)).map_err(fail)?;
    let (mut changed, mut examples) = (0, Vec::new());
    for delta in diff.deltas() {
        let Some(path) = delta.new_file().path().or_else(|| delta.old_file().path()) else { continue };
        if !is_left_over(&repository, folder, path, &trees)? {
            changed += 1;
            if examples.len() < EXAMPLES {
                examples.push(shown(path.as_os_str().as_encoded_bytes()));
            }
        }
    }
    Ok(Reply::Edited { changed, examples })
}

/// Whether a checkout between the trees may have left this at the path; nothing is something as well.
fn is_left_over(repository: &Repository, folder: &Path, path: &Path, trees: &[Tree<'_>]) -> Result<bool, Failure> {
    let place = folder.join(path);
    let bytes = match std::fs::symlink_metadata(&place) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        // A file of one commit may be a folder in another, and the other way round.
        Ok(metadata) => return Ok(metadata.is_dir()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(true);
        }
        Err(error) => return Err(unreadable(&place, &error)),
    };
    for tree in trees {
        let Ok(entry) = tree.get_path(path) else { continue };
        if begins(repository, entry.id(), &place, bytes)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a blob begins with what a file holds.
fn begins(repository: &Repository, blob: Oid, place: &Path, bytes: u64) -> Result<bool, Failure> {
    let long_enough =
        repository.odb().and_then(|odb| odb.read_header(blob)).is_ok_and(|(size, _)| size as u64 >= bytes);
    let Some(blob) = long_enough.then(|| repository.find_blob(blob).ok()).flatten() else { return Ok(false) };
    let mut rest = blob.content();
    let mut file = File::open(place).map_err(|error| unreadable(place, &error))?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(|error| unreadable(place, &error))?;
        let Some(after) = piece.get(..read).and_then(|piece| rest.strip_prefix(piece)) else { return Ok(false) };
        if read == 0 {
            return Ok(true);
        }
        rest = after;
    }
}

fn unreadable(place: &Path, error: &io::Error) -> Failure {
    failure(FailureKind::Other, format!("{} cannot be read: {error}", place.display()))
}
