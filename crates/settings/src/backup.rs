//! `backup`: the backups that a node makes by itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Backups of the whole data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Where they go; none means that the node makes none by itself.
    pub directory: Option<PathBuf>,
    /// How often there is one, in milliseconds.
    pub every_ms: u64,
    /// Recipients, as age public keys; with none, backups are not encrypted.
    pub recipients: Vec<String>,
    /// How many of the newest stay.
    pub keep: u64,
    /// Those that are younger stay as well, in milliseconds.
    pub keep_ms: u64,
}

impl Default for Backup {
    fn default() -> Backup {
        Backup { directory: None, every_ms: 3_600_000, recipients: Vec::new(), keep: 48, keep_ms: 7 * 86_400_000 }
    }
}
