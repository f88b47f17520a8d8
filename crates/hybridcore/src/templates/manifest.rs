//! `composition.json`: files and inputs of a composition, which let a change of either be detected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

use super::compose::Role;
use crate::definitions::{Definitions, is_left_over};
use crate::state::document::{self, DocumentError, Versioned};
use crate::state::files::{self, TEMPORARY_SUFFIX, remedy};
use swoosh_types::hash::Hash;

/// The manifest's file in a composition's folder.
pub const MANIFEST_FILE: &str = "composition.json";

/// A file of the definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its path in the definitions.
    pub path: String,
    /// Hash of its bytes.
    pub sha256: Hash,
}

/// A file of a composition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its path in the composition's folder.
    pub path: String,
    pub role: Role,
    /// Hash of its bytes.
    pub sha256: Hash,
    /// Whether it may be run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    pub from: Vec<Part>,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Canonical identifiers of the builders, sorted.
    pub builders: Vec<String>,
    /// The roles in the order of composition.
    pub order: Vec<Role>,
    /// The files in that order.
    pub files: Vec<ManifestFile>,
    /// Hash of all hashes and paths above.
    pub checksum: Hash,
}

impl Versioned for Manifest {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Json) -> Option<Json> {
        None
    }
}

/// A difference from the composition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "deviation", content = "path")]
pub enum Deviation {
    /// A composed file has other bytes.
    Changed(String),
    /// A composed file is gone.
    Missing(String),
    /// A file that is not part of the composition.
    Added(String),
    /// A file of the definitions has other bytes than were composed.
    SourceChanged(String),
    /// A file of the definitions is gone.
    SourceMissing(String),
    /// The manifest itself was changed: its checksum is not that of its files.
    Manifest(String),
}

impl Deviation {
    /// The difference and the remedy, in words.
    pub fn words(&self) -> String {
        match self {
            Deviation::Changed(path) => {
                format!("{path} was changed since it was composed; compose again, or change the template")
            }
            Deviation::Missing(path) => format!("{path} is missing; compose again"),
            Deviation::Added(path) => format!("{path} was not composed, and packer would read it; take it away"),
            Deviation::SourceChanged(path) => format!("the definition {path} has changed since; compose again"),
            Deviation::SourceMissing(path) => format!("the definition {path} is gone; put it back, or compose again"),
            Deviation::Manifest(path) => format!("{path} was changed by hand; compose again"),
        }
    }
}

/// Why a composition cannot be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// There is none.
    #[error("{} holds no {MANIFEST_FILE}; compose first: `swoosh templates compose --help`", folder.display())]
    None { folder: PathBuf },
    /// The manifest cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The folder cannot be read.
    #[error("{} cannot be read ({source}): {}", path.display(), remedy(source))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Manifest {
    pub(super) fn of(builders: Vec<String>, files: Vec<ManifestFile>) -> Manifest {
        let checksum = checksum(&builders, &files);
        Manifest { builders, order: Role::ALL.to_vec(), files, checksum }
    }

    /// The document's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, DocumentError> {
        document::render(self)
    }

    /// Reads the manifest of a composition.
    pub fn load(folder: &Path) -> Result<Manifest, VerifyError> {
        let loaded = document::load(&folder.join(MANIFEST_FILE))?;
        let none = || VerifyError::None { folder: folder.to_owned() };
        loaded.map(|loaded| loaded.document).ok_or_else(none)
    }

    /// Holds a folder, and the definitions where they are given, against the manifest. Sorted.
    pub fn verify(&self, folder: &Path, definitions: Option<&Definitions>) -> Result<Vec<Deviation>, VerifyError> {
        let mut deviations = BTreeSet::new();
        if checksum(&self.builders, &self.files) != self.checksum {
            deviations.insert(Deviation::Manifest(MANIFEST_FILE.to_owned()));
        }
        let mut there = BTreeMap::new();
        list(folder, "", &mut there)?;
        for ManifestFile { path, sha256, executable, .. } in &self.files {
            match there.remove(path) {
                None => drop(deviations.insert(Deviation::Missing(path.clone()))),
                Some(found) if found != (*sha256, *executable) => {
                    deviations.insert(Deviation::Changed(path.clone()));
                }
                Some(_) => {}
            }
        }
        there.remove(MANIFEST_FILE);
        deviations.extend(there.into_keys().filter(|path| is_foreign(path)).map(Deviation::Added));
        for part in self.files.iter().flat_map(|file| &file.from) {
            match definitions.map(|definitions| definitions.bytes(&part.path)) {
                Some(None) => drop(deviations.insert(Deviation::SourceMissing(part.path.clone()))),
                Some(Some(bytes)) if Hash::of(bytes) != part.sha256 => {
                    deviations.insert(Deviation::SourceChanged(part.path.clone()));
                }
                _ => {}
            }
        }
        Ok(deviations.into_iter().collect())
    }
}

fn checksum(builders: &[String], files: &[ManifestFile]) -> Hash {
    let mut text = String::new();
    builders.iter().for_each(|builder| text.push_str(&format!("{builder}\n")));
    for file in files {
        let mark = if file.executable { " executable" } else { "" };
        text.push_str(&format!("{} {} {}{mark}\n", file.sha256, file.role, file.path));
        file.from.iter().for_each(|part| text.push_str(&format!("  {} {}\n", part.sha256, part.path)));
    }
    Hash::of(text.as_bytes())
}

/// Ends of the names of files that packer reads in a template's folder, hidden ones and links among them.
const READ_BY_PACKER: [&str; 4] = [".pkr.hcl", ".pkr.json", ".auto.pkrvars.hcl", ".auto.pkrvars.json"];
/// Files that programs leave beside the files they run, and that a killed writer leaves beside the file it replaces.
const LEFT_BEHIND: [&str; 3] = [".pyc", ".retry", TEMPORARY_SUFFIX];

/// Whether a file in a composition's folder that was not composed may change the build. Packer and provisioners read hidden files too;
/// they do not read what version control and editors keep (`.git`, `name~`, `.name.swp`, `NAME.edited`), unless packer reads it by its name.
pub fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_kept = path.split('/').any(is_left_over) || name.ends_with(".edited");
    let is_left = LEFT_BEHIND.iter().any(|end| name.ends_with(end));
    READ_BY_PACKER.iter().any(|end| path.ends_with(end) && !path.contains('/')) || !(is_kept || is_left)
}

/// All files of a folder, with their hashes and whether their owner may run them.
fn list(folder: &Path, prefix: &str, found: &mut BTreeMap<String, (Hash, bool)>) -> Result<(), VerifyError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| VerifyError::Unreadable { path, source }
    };
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type().map_err(unreadable(&path))?.is_dir() {
            list(&path, &format!("{prefix}{name}/"), found)?;
        } else {
            // A link that leads nowhere is there all the same.
            let bytes = files::read(&path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(Vec::new()),
                _ => Err(unreadable(&path)(error)),
            })?;
            let executable = fs::metadata(&path).is_ok_and(|about| about.permissions().mode() & 0o100 != 0);
            found.insert(format!("{prefix}{name}"), (Hash::of(&bytes), executable));
        }
    }
    Ok(())
}
