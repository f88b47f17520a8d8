//! Requests about a repository of ours and its working tree.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Config, ConfigLevel, ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags, StatusOptions, Tree};
use git2::{TreeEntry, TreeWalkMode, TreeWalkResult};

use super::{FailureKind, Said, failure, near};
use crate::hybridcore::sources::failure::Failure;
use crate::hybridcore::sources::git::{Inspection, Limits, Phase, Progress, Reply, Survey};
use crate::types::text::GitId;

/// A file of settings inside `.git` that only we read, and what stands in it.
pub(super) const OWN_CONFIG: &str = "swoosh-config";
pub(super) const OWN_SETTINGS: &str = "[core]\n\tfsyncObjectFiles = true\n";
/// How many of each kind of finding are named.
const EXAMPLES: usize = 5;
const LINK_MODE: i32 = 0o120_000;
/// A link's target or a key is never longer.
const SMALL_BYTES: usize = 64 << 10;

/// Opens the repository in this very folder, without the system's configuration.
pub(super) fn open(folder: &Path) -> Result<Repository, Failure> {
    let fail = |error: git2::Error| near(folder, &error);
    let none: [&str; 0] = [];
    let repository = Repository::open_ext(folder, RepositoryOpenFlags::NO_SEARCH, none).map_err(fail)?;
    let mut config = Config::new().map_err(fail)?;
    config.add_file(&repository.path().join("config"), ConfigLevel::Local, false).map_err(fail)?;
    // Settings for libgit2 alone: git itself calls them outdated and would say so to everybody who works there.
    let own = repository.path().join(OWN_CONFIG);
    if own.is_file() {
        config.add_file(&own, ConfigLevel::App, false).map_err(fail)?;
    }
    repository.set_config(&config).map_err(fail)?;
    Ok(repository)
}

pub(super) fn id(oid: Oid) -> Result<GitId, Failure> {
    oid.to_string().parse().map_err(|_| failure(FailureKind::Other, "libgit2 gave an id that is none"))
}

pub(super) fn commit_tree<'a>(repository: &'a Repository, commit: &GitId) -> Result<(Oid, Tree<'a>), Failure> {
    let missing = |error: git2::Error| failure(FailureKind::NoCommit, format!("{commit}: {}", error.message()));
    let commit = repository.find_commit(Oid::from_str(commit.as_str()).map_err(missing)?).map_err(missing)?;
    Ok((commit.id(), commit.tree().map_err(missing)?))
}

pub(super) fn checkout(folder: &Path, commit: &GitId, limits: &Limits, said: &mut Said) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let fail = |error: git2::Error| near(folder, &error);
    let (commit, tree) = commit_tree(&repository, commit)?;
    look_through(&repository, &tree, limits, false)?;
    let mut options = CheckoutBuilder::new();
    options.force().remove_untracked(true).disable_filters(true).progress(|_, done, total| {
        // Nobody listening is noticed by the next request; a checkout cannot be ended from here.
        let (done, total) = (done as u64, total as u64);
        said.tell(&Progress { phase: Phase::CheckingOut, done, total, bytes: 0 });
    });
    repository.checkout_tree(tree.as_object(), Some(&mut options)).map_err(fail)?;
    drop(options);
    repository.set_head_detached(commit).map_err(fail)?;
    Ok(Reply::CheckedOut { tree: id(tree.id())? })
}

pub(super) fn inspect(folder: &Path) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let fail = |error: git2::Error| near(folder, &error);
    let head = match repository.head() {
        Ok(head) => head.peel_to_commit().map_err(fail)?,
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            return Ok(Reply::Inspected(Inspection { head: None, tree: None, changed: 0, examples: Vec::new() }));
        }
        Err(error) => return Err(fail(error)),
    };
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(false).include_ignored(false).exclude_submodules(true);
    let statuses = repository.statuses(Some(&mut options)).map_err(fail)?;
    let examples = statuses.iter().take(EXAMPLES).map(|entry| shown(entry.path_bytes())).collect();
    let (head, tree) = (Some(id(head.id())?), Some(id(head.tree_id())?));
    Ok(Reply::Inspected(Inspection { head, tree, changed: statuses.len() as u64, examples }))
}

