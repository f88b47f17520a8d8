//! Exports: copies of snapshots and records in a directory outside the data directory.
//!
//! ```text
//! DIR/rounds/<last record>[.wal].json               what the round wrote, with hashes; names the round before
//! DIR/snapshots/<project>/<record>.json[.age]       a project's state with its live keys
//! DIR/wal/<first record>-<last record>.jsonl[.age]  records with inputs, seals and the facts that they name
//! ```
//! Every file appears whole or not at all, and the round's own file last: files that no round names do not count. How far
//! records were exported to a directory, its rounds say, and not the data directory: each export is whole by itself.

mod check;
mod file;
mod hook;
mod round;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use check::{Checked, check};
pub use file::{Vault, open as open_sealed, write as write_whole};
pub use hook::Hook;
use round::read_rounds;
pub use round::{FORMAT, Rounds};

use swoosh_settings as settings;
use swoosh_types::hash::Hash;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::{ClusterId, ProjectName};

/// Under which name the journal remembers how far records were exported to the directory of the settings, so that
/// nothing is pruned before that.
pub const WAL_EXPORTER: &str = "wal-export";

pub struct Plan {
    pub directory: PathBuf,
    pub wal: bool,
    pub vault: Vault,
    pub hook: Option<Hook>,
}

impl Plan {
    /// The plan of the settings; `None` where nothing is exported.
    pub fn of(settings: &settings::Exports) -> anyhow::Result<Option<Plan>> {
        let Some(directory) = settings.directory.clone() else { return Ok(None) };
        let vault = Vault::for_recipients(&settings.recipients).context("exports.recipients cannot be used")?;
        let timeout = std::time::Duration::from_millis(settings.command_timeout_ms);
        let hook = Hook::new(settings.command.clone(), timeout);
        Ok(Some(Plan { directory, wal: settings.wal, vault, hook }))
    }
}

/// The files of one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub format: u64,
    pub node: PublicKey,
    pub cluster: ClusterId,
    pub incarnation: u64,
    /// The last record when the round began, and its chain value.
    pub last_index: u64,
    pub last_chain: Hash,
    /// The first record of the log when the round began; absent in form 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_index: Option<u64>,
    /// How the incarnations after the first one began; absent in form 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incarnations: Vec<Incarnation>,
    /// Hash of the file of the round before.
    pub previous: Option<Hash>,
    pub files: Vec<Exported>,
}

/// One file of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// Below the export directory, with slashes.
    pub path: String,
    /// Of the file's bytes as they stand there.
    pub sha256: Hash,
    pub bytes: u64,
    pub content: Content,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Content {
    Snapshot { project: ProjectName, index: u64, state_hash: Hash },
    Records { first: u64, last: u64 },
}
