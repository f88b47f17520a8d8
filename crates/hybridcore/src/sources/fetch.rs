//! From commits to bytes: every source of a set in its folder, at its commit.

use thiserror::Error;

use super::documents::{self, OVERRIDES_FILE, OverridesDocument, PINS_FILE, Pin, PinsDocument, SOURCES_FILE};
use super::documents::{SourceEntry, SourcesDocument};
use super::git::Wanted;
use super::mirrors::Origin;
use super::resolve::{self, RefKind, Resolution, ResolveError};
use super::session::{Event, Session};
use super::tree::{self, Brought, Target, TreeError};
use crate::state::catalogue::{self, Repository, UpdateError};
use crate::state::document::DocumentError;
use crate::state::{Lock, LockError};
use swoosh_types::inputs::{FetchedSource, FetchedSources, ResolvedSources, SourceSet, SourceSpec};
use swoosh_types::text::{GitId, Name};

/// The lock file of a workspace's working trees, in `sources/`.
pub const TREES_LOCK_FILE: &str = ".lock";

/// Why sources are not at their commits.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Another command is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A reference means nothing.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A working tree cannot be brought to its commit.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A state document cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A state document cannot be written.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Another commit was forced since.
    #[error("{name} was resolved to {resolved}, and {audit_id} forces {commit} since; resolve the set again")]
    Forced {
        /// The source.
        name: Name,
        /// The commit that it was resolved to.
        resolved: GitId,
        /// The commit that is forced.
        commit: GitId,
        /// By which override.
        audit_id: String,
    },
    /// A source of the set has no commit.
    #[error("{name} was not resolved; resolve the set again")]
    Unresolved {
        /// The source.
        name: Name,
    },
}

impl FetchError {
    /// Whether the same again may well succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            FetchError::Lock(_) => true,
            FetchError::Resolve(error) => error.is_transient(),
            FetchError::Tree(error) => error.is_transient(),
            FetchError::Document(_)
            | FetchError::Update(_)
            | FetchError::Forced { .. }
            | FetchError::Unresolved { .. } => false,
        }
    }
}

/// Brings every source of a set to the commit that it was resolved to, and says which trees these are. Waits
/// for its turn when another command is at work. The first failure ends it; sources that were brought
/// stay, and the next call finds them done.
pub fn fetch(session: &Session<'_>, set: &SourceSet, resolved: &ResolvedSources) -> Result<FetchedSources, FetchError> {
    resolve::refuse_shared(session, set)?;
    let _lock = take_trees_lock(session, "fetching sources")?;
    let mut fetched = FetchedSources::new();
    for (name, spec) in set {
        let commit = match resolved.get(name) {
            Some(resolved) => resolved.commit.clone(),
            None => return Err(FetchError::Unresolved { name: name.clone() }),
        };
        let route = resolve::route(session, name, spec)?;
        let override_id = forced_to(session, name, &commit)?;
        let is_commit = override_id.is_some() || spec.reference.as_str() == commit.as_str();
        // A reference that was resolved to a commit is a tag, unless it is allowed to float.
        let kind = match session.rules.floating.get(name) {
            _ if is_commit => RefKind::Commit,
            Some(branch) if *branch == spec.reference => RefKind::Branch,
            _ => RefKind::Tag,
        };
        let resolution = Resolution { commit: commit.clone(), kind, reference: None, route };
        let brought = bring_one(session, name, spec, &resolution, override_id.as_deref())?;
        fetched.insert(name.clone(), FetchedSource { commit, tree: brought.tree });
    }
    Ok(fetched)
}

/// Takes the lock of all writers of working trees.
pub(super) fn take_trees_lock(session: &Session<'_>, task: &str) -> Result<Lock, LockError> {
    let path = session.workspace.sources().join(TREES_LOCK_FILE);
    Lock::take(&path, task, session.rules.patience, session.leave)
}

/// Brings one source to a commit and records it. The caller holds the trees' lock.
pub(super) fn bring_one(
    session: &Session<'_>,
    name: &Name,
    spec: &SourceSpec,
    resolution: &Resolution,
    override_id: Option<&str>,
) -> Result<Brought, FetchError> {
    (session.events)(&Event::Begun { name: name.clone() });
    let target = target(session, name, spec, resolution, override_id)?;
    let brought = tree::bring(session, &target).map_err(FetchError::from).and_then(|brought| {
        record(session, name, spec, resolution, override_id, &brought)?;
        tree::settle(&target.folder)?;
        Ok(brought)
    });
    let text = match &brought {
        Ok(Brought { changed: true, .. }) => format!("now at {}", resolution.commit),
        Ok(_) => format!("already at {}", resolution.commit),
        Err(error) => error.to_string(),
    };
    let log = session.log.clone().with("source", name);
    if brought.is_ok() {
        log.info(&text)
    } else {
        log.error(&text)
    }
    (session.events)(&Event::Ended { name: name.clone(), ok: brought.is_ok(), text });
    brought
}

