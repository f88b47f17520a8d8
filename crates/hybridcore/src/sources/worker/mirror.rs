//! A repository of another user on this disk, read without git's ownership check.
//!
//! libgit2 refuses a repository that another user owns, because its settings could run programs. Here nothing of it is read but
//! references and objects, and every object is hashed on its way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository};

use super::{FailureKind, failure};
use crate::paths::plain;
use crate::sources::address;
use crate::sources::failure::Failure;
use crate::sources::fence::{Fence, FenceError};
use crate::sources::git::Remote;

/// The most bytes of a file of references.
const REFS_BYTES: u64 = 64 << 20;
/// How many repositories may borrow objects from each other in a row.
const MOST_LENDERS: usize = 8;
/// How many tags may lead to tags in a row.
const MOST_TAGS: usize = 8;
/// How deep folders of references are.
const DEEPEST: usize = 16;

/// A repository at a `file://` address.
pub(super) struct Mirror {
    url: String,
    /// The folder that holds `HEAD`, references and objects.
    git: PathBuf,
    /// Folders of objects: its own, and those that it borrows from.
    pub objects: Vec<PathBuf>,
    pub odb: Odb<'static>,
    /// The command that fetches the objects which a partial clone may lack.
    completion: Option<String>,
}

impl Mirror {
    /// Finds the repository, and refuses one that cannot be read whole, with the command that mends it.
    pub fn open(remote: &Remote) -> Result<Mirror, Failure> {
        let (url, fence) = (remote.url.as_str(), remote.fence.as_ref());
        let path = address::path_of(url).map_err(|error| failure(FailureKind::NoRepository, error.to_string()))?;
        let path = match fence {
            Some(fence) => fence.check(&path).map_err(|error| kept_out(&error))?,
            None => path,
        };
        let git = git_folder(url, &path)?;
        check_all(fence, &git)?;
        let shown = path.display();
        let config = read(url, &git.join("config"))?.unwrap_or_default();
        let setting = |name: &str| setting(&config, name);
        if setting("extensions.refstorage").is_some_and(|form| form != "files") || git.join("reftable").is_dir() {
            let detail = format!("{url} keeps its references in a reftable, which libgit2 cannot read");
            let mend = format!("git -C {shown} refs migrate --ref-format=files");
            return Err(unusable(FailureKind::Unsupported, &detail, &mend));
        }
        if setting("extensions.objectformat").is_some_and(|form| form != "sha1") {
            let detail =
                format!("{url} names its objects by SHA-256, which is not supported; carry a mirror that uses SHA-1");
            return Err(failure(FailureKind::Unsupported, detail));
        }
        if read(url, &git.join("shallow"))?.is_some_and(|text| !text.trim().is_empty()) {
            let detail = format!("{url} is a shallow clone: its history is cut");
            return Err(unusable(FailureKind::Incomplete, &detail, &format!("git -C {shown} fetch --unshallow")));
        }
        // Its settings name it a partial clone also once all objects are there, so the objects decide.
        let is_partial =
            config.to_ascii_lowercase().contains("promisor") || setting("extensions.partialclone").is_some();
        let completion = is_partial.then(|| format!("git -C {shown} fetch --refetch --no-filter"));
        let objects = lenders(url, git.join("objects"), fence)?;
        let odb = odb(url, &objects)?;
        Ok(Mirror { url: url.to_owned(), git, objects, odb, completion })
    }

    /// The failure where an object is needed and not there.
    pub fn lacks(&self, id: Oid) -> Failure {
        let url = &self.url;
        match &self.completion {
            Some(command) => {
                let detail = format!("{url} is a partial clone and lacks the object {id}");
                unusable(FailureKind::Incomplete, &detail, command)
            }
            None => {
                let detail = format!("{url}: the object {id} is missing there; see `git fsck`, or carry a whole clone");
                failure(FailureKind::Incomplete, detail)
            }
        }
    }

    /// Its objects as a repository without references.
    pub fn repository(&self, url: &str) -> Result<Repository, Failure> {
        Repository::from_odb(odb(url, &self.objects)?).map_err(|error| bad(url, &error))
    }

