//! Force-pins: a commit that overrides configuration and lock for a limited time, with an approval.

use thiserror::Error;

use super::documents::{self, OVERRIDES_FILE, Override, OverridesDocument, SOURCES_FILE, SourcesDocument};
use super::fetch::{self, FetchError};
use super::resolve::{self, RefKind, Resolution, ResolveError};
use super::session::Session;
use super::sync::Synced;
use super::tree::{self, TreeError};
use crate::state::LockError;
use crate::state::catalogue::UpdateError;
use crate::state::document::DocumentError;
use swoosh_types::civil::parse_rfc3339;
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitId, Name};

/// The most bytes of a request id, an approver or an incident.
const SHORT: usize = 100;
/// The most bytes of a reason.
const LONG: usize = 1000;

#[derive(Clone, Debug)]
pub struct PinRequest {
    /// The source.
    pub name: Name,
    pub commit: GitId,
    /// The governance request.
    pub request_id: String,
    pub approver: String,
    /// Until when, RFC 3339.
    pub expires_at: String,
    pub reason: String,
    /// Incidents that it has to do with.
    pub incidents: Vec<String>,
}

/// Why nothing was forced. Working tree and records are as they were.
#[derive(Debug, Error)]
pub enum PinError {
    /// There is no such source.
    #[error("no source is named {0}; `swoosh sources status` lists them")]
    Unknown(Name),
    /// The approval lacks something.
    #[error("{what} must be 1 to {most} bytes on one line; governance asks for it with every override")]
    Approval {
        /// Which part.
        what: &'static str,
        /// The most bytes.
        most: usize,
    },
    /// The expiry is no good.
    #[error("the expiry {0:?} is no time in the future; write one such as 2030-01-31T00:00:00Z, or 30d")]
    Expiry(String),
    /// Nothing is forced.
    #[error("no override is in force for {0}; `swoosh sources audit export` lists those that were")]
    NotForced(Name),
    /// The working tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Another command is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A state document cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A state document cannot be written.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Bringing the tree to the commit failed after the override was recorded; `resume` finishes it.
    #[error("{0}; the override is recorded, and the next sync carries it out")]
    Fetch(#[source] FetchError),
}

/// Forces a source's commit. The approval is on disk before the working tree moves.
pub fn pin(session: &Session<'_>, set: &SourceSet, request: &PinRequest) -> Result<Synced, PinError> {
    let spec = set.get(&request.name).ok_or_else(|| PinError::Unknown(request.name.clone()))?;
    check(session, request)?;
    resolve::refuse_shared(session, set)?;
    let _lock = fetch::take_trees_lock(session, "sources pin")?;
    let route = resolve::route(session, &request.name, spec)?;
    let (commit, kind) = (request.commit.clone(), RefKind::Commit);
    let resolution = Resolution { commit: commit.clone(), kind, reference: None, route };
    let target = fetch::target(session, &request.name, spec, &resolution, Some(""))?;
    tree::prepare(session, &target)?;
    let audit_id = record(session, spec, request)?;
    session.log.clone().with("source", &request.name).warn(&format!(
        "{audit_id}: {} forced by {}, request {}, approved by {}, until {}",
        commit, session.operator, request.request_id, request.approver, request.expires_at
    ));
    let brought =
        fetch::bring_one(session, &request.name, spec, &resolution, Some(&audit_id)).map_err(PinError::Fetch)?;
    Ok(Synced {
        name: request.name.clone(),
        commit_sha: commit,
        tree_sha: brought.tree,
        changed: brought.changed,
        override_id: Some(audit_id),
    })
}

/// Takes the override of a source back; the next sync goes to the locked commit. Returns its audit id.
pub fn release(session: &Session<'_>, name: &Name, reason: &str) -> Result<String, PinError> {
    check_text("the reason", reason, LONG)?;
    let _lock = fetch::take_trees_lock(session, "sources pin --release")?;
    let (now, now_ms) = (session.now(), (session.now_ms)());
    let mut released = None;
    change(session, |document| {
        for entry in document.overrides.iter_mut().filter(|entry| entry.name == *name && entry.is_active(now_ms)) {
            end(entry, &now, &session.operator, reason);
            released = Some(entry.audit_id.clone());
        }
    })?;
    let audit_id = released.ok_or_else(|| PinError::NotForced(name.clone()))?;
    session.log.clone().with("source", name).warn(&format!("{audit_id} was taken back: {reason}"));
    Ok(audit_id)
}

fn check(session: &Session<'_>, request: &PinRequest) -> Result<(), PinError> {
    check_text("the governance request id", &request.request_id, SHORT)?;
    check_text("the approver", &request.approver, SHORT)?;
    check_text("the reason", &request.reason, LONG)?;
    request.incidents.iter().try_for_each(|incident| check_text("an incident", incident, SHORT))?;
    let in_future = parse_rfc3339(&request.expires_at).is_some_and(|expires_ms| expires_ms > (session.now_ms)());
    if in_future { Ok(()) } else { Err(PinError::Expiry(request.expires_at.clone())) }
}

fn check_text(what: &'static str, text: &str, most: usize) -> Result<(), PinError> {
    let good = !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    if good { Ok(()) } else { Err(PinError::Approval { what, most }) }
}

fn record(session: &Session<'_>, spec: &SourceSpec, request: &PinRequest) -> Result<String, PinError> {
    let (now, now_ms) = (session.now(), (session.now_ms)());
    let known: SourcesDocument = documents::read(&session.workspace.state(), SOURCES_FILE)?;
    let mut audit_id = String::new();
    change(session, |document| {
        audit_id = format!("ovr-{:06}", document.overrides.len() + 1);
        let replaced = format!("replaced by {audit_id}");
        for entry in document.overrides.iter_mut().filter(|e| e.name == request.name && e.is_active(now_ms)) {
            end(entry, &now, &session.operator, &replaced);
        }
        document.overrides.push(Override {
            audit_id: audit_id.clone(),
            name: request.name.clone(),
            repo_url: spec.url.to_string(),
            commit_sha: request.commit.clone(),
            previous_sha: known.sources.get(&request.name).map(|entry| entry.commit_sha.clone()),
            request_id: request.request_id.clone(),
            approver: request.approver.clone(),
            reason: request.reason.clone(),
            incidents: request.incidents.clone(),
            operator: session.operator.clone(),
            command_id: session.command_id.clone(),
            created_at: now,
            expires_at: request.expires_at.clone(),
            ended_at: None,
            ended_by: None,
            ended_why: None,
        });
    })?;
    Ok(audit_id)
}

fn end(entry: &mut Override, now: &str, operator: &str, why: &str) {
    entry.ended_at = Some(now.to_owned());
    entry.ended_by = Some(operator.to_owned());
    entry.ended_why = Some(why.to_owned());
}

fn change(session: &Session<'_>, change: impl FnOnce(&mut OverridesDocument)) -> Result<(), UpdateError> {
    documents::update(&session.workspace.state(), OVERRIDES_FILE, session.leave, change)
}
