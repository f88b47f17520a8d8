//! Writes rendered files under `configs/<env>/`. Files edited by hand are never overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

use crate::leave::Leave;
use crate::state::document::{self, DocumentError, Versioned};
use crate::state::files::{self, WriteError};
use crate::state::{LOCK_FILE, Lock, LockError};
use crate::templates::is_foreign;
use swoosh_types::hash::Hash;

/// The folder of rendered files in a workspace.
pub const CONFIGS_FOLDER: &str = "configs";
/// The record of rendered files, in the state folder.
pub const CONFIGS_FILE: &str = "configs.json";
/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file as we wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderedFile {
    /// Hash of its bytes.
    pub sha256: Hash,
    /// Hash of all that it was made from.
    pub inputs_hash: Hash,
    /// Hash of the content before a replacement in progress: after a crash, that content is no edit by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Hash>,
}

impl RenderedFile {
    fn is_ours(&self, found: Hash) -> bool {
        self.sha256 == found || self.replaces == Some(found)
    }
}

/// `state/configs.json`: the files under `configs/` as we wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigsDocument {
    /// Files by path below `configs/`.
    #[serde(default)]
    pub files: BTreeMap<String, RenderedFile>,
}

impl Versioned for ConfigsDocument {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Json) -> Option<Json> {
        None
    }
}

/// The change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Written,
    /// It was there as we left it, and is another now.
    Updated,
    /// It was there with these bytes.
    Unchanged,
    /// It is no longer part of this, and was taken away.
    Removed,
}

/// Why files were not written; none of them was.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Files were changed since we wrote them, or we never wrote them.
    #[error(
        "{} by hand since it was rendered, or was never rendered; put the change into an overlay or the answers, or run it \
         again with --overwrite, which keeps the old file beside it (NAME.edited)",
        edited(.paths)
    )]
    Edited {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// Packer and its tools would read files here that no composition wrote.
    #[error(
        "{} is not part of the composition there, and the build would use it; take it away, put it into the definitions, or run it \
         again with --overwrite, which keeps it beside (NAME.edited)",
        names(.paths)
    )]
    Foreign {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// Another writer is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The record of what we wrote cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The system would not let us look.
    #[error("{} cannot be read ({source}): {}", path.display(), files::remedy(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn edited(paths: &[PathBuf]) -> String {
    format!("{} was changed", names(paths))
}

/// Files that belong together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Bytes by path below `configs/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Those of the files that may be run.
    pub executables: BTreeSet<String>,
    /// Folders below `configs/` that hold nothing but this batch; our files there that it lacks are taken away.
    pub whole_folders: Vec<String>,
    /// Hash of all that the files were made from.
    pub inputs_hash: Option<Hash>,
}

/// Writes a batch under the state folder's lock. All files are looked at first; one that was edited, or is foreign in a whole folder, stops
/// everything, unless `overwrite`, which keeps that file as `NAME.edited`.
pub fn write(
    root: &Path,
    batch: &Batch,
    overwrite: bool,
    leave: &dyn Leave,
) -> Result<BTreeMap<String, Change>, StoreError> {
    let state = root.join("state");
    let _lock = Lock::take(&state.join(LOCK_FILE), "config render", PATIENCE, leave)?;
    let record = state.join(CONFIGS_FILE);
    let mut known = document::load::<ConfigsDocument>(&record)?.map(|loaded| loaded.document).unwrap_or_default();
    let configs = root.join(CONFIGS_FOLDER);
    let plan = plan(&configs, batch, &known)?;
    let of = |hand: Hand| plan.iter().filter(|step| step.by == hand).map(|step| configs.join(&step.path)).collect();
    let (touched, foreign): (Vec<PathBuf>, Vec<PathBuf>) = (of(Hand::Edited), of(Hand::Foreign));
    if !touched.is_empty() && !overwrite {
        return Err(StoreError::Edited { paths: touched });
    }
    if !foreign.is_empty() && !overwrite {
        return Err(StoreError::Foreign { paths: foreign });
    }
    for (path, bytes) in &batch.files {
        let replaces = known.files.get(path).map(|entry| entry.sha256);
        let inputs_hash = batch.inputs_hash.unwrap_or(Hash::ZERO);
        known.files.insert(path.clone(), RenderedFile { sha256: Hash::of(bytes), inputs_hash, replaces });
    }
    keep(&record, &known)?;
    let mut changes = BTreeMap::new();
    for step in &plan {
        changes.insert(step.path.clone(), apply(&configs, batch, step)?);
        if step.change == Change::Removed {
            known.files.remove(&step.path);
        }
    }
    known.files.values_mut().for_each(|entry| entry.replaces = None);
    keep(&record, &known)?;
    Ok(changes)
}

