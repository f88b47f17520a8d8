//! Whether the disk takes writes again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::store::Place;

/// Space needed before the journal is reopened: opening flushes RocksDB's log to tables.
const PROBE_BYTES: usize = 8 << 20;

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
#[error("{} of {PROBE_BYTES} bytes cannot be written: {source}", path.display())]
pub struct RoomError {
    /// The file that was tried.
    pub path: PathBuf,
    pub source: io::Error,
}

impl RoomError {
    /// Whether there is no room, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// The same, wherever a journal is.
pub(super) fn find(place: &Place) -> Result<(), RoomError> {
    match &place.medium {
        None => find_room(&place.path),
        Some(medium) => medium.find_room().map_err(|source| RoomError { path: place.path.clone(), source }),
    }
}

/// Writes, syncs and removes a scratch file beside the journal in a directory.
pub fn find_room(journal: &Path) -> Result<(), RoomError> {
    let mut name = journal.file_name().unwrap_or_default().to_os_string();
    name.push(".probe");
    let path = journal.with_file_name(name);
    let written = write(&path);
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|source| RoomError { path, source })
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..PROBE_BYTES / block.len() {
        file.write_all(&block)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        find_room(&directory.path().join("journal")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_gone_is_no_matter_of_room() {
        let error = find_room(Path::new("/nowhere/at/all/journal")).unwrap_err();
        assert!(!error.is_full(), "{error}");
    }
}
