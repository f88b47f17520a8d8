//! State documents: JSON with a schema version, sorted keys and one value a line, so that `diff` is of use.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::files::{self, WriteError};
use swoosh_types::canonical::{CanonicalError, try_canonical_bytes};
use swoosh_types::json::{Json, JsonError};

/// The member that holds a document's version.
pub const VERSION_MEMBER: &str = "schema_version";

/// A document that is kept in a file and whose form may change from one release to the next.
pub trait Versioned: Serialize + DeserializeOwned {
    /// The version that this program writes, from 1.
    const SCHEMA_VERSION: u64;

    /// Turns a document of version `from` into one of `from + 1`; `None` when there never was such a
    /// version. Called once for each step, so that each step is written once.
    fn migrate(from: u64, document: Value) -> Option<Value>;
}

/// Why a state document cannot be used.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The file cannot be read.
    #[error("{} cannot be read ({source}): {}", path.display(), files::remedy(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not strict JSON.
    #[error("{} is damaged ({source}); put back a copy of it, or move it away to start empty", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: JsonError,
    },
    /// It does not hold what its version asks for.
    #[error("{} is no document of version {version} ({detail}); put back a copy of it, or move it away to start empty", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The version it claims.
        version: u64,
        detail: String,
    },
    /// A newer release wrote it.
    #[error("{} is of version {found}, and this release knows up to {known}; use the release that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// It cannot be written.
    #[error(transparent)]
    Unwritable(#[from] WriteError),
    /// It holds a value that cannot be kept exactly.
    #[error("the document cannot be written exactly: {0}")]
    Inexact(#[from] CanonicalError),
}

/// A document and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The document, in today's form.
    pub document: T,
    /// The version that the file was written in.
    pub found_version: u64,
}

/// Reads a document, migrating one of an older version; `None` when there is no file.
pub fn load<T: Versioned>(path: &Path) -> Result<Option<Loaded<T>>, DocumentError> {
    let bytes = match super::files::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DocumentError::Unreadable { path: path.to_owned(), source }),
        Ok(bytes) => bytes,
    };
    parse(path, &bytes).map(Some)
}

fn parse<T: Versioned>(path: &Path, bytes: &[u8]) -> Result<Loaded<T>, DocumentError> {
    // Strict first: a duplicate member is damage, which serde_json would accept.
    let json = Json::parse(bytes).map_err(|source| DocumentError::NotJson { path: path.to_owned(), source })?;
    let malformed = |version: u64, detail: String| DocumentError::Malformed { path: path.to_owned(), version, detail };
    let mut value: Value =
        serde_json::from_slice(&json.canonical()).map_err(|error| malformed(0, error.to_string()))?;
    let found_version = value
        .get(VERSION_MEMBER)
        .and_then(Value::as_u64)
        .ok_or_else(|| malformed(0, format!("it has no {VERSION_MEMBER}")))?;
    if found_version > T::SCHEMA_VERSION {
        return Err(DocumentError::Newer { path: path.to_owned(), found: found_version, known: T::SCHEMA_VERSION });
    }
    for version in found_version..T::SCHEMA_VERSION {
        value = T::migrate(version, value).ok_or_else(|| malformed(version, "there is no such version".to_owned()))?;
    }
    if let Some(members) = value.as_object_mut() {
        members.shift_remove(VERSION_MEMBER);
    }
    let document = serde_json::from_value(value).map_err(|error| malformed(found_version, error.to_string()))?;
    Ok(Loaded { document, found_version })
}

/// Replaces the document's file. Keys are sorted, so equal documents are equal files.
pub fn store<T: Versioned>(path: &Path, document: &T) -> Result<(), DocumentError> {
    files::replace(path, &render(document)?)?;
    Ok(())
}

/// The bytes of a document's file.
#[expect(clippy::expect_used, reason = "canonical bytes are JSON, and a JSON value can always be written")]
pub fn render<T: Versioned>(document: &T) -> Result<Vec<u8>, DocumentError> {
    // Through the canonical form, which sorts; serde_json keeps the order that it finds.
    let mut value: Value = serde_json::from_slice(&try_canonical_bytes(document)?).expect("canonical bytes are JSON");
    if let Some(members) = value.as_object_mut() {
        members.insert(VERSION_MEMBER.to_owned(), T::SCHEMA_VERSION.into());
        members.sort_keys();
    }
    let mut bytes = serde_json::to_vec_pretty(&value).expect("a JSON value can be written");
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::fs;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        zebra: u64,
        apple: String,
    }

    impl Versioned for Document {
        const SCHEMA_VERSION: u64 = 3;

        fn migrate(from: u64, mut document: Value) -> Option<Value> {
            match from {
                1 => document["zebra"] = 7.into(),
                2 => document["apple"] = format!("{}!", document["apple"].as_str()?).into(),
                _ => return None,
            }
            Some(document)
        }
    }

    fn loaded(text: &str) -> Result<Loaded<Document>, DocumentError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, text).unwrap();
        load(&path).map(|found| found.unwrap())
    }

    #[test]
    fn a_document_comes_back_as_it_was_stored_with_sorted_keys_and_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(load::<Document>(&path).unwrap(), None);
        let document = Document { zebra: 1, apple: "red".to_owned() };
        store(&path, &document).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\n  \"apple\": \"red\",\n  \"schema_version\": 3,\n  \"zebra\": 1\n}\n");
        assert_eq!(load(&path).unwrap(), Some(Loaded { document, found_version: 3 }));
    }

    #[test]
    fn an_older_document_is_migrated_step_by_step() {
        let found = loaded(r#"{"schema_version": 1, "apple": "red"}"#).unwrap();
        assert_eq!(found.document, Document { zebra: 7, apple: "red!".to_owned() });
        assert_eq!(found.found_version, 1);
    }

    #[test]
    fn a_newer_document_is_refused_and_not_guessed_at() {
        let error = loaded(r#"{"schema_version": 4, "apple": "red", "zebra": 1}"#).unwrap_err();
        assert!(matches!(error, DocumentError::Newer { found: 4, known: 3, .. }), "{error}");
    }

    #[test]
    fn damage_of_every_kind_is_reported_with_a_remedy() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"schema_version": 0}"#,
            r#"{"schema_version": 3, "zebra": 1}"#,
            r#"{"schema_version": 3, "schema_version": 3, "zebra": 1, "apple": ""}"#,
            r#"{"schema_version": 3, "zebra": 1, "apple": "", "more": 1}"#,
        ] {
            let error = loaded(text).unwrap_err().to_string();
            assert!(error.contains("put back a copy of it"), "{text}: {error}");
        }
    }
}
