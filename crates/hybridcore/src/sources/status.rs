//! How every source is: its working tree, its commit, its override, its last scan. Nothing is written, and no
//! lock is waited for.

use serde::Serialize;

use super::documents::{self, Marker, OVERRIDES_FILE, OverridesDocument, PINS_FILE, PinsDocument, SOURCES_FILE};
use super::documents::{ScanOutcome, ScanStatus, SourceEntry, SourcesDocument};
use super::session::Session;
use super::sync;
use super::tree::{self, Found, TreeError};
use crate::state::document::DocumentError;
use swoosh_types::civil::{DAY_MS, parse_rfc3339};
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitId, Name};

/// How a working tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// At the recorded commit, without changes.
    Clean,
    /// With changes.
    Dirty,
    /// At another commit than was recorded.
    Diverged,
    /// Not there yet.
    Missing,
    /// A clone or checkout that was interrupted.
    Unfinished,
    /// Something that is no working tree, or cannot be looked at.
    Unusable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// Nothing was found, lately, in this very commit.
    Clean,
    /// Something was found.
    Findings,
    /// The scanner did not do its work.
    Failed,
    /// It is too old, or of another commit.
    Stale,
    /// There is none.
    Missing,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    pub name: Name,
    /// Whether the configuration lists it.
    pub configured: bool,
    /// How its working tree is.
    pub condition: Condition,
    /// Its problem, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The commit that is checked out.
    pub head: Option<GitId>,
    /// The commit that is locked.
    pub locked: Option<GitId>,
    /// Bytes of its repository (`.git`) on this disk, without the working tree.
    pub stored_bytes: u64,
    /// Its entry in `state/sources.json`.
    pub recorded: Option<SourceEntry>,
    /// The approved request behind an override that is in force.
    pub override_request: Option<String>,
    /// Until when, RFC 3339.
    pub override_expires_at: Option<String>,
    pub scan_state: ScanState,
    /// The last scan.
    pub scan_status: Option<ScanStatus>,
}

/// All sources, and what is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The sources by name.
    pub sources: Vec<SourceStatus>,
    /// The marker of the last sync, if that is unfinished.
    pub unfinished: Option<Marker>,
}

/// Looks at all sources: those of the set, and those that are recorded and no longer in it.
pub fn overview(session: &Session<'_>, set: &SourceSet, max_scan_age_days: u64) -> Result<Overview, DocumentError> {
    let state = session.workspace.state();
    let known: SourcesDocument = documents::read(&state, SOURCES_FILE)?;
    let pins: PinsDocument = documents::read(&state, PINS_FILE)?;
    let overrides: OverridesDocument = documents::read(&state, OVERRIDES_FILE)?;
    let names: std::collections::BTreeSet<&Name> = set.keys().chain(known.sources.keys()).collect();
    let one = |name: &Name| {
        let recorded = known.sources.get(name);
        let mut status = source(session, name, set.get(name), recorded);
        let forced = overrides.active(name, (session.now_ms)());
        status.locked = pins.pins.get(name).map(|pin| pin.commit_sha.clone());
        status.override_request = forced.map(|entry| entry.request_id.clone());
        status.override_expires_at = forced.map(|entry| entry.expires_at.clone());
        status.scan_state = scan_state(recorded, max_scan_age_days, (session.now_ms)());
        status
    };
    Ok(Overview { sources: names.into_iter().map(one).collect(), unfinished: sync::marker(session)? })
}

fn source(
    session: &Session<'_>,
    name: &Name,
    spec: Option<&SourceSpec>,
    recorded: Option<&SourceEntry>,
) -> SourceStatus {
    let (condition, detail, head) = condition(session, name, recorded);
    SourceStatus {
        name: name.clone(),
        configured: spec.is_some(),
        condition,
        detail,
        head,
        locked: None,
        stored_bytes: stored_bytes(&session.workspace.tree(name).join(".git")),
        recorded: recorded.cloned(),
        override_request: None,
        override_expires_at: None,
        scan_state: ScanState::Missing,
        scan_status: recorded.and_then(|entry| entry.scan_status.clone()),
    }
}

/// Bytes of all files below a folder; links are not followed.
fn stored_bytes(folder: &std::path::Path) -> u64 {
    let (mut bytes, mut open) = (0, vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.path()),
                Ok(about) => bytes += about.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn condition(
    session: &Session<'_>,
    name: &Name,
    recorded: Option<&SourceEntry>,
) -> (Condition, Option<String>, Option<GitId>) {
    let inspection = match tree::look(session, name, &session.workspace.tree(name)) {
        Ok(Found::Whole(inspection)) => inspection,
        Ok(Found::Nothing) => return (Condition::Missing, Some("sync brings it".to_owned()), None),
        Ok(Found::Interrupted) => return interrupted(session, name, recorded),
        Ok(Found::Partial) => {
            return (Condition::Unfinished, Some("resume finishes it".to_owned()), None);
        }
        Err(error) => return (Condition::Unusable, Some(error.to_string()), None),
    };
    let head = inspection.head;
    if inspection.changed > 0 {
        let examples = inspection.examples.join(", ");
        return (Condition::Dirty, Some(format!("{} change(s): {examples}", inspection.changed)), head);
    }
    match recorded.filter(|entry| Some(&entry.commit_sha) != head.as_ref()) {
        Some(entry) => (Condition::Diverged, Some(format!("it was left at {}", entry.commit_sha)), head),
        None => (Condition::Clean, None, head),
    }
}

/// An interrupted checkout: resume finishes it, unless the tree was edited since.
fn interrupted(
    session: &Session<'_>,
    name: &Name,
    recorded: Option<&SourceEntry>,
) -> (Condition, Option<String>, Option<GitId>) {
    let left_at = recorded.map(|entry| &entry.commit_sha);
    match tree::refuse_edited(session, name, &session.workspace.tree(name), left_at) {
        Ok(()) => (Condition::Unfinished, Some("resume finishes it".to_owned()), None),
        Err(error @ TreeError::Dirty { .. }) => (Condition::Dirty, Some(error.to_string()), None),
        Err(error) => (Condition::Unusable, Some(error.to_string()), None),
    }
}

/// State of a source's scan at a time.
pub fn scan_state(recorded: Option<&SourceEntry>, max_age_days: u64, now_ms: u64) -> ScanState {
    let Some((entry, scan)) = recorded.and_then(|entry| Some((entry, entry.scan_status.as_ref()?))) else {
        return ScanState::Missing;
    };
    let limit_ms = max_age_days.saturating_mul(DAY_MS);
    let is_old = parse_rfc3339(&scan.scanned_at).is_none_or(|at_ms| now_ms.saturating_sub(at_ms) > limit_ms);
    if scan.commit_sha != entry.commit_sha {
        return ScanState::Stale;
    }
    match scan.outcome {
        ScanOutcome::Findings => ScanState::Findings,
        ScanOutcome::Failed => ScanState::Failed,
        ScanOutcome::Clean if is_old => ScanState::Stale,
        ScanOutcome::Clean => ScanState::Clean,
    }
}
