//! The state documents of sources: checkouts, locks, overrides, and an unfinished sync.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::git::{Survey, is_zero};
use super::resolve::RefKind;
use crate::leave::Leave;
use crate::state::catalogue::UpdateError;
use crate::state::document::{self, DocumentError, Loaded, Versioned};
use crate::state::{LOCK_FILE, Lock};
use swoosh_types::content_flag::ContentFlag;
use swoosh_types::text::{GitId, GitRef, Name};

/// The record of checked-out sources.
pub const SOURCES_FILE: &str = "sources.json";
/// Which commits are wanted.
pub const PINS_FILE: &str = "sources.lock";
/// Force-pins and their approvals.
pub const OVERRIDES_FILE: &str = "sources-overrides.json";
pub const MIRRORS_FILE: &str = "sources-mirrors.json";
/// The marker of an unfinished sync.
pub const MARKER_FILE: &str = "sources-resume.json";

/// How long an update waits for another writer of the state folder.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a scan came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanOutcome {
    /// Nothing was found.
    #[default]
    Clean,
    /// Something was found.
    Findings,
    /// The scanner did not do its work.
    Failed,
}

/// The last scan of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanStatus {
    /// How it came out.
    pub outcome: ScanOutcome,
    /// When, RFC 3339.
    pub scanned_at: String,
    pub commit_sha: GitId,
    /// With what.
    pub scanner: String,
    /// The first lines of the findings, without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// How many more findings there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub findings_left_out: u64,
    /// Flags for policies: of the tree and of the external scanner together.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<ContentFlag>,
    /// The content of the tree.
    #[serde(default)]
    pub survey: Survey,
}

impl ScanStatus {
    /// The findings, and how many more there are.
    pub fn lines(&self) -> Vec<String> {
        let more = (self.findings_left_out > 0).then(|| format!("and {} more", self.findings_left_out));
        self.findings.iter().cloned().chain(more).collect()
    }
}

/// The record of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// The name of the source, and of its folder under `sources/`.
    pub name: Name,
    /// Where it comes from; the repository itself, also when a mirror was asked.
    pub repo_url: String,
    #[serde(rename = "ref")]
    pub reference: GitRef,
    pub ref_kind: RefKind,
    /// The commit that is checked out.
    pub commit_sha: GitId,
    /// Its tree; `None` in what an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_sha: Option<GitId>,
    /// When it was last brought to another commit, RFC 3339.
    pub updated_at: String,
    pub updated_by: String,
    /// The mirror that was asked instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_url: Option<String>,
    /// The audit id of the override that forced this commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_id: Option<String>,
    /// The last scan; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_status: Option<ScanStatus>,
}

/// `state/sources.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesDocument {
    #[serde(default)]
    pub sources: BTreeMap<Name, SourceEntry>,
}

impl Versioned for SourcesDocument {
    const SCHEMA_VERSION: u64 = 2;

    /// Version 1 is a list, whose entries name a `branch` or a `tag`.
    fn migrate(from: u64, mut document: Value) -> Option<Value> {
        if from != 1 {
            return None;
        }
        let list = document.as_object_mut()?.remove("sources")?;
        let mut sources = serde_json::Map::new();
        for mut entry in list.as_array()?.iter().cloned() {
            let members = entry.as_object_mut()?;
            let (kind, reference) = match (members.remove("tag"), members.remove("branch")) {
                (Some(tag), _) if !tag.is_null() => ("tag", tag),
                (_, Some(branch)) if !branch.is_null() => ("branch", branch),
                _ => ("commit", members.get("commit_sha")?.clone()),
            };
            members.insert("ref".to_owned(), reference);
            members.insert("ref_kind".to_owned(), kind.into());
            let name = members.get("name")?.as_str()?.to_owned();
            sources.insert(name, entry);
        }
        document.as_object_mut()?.insert("sources".to_owned(), Value::Object(sources));
        Some(document)
    }
}

/// A commit that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The repository.
    pub repo_url: String,
    /// The reference that meant this commit when it was locked.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    pub ref_kind: RefKind,
    pub commit_sha: GitId,
}

/// `state/sources.lock`: commits, so that the same configuration gives the same bytes everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinsDocument {
    /// Wanted commits by source.
    #[serde(default)]
    pub pins: BTreeMap<Name, Pin>,
}

impl Versioned for PinsDocument {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

/// A commit that was forced, and by whose leave. Never removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Its id in the audit: `ovr-<number>`.
    pub audit_id: String,
    /// The source.
    pub name: Name,
    /// Its repository.
    pub repo_url: String,
    /// The commit that is forced.
    pub commit_sha: GitId,
    /// The commit that it took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_sha: Option<GitId>,
    /// The governance request.
    pub request_id: String,
    pub approver: String,
    pub reason: String,
    /// Incidents that it has to do with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
    pub operator: String,
    /// The command's id, as in the log.
    pub command_id: String,
    /// When, RFC 3339.
    pub created_at: String,
    /// Until when, RFC 3339; after that the locked commit is wanted again.
    pub expires_at: String,
    /// When it was taken back or replaced, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_why: Option<String>,
}

/// `state/sources-overrides.json`: every override there ever was, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverridesDocument {
    #[serde(default)]
    pub overrides: Vec<Override>,
}

impl OverridesDocument {
    /// The override that forces a source's commit at a time in milliseconds since 1970.
    pub fn active(&self, name: &Name, now_ms: u64) -> Option<&Override> {
        self.overrides.iter().rev().find(|entry| entry.name == *name && entry.is_active(now_ms))
    }
}

impl Override {
    /// Whether it is in force. A time that cannot be read is long past.
    pub fn is_active(&self, now_ms: u64) -> bool {
        self.ended_at.is_none() && !self.is_expired(now_ms)
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        swoosh_types::civil::parse_rfc3339(&self.expires_at).is_none_or(|expires_ms| expires_ms <= now_ms)
    }
}

impl Versioned for OverridesDocument {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

/// `state/sources-resume.json`: the open work of an unfinished sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The command that left it.
    pub command_id: String,
    pub operator: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Whether it was to move locked commits.
    #[serde(default)]
    pub update: bool,
    /// Sources that are still to be done.
    pub pending: Vec<Name>,
    /// Sources that are done.
    #[serde(default)]
    pub done: Vec<Name>,
    /// Why it ended, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Versioned for Marker {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

/// Reads a document of a state folder; an empty one where none was written yet.
pub fn read<T: Versioned + Default>(state: &Path, file: &str) -> Result<T, DocumentError> {
    Ok(read_if_any(state, file)?.unwrap_or_default())
}

/// Reads a document of a state folder; `None` where none was written yet.
pub fn read_if_any<T: Versioned>(state: &Path, file: &str) -> Result<Option<T>, DocumentError> {
    Ok(document::load(&state.join(file))?.map(|Loaded { document, .. }| document))
}

/// Changes a document under the state folder's lock.
pub fn update<T: Versioned + Default>(
    state: &Path,
    file: &str,
    leave: &dyn Leave,
    change: impl FnOnce(&mut T),
) -> Result<(), UpdateError> {
    let _lock = Lock::take(&state.join(LOCK_FILE), "sources", PATIENCE, leave)?;
    let mut document = read::<T>(state, file)?;
    let before = document::render(&document)?;
    change(&mut document);
    if document::render(&document)? != before || !state.join(file).exists() {
        document::store(&state.join(file), &document)?;
    }
    Ok(())
}
