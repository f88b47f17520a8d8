//! Paths as text, without a look at the disk.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(whole.pop()),
            other => whole.push(other),
        }
    }
    whole
}
