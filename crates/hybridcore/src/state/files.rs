//! Files that are replaced whole or not at all: written beside, synced, renamed, and the folder synced.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use thiserror::Error;

/// Ends the name of a file that is being written.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Why a file was not replaced; the old content is unchanged.
#[derive(Debug, Error)]
#[error("{} could not be written ({step}: {source}); the old content is untouched: {}", path.display(), remedy(source))]
pub struct WriteError {
    /// The file that was to be replaced.
    pub path: PathBuf,
    /// The failed step.
    pub step: &'static str,
    #[source]
    pub source: io::Error,
}

/// The remedy for an error of the file system.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that file system and run it again",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; mount it for writing and run it again",
        io::ErrorKind::PermissionDenied => "give this user write access to the folder and run it again",
        io::ErrorKind::NotFound => "create the folder, or name another one",
        _ => "see to the disk and run it again",
    }
}

/// Replaces the file at `path` by `bytes`: after a crash at any moment either all of the old content is
/// there or all of the new. Writers of one file must hold a lock, since they share its temporary name.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    replace_as(path, bytes, false)
}

/// Like [`replace`]; with `executable`, all who may read the file may run it.
pub fn replace_as(path: &Path, bytes: &[u8], executable: bool) -> Result<(), WriteError> {
    let fail = |step: &'static str| move |source| WriteError { path: path.to_owned(), step, source };
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(fail("creating its folder"))?;
    let temporary = temporary_of(path);
    let written = write_new(&temporary, bytes, executable).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // Best effort: the next repair finds and removes a left-over.
        let _ = fs::remove_file(&temporary);
        return Err(fail("writing a temporary file beside it")(source));
    }
    sync_folder(folder).map_err(fail("syncing its folder"))
}

/// Opens a file that an argument or a document names, to read. What is no regular file is refused: opening a pipe may wait for ever,
/// and a device may have no end.
pub fn open(path: &Path) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file; name a file");
    if !fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    // The path may lead elsewhere by now.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

/// The bytes of a file that is opened as by [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file that is opened as by [`open`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open(path)?)
}

fn write_new(temporary: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` does not follow a link planted at this path.
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
    file.write_all(bytes)?;
    if executable {
        let mode = file.metadata()?.permissions().mode();
        file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
    }
    file.sync_all()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(TEMPORARY_SUFFIX);
    path.with_file_name(name)
}

/// Temporary files of killed writers in a folder, sorted; none if the folder is missing.
pub fn leftovers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_temporary = entry.file_name().to_string_lossy().ends_with(TEMPORARY_SUFFIX);
        if is_temporary && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what killed writers left; a temporary file was never renamed, so nothing of it was promised.
/// The caller holds the lock of the folder's writers.
pub fn remove_leftovers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = leftovers(folder)?;
    for path in &found {
        fs::remove_file(path)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_found_removed_and_never_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(folder.path().join("state.json.tmp"), b"half").unwrap();
        fs::write(folder.path().join("other.json.tmp"), b"half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(leftovers(folder.path()).unwrap(), [folder.path().join("other.json.tmp")]);
        assert_eq!(remove_leftovers(folder.path()).unwrap().len(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(leftovers(&folder.path().join("absent")).unwrap().is_empty());
    }

    #[test]
    fn a_link_at_the_temporary_name_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("state.json.tmp")).unwrap();
        replace(&folder.path().join("state.json"), b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_failed_write_says_what_to_do_and_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        replace(&path, b"old").unwrap();
        fs::create_dir(folder.path().join("state.json.tmp")).unwrap();
        let error = replace(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("the old content is untouched"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
