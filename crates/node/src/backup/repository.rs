//! A directory of backups.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::origin::Origin;
use super::{FORMAT, Manifest, Stored};
use crate::export::{open_sealed, write_whole};
use swoosh_files as files;
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::civil::rfc3339;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;

/// A directory of backups.
pub struct Repository {
    directory: PathBuf,
}

/// A backup, or why its manifest cannot be read.
pub struct Listed {
    pub id: String,
    pub found: anyhow::Result<Manifest>,
}

impl Listed {
    /// Backups in the order of what they hold: by incarnation, then by the last record. The name carries the wall clock,
    /// which may have been ahead; it decides only between equals. Signed ones come after the others: what anybody may have
    /// put there is no newest one beside them. An unreadable manifest may hold anything, and comes last.
    fn rank(&self) -> (bool, bool, u64, u64, &str) {
        match &self.found {
            Ok(manifest) => {
                let signed = manifest.origin() == Origin::Signed;
                (false, signed, manifest.incarnation, manifest.last_index, &self.id)
            }
            Err(_) => (true, false, 0, 0, &self.id),
        }
    }

    /// Whether an unreadable backup is certainly older than another one: its name says an earlier time and an earlier record.
    fn is_older_than(&self, newest: &Manifest) -> bool {
        let index = self.id.rsplit_once('-').and_then(|(_, index)| index.parse::<u64>().ok());
        self.id < newest.id && index.is_some_and(|index| index < newest.last_index)
    }
}

/// Held by who writes to a directory of backups.
pub struct Lock(File);

#[cfg(test)]
impl Lock {
    pub fn copy(&self) -> std::io::Result<File> {
        self.0.try_clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread starts at this moment has the descriptor until it runs its program.
        let _ = self.0.unlock();
    }
}

