//! Files that are replaced whole: written beside, synced, renamed, and the directory synced.
//!
//! After a crash or a loss of power at any moment, the path has all of the old content or all of the new. A writer that is killed leaves
//! a file whose name begins with [`PARTIAL`]; it was never renamed and may be removed.
//!
//! [`open`] is for files that an argument or a setting names: it never waits, and refuses what is no regular file.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

mod named;

pub use named::{NotAFile, open, read, read_to_string};

/// The mode of a file that only its owner reads and writes.
pub const PRIVATE: u32 = 0o600;
/// Begins the name of a file that is being written.
pub const PARTIAL: &str = ".partial-";

/// Replaces the file at `path`, or makes it. When this returns, the content and the name are on disk. Its mode is `mode` without the bits
/// of the umask. Two writers of one file do not mix: the later rename counts.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_beside(path, bytes, mode)?.persist(path).map_err(|failed| failed.error)?;
    sync_directory(directory_of(path))
}

/// Makes the file at `path`, as [`replace`] does. Fails with `AlreadyExists`, and changes nothing, if there is one.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_beside(path, bytes, mode)?.persist_noclobber(path).map_err(|failed| failed.error)?;
    sync_directory(directory_of(path))
}

/// Syncs a directory, so that new names in it survive a loss of power.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory of a file; `.` for a name alone.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut draft = tempfile::Builder::new();
    draft.prefix(PARTIAL).permissions(Permissions::from_mode(mode));
    let mut file = draft.tempfile_in(directory_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use swoosh_testkit::syscalls;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept.json");
        replace(&path, b"one", PRIVATE).unwrap();
        replace(&path, b"two", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(names(directory.path()), ["kept.json"]);
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        create(&path, b"one", PRIVATE).unwrap();
        let refused = create(&path, b"two", PRIVATE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap().as_slice(), names(directory.path()).len()), (b"one".as_slice(), 1));
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("folder");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(replace(&path, b"new", PRIVATE).is_err());
        assert_eq!(names(directory.path()), ["folder"]);
        assert!(replace(&directory.path().join("absent/kept.json"), b"new", PRIVATE).is_err());
    }

    /// The content is synced before the rename, and the directory after it. Without the first, a loss of power leaves an empty file under
    /// the new name.
    #[test]
    fn a_replaced_file_is_synced_before_its_rename_and_its_directory_after() {
        let name = "tests::a_replaced_file_is_synced_before_its_rename_and_its_directory_after";
        syscalls::assert_durable(name, "kept.json", |directory| {
            replace(&directory.join("kept.json"), b"new", PRIVATE).unwrap();
        });
    }
}
