//! `swoosh documents check`: whether every document of a state folder can be used, and what to do if not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::document::{self, DocumentError, Versioned};
use super::{LOCK_FILE, Lock, LockError, files};
use crate::leave::Leave;

/// How a document was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "condition")]
pub enum Condition {
    /// Never written.
    Absent,
    Good {
        /// The version of the file.
        version: u64,
    },
    /// Good, but of an older version; it is rewritten when it next changes.
    Older {
        /// The version of the file.
        version: u64,
        /// Today's.
        current: u64,
    },
    /// Cannot be used.
    Bad {
        /// Why, and what to do.
        detail: String,
    },
}

/// One document's file and its condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// How it is.
    #[serde(flatten)]
    pub condition: Condition,
}

/// Looks at one document.
pub fn document<T: Versioned>(path: &Path) -> Finding {
    let condition = match document::load::<T>(path) {
        Ok(None) => Condition::Absent,
        Ok(Some(found)) if found.found_version == T::SCHEMA_VERSION => Condition::Good { version: found.found_version },
        Ok(Some(found)) => Condition::Older { version: found.found_version, current: T::SCHEMA_VERSION },
        Err(error) => Condition::Bad { detail: error.to_string() },
    };
    Finding { path: path.to_owned(), condition }
}

/// Why a folder was not repaired.
#[derive(Debug, Error)]
pub enum RepairError {
    /// A writer is at work, so its temporary file is no left-over.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder cannot be read or written.
    #[error("{} cannot be repaired ({source}): {}", path.display(), files::remedy(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A document cannot be rewritten.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Removes what killed writers left behind, and says what it was.
pub fn repair(state: &Path, leave: &dyn Leave) -> Result<Vec<PathBuf>, RepairError> {
    let _lock = Lock::take(&state.join(LOCK_FILE), "state repair", Duration::from_secs(5), leave)?;
    files::remove_leftovers(state).map_err(|source| RepairError::Folder { path: state.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;
    use crate::state::catalogue::Catalogue;
    use std::fs;

    #[test]
    fn each_condition_of_a_document_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packer-hybrid.json");
        let condition = || document::<Catalogue>(&path).condition;
        assert_eq!(condition(), Condition::Absent);
        document::store(&path, &Catalogue::default()).unwrap();
        assert_eq!(condition(), Condition::Good { version: 1 });
        fs::write(&path, r#"{"schema_version": 9}"#).unwrap();
        let Condition::Bad { detail } = condition() else { panic!("{:?}", condition()) };
        assert!(detail.contains("use the release that wrote it"), "{detail}");
    }

    #[test]
    fn a_repair_removes_left_overs_but_not_while_a_writer_is_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("packer-hybrid.json.tmp");
        fs::write(&left, "half").unwrap();
        let held = Lock::take(&folder.path().join(LOCK_FILE), "build", Duration::ZERO, &Always).unwrap();
        let cancelled = crate::leave::Cancellable::default();
        cancelled.cancel();
        assert!(repair(folder.path(), &cancelled).is_err());
        assert!(left.exists());
        drop(held);
        assert_eq!(repair(folder.path(), &Always).unwrap(), [left]);
    }
}
