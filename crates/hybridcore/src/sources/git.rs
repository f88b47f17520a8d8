//! Requests to git and its answers: the only path between this library and libgit2.
//!
//! Requests and answers are data, so that the real implementation can pass them to a child process and a
//! test can look at each of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::GitError;
use super::fence::Fence;
use crate::leave::Leave;
use swoosh_types::content_flag::ContentFlag;
use swoosh_types::hash::Hash;
use swoosh_types::text::{GitId, LicenceId};

/// Does git's work. Every call may be made from any thread.
pub trait Git: Send + Sync {
    /// Performs one request and answers. `progress` is called from time to time.
    fn run(&self, request: &Request, leave: &dyn Leave, progress: &mut dyn FnMut(&Progress))
    -> Result<Reply, GitError>;
}

/// One thing to do. All folders are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Which references a repository has; nothing is written.
    List {
        /// The repository.
        remote: Remote,
    },
    /// Brings a commit and its history into the repository at `folder`, which is made when it is missing.
    /// The working tree stays as it is.
    Fetch {
        /// Where from.
        remote: Remote,
        /// The repository's folder.
        folder: PathBuf,
        wanted: Wanted,
        /// Bounds on what may come.
        limits: Limits,
    },
    /// Makes the working tree that of a commit, and the head that commit.
    Checkout {
        /// The repository's folder.
        folder: PathBuf,
        commit: GitId,
        /// Bounds on what may be written.
        limits: Limits,
    },
    /// How a working tree is; nothing is written.
    Inspect {
        /// The repository's folder.
        folder: PathBuf,
    },
    /// Files of a working tree that a checkout which was cut short cannot have left: they are neither what one of the
    /// commits has there, nor the beginning of it. Nothing is written.
    Edited {
        /// The repository's folder.
        folder: PathBuf,
        /// The commits, beside the head: those that the checkout went between. Unknown ones do not count.
        commits: Vec<GitId>,
    },
    /// Whether one commit is among the ancestors of another, or the same.
    Descends {
        /// The repository's folder.
        folder: PathBuf,
        /// The older one.
        ancestor: GitId,
        /// The younger one.
        descendant: GitId,
    },
    /// Inspects a commit's tree; nothing is written.
    Survey {
        /// The repository's folder.
        folder: PathBuf,
        commit: GitId,
        /// The text of a file of credential rules; the built-in rules where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rules: Option<String>,
    },
    /// The Merkle hash of a commit's content, and a list of its files.
    Digest {
        /// The repository's folder.
        folder: PathBuf,
        commit: GitId,
        /// Where the list is written, one JSON document a line; an existing file is replaced.
        list: PathBuf,
        /// Bounds on the tree.
        limits: Limits,
    },
}

impl Request {
    /// The operation, in a word or two, for errors and logs.
    pub fn what(&self) -> &'static str {
        match self {
            Request::List { .. } => "listing references",
            Request::Fetch { .. } => "fetching",
            Request::Checkout { .. } => "checking out",
            Request::Inspect { .. } => "looking at the working tree",
            Request::Edited { .. } => "looking for edits",
            Request::Descends { .. } => "comparing histories",
            Request::Survey { .. } => "surveying the tree",
            Request::Digest { .. } => "hashing the content",
        }
    }

    /// The other side, where there is one.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Request::List { remote } | Request::Fetch { remote, .. } => Some(remote),
            Request::Checkout { .. }
            | Request::Inspect { .. }
            | Request::Edited { .. }
            | Request::Descends { .. }
            | Request::Survey { .. }
            | Request::Digest { .. } => None,
        }
    }
}

/// The other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its address, without credentials.
    pub url: String,
    /// Credentials for a server that asks for them; without, an ssh agent is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Where `file://` may lead; anywhere where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

impl Remote {
    /// A repository that asks for nothing.
    pub fn open(url: impl Into<String>) -> Remote {
        Remote { url: url.into(), credentials: None, fence: None }
    }
}

/// A user and a password or token. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