pub(super) fn descends(folder: &Path, ancestor: &GitId, descendant: &GitId) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let fail = |error: git2::Error| near(folder, &error);
    let oid = |id: &GitId| Oid::from_str(id.as_str()).map_err(fail);
    let (ancestor, descendant) = (oid(ancestor)?, oid(descendant)?);
    // A commit that is gone is nobody's ancestor.
    let known = repository.find_commit(ancestor).is_ok();
    let descends =
        ancestor == descendant || (known && repository.graph_descendant_of(descendant, ancestor).map_err(fail)?);
    Ok(Reply::Descends { descends })
}

pub(super) fn survey(folder: &Path, commit: &GitId) -> Result<Reply, Failure> {
    let repository = open(folder)?;
    let (_, tree) = commit_tree(&repository, commit)?;
    look_through(&repository, &tree, &Limits::default(), true).map(Reply::Surveyed)
}

/// Walks a tree that may have been made to be endless: the walk ends at the limits.
fn look_through(repository: &Repository, tree: &Tree<'_>, limits: &Limits, deeply: bool) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    let (mut entries, mut problem) = (0, None);
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        entries += 1;
        let looked = look_at(repository, folder, entry, limits, deeply, &mut survey);
        let over =
            entries > limits.files.saturating_mul(2) || survey.files > limits.files || survey.bytes > limits.tree_bytes;
        if looked.is_ok() && !over {
            return TreeWalkResult::Ok;
        }
        problem = Some(looked.err().unwrap_or_else(|| {
            let (files, bytes) = (limits.files, limits.tree_bytes);
            failure(FailureKind::TooLarge, format!("the tree holds more than {files} files or {bytes} bytes"))
        }));
        TreeWalkResult::Abort
    });
    match (problem, walked) {
        (Some(problem), _) => Err(problem),
        (None, Err(error)) => Err(failure(FailureKind::Damaged, error.message())),
        (None, Ok(())) => Ok(survey),
    }
}

fn look_at(
    repository: &Repository,
    folder: &str,
    entry: &TreeEntry<'_>,
    limits: &Limits,
    deeply: bool,
    survey: &mut Survey,
) -> Result<(), Failure> {
    let path = format!("{}{}", shown(folder.as_bytes()), shown(entry.name_bytes()));
    if entry.kind() == Some(ObjectType::Commit) {
        keep(&mut survey.submodules, path);
        return Ok(());
    }
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(());
    }
    let odb = repository.odb().map_err(|error| failure(FailureKind::Damaged, error.message()))?;
    let size = odb.read_header(entry.id()).map_err(|error| failure(FailureKind::Damaged, error.message()))?.0;
    if size as u64 > limits.file_bytes {
        let detail = format!("{path} has {size} bytes, and a file may have {}", limits.file_bytes);
        return Err(failure(FailureKind::TooLarge, detail));
    }
    survey.files += 1;
    survey.bytes += size as u64;
    let is_link = entry.filemode() == LINK_MODE;
    if (is_link || deeply) && size <= SMALL_BYTES {
        let blob = repository.find_blob(entry.id()).map_err(|error| failure(FailureKind::Damaged, error.message()))?;
        match is_link {
            true => look_at_link(folder, path, blob.content(), survey),
            false if is_private_key(blob.content()) => keep(&mut survey.private_keys, path),
            false => {}
        }
    }
    Ok(())
}

fn look_at_link(folder: &str, path: String, target: &[u8], survey: &mut Survey) {
    survey.links += 1;
    if leads_out(folder, &String::from_utf8_lossy(target)) {
        keep(&mut survey.escaping_links, path);
    }
}

/// Whether a link in `folder` (`a/b/`, or empty for the top) leads out of the tree, or into `.git`.
fn leads_out(folder: &str, target: &str) -> bool {
    let mut depth = folder.split('/').filter(|part| !part.is_empty()).count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ if part.eq_ignore_ascii_case(".git") => return true,
            _ => depth += 1,
        }
    }
    target.starts_with('/')
}

fn is_private_key(content: &[u8]) -> bool {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"-----BEGIN ") && first.windows(11).any(|window| window == b"PRIVATE KEY")
}

fn keep(list: &mut Vec<String>, path: String) {
    if list.len() < EXAMPLES {
        list.push(path);
    }
}

/// A path of a repository as people may see it: one line, of a bounded length.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_tree_are_told_from_those_that_stay() {
        for (folder, target, out) in [
            ("", "a", false),
            ("a/b/", "../../c", false),
            ("a/b/", "../../../c", true),
            ("", "/etc/passwd", true),
            ("a/", "b/../../..", true),
            ("", ".git/config", true),
        ] {
            assert_eq!(leads_out(folder, target), out, "{folder} {target}");
        }
    }
}