/// Stores the record where it differs from what is there.
fn keep(record: &Path, known: &ConfigsDocument) -> Result<(), DocumentError> {
    let there = document::load::<ConfigsDocument>(record)?.map(|loaded| loaded.document);
    if there.as_ref() == Some(known) { Ok(()) } else { document::store(record, known) }
}

/// The last writer of an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Ours,
    Edited,
    Foreign,
}

struct Planned {
    path: String,
    change: Change,
    by: Hand,
}

fn plan(configs: &Path, batch: &Batch, known: &ConfigsDocument) -> Result<Vec<Planned>, StoreError> {
    let mut plan = Vec::new();
    let hand = |is_ours: bool| if is_ours { Hand::Ours } else { Hand::Edited };
    for (path, bytes) in &batch.files {
        let (new, may_run) = (Hash::of(bytes), batch.executables.contains(path));
        let (change, by) = match found(&configs.join(path))? {
            None => (Change::Written, Hand::Ours),
            Some(there) if there == (new, may_run) => (Change::Unchanged, Hand::Ours),
            Some((there, _)) if there == new => (Change::Updated, Hand::Ours),
            Some((there, _)) => {
                (Change::Updated, hand(known.files.get(path).is_some_and(|entry| entry.is_ours(there))))
            }
        };
        plan.push(Planned { path: path.clone(), change, by });
    }
    let is_gone = |path: &&String| {
        let ours = |folder: &String| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
        batch.whole_folders.iter().any(ours) && !batch.files.contains_key(*path)
    };
    for (path, entry) in known.files.iter().filter(|(path, _)| is_gone(path)) {
        let there = found(&configs.join(path))?;
        let by = hand(there.is_none_or(|(there, _)| entry.is_ours(there)));
        plan.push(Planned { path: path.clone(), change: Change::Removed, by });
    }
    for folder in &batch.whole_folders {
        let mut there = BTreeSet::new();
        list(&configs.join(folder), "", &mut there)?;
        for own in there.into_iter().filter(|own| is_foreign(own)) {
            let path = format!("{folder}/{own}");
            if !batch.files.contains_key(&path) && !known.files.contains_key(&path) {
                plan.push(Planned { path, change: Change::Removed, by: Hand::Foreign });
            }
        }
    }
    Ok(plan)
}

/// All files below a folder, links among them; none where there is no folder.
fn list(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) -> Result<(), StoreError> {
    let unreadable = |source| StoreError::Unreadable { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(unreadable)?.is_dir() {
            list(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.insert(name);
        }
    }
    Ok(())
}

fn apply(configs: &Path, batch: &Batch, step: &Planned) -> Result<Change, StoreError> {
    let path = configs.join(&step.path);
    let unwritable = |step: &'static str| {
        let path = path.clone();
        move |source| WriteError { path, step, source }
    };
    if step.by != Hand::Ours {
        fs::rename(&path, kept_beside(&path)).map_err(unwritable("keeping the edited file beside it"))?;
    }
    match (step.change, batch.files.get(&step.path)) {
        (Change::Written | Change::Updated, Some(bytes)) => {
            files::replace_as(&path, bytes, batch.executables.contains(&step.path))?;
        }
        (Change::Removed, _) if path.exists() => {
            fs::remove_file(&path).map_err(unwritable("taking it away"))?;
        }
        _ => {}
    }
    Ok(step.change)
}

/// `NAME.edited`, or the first `NAME.2.edited` and on that is not taken.
fn kept_beside(path: &Path) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".edited".to_owned() } else { format!(".{number}.edited") });
        PathBuf::from(name)
    };
    (1..u32::MAX).map(named).find(|kept| !kept.exists()).unwrap_or_else(|| named(1))
}

/// A file's hash, and whether its owner may run it.
fn found(path: &Path) -> Result<Option<(Hash, bool)>, StoreError> {
    let may_run = || fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o100 != 0);
    match files::read(path) {
        Ok(bytes) => Ok(Some((Hash::of(&bytes), may_run()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Unreadable { path: path.to_owned(), source }),
    }
}