/// Which commit is wanted, and the reference that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub commit: GitId,
    /// The full name of a reference (`refs/tags/v1`); all branches and tags are fetched where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Bounds on a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most bytes that one fetch may receive; 8 GiB by default.
    pub received_bytes: u64,
    /// The most bytes of all files of a working tree together; 16 GiB by default.
    pub tree_bytes: u64,
    /// The most bytes of one file; 1 GiB by default.
    pub file_bytes: u64,
    /// The most files of a working tree; 1,000,000 by default.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { received_bytes: 8 << 30, tree_bytes: 16 << 30, file_bytes: 1 << 30, files: 1_000_000 }
    }
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    pub phase: Phase,
    /// Objects or files that are done.
    pub done: u64,
    /// Of how many; 0 while that is not known.
    pub total: u64,
    /// Bytes received so far.
    pub bytes: u64,
}

/// A phase of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Talking to the other side.
    Connecting,
    /// Receiving objects.
    Receiving,
    /// Putting objects together from their differences.
    Indexing,
    /// Writing files.
    CheckingOut,
    /// Looking into files.
    Scanning,
    /// Hashing files.
    Hashing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connecting => "connecting",
            Phase::Receiving => "receiving",
            Phase::Indexing => "indexing",
            Phase::CheckingOut => "checking out",
            Phase::Scanning => "scanning",
            Phase::Hashing => "hashing",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// Of [`Request::List`].
    Refs {
        /// The references.
        refs: Vec<RemoteRef>,
    },
    /// Of [`Request::Fetch`].
    Fetched {
        /// How many bytes came.
        received_bytes: u64,
    },
    /// Of [`Request::Checkout`].
    CheckedOut {
        /// The commit's tree.
        tree: GitId,
    },
    /// Of [`Request::Inspect`].
    Inspected(Inspection),
    /// Of [`Request::Edited`].
    Edited {
        /// How many files.
        changed: u64,
        /// The first of them.
        examples: Vec<String>,
    },
    /// Of [`Request::Descends`].
    Descends {
        /// Whether it does.
        descends: bool,
    },
    /// Of [`Request::Survey`].
    Surveyed(Survey),
    /// Of [`Request::Digest`].
    Digested(Digest),
}

/// A reference of the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteRef {
    /// Its full name.
    pub name: String,
    /// The commit that it leads to; an annotated tag is followed.
    pub commit: GitId,
    /// Target of a symbolic reference: the branch that `HEAD` points to.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "stands_for")]
    pub symref: Option<String>,
}

/// How a working tree is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// The commit that it is at; `None` when nothing was ever checked out.
    pub head: Option<GitId>,
    /// That commit's tree.
    pub tree: Option<GitId>,
    /// How many files differ from the head.
    pub changed: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// The content hash of a commit; see docs/effects.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// The Merkle hash of the tree.
    pub content: Hash,
    /// Files, links among them.
    pub files: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The content of a commit's tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    pub files: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes of the largest file.
    #[serde(default)]
    pub largest_file_bytes: u64,
    /// Symbolic links; they are written as plain files.
    pub links: u64,
    /// The first links whose target lies outside of the tree.
    pub escaping_links: Vec<String>,
    /// The first submodules; they are not fetched.
    pub submodules: Vec<String>,
    /// The first files that are pointers of Git LFS; their content is not fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lfs_pointers: Vec<String>,
    /// The first files whose content begins like a private key.
    pub private_keys: Vec<String>,
    /// The first `.gitmodules` that name paths out of the tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub climbing_paths: Vec<String>,
    /// The first findings of credential rules, of each flag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<FoundCredential>,
    /// How many findings the lists above do not hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub findings_left_out: u64,
    /// How many findings have a path that the lists above do not hold, or not in full.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paths_left_out: u64,
    /// SPDX ids of the licences that are named; `NOASSERTION` where none is, or one that is not known.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub licences: BTreeSet<LicenceId>,
}

/// A credential rule that found something in a file. The text found is never reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundCredential {
    pub rule: String,
    /// The flag that it raises.
    pub flag: ContentFlag,
    /// The file.
    pub path: String,
}