impl Repository {
    pub fn at(directory: &Path) -> Repository {
        Repository { directory: directory.to_path_buf() }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn manifests(&self) -> PathBuf {
        self.directory.join("backups")
    }

    /// A name for a backup: when it was taken, and the last record.
    pub fn name(taken_at: Hlc, last_index: u64) -> String {
        let time: String = rfc3339(taken_at.physical_ms()).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let time = time.split('+').next().unwrap_or_default();
        format!("{time}Z-{last_index}")
    }

    /// Every backup, the oldest first (see `Listed::rank`); those whose manifests cannot be read are among them.
    pub fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let folder = self.manifests();
        readable(&folder)?;
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let cannot = || format!("cannot read {}", folder.display());
        let mut listed = Vec::new();
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(id) = name.strip_suffix(".json").filter(|id| !id.starts_with('.')) {
                let found = read(&path, id);
                // One that was pruned meanwhile is no damage.
                if found.is_ok() || path.exists() {
                    listed.push(Listed { id: id.to_owned(), found });
                }
            }
        }
        listed.sort_by_cached_key(|listed| {
            let (unreadable, signed, incarnation, last_index, id) = listed.rank();
            (unreadable, signed, incarnation, last_index, id.to_owned())
        });
        Ok(listed)
    }

    /// Every backup; an error where one cannot be read.
    pub fn all(&self) -> anyhow::Result<Vec<Manifest>> {
        let remedy = "put the file back, or take it away if that backup is not needed";
        let all = self.list()?.into_iter();
        all.map(|listed| listed.found.with_context(|| format!("the backup {}: {remedy}", listed.id))).collect()
    }

    /// A backup by its name, or the newest one by `Listed::rank`.
    pub fn find(&self, id: Option<&str>) -> anyhow::Result<Manifest> {
        let listed = self.list()?;
        anyhow::ensure!(
            !listed.is_empty(),
            "there is no backup in {}; name a directory that `swoosh backup create` or a node (backup.directory) wrote to",
            self.directory.display()
        );
        let Some(id) = id else { return newest(listed) };
        let known: Vec<String> = listed.iter().rev().take(5).map(|listed| listed.id.clone()).collect();
        let none = || format!("there is no backup {id:?}; the newest are {}", known.join(", "));
        listed.into_iter().find(|listed| listed.id == id).with_context(none)?.found
    }

    /// Fails at once if it is locked: two writers are a mistake of their schedules.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.directory.join("lock");
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make {}", self.directory.display()))?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another process writes to {}; wait until it is done", self.directory.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Writes a manifest, last of all. An existing one is never overwritten.
    pub fn add(&self, manifest: &Manifest, _lock: &Lock) -> anyhow::Result<()> {
        let path = self.manifests().join(format!("{}.json", manifest.id));
        anyhow::ensure!(!path.exists(), "the backup {} is there already; nothing is overwritten", manifest.id);
        write_whole(&path, &canonical_bytes(manifest))?;
        anyhow::ensure!(
            read(&path, &manifest.id)? == *manifest,
            "{} differs from the written manifest",
            path.display()
        );
        Ok(())
    }

    /// Takes a manifest away.
    pub fn forget(&self, id: &str, _lock: &Lock) -> anyhow::Result<()> {
        let path = self.manifests().join(format!("{id}.json"));
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        sync_folder(&self.manifests())
    }

    /// Where bytes that hash to this stand.
    pub fn object(hash: &Hash, sealed: bool) -> String {
        let text = hash.to_string();
        let hex = text.trim_start_matches("sha256-");
        format!("objects/{}/{hex}{}", hex.get(..2).unwrap_or("00"), if sealed { ".age" } else { "" })
    }

    /// Writes an object whole or not at all.
    pub fn put(&self, object: &str, bytes: &[u8], _lock: &Lock) -> anyhow::Result<()> {
        write_whole(&self.directory.join(object), bytes).map(drop)
    }

    /// The bytes of an object, which must hash to what its backup says.
    pub fn bytes(&self, stored: &Stored) -> anyhow::Result<Vec<u8>> {
        let inside = stored.object.strip_prefix("objects/").is_some_and(is_plain);
        anyhow::ensure!(inside, "{:?} leads out of the backup directory", stored.object);
        let bytes = fs::read(self.directory.join(&stored.object));
        let bytes = bytes.with_context(|| format!("{} cannot be read", stored.object))?;
        let found = Hash::of(&bytes);
        let expected = stored.object_sha256;
        anyhow::ensure!(found == expected, "{} is damaged: it hashes to {found}, not to {expected}", stored.object);
        Ok(bytes)
    }

    /// The content of a file; `None` if it is encrypted and there is no key.
    pub fn plain(&self, stored: &Stored, keys: &[Box<dyn age::Identity>]) -> anyhow::Result<Option<Vec<u8>>> {
        let bytes = self.bytes(stored)?;
        let opened = open_sealed(Path::new(&stored.object), bytes, keys);
        let why = || {
            format!("{} cannot be decrypted; --identity names the file of one of its recipients' keys", stored.object)
        };
        let Some(plain) = opened.with_context(why)? else {
            return Ok(None);
        };
        let (found, expected) = (Hash::of(&plain), stored.sha256);
        anyhow::ensure!(found == expected, "{} holds another file: {found}, not {expected}", stored.object);
        Ok(Some(plain))
    }

    /// Removes objects that no backup names, and files that were being written; how many.
    pub fn collect(&self, _lock: &Lock) -> anyhow::Result<u64> {
        let named: BTreeSet<String> =
            self.all()?.into_iter().flat_map(|manifest| manifest.files).map(|file| file.object).collect();
        let mut removed = remove_partial(&self.manifests())?;
        let objects = self.directory.join("objects");
        for folder in entries(&objects)? {
            removed += remove_partial(&folder)?;
            for path in entries(&folder)? {
                let below = path.strip_prefix(&self.directory).ok().and_then(Path::to_str).unwrap_or_default();
                if !named.contains(below) {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// The newest backup. An unreadable one that may be newer is an error: it is not passed over in silence.
pub fn newest(listed: Vec<Listed>) -> anyhow::Result<Manifest> {
    let (good, bad): (Vec<Listed>, Vec<Listed>) = listed.into_iter().partition(|listed| listed.found.is_ok());
    let newest = good.into_iter().filter_map(|listed| listed.found.ok()).next_back();
    let doubtful = |listed: &Listed| newest.as_ref().is_none_or(|newest| !listed.is_older_than(newest));
    if let Some(Listed { id, found: Err(error) }) = bad.into_iter().rev().find(doubtful) {
        let remedy = "name another one with --backup; `swoosh backup list` lists them";
        return Err(error.context(format!("the backup {id} may be the newest, and cannot be read; {remedy}")));
    }
    newest.context("there is no backup")
}

/// Whether a path with slashes stays where it is.
pub fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Fails where it cannot be told whether a path is there: a user who may not look must not read that nothing is.
pub fn readable(path: &Path) -> anyhow::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let why = "permission denied, run the command as a user who may read it";
            Err(error).with_context(|| format!("{} cannot be read: {why}", path.display()))
        }
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(error).with_context(|| format!("{} cannot be read", path.display()))
        }
        _ => Ok(()),
    }
}

fn read(path: &Path, id: &str) -> anyhow::Result<Manifest> {
    let cannot = || format!("{} cannot be read", path.display());
    let manifest: Manifest = from_canonical(&fs::read(path).with_context(cannot)?).with_context(cannot)?;
    let (format, named) = (manifest.format, &manifest.id);
    anyhow::ensure!(
        (1..=FORMAT).contains(&format),
        "{} has form {format}, this program knows forms 1 to {FORMAT}",
        path.display()
    );
    anyhow::ensure!(named == id, "{} names itself {named}; it was renamed", path.display());
    Ok(manifest)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot read {}", folder.display());
    fs::read_dir(folder).with_context(cannot)?.map(|entry| Ok(entry.with_context(cannot)?.path())).collect()
}

/// Files that were being written when their writer died.
fn remove_partial(folder: &Path) -> anyhow::Result<u64> {
    let partial =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(files::PARTIAL));
    let mut removed = 0;
    for path in entries(folder)?.into_iter().filter(partial) {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        removed += 1;
    }
    Ok(removed)
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    files::sync_directory(folder).with_context(|| format!("cannot sync {}", folder.display()))
}
