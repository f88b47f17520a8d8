//! Resolves references (tags, branches, commit ids) to commits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::failure::GitError;
use super::fetch;
use super::git::{RemoteRef, Reply, Request};
use super::mirrors::{Route, RouteError};
use super::session::{Event, Session};
use crate::state::document::DocumentError;
use swoosh_types::inputs::{ResolvedSource, ResolvedSources, SourceSet, SourceSpec};
use swoosh_types::text::{GitId, GitRef, Name};

/// How many references an error names.
const NEAR: usize = 5;
/// Names that are less alike than this (0 to 1, Jaro-Winkler) are no help.
const ALIKE: f64 = 0.6;

/// The kind of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefKind {
    /// A commit id, which never moves.
    Commit,
    /// A tag, which should not.
    Tag,
    /// A branch, which moves.
    Branch,
}

/// The current meaning of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub commit: GitId,
    /// The kind of the reference.
    pub kind: RefKind,
    /// The full name of the reference; `None` for a commit id.
    pub reference: Option<String>,
    /// Where it was asked.
    pub route: Route,
}

/// Why a reference means nothing.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// There is no way to the repository.
    #[error("{name}: {source}")]
    Route {
        /// The source.
        name: Name,
        #[source]
        source: RouteError,
    },
    /// Two sources would come from one mirror.
    #[error(transparent)]
    Shared(RouteError),
    /// Overrides cannot be read.
    #[error(transparent)]
    Overrides(#[from] DocumentError),
    /// The repository did not answer.
    #[error("{name}: {source}")]
    Git {
        /// The source.
        name: Name,
        #[source]
        source: GitError,
    },
    /// There is no such reference.
    #[error("{name}: {url} has no reference {reference}; {hint}")]
    Missing {
        /// The source.
        name: Name,
        /// Where it was asked.
        url: String,
        reference: GitRef,
        /// The alternatives.
        hint: String,
    },
    /// It is a branch, and branches may not be followed.
    #[error(
        "{name}: {reference} is a branch of {url}, which moves; pin a tag or the commit {commit}, or allow the source \
         to float"
    )]
    Floats {
        /// The source.
        name: Name,
        /// Where it was asked.
        url: String,
        reference: GitRef,
        /// Current commit of the branch.
        commit: GitId,
    },
}

impl ResolveError {
    /// Whether the same again may well succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, ResolveError::Git { source, .. } if source.is_transient())
    }
}

/// Resolves every source of a set; an override's forced commit wins. Nothing is written. Stops at the first reference
/// without a commit.
pub fn resolve(session: &Session<'_>, set: &SourceSet) -> Result<ResolvedSources, ResolveError> {
    refuse_shared(session, set)?;
    let one = |(name, spec): (&Name, &SourceSpec)| {
        (session.events)(&Event::Begun { name: name.clone() });
        if let Some((commit, audit_id)) = fetch::forced(session, name)? {
            session.note(name, format!("{audit_id} forces {commit}"));
            return Ok((name.clone(), ResolvedSource { commit }));
        }
        let resolution = resolve_one(session, name, spec)?;
        Ok((name.clone(), ResolvedSource { commit: resolution.commit }))
    };
    set.iter().map(one).collect()
}

/// Resolves one source's reference.
pub fn resolve_one(session: &Session<'_>, name: &Name, spec: &SourceSpec) -> Result<Resolution, ResolveError> {
    let route = route(session, name, spec)?;
    if let Ok(commit) = spec.reference.as_str().parse::<GitId>() {
        return Ok(Resolution { commit, kind: RefKind::Commit, reference: None, route });
    }
    let request = Request::List { remote: session.remote(&route) };
    let refs = match session.ask(name, &request, || ()) {
        Ok(Reply::Refs { refs }) => refs,
        Ok(_) => Vec::new(),
        Err(source) => return Err(ResolveError::Git { name: name.clone(), source }),
    };
    let url = route.address.as_str().to_owned();
    let Some((found, kind)) = find(&refs, spec.reference.as_str()) else {
        let hint = hint(&refs, spec.reference.as_str());
        return Err(ResolveError::Missing { name: name.clone(), url, reference: spec.reference.clone(), hint });
    };
    let commit = found.commit.clone();
    if kind == RefKind::Branch && session.rules.floating.get(name) != Some(&spec.reference) {
        return Err(ResolveError::Floats { name: name.clone(), url, reference: spec.reference.clone(), commit });
    }
    Ok(Resolution { commit, kind, reference: Some(found.name.clone()), route })
}

/// Refuses a set of which one variable names the mirrors of two sources.
pub(super) fn refuse_shared(session: &Session<'_>, set: &SourceSet) -> Result<(), ResolveError> {
    let sources = set.iter().map(|(name, spec)| (name.as_str(), spec.url.as_str()));
    session.mirrors.refuse_shared(sources).map_err(ResolveError::Shared)
}

/// Where to go for a source.
pub fn route(session: &Session<'_>, name: &Name, spec: &SourceSpec) -> Result<Route, ResolveError> {
    let route = session.mirrors.route(name.as_str(), spec.url.as_str());
    route.map_err(|source| ResolveError::Route { name: name.clone(), source })
}

/// A tag goes before a branch of the same name, as git has it.
fn find<'a>(refs: &'a [RemoteRef], wanted: &str) -> Option<(&'a RemoteRef, RefKind)> {
    let named = |full: &str| refs.iter().find(|known| known.name == full);
    if wanted.starts_with("refs/") {
        let kind = if wanted.starts_with("refs/tags/") { RefKind::Tag } else { RefKind::Branch };
        return named(wanted).map(|found| (found, kind));
    }
    named(&format!("refs/tags/{wanted}"))
        .map(|found| (found, RefKind::Tag))
        .or_else(|| named(&format!("refs/heads/{wanted}")).map(|found| (found, RefKind::Branch)))
}

fn short(name: &str) -> &str {
    name.strip_prefix("refs/tags/").or_else(|| name.strip_prefix("refs/heads/")).unwrap_or(name)
}

/// The alternatives to a missing reference.
fn hint(refs: &[RemoteRef], wanted: &str) -> String {
    if refs.is_empty() {
        return "the repository is empty".to_owned();
    }
    if wanted.to_ascii_lowercase().parse::<GitId>().is_ok() {
        return "write a commit id in lower case".to_owned();
    }
    if (7..40).contains(&wanted.len()) && wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "write a commit id with all of its 40 digits".to_owned();
    }
    let names: BTreeSet<&str> = refs
        .iter()
        .map(|known| known.name.as_str())
        .filter(|name| name.starts_with("refs/tags/") || name.starts_with("refs/heads/"))
        .map(short)
        .collect();
    let mut near: Vec<(f64, &str)> =
        names.iter().map(|name| (strsim::jaro_winkler(name, short(wanted)), *name)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(a.1)));
    let near: Vec<&str> =
        near.iter().filter(|(likeness, _)| *likeness >= ALIKE).take(NEAR).map(|near| near.1).collect();
    let main = refs.iter().find_map(|known| known.symref.as_deref()).map(short);
    match (near.is_empty(), main) {
        (false, _) => format!("it was renamed or removed, or never was; near it there are {}", near.join(", ")),
        (true, Some(main)) => format!("it was renamed or removed, or never was; the main branch is {main}"),
        (true, None) => "it was renamed or removed, or never was; name one that is there".to_owned(),
    }
}