    /// Branches, tags and `HEAD` with the objects that they name, and the branch that `HEAD` points to.
    pub fn references(&self) -> Result<(BTreeMap<String, Oid>, Option<String>), Failure> {
        let mut found = BTreeMap::new();
        for line in read(&self.url, &self.git.join("packed-refs"))?.unwrap_or_default().lines() {
            if let Some((id, name)) = line.split_once(' ')
                && let Ok(id) = Oid::from_str(id)
            {
                found.insert(name.trim().to_owned(), id);
            }
        }
        for kind in ["heads", "tags"] {
            self.loose(&self.git.join("refs").join(kind), &format!("refs/{kind}/"), 0, &mut found)?;
        }
        let head = read(&self.url, &self.git.join("HEAD"))?.unwrap_or_default();
        let head_branch = head.trim().strip_prefix("ref:").map(|name| name.trim().to_owned());
        let at = match &head_branch {
            Some(name) => found.get(name).copied(),
            None => Oid::from_str(head.trim()).ok(),
        };
        found.extend(at.map(|at| ("HEAD".to_owned(), at)));
        Ok((found, head_branch))
    }

    fn loose(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        found: &mut BTreeMap<String, Oid>,
    ) -> Result<(), Failure> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| of_files(&self.url, folder, &error))?,
        };
        for entry in entries.flatten().filter(|_| depth < DEEPEST) {
            let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
            let kind = entry.file_type().map_err(|error| of_files(&self.url, &path, &error))?;
            if kind.is_dir() {
                self.loose(&path, &format!("{name}/"), depth + 1, found)?;
            } else if kind.is_file()
                && let Some(text) = read(&self.url, &path)?
                && let Ok(id) = Oid::from_str(text.trim())
            {
                found.insert(name, id);
            }
        }
        Ok(())
    }

    /// The target of a tag, or else the object itself; `None` if it is missing.
    pub fn peeled(&self, mut id: Oid) -> Option<(Oid, ObjectType)> {
        for _ in 0..MOST_TAGS {
            let object = self.odb.read(id).ok()?;
            if object.kind() != ObjectType::Tag {
                return Some((id, object.kind()));
            }
            let text = String::from_utf8_lossy(object.data()).into_owned();
            id = Oid::from_str(text.lines().next()?.strip_prefix("object ")?).ok()?;
        }
        None
    }
}

/// The objects of these folders.
fn odb(url: &str, folders: &[PathBuf]) -> Result<Odb<'static>, Failure> {
    let odb = Odb::new().map_err(|error| bad(url, &error))?;
    for folder in folders {
        let Some(folder) = folder.to_str() else {
            return Err(failure(FailureKind::Unsupported, format!("{} is named in no UTF-8", folder.display())));
        };
        odb.add_disk_alternate(folder).map_err(|error| bad(url, &error))?;
    }
    Ok(odb)
}

/// A failure with the command that repairs a writable mirror, and the alternative for read-only media.
fn unusable(kind: FailureKind, detail: &str, command: &str) -> Failure {
    let other = "or carry a whole one: git clone --mirror URL";
    failure(kind, format!("{detail}; mend it with `{command}`, {other}"))
}

/// A failure of libgit2 with a mirror on this disk.
pub(super) fn bad(url: &str, error: &git2::Error) -> Failure {
    let kind = super::common(error).unwrap_or(FailureKind::BadMirror);
    failure(kind, format!("{url}: {}", error.message()))
}

/// A failure of the file system with a mirror on this disk.
pub(super) fn of_files(url: &str, path: &Path, error: &io::Error) -> Failure {
    use std::os::unix::fs::MetadataExt as _;
    match error.kind() {
        io::ErrorKind::StorageFull => failure(FailureKind::DiskFull, format!("{url}: {error}")),
        io::ErrorKind::NotFound => {
            failure(FailureKind::NoRepository, format!("{url}: {} is not there", path.display()))
        }
        io::ErrorKind::PermissionDenied => {
            let near = path.ancestors().find_map(|folder| fs::metadata(folder).ok());
            let owner =
                near.map_or_else(|| "another user".to_owned(), |about| format!("the user with id {}", about.uid()));
            let detail = format!("{url}: {} belongs to {owner} and may not be read here", path.display());
            failure(FailureKind::Unreadable, detail)
        }
        _ => failure(FailureKind::BadMirror, format!("{url}: {} cannot be read ({error})", path.display())),
    }
}

