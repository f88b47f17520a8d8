//! `backup`: the backups that a node makes by itself.

use std::path::PathBuf;

section_backup! {
    /// Backups of the whole data directory.
    Backup { directory: Option<PathBuf> = None, recipients: Vec<String> = Vec::new() }
}
