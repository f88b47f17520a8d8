//! Objects of a repository on this disk, copied and hashed on the way.
//!
//! libgit2's own transport for files packs the whole repository anew, in memory and without a word. A first copy streams the packs that
//! are there through the indexer, which hashes every object; a later one writes the objects that are missing, since a mirror that was
//! packed again holds the same objects under other names. Links are not followed.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository};

use super::mirror::{Mirror, bad, of_files};
use super::{FailureKind, Said, failure};
use crate::hybridcore::sources::failure::Failure;
use crate::hybridcore::sources::git::{Limits, Phase, Progress};

/// How much is read at once.
const PIECE: usize = 1 << 20;
/// How deep trees may be nested.
const MOST_DEPTH: usize = 512;
/// More objects than this are copied as packs, since each single one is synced.
const MOST_SINGLE: usize = 2_000;
/// The same for a first copy.
const MOST_FIRST: usize = 500;

/// Copies the commit with its history from the mirror, as far as it is not here.
pub(super) fn copy(
    ours: &Repository,
    mirror: &Mirror,
    url: &str,
    commit: Oid,
    limits: &Limits,
    said: &mut Said,
) -> Result<u64, Failure> {
    let to = ours.odb().map_err(|error| bad(url, &error))?;
    let Some((commit, ObjectType::Commit)) = mirror.peeled(commit) else { return Ok(0) };
    let (missing, meets) = missing_commits(&to, mirror, url, commit)?;
    // What is left of an interrupted copy may hold the commit alone.
    let mut copier = Copier { to: &to, mirror, url, limits, said, written: 0, seen: HashSet::new(), room: MOST_SINGLE };
    if !meets && !missing.is_empty() {
        copier.room = MOST_FIRST;
    }
    if missing.len() > copier.room {
        return copy_all(ours, mirror, url, limits, copier.said);
    }
    let mut wanted = missing;
    if wanted.is_empty() {
        wanted.push(commit);
    }
    // The oldest first, each after all that it leads to, so that a commit that is here is here whole.
    for commit in wanted.iter().rev() {
        match copier.commit(*commit) {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(Stop::TooMany) => {
                let written = copier.written;
                return copy_all(ours, mirror, url, limits, copier.said).map(|copied| copied + written);
            }
        }
    }
    Ok(copier.written)
}

/// Commits of a history that are not here, the youngest first, and whether the history meets what is here.
fn missing_commits(to: &Odb<'_>, mirror: &Mirror, url: &str, commit: Oid) -> Result<(Vec<Oid>, bool), Failure> {
    let (mut open, mut seen, mut missing, mut meets) = (vec![commit], HashSet::new(), Vec::new(), false);
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if to.exists(id) {
            meets = true;
            continue;
        }
        missing.push(id);
        open.extend(parents(mirror, url, id)?);
    }
    Ok((ordered(mirror, url, &missing)?, meets))
}

/// Commits so that each is before its parents.
fn ordered(mirror: &Mirror, url: &str, commits: &[Oid]) -> Result<Vec<Oid>, Failure> {
    let wanted: HashSet<Oid> = commits.iter().copied().collect();
    let (mut done, mut order) = (HashSet::new(), Vec::new());
    for commit in commits {
        let mut open = vec![(*commit, false)];
        while let Some((id, is_left)) = open.pop() {
            if is_left {
                order.push(id);
            } else if wanted.contains(&id) && done.insert(id) {
                open.push((id, true));
                open.extend(parents(mirror, url, id)?.into_iter().map(|parent| (parent, false)));
            }
        }
    }
    order.reverse();
    Ok(order)
}

/// An object of the mirror, or why it is of no use.
fn object(mirror: &Mirror, url: &str, id: Oid) -> Result<(ObjectType, Vec<u8>), Failure> {
    match mirror.odb.read(id) {
        Ok(object) => Ok((object.kind(), object.data().to_vec())),
        Err(error) if error.code() == git2::ErrorCode::NotFound => {
            let detail = format!("{url}: the object {id} is missing there; see `git fsck`, or carry a whole clone");
            Err(failure(FailureKind::Incomplete, detail))
        }
        Err(error) => Err(bad(url, &error)),
    }
}

fn parents(mirror: &Mirror, url: &str, id: Oid) -> Result<Vec<Oid>, Failure> {
    let (_, data) = object(mirror, url, id)?;
    let text = String::from_utf8_lossy(&data);
    let head = text.lines().take_while(|line| !line.is_empty());
    Ok(head.filter_map(|line| Oid::from_str(line.strip_prefix("parent ")?).ok()).collect())
}

