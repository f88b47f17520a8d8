//! The content hash of a tree: a Merkle tree over what git's own trees hold, in SHA-256 throughout, because a git
//! id is a SHA-1 and no proof of content. docs/effects.md tells the rules, `tests/vectors/content.json` has examples.

use super::git::{Digest, Reply, Request};
use super::session::Session;
use crate::sources::failure::GitError;
use std::path::Path;
use swoosh_types::hash::Hash;
use swoosh_types::text::{GitId, Name};

const BLOB: &[u8] = b"swoosh/content/blob/v1\n";
const TREE: &[u8] = b"swoosh/content/tree/v1\n";
const COMMIT: &[u8] = b"swoosh/content/commit/v1\n";

/// The hash of a file's bytes, or of where a link leads.
pub fn blob(bytes: &[u8]) -> Hash {
    Hash::of_parts([BLOB, bytes])
}

/// The hash of a submodule, of which only the commit is known.
pub fn submodule(commit: &str) -> Hash {
    Hash::of_parts([COMMIT, commit.as_bytes()])
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as git has it.
    pub name: Vec<u8>,
    /// Its mode: 100644, 100755, 120000 (a link), 40000 (a tree) or 160000 (a submodule), in octal.
    pub mode: u32,
    /// The hash of what it is.
    pub hash: Hash,
}

/// The hash of a tree: of its entries, sorted by the bytes of their names.
pub fn tree(mut entries: Vec<Entry>) -> Hash {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut bytes = TREE.to_vec();
    for entry in entries {
        bytes.extend_from_slice(format!("{:o} ", entry.mode).as_bytes());
        bytes.extend_from_slice(&entry.name);
        bytes.push(0);
        bytes.extend_from_slice(entry.hash.as_bytes());
    }
    Hash::of(&bytes)
}

/// Hashes the content of a source at a commit that was fetched, and writes the list of its files.
pub fn digest(session: &Session<'_>, name: &Name, commit: &GitId, list: &Path) -> Result<Digest, GitError> {
    let (folder, list, limits) = (session.workspace.tree(name), list.to_owned(), session.rules.limits);
    let request = Request::Digest { folder, commit: commit.clone(), list, limits };
    match session.ask_once(name, &request)? {
        Reply::Digested(digest) => Ok(digest),
        other => Err(GitError::unexpected(request.what(), &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        what: String,
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        entries: Vec<VectorEntry>,
        hash: Hash,
    }

    #[derive(serde::Deserialize)]
    struct VectorEntry {
        name: String,
        mode: String,
        hash: Hash,
    }

    #[test]
    fn content_hashes_are_those_of_the_vectors() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../../../tests/vectors/content.json")).unwrap();
        for vector in vectors {
            let text = vector.text.as_deref().unwrap_or_default();
            let found = match vector.what.as_str() {
                "blob" => blob(text.as_bytes()),
                "submodule" => submodule(text),
                _ => {
                    let entry = |entry: &VectorEntry| Entry {
                        name: entry.name.clone().into_bytes(),
                        mode: u32::from_str_radix(&entry.mode, 8).unwrap(),
                        hash: entry.hash,
                    };
                    tree(vector.entries.iter().map(entry).collect())
                }
            };
            assert_eq!(found, vector.hash, "{} {text}", vector.what);
        }
    }
}
