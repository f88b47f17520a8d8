//! Objects of a repository on this disk, copied one by one and checked on the way.
//!
//! libgit2's own transport for files packs the whole repository anew, in memory and without a word. What is packed
//! already is streamed here instead, through the indexer that hashes every object; links are not followed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::{FailureKind, Said, failure, far};
use crate::hybridcore::sources::failure::Failure;
use crate::hybridcore::sources::fence::{Fence, FenceError};
use crate::hybridcore::sources::git::{Limits, Phase, Progress, Remote};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// How many repositories may borrow objects from one another in a row, as git allows.
const MOST_ALTERNATES: usize = 5;

/// Refuses a repository on this disk that the fence keeps out, also where a part of it leads elsewhere: a `.git` that is a
/// file or a link, objects that are links, objects that are borrowed.
pub(super) fn enter(remote: &Remote) -> Result<(), Failure> {
    let (Some(fence), Some(path)) = (&remote.fence, remote.url.strip_prefix("file://")) else { return Ok(()) };
    let path = fence.check(Path::new(path)).map_err(|error| kept_out(&error))?;
    let theirs = Repository::open(&path).map_err(|error| far(&remote.url, &error))?;
    for folder in [theirs.path(), theirs.commondir()] {
        check_all(fence, folder)?;
    }
    let mut stores = vec![theirs.commondir().join("objects")];
    for _ in 0..=MOST_ALTERNATES {
        let mut borrowed = Vec::new();
        for objects in &stores {
            check_all(fence, objects)?;
            let alternates = fs::read_to_string(objects.join("info/alternates")).unwrap_or_default();
            let named = alternates.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            borrowed.extend(named.map(|line| objects.join(line)));
        }
        if borrowed.is_empty() {
            return Ok(());
        }
        stores = borrowed;
    }
    Err(failure(FailureKind::Refused, format!("{} borrows objects over too many repositories", remote.url)))
}

/// A folder of a repository and everything that lies in it.
fn check_all(fence: &Fence, folder: &Path) -> Result<(), Failure> {
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

/// Copies what the repository at a `file://` address has and ours has not. One that borrows
/// objects from another is left to libgit2.
pub(super) fn copy(ours: &Repository, url: &str, limits: &Limits, said: &mut Said) -> Result<u64, Failure> {
    let fail = |error: git2::Error| far(url, &error);
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let theirs = Repository::open(path).map_err(fail)?;
    let objects = theirs.commondir().join("objects");
    if objects.join("info/alternates").exists() {
        return Ok(0);
    }
    let packs = files(&objects.join("pack"), |name| name.starts_with("pack-") && name.ends_with(".pack"));
    let here =
        |pack: &PathBuf| pack.file_name().is_some_and(|name| ours.path().join("objects/pack").join(name).exists());
    let packs: Vec<PathBuf> = packs.into_iter().filter(|pack| !here(pack)).collect();
    let total = packs.iter().filter_map(|pack| Some(fs::metadata(pack).ok()?.len())).sum::<u64>();
    if total > limits.received_bytes {
        return Err(too_large(url, limits));
    }
    let mut copied = 0;
    for pack in &packs {
        copy_pack(ours, url, pack, (&mut copied, total), said)?;
    }
    copied += copy_loose(ours, &theirs, url, &objects, limits.received_bytes.saturating_sub(copied), said)?;
    Ok(copied)
}

fn too_large(url: &str, limits: &Limits) -> Failure {
    failure(FailureKind::TooLarge, format!("{url} holds more than {} bytes", limits.received_bytes))
}

/// The plain files of a folder whose names are wanted, in their order.
fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut files: Vec<PathBuf> =
        plain.filter(|entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn copy_pack(
    ours: &Repository,
    url: &str,
    pack: &Path,
    (copied, total): (&mut u64, u64),
    said: &mut Said,
) -> Result<(), Failure> {
    let fail = |error: git2::Error| far(url, &error);
    let io_fail = |error: io::Error| of_files(url, &error);
    let odb = ours.odb().map_err(fail)?;
    let mut writer = odb.packwriter().map_err(fail)?;
    let mut file = File::open(pack).map_err(io_fail)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(io_fail)?;
        if read == 0 {
            break;
        }
        let bytes = piece.get(..read).unwrap_or_default();
        writer.write_all(bytes).map_err(|_| of_git(url))?;
        *copied += read as u64;
        said.tell(&Progress { phase: Phase::Receiving, done: *copied, total, bytes: *copied });
    }
    said.tell(&Progress { phase: Phase::Indexing, done: 0, total: 0, bytes: *copied });
    writer.commit().map_err(fail)?;
    Ok(())
}

/// Objects that are not packed. Their names are their hashes, which writing them computes anew.
fn copy_loose(
    ours: &Repository,
    theirs: &Repository,
    url: &str,
    objects: &Path,
    room: u64,
    said: &mut Said,
) -> Result<u64, Failure> {
    let fail = |error: git2::Error| far(url, &error);
    let (from, to) = (theirs.odb().map_err(fail)?, ours.odb().map_err(fail)?);
    let mut bytes = 0;
    for first in 0..=255u8 {
        let first = format!("{first:02x}");
        for file in files(&objects.join(&first), |name| name.len() == 38) {
            let rest = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(oid) = Oid::from_str(&format!("{first}{rest}")) else { continue };
            if to.exists(oid) {
                continue;
            }
            bytes += from.read_header(oid).map_err(fail)?.0 as u64;
            if bytes > room {
                return Err(failure(FailureKind::TooLarge, format!("{url} holds more than the limit of bytes")));
            }
            let object = from.read(oid).map_err(fail)?;
            let written = to.write(object.kind(), object.data()).map_err(fail)?;
            if written != oid {
                return Err(failure(FailureKind::Other, format!("{url}: the object {oid} is not what its name says")));
            }
            said.tell(&Progress { phase: Phase::Receiving, done: 0, total: 0, bytes });
        }
    }
    Ok(bytes)
}

/// What libgit2 said last, when it failed behind a writer.
fn of_git(url: &str) -> Failure {
    far(url, &git2::Error::last_error(-1))
}

fn of_files(url: &str, error: &io::Error) -> Failure {
    let kind = if error.kind() == io::ErrorKind::StorageFull { FailureKind::DiskFull } else { FailureKind::Other };
    failure(kind, format!("{url}: {error}"))
}