/// Why single objects are not copied further.
enum Stop {
    Failed(Failure),
    TooMany,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// Copies objects one by one.
struct Copier<'a> {
    to: &'a Odb<'a>,
    mirror: &'a Mirror,
    url: &'a str,
    limits: &'a Limits,
    said: &'a mut Said,
    written: u64,
    seen: HashSet<Oid>,
    room: usize,
}

impl Copier<'_> {
    fn commit(&mut self, id: Oid) -> Result<(), Stop> {
        let (_, data) = object(self.mirror, self.url, id)?;
        let text = String::from_utf8_lossy(&data);
        let tree = text.lines().next().and_then(|line| Oid::from_str(line.strip_prefix("tree ")?).ok());
        if let Some(tree) = tree {
            self.tree(tree, 0)?;
        }
        self.put(id, ObjectType::Commit, &data)
    }

    fn tree(&mut self, id: Oid, depth: usize) -> Result<(), Stop> {
        if !self.seen.insert(id) || depth > MOST_DEPTH {
            return Ok(());
        }
        let (kind, data) = object(self.mirror, self.url, id)?;
        for (mode, entry) in entries(&data) {
            match mode {
                // A submodule is a commit of another repository.
                Mode::Submodule => {}
                Mode::Tree => self.tree(entry, depth + 1)?,
                Mode::Blob => {
                    if self.seen.insert(entry) && !self.to.exists(entry) {
                        let (kind, data) = object(self.mirror, self.url, entry)?;
                        self.put(entry, kind, &data)?;
                    }
                }
            }
        }
        self.put(id, kind, &data)
    }

    fn put(&mut self, id: Oid, kind: ObjectType, data: &[u8]) -> Result<(), Stop> {
        if self.to.exists(id) {
            return Ok(());
        }
        self.room = self.room.checked_sub(1).ok_or(Stop::TooMany)?;
        self.written += data.len() as u64;
        if self.written > self.limits.received_bytes {
            return Err(too_large(self.url, self.limits).into());
        }
        let found = self.to.write(kind, data).map_err(|error| bad(self.url, &error))?;
        if found != id {
            let detail = format!("{}: the object {id} is not what its name says", self.url);
            return Err(failure(FailureKind::BadMirror, detail).into());
        }
        self.said.tell(&Progress { phase: Phase::Receiving, done: 0, total: 0, bytes: self.written });
        Ok(())
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

/// Copies every pack and every single object.
fn copy_all(ours: &Repository, mirror: &Mirror, url: &str, limits: &Limits, said: &mut Said) -> Result<u64, Failure> {
    let of_pack =
        |folder: &PathBuf| files(&folder.join("pack"), |name| name.starts_with("pack-") && name.ends_with(".pack"));
    let packs: Vec<PathBuf> = mirror.objects.iter().flat_map(of_pack).collect();
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
    copied += copy_loose(ours, mirror, url, limits.received_bytes.saturating_sub(copied), said)?;
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
    let fail = |error: git2::Error| bad(url, &error);
    let io_fail = |error: io::Error| of_files(url, pack, &error);
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
        writer.write_all(bytes).map_err(|_| bad(url, &git2::Error::last_error(-1)))?;
        *copied += read as u64;
        said.tell(&Progress { phase: Phase::Receiving, done: *copied, total, bytes: *copied });
    }
    said.tell(&Progress { phase: Phase::Indexing, done: 0, total: 0, bytes: *copied });
    writer.commit().map_err(fail)?;
    Ok(())
}

/// Objects that are not packed. Their names are their hashes, which writing them computes anew.
fn copy_loose(ours: &Repository, mirror: &Mirror, url: &str, room: u64, said: &mut Said) -> Result<u64, Failure> {
    let fail = |error: git2::Error| bad(url, &error);
    let to = ours.odb().map_err(fail)?;
    let mut bytes = 0;
    let folders: BTreeSet<PathBuf> = mirror
        .objects
        .iter()
        .flat_map(|objects| (0..=255u8).map(|first| objects.join(format!("{first:02x}"))))
        .collect();
    for folder in folders {
        let first = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        for file in files(&folder, |name| name.len() == 38) {
            let rest = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(oid) = Oid::from_str(&format!("{first}{rest}")) else { continue };
            if to.exists(oid) {
                continue;
            }
            bytes += mirror.odb.read_header(oid).map_err(fail)?.0 as u64;
            if bytes > room {
                return Err(failure(FailureKind::TooLarge, format!("{url} holds more than the limit of bytes")));
            }
            let (kind, data) = object(mirror, url, oid)?;
            let written = to.write(kind, &data).map_err(fail)?;
            if written != oid {
                let detail = format!("{url}: the object {oid} is not what its name says");
                return Err(failure(FailureKind::BadMirror, detail));
            }
            said.tell(&Progress { phase: Phase::Receiving, done: 0, total: 0, bytes });
        }
    }
    Ok(bytes)
}
