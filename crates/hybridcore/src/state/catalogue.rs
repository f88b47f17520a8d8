//! The catalogue `state/packer-hybrid.json`: plugin versions, repository commits, manifest hashes, last runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::document::{self, DocumentError, Loaded, Versioned};
use super::{CATALOGUE_FILE, LOCK_FILE, Lock, LockError};
use crate::leave::Leave;
use swoosh_types::hash::Hash;
use swoosh_types::text::GitId;

/// How long an update waits for another writer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A repository at the commit that is checked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Where it came from, without credentials.
    pub repo_url: String,
    pub commit_sha: GitId,
}

/// How the last run of a command came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastRun {
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Whether it did what it should.
    pub ok: bool,
    /// Why not; without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The record of a build's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Hash of packer's manifest file.
    pub manifest_hash: Hash,
    /// Hash of everything that went into the build; a differing one now means drift.
    pub inputs_hash: Hash,
    /// When it was built, RFC 3339.
    pub built_at: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Versions of packer and its plugins, by name.
    #[serde(default)]
    pub plugins: BTreeMap<String, String>,
    /// Repositories by name.
    #[serde(default)]
    pub repositories: BTreeMap<String, Repository>,
    /// Builds by name.
    #[serde(default)]
    pub manifests: BTreeMap<String, ManifestEntry>,
    /// Last runs by command (`sources sync`, `packer build`, …).
    #[serde(default)]
    pub last_runs: BTreeMap<String, LastRun>,
}

impl Versioned for Catalogue {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

/// Why the catalogue was not updated.
#[derive(Debug, Error)]
pub enum UpdateError {
    /// Another writer is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file is no good, or cannot be written.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The catalogue of a state folder; an empty one where none was written yet.
pub fn read(state: &Path) -> Result<Catalogue, DocumentError> {
    let loaded = document::load(&state.join(CATALOGUE_FILE))?;
    Ok(loaded.map(|Loaded { document, .. }| document).unwrap_or_default())
}

/// Changes the catalogue under the state folder's lock. Waiting processes see `task` as its holder.
pub fn update(
    state: &Path,
    task: &str,
    leave: &dyn Leave,
    change: impl FnOnce(&mut Catalogue),
) -> Result<Catalogue, UpdateError> {
    let _lock = Lock::take(&state.join(LOCK_FILE), task, PATIENCE, leave)?;
    let mut catalogue = read(state)?;
    change(&mut catalogue);
    document::store(&state.join(CATALOGUE_FILE), &catalogue)?;
    Ok(catalogue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;

    #[test]
    fn updates_of_many_writers_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let state = folder.path();
                scope.spawn(move || {
                    update(state, "test", &Always, |catalogue| {
                        catalogue.plugins.insert(format!("plugin-{n}"), "1.0.0".to_owned());
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(read(folder.path()).unwrap().plugins.len(), 8);
    }

    #[test]
    fn a_catalogue_that_was_never_written_is_empty_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Catalogue::default());
        std::fs::write(folder.path().join(CATALOGUE_FILE), "{").unwrap();
        assert!(read(folder.path()).is_err());
        assert!(update(folder.path(), "test", &Always, |_| {}).is_err());
        assert_eq!(std::fs::read(folder.path().join(CATALOGUE_FILE)).unwrap(), b"{");
    }
}
