//! Requests about a repository of ours and its working tree.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Config, ConfigLevel, ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags, StatusOptions, Tree};
use git2::{TreeEntry, TreeWalkMode, TreeWalkResult};

use super::survey::Surveyor;
use super::{FailureKind, Said, failure, near};
use crate::sources::credentials::CredentialRules;
use crate::sources::failure::Failure;
use crate::sources::git::{Inspection, Limits, Phase, Progress, Reply, Survey};
use swoosh_types::text::GitId;

/// A settings file inside `.git` that only this program reads.
pub(super) const OWN_CONFIG: &str = "swoosh-config";
pub(super) const OWN_SETTINGS: &str = "[core]\n\tfsyncObjectFiles = true\n";
/// How many of each kind of finding are named.
pub(super) const EXAMPLES: usize = 5;
const LINK_MODE: i32 = 0o120_000;

/// Opens the repository in this very folder, without the system's configuration.
pub(super) fn open(folder: &Path) -> Result<Repository, Failure> {
    let fail = |error: git2::Error| near(folder, &error);
    let none: [&str; 0] = [];
    let repository = Repository::open_ext(folder, RepositoryOpenFlags::NO_SEARCH, none).map_err(fail)?;
    let mut config = Config::new().map_err(fail)?;
    config.add_file(&repository.path().join("config"), ConfigLevel::Local, false).map_err(fail)?;
    // Settings for libgit2 only: git reports them as outdated in every command run there.
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
    look_through(&repository, &tree, limits, None)?;
    let mut options = CheckoutBuilder::new();
    options.force().remove_untracked(true).disable_filters(true).progress(|_, done, total| {
        // A closed pipe is noticed by the next request; a checkout cannot be stopped from here.
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
    // A removed commit is no ancestor of any commit.
    let known = repository.find_commit(ancestor).is_ok();
    let descends =
        ancestor == descendant || (known && repository.graph_descendant_of(descendant, ancestor).map_err(fail)?);
    Ok(Reply::Descends { descends })
}

pub(super) fn survey(folder: &Path, commit: &GitId, rules: Option<&str>, said: &mut Said) -> Result<Reply, Failure> {
    let rules = match rules {
        Some(text) => CredentialRules::parse(text),
        None => Ok(CredentialRules::built_in()),
    };
    let rules = rules.map_err(|error| failure(FailureKind::Refused, error.to_string()))?;
    let repository = open(folder)?;
    let (_, tree) = commit_tree(&repository, commit)?;
    let mut surveyor = Surveyor::new(&rules);
    let sizes = look_through(&repository, &tree, &Limits::default(), Some((&mut surveyor, said)))?;
    let Sizes { files, bytes, largest: largest_file_bytes } = sizes;
    Ok(Reply::Surveyed(Survey { files, bytes, largest_file_bytes, ..surveyor.ended() }))
}

/// How much a tree holds.
#[derive(Clone, Copy, Default)]
struct Sizes {
    files: u64,
    bytes: u64,
    largest: u64,
}

/// Inspects the content of each file, and receives progress.
type Deep<'a, 'r> = (&'a mut Surveyor<'r>, &'a mut Said);

/// Walks a tree that may have been made to be endless: the walk ends at the limits.
fn look_through(
    repository: &Repository,
    tree: &Tree<'_>,
    limits: &Limits,
    mut deep: Option<Deep<'_, '_>>,
) -> Result<Sizes, Failure> {
    let mut sizes = Sizes::default();
    let (mut entries, mut problem) = (0, None);
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        entries += 1;
        let looked = look_at(repository, folder, entry, limits, deep.as_mut(), &mut sizes);
        let over =
            entries > limits.files.saturating_mul(2) || sizes.files > limits.files || sizes.bytes > limits.tree_bytes;
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
        (None, Ok(())) => Ok(sizes),
    }
}

fn look_at(
    repository: &Repository,
    folder: &str,
    entry: &TreeEntry<'_>,
    limits: &Limits,
    mut deep: Option<&mut Deep<'_, '_>>,
    sizes: &mut Sizes,
) -> Result<(), Failure> {
    let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
    if let (Some(ObjectType::Commit), Some((surveyor, _))) = (entry.kind(), &mut deep) {
        surveyor.submodule(&path);
    }
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(());
    }
    let odb = repository.odb().map_err(|error| failure(FailureKind::Damaged, error.message()))?;
    let size = odb.read_header(entry.id()).map_err(|error| failure(FailureKind::Damaged, error.message()))?.0 as u64;
    if size > limits.file_bytes {
        let path = shown(path.as_bytes());
        let detail = format!("{path} has {size} bytes, and a file may have {}", limits.file_bytes);
        return Err(failure(FailureKind::TooLarge, detail));
    }
    sizes.files += 1;
    sizes.bytes += size;
    sizes.largest = sizes.largest.max(size);
    let Some((surveyor, said)) = deep else { return Ok(()) };
    let blob = repository.find_blob(entry.id()).map_err(|error| failure(FailureKind::Damaged, error.message()))?;
    match entry.filemode() == LINK_MODE {
        true => surveyor.link(&path, blob.content()),
        false => surveyor.file(&path, blob.content()),
    }
    said.tell(&Progress { phase: Phase::Scanning, done: sizes.files, total: 0, bytes: sizes.bytes });
    Ok(())
}

/// A path of a repository as people may see it: one line, of a bounded length.
pub(super) fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let one = |c: char| {
        let is_quote = matches!(c, '\'' | '"');
        is_quote.then_some(c).into_iter().chain(c.escape_debug().filter(move |_| !is_quote))
    };
    text.chars().flat_map(one).take(200).collect()
}
