//! `sync` and `resume`: all sources at their commits, and what was interrupted finished.

use std::collections::BTreeSet;

use serde::Serialize;
use thiserror::Error;

use super::documents::{self, MARKER_FILE, Marker, PINS_FILE, Pin, PinsDocument};
use super::fetch::{self, FetchError};
use super::resolve::{self, RefKind, Resolution, ResolveError};
use super::session::Session;
use super::tree::{self, Found, TreeError};
use crate::state::catalogue::{self, LastRun, UpdateError};
use crate::state::document::{self, DocumentError};
use crate::state::files;
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitId, GitRef, Name};

#[derive(Clone, Debug, Default)]
pub struct SyncOptions {
    /// Only these; all when empty.
    pub names: BTreeSet<Name>,
    /// Move the locked commits of branches to where these are now.
    pub update: bool,
    /// Refuse sources whose commit is not locked yet.
    pub locked: bool,
}

/// One source that is at its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// The source.
    pub name: Name,
    pub commit_sha: GitId,
    /// That commit's tree.
    pub tree_sha: GitId,
    /// Whether anything had to be done.
    pub changed: bool,
    /// The override that forced the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_id: Option<String>,
}

/// One source that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotSynced {
    /// The source.
    pub name: Name,
    /// Why, and what to do.
    pub error: String,
}

/// The result of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Sources at their commits.
    pub synced: Vec<Synced>,
    /// Sources that failed.
    pub failed: Vec<NotSynced>,
    /// Sources that were not reached.
    pub pending: Vec<Name>,
}

impl SyncReport {
    /// Whether everything was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.pending.is_empty()
    }
}

/// Why a sync did nothing.
#[derive(Debug, Error)]
pub enum SyncError {
    /// There is no such source.
    #[error("no source is named {name}; there are {known}")]
    Unknown {
        name: Name,
        /// Those that are.
        known: String,
    },
    /// One working tree stops it all.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Anything else.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A source's commit is not locked.
    #[error("{name} has no locked commit for {reference}; run `swoosh sources sync {name}` without --locked first")]
    NotLocked {
        /// The source.
        name: Name,
        reference: GitRef,
    },
    /// A tag means another commit than when it was locked.
    #[error(
        "the tag {reference} of {name} was moved from {locked} to {found}; find out why, then name another tag, or \
         force the commit with its approval (swoosh sources pin --help)"
    )]
    TagMoved {
        /// The source.
        name: Name,
        /// The tag.
        reference: GitRef,
        /// The commit that is locked.
        locked: GitId,
        /// The commit that it means now.
        found: GitId,
    },
}

macro_rules! through_fetch_error {
    ($($error:ty),+) => {
        $(impl From<$error> for SyncError {
            fn from(error: $error) -> SyncError {
                SyncError::Fetch(error.into())
            }
        })+
    };
}
through_fetch_error!(UpdateError, DocumentError, ResolveError, crate::state::LockError);

/// Brings sources to their commits. A working tree that is dirty or was moved stops everything before anything
/// is changed; a source that fails later does not hold the others back.
pub fn sync(session: &Session<'_>, set: &SourceSet, options: &SyncOptions) -> Result<SyncReport, SyncError> {
    resolve::refuse_shared(session, set)?;
    let chosen = choose(set, &options.names)?;
    let started_at = session.now();
    let _lock = fetch::take_trees_lock(session, "sources sync")?;
    session.log.info(&format!("sync of {} source(s) into {}", chosen.len(), session.workspace.sources().display()));
    look_at_all(session, &chosen)?;
    let mut marker = open_marker(session, &chosen, options, &started_at)?;
    let mut report = SyncReport::default();
    for (name, spec) in &chosen {
        if session.leave.stop().is_some() {
            report.pending.push((*name).clone());
            continue;
        }
        match sync_one(session, name, spec, options) {
            Ok(synced) => {
                report.synced.push(synced);
                marker.pending.retain(|pending| pending != *name);
                marker.done.push((*name).clone());
            }
            Err(error) => {
                session.log.clone().with("source", name).error(&error.to_string());
                marker.error = Some(error.to_string());
                report.failed.push(NotSynced { name: (*name).clone(), error: error.to_string() });
            }
        }
        keep_marker(session, &marker)?;
    }
    finish(session, &report, started_at)?;
    Ok(report)
}