/// A text file; `None` when it is not there.
fn read(url: &str, path: &Path) -> Result<Option<String>, Failure> {
    match fs::metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(of_files(url, path, &error)),
        Ok(about) if !about.is_file() => return Ok(None),
        Ok(about) if about.len() > REFS_BYTES => {
            let detail = format!("{url}: {} has more than {REFS_BYTES} bytes", path.display());
            return Err(failure(FailureKind::TooLarge, detail));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(|error| of_files(url, path, &error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The folder of git's own files: the path itself, or its `.git`, which may be a file that names another one.
fn git_folder(url: &str, path: &Path) -> Result<PathBuf, Failure> {
    let is_one = |folder: &Path| folder.join("HEAD").exists() && folder.join("objects").is_dir();
    if let Err(error) = fs::read_dir(path) {
        return Err(of_files(url, path, &error));
    }
    let below = path.join(".git");
    let named = read(url, &below)?.and_then(|text| text.trim().strip_prefix("gitdir:").map(|to| path.join(to.trim())));
    let worktree = named.unwrap_or(below);
    let common = read(url, &worktree.join("commondir"))?.map(|to| worktree.join(to.trim()));
    let found = [path.to_owned(), common.unwrap_or_else(|| worktree.clone()), worktree];
    found.into_iter().find(|folder| is_one(folder)).ok_or_else(|| {
        failure(FailureKind::NoRepository, format!("{url}: there is no git repository in {}", path.display()))
    })
}

/// Refuses a folder of a repository, and everything that lies in it, that the fence keeps out: a `.git` that is a file or a link, objects that are
/// links, objects that are borrowed.
fn check_all(fence: Option<&Fence>, folder: &Path) -> Result<(), Failure> {
    let Some(fence) = fence else { return Ok(()) };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in [folder.to_owned()].into_iter().chain(entries) {
        fence.check(&path).map_err(|error| kept_out(&error))?;
    }
    Ok(())
}

fn kept_out(error: &FenceError) -> Failure {
    let kind = match error {
        FenceError::Outside(_) | FenceError::Inside(_) => FailureKind::Refused,
        FenceError::Unreadable { .. } => FailureKind::NoRepository,
    };
    failure(kind, error.to_string())
}

/// The folders of objects of a repository and of all that it borrows from.
fn lenders(url: &str, own: PathBuf, fence: Option<&Fence>) -> Result<Vec<PathBuf>, Failure> {
    let (mut found, mut open) = (Vec::new(), vec![(own, 0)]);
    while let Some((folder, depth)) = open.pop() {
        if found.contains(&folder) || depth > MOST_LENDERS {
            continue;
        }
        if let Err(error) = fs::read_dir(&folder) {
            let failed = of_files(url, &folder, &error);
            let detail = format!("{}; it borrows objects from there, so carry a clone of its own", failed.detail);
            return Err(if depth == 0 { failed } else { failure(FailureKind::Incomplete, detail) });
        }
        check_all(fence, &folder)?;
        let listed = read(url, &folder.join("info/alternates"))?.unwrap_or_default();
        let lines = listed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        open.extend(lines.map(|line| (plain(&folder.join(line)), depth + 1)));
        found.push(folder);
    }
    Ok(found)
}

/// A setting of a config file (`extensions.refstorage`), lowercase; none where its section or name is not there.
fn setting(config: &str, wanted: &str) -> Option<String> {
    let (section, name) = wanted.split_once('.')?;
    let mut inside = false;
    let mut found = None;
    for line in config.lines().map(str::trim) {
        if let Some(head) = line.strip_prefix('[') {
            inside = head.split(']').next().is_some_and(|head| head.trim().eq_ignore_ascii_case(section));
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            found = Some(value.trim().trim_matches('"').to_ascii_lowercase());
        }
    }
    found
}