/// The working tree of a source, and where it was left.
pub(super) fn target(
    session: &Session<'_>,
    name: &Name,
    spec: &SourceSpec,
    resolution: &Resolution,
    override_id: Option<&str>,
) -> Result<Target, DocumentError> {
    let known: SourcesDocument = documents::read(&session.workspace.state(), SOURCES_FILE)?;
    let known = known.sources.get(name);
    let same_branch = known.is_some_and(|entry| {
        entry.repo_url == spec.url.as_str() && entry.reference == spec.reference && entry.override_id.is_none()
    });
    Ok(Target {
        name: name.clone(),
        folder: session.workspace.tree(name),
        remote: session.remote(&resolution.route),
        wanted: Wanted { commit: resolution.commit.clone(), reference: resolution.reference.clone() },
        left_at: known.map(|entry| entry.commit_sha.clone()),
        only_forward: resolution.kind == RefKind::Branch && same_branch && override_id.is_none(),
    })
}

fn record(
    session: &Session<'_>,
    name: &Name,
    spec: &SourceSpec,
    resolution: &Resolution,
    override_id: Option<&str>,
    brought: &Brought,
) -> Result<(), UpdateError> {
    let state = session.workspace.state();
    let mirror_url = resolution.route.mirror.map(|_| resolution.route.address.to_string());
    if resolution.route.mirror == Some(Origin::Environment) {
        super::inventory::remember(session, spec.url.as_str(), resolution.route.address.as_str())?;
    }
    documents::update(&state, SOURCES_FILE, session.leave, |document: &mut SourcesDocument| {
        let before = document.sources.remove(name);
        let (tree, kind) = (brought.tree.clone(), resolution.kind);
        let mut entry = SourceEntry {
            name: name.clone(),
            repo_url: spec.url.to_string(),
            reference: spec.reference.clone(),
            ref_kind: kind,
            commit_sha: resolution.commit.clone(),
            tree_sha: Some(tree),
            updated_at: session.now(),
            updated_by: session.operator.clone(),
            mirror_url,
            override_id: override_id.map(str::to_owned),
            scan_status: before.as_ref().and_then(|entry| entry.scan_status.clone()),
        };
        if let Some(before) = before.filter(|before| before.commit_sha == entry.commit_sha) {
            (entry.updated_at, entry.updated_by) = (before.updated_at, before.updated_by);
        }
        document.sources.insert(name.clone(), entry);
    })?;
    if override_id.is_none() {
        documents::update(&state, PINS_FILE, session.leave, |document: &mut PinsDocument| {
            document.pins.insert(name.clone(), pin(spec, resolution));
        })?;
    }
    let repository = Repository { repo_url: spec.url.to_string(), commit_sha: resolution.commit.clone() };
    catalogue::update(&state, "sources", session.leave, |catalogue| {
        catalogue.repositories.insert(name.to_string(), repository);
    })?;
    Ok(())
}

fn pin(spec: &SourceSpec, resolution: &Resolution) -> Pin {
    Pin {
        repo_url: spec.url.to_string(),
        reference: spec.reference.clone(),
        ref_kind: resolution.kind,
        commit_sha: resolution.commit.clone(),
    }
}

/// Where a source was left.
pub(super) fn left_at(session: &Session<'_>, name: &Name) -> Result<Option<GitId>, DocumentError> {
    let mut known: SourcesDocument = documents::read(&session.workspace.state(), SOURCES_FILE)?;
    Ok(known.sources.remove(name).map(|entry| entry.commit_sha))
}

/// The commit that an override forces on a source now, and the override's audit id.
pub(super) fn forced(session: &Session<'_>, name: &Name) -> Result<Option<(GitId, String)>, DocumentError> {
    let document: OverridesDocument = documents::read(&session.workspace.state(), OVERRIDES_FILE)?;
    let active = document.active(name, (session.now_ms)());
    Ok(active.map(|entry| (entry.commit_sha.clone(), entry.audit_id.clone())))
}

/// The override that forces the very commit that a source was resolved to.
fn forced_to(session: &Session<'_>, name: &Name, resolved: &GitId) -> Result<Option<String>, FetchError> {
    match forced(session, name)? {
        None => Ok(None),
        Some((commit, audit_id)) if commit == *resolved => Ok(Some(audit_id)),
        Some((commit, audit_id)) => {
            let (name, resolved) = (name.clone(), resolved.clone());
            Err(FetchError::Forced { name, resolved, commit, audit_id })
        }
    }
}