/// Finishes what the last sync left; `None` when it left nothing.
pub fn resume(session: &Session<'_>, set: &SourceSet) -> Result<Option<SyncReport>, SyncError> {
    let Some(marker) = marker(session)? else { return Ok(None) };
    let names: BTreeSet<Name> = marker.pending.iter().filter(|name| set.contains_key(*name)).cloned().collect();
    for name in marker.pending.iter().filter(|name| !set.contains_key(*name)) {
        session.note(name, "is no longer configured; it is left as it is");
    }
    session.log.info(&format!("resuming {} of {}", marker.command_id, marker.started_at));
    if names.is_empty() {
        clear_marker(session)?;
        return Ok(Some(SyncReport::default()));
    }
    let report = sync(session, set, &SyncOptions { names, update: marker.update, locked: false })?;
    if report.is_complete() {
        session.log.info(&format!("resumed and completed {}", marker.command_id));
        clear_marker(session)?;
    }
    Ok(Some(report))
}

/// The marker of an unfinished sync.
pub fn marker(session: &Session<'_>) -> Result<Option<Marker>, DocumentError> {
    documents::read_if_any(&session.workspace.state(), MARKER_FILE)
}

fn choose<'a>(set: &'a SourceSet, names: &BTreeSet<Name>) -> Result<Vec<(&'a Name, &'a SourceSpec)>, SyncError> {
    if let Some(name) = names.iter().find(|name| !set.contains_key(*name)) {
        let known: Vec<&str> = set.keys().map(Name::as_str).collect();
        return Err(SyncError::Unknown { name: name.clone(), known: known.join(", ") });
    }
    Ok(set.iter().filter(|(name, _)| names.is_empty() || names.contains(*name)).collect())
}

/// Refuses to begin while any of the trees is dirty or not where it was left.
fn look_at_all(session: &Session<'_>, chosen: &[(&Name, &SourceSpec)]) -> Result<(), SyncError> {
    for (name, spec) in chosen {
        let folder = session.workspace.tree(name);
        let inspection = match tree::look(session, name, &folder)? {
            Found::Whole(inspection) => inspection,
            Found::Interrupted => {
                tree::refuse_edited(session, name, &folder, fetch::left_at(session, name)?.as_ref())?;
                continue;
            }
            Found::Nothing | Found::Partial => continue,
        };
        let route = resolve::route(session, name, spec)?;
        // Where it should go is not known yet; where it was locked is good as well.
        let locked = pin_of(session, name, spec)?.map(|pin| pin.commit_sha);
        let forced = fetch::forced(session, name)?.map(|(commit, _)| commit);
        let head = inspection.head.clone();
        let Some(commit) = forced.or(locked).or(head) else { continue };
        let resolution = Resolution { commit, kind: RefKind::Commit, reference: None, route };
        let target = fetch::target(session, name, spec, &resolution, None)?;
        tree::refuse_strange(&target, &inspection)?;
    }
    Ok(())
}

fn sync_one(session: &Session<'_>, name: &Name, spec: &SourceSpec, options: &SyncOptions) -> Result<Synced, SyncError> {
    let forced = fetch::forced(session, name)?;
    let resolution = match &forced {
        Some((commit, _)) => {
            let route = resolve::route(session, name, spec)?;
            Resolution { commit: commit.clone(), kind: RefKind::Commit, reference: None, route }
        }
        None => wanted(session, name, spec, options)?,
    };
    let override_id = forced.map(|(_, audit_id)| audit_id);
    let brought = fetch::bring_one(session, name, spec, &resolution, override_id.as_deref())?;
    let (commit_sha, tree_sha, changed) = (resolution.commit, brought.tree, brought.changed);
    Ok(Synced { name: name.clone(), commit_sha, tree_sha, changed, override_id })
}

/// The locked commit, or what the reference means now.
fn wanted(
    session: &Session<'_>,
    name: &Name,
    spec: &SourceSpec,
    options: &SyncOptions,
) -> Result<Resolution, SyncError> {
    let pin = pin_of(session, name, spec)?;
    match pin {
        Some(pin) if !options.update => {
            let route = resolve::route(session, name, spec)?;
            Ok(Resolution {
                commit: pin.commit_sha,
                kind: pin.ref_kind,
                reference: full_name(spec, pin.ref_kind),
                route,
            })
        }
        None if options.locked => Err(SyncError::NotLocked { name: name.clone(), reference: spec.reference.clone() }),
        pin => {
            let resolution = resolve::resolve_one(session, name, spec)?;
            match pin.filter(|pin| resolution.kind == RefKind::Tag && pin.commit_sha != resolution.commit) {
                Some(pin) => Err(SyncError::TagMoved {
                    name: name.clone(),
                    reference: spec.reference.clone(),
                    locked: pin.commit_sha,
                    found: resolution.commit,
                }),
                None => Ok(resolution),
            }
        }
    }
}

fn full_name(spec: &SourceSpec, kind: RefKind) -> Option<String> {
    let reference = spec.reference.as_str();
    match kind {
        RefKind::Commit => None,
        _ if reference.starts_with("refs/") => Some(reference.to_owned()),
        RefKind::Tag => Some(format!("refs/tags/{reference}")),
        RefKind::Branch => Some(format!("refs/heads/{reference}")),
    }
}

/// The locked commit, unless the configuration names another reference or repository since.
fn pin_of(session: &Session<'_>, name: &Name, spec: &SourceSpec) -> Result<Option<Pin>, DocumentError> {
    let mut document: PinsDocument = documents::read(&session.workspace.state(), PINS_FILE)?;
    let pin = document.pins.remove(name);
    Ok(pin.filter(|pin| pin.repo_url == spec.url.as_str() && pin.reference == spec.reference))
}

/// A marker that also holds what an earlier sync left.
fn open_marker(
    session: &Session<'_>,
    chosen: &[(&Name, &SourceSpec)],
    options: &SyncOptions,
    started_at: &str,
) -> Result<Marker, SyncError> {
    let before = marker(session)?;
    let mut pending: BTreeSet<Name> = chosen.iter().map(|(name, _)| (*name).clone()).collect();
    pending.extend(before.into_iter().flat_map(|marker| marker.pending));
    let marker = Marker {
        command_id: session.command_id.clone(),
        operator: session.operator.clone(),
        started_at: started_at.to_owned(),
        update: options.update,
        pending: pending.into_iter().collect(),
        done: Vec::new(),
        error: None,
    };
    keep_marker(session, &marker)?;
    Ok(marker)
}

/// Writes the marker, or removes it when nothing is pending.
fn keep_marker(session: &Session<'_>, marker: &Marker) -> Result<(), SyncError> {
    if marker.pending.is_empty() {
        return clear_marker(session);
    }
    document::store(&session.workspace.state().join(MARKER_FILE), marker)?;
    Ok(())
}

fn clear_marker(session: &Session<'_>) -> Result<(), SyncError> {
    let path = session.workspace.state().join(MARKER_FILE);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DocumentError::Unwritable(files::WriteError { path, step: "removing it", source }).into())
        }
        _ => Ok(()),
    }
}

fn finish(session: &Session<'_>, report: &SyncReport, started_at: String) -> Result<(), SyncError> {
    let first = report.failed.first().map(|failed| format!("{}: {}", failed.name, failed.error));
    let detail = first.or_else(|| (!report.pending.is_empty()).then(|| "interrupted".to_owned()));
    let run = LastRun { started_at, finished_at: session.now(), ok: report.is_complete(), detail };
    // An interrupted run is recorded too.
    let always = crate::leave::Always;
    catalogue::update(&session.workspace.state(), "sources sync", &always, |catalogue| {
        catalogue.last_runs.insert("sources sync".to_owned(), run);
    })?;
    session.log.info(&format!(
        "sync ended: {} synced, {} failed, {} not reached",
        report.synced.len(),
        report.failed.len(),
        report.pending.len()
    ));
    Ok(())
}
