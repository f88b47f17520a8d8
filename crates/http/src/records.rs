//! Routes for stored documents: projects, records, decisions, rejections, facts, metrics.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::query::Query;
use super::readers::Reach;
use super::{AppState, schema};
use swoosh_sequencer::RejectionEntry;
use swoosh_sequencer::queries::{Journal, ReadError, Stop, StoredRecord, TopPhase};
use swoosh_types::decision::Decision;
use swoosh_types::hash::Hash;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// Bytes of records after which a page of the WAL ends early.
const PAGE_BYTES: usize = 8 << 20;

/// One project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ProjectAnswer {
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// Its head.
    #[schema(value_type = schema::Hash)]
    hash: Hash,
    /// Index of its last record.
    index: u64,
    /// Its top-level phase.
    #[schema(value_type = schema::Phase)]
    phase: TopPhase,
}

/// A page of projects, by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ProjectsAnswer {
    /// The projects.
    projects: Vec<ProjectAnswer>,
    /// Value of `after` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ProjectName>, nullable = false)]
    next: Option<ProjectName>,
    /// Projects of this page that cannot be read, and the reason. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    damaged: Vec<DamagedAnswer>,
    /// Why projects may be missing from all pages: a table that lists them is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    incomplete: Option<String>,
}

/// A project that cannot be read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DamagedAnswer {
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// The reason.
    reason: String,
}

/// List projects.
#[utoipa::path(get, path = "/projects", tag = "state",
    params(
        ("after" = Option<schema::ProjectName>, Query, description = "Only projects whose names sort after this one."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10000, description = "Most projects, 1 to 10000; 1000 when left out."),
    ),
    responses((status = 200, description = "Every project that has a record and that the reader may read.", body = ProjectsAnswer)),
)]
pub(super) async fn projects(State(state): State<AppState>, asker: Asker, reach: Reach, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["after", "limit"])?;
    let limit = query.number("limit", 1..=10_000)?.unwrap_or(1_000) as usize;
    let after: Option<ProjectName> = query.parsed("after")?;
    let answer = state.show(&asker, move |state, stop| {
        let (names, hidden) = state.handle.journal().readable_projects();
        hidden.iter().for_each(|error| state.handle.read_failed(None, error));
        let mut names: Vec<_> = names.into_iter().collect();
        names.retain(|name| reach.holds(name) && after.as_ref().is_none_or(|after| name > after));
        let more = names.len() > limit;
        names.truncate(limit);
        let next = names.last().filter(|_| more).cloned();
        let incomplete = hidden.map(|error| error.to_string());
        let mut answer = ProjectsAnswer { projects: Vec::new(), next, damaged: Vec::new(), incomplete };
        names.into_iter().try_for_each(|name| list(state, name, &mut answer, stop)).map(|()| answer)
    });
    answer.await
}

/// Adds a project to its list. A damaged one is named, and hides no other one.
fn list(state: &AppState, name: ProjectName, answer: &mut ProjectsAnswer, stop: &Stop) -> Answer<()> {
    stop.check()?;
    match project(state, name.clone(), stop) {
        Ok(line) => answer.projects.extend(line),
        Err(fault) if fault.code() == Code::ProjectDamaged => {
            answer.damaged.push(DamagedAnswer { project: name, reason: fault.problem().detail.clone() });
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// A project's line; none while its first record is not durable yet.
fn project(state: &AppState, project: ProjectName, stop: &Stop) -> Answer<Option<ProjectAnswer>> {
    let view = state.handle.view_until(&project, stop)?;
    let (hash, phase) = (view.head.hash(), view.head.state().phase());
    Ok((view.index > 0).then_some(ProjectAnswer { project, hash, index: view.index, phase }))
}

/// A stretch of the WAL.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what page() writes from stored bytes")]
pub(super) struct WalAnswer {
    /// Records by rising index.
    records: Vec<WalEntry>,
    /// Index of the last durable record, whichever project's.
    last_index: u64,
    /// Value of `from` for the next page; left out at the end.
    #[schema(nullable = false)]
    next: Option<u64>,
}

/// A record of the WAL.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what page() writes from stored bytes")]
pub(super) struct WalEntry {
    /// The record, in its canonical bytes.
    #[schema(value_type = schema::Record)]
    record: Value,
    /// Its link in the chain: sha256(previous link ‖ canonical record); the first link follows 32 zero bytes.
    #[schema(value_type = schema::Hash)]
    chain: Hash,
    /// The inputs that the record names by hash.
    inputs: Value,
}

/// Read the write-ahead log.
#[utoipa::path(get, path = "/wal", tag = "records",
    params(
        ("from" = Option<u64>, Query, description = "Index of the first record wanted; the first one that is there when left out."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Most records, 1 to 1000; 100 when left out."),
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's records."),
    ),
    responses(
        (status = 200, description = "Records by rising index.", body = WalAnswer),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 410, description = "`pruned`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn wal(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["from", "limit", "project"])?;
    let from = query.number("from", 0..=MAX_INTEGER)?.map(|from| from.max(1));
    let limit = query.number("limit", 1..=1_000)?.unwrap_or(100) as usize;
    let project: Option<ProjectName> = query.parsed("project")?;
    let answer = state.show_bytes(&asker, move |state, stop| {
        let from = from.unwrap_or_else(|| state.handle.journal().first_index());
        page(state, from, limit, project.as_ref(), stop)
    });
    answer.await
}

/// Records from an index on: all, or one project's.
fn records<'a>(
    state: &'a AppState,
    journal: &'a Journal,
    from: u64,
    project: Option<&'a ProjectName>,
) -> Box<dyn Iterator<Item = Answer<StoredRecord>> + 'a> {
    let failed = move |error: &ReadError| state.handle.read_failed(project, error);
    match project {
        None => Box::new(journal.records_from(from).map(move |stored| Ok(stored.inspect_err(failed)?))),
        Some(_) if from < journal.first_index() => {
            Box::new(journal.record(from).err().map(|error| Err(error.into())).into_iter())
        }
        Some(project) => Box::new(journal.project_indexes(project, from).map(move |index| {
            let index = index.inspect_err(failed)?;
            let stored = journal.record(index).and_then(|stored| stored.ok_or(ReadError::Missing { index }));
            Ok(stored.inspect_err(failed)?)
        })),
    }
}

/// A page of the WAL, written from the stored bytes, so that chains can be checked over them.
fn page(state: &AppState, from: u64, limit: usize, project: Option<&ProjectName>, stop: &Stop) -> Answer<Vec<u8>> {
    let last_index = state.handle.last_index();
    let mut bytes = b"{\"records\":[".to_vec();
    let mut next = None;
    // Nothing past the last durable index is shown, and nothing need be looked for there.
    let journal = state.handle.journal();
    let wanted = if from > last_index { None } else { Some(records(state, &journal, from, project)) };
    for (count, stored) in wanted.into_iter().flatten().enumerate() {
        stop.check()?;
        let stored = stored?;
        if stored.record.index > last_index {
            break;
        }
        if count == limit || bytes.len() > PAGE_BYTES {
            next = Some(stored.record.index);
            break;
        }
        if count > 0 {
            bytes.push(b',');
        }
        entry(state, &stored, &mut bytes)?;
    }
    let tail = next.map_or(String::new(), |next| format!(",\"next\":{next}"));
    bytes.extend_from_slice(format!("],\"last_index\":{last_index}{tail}}}").as_bytes());
    Ok(bytes)
}

fn entry(state: &AppState, stored: &StoredRecord, bytes: &mut Vec<u8>) -> Answer<()> {
    let (index, hash) = (stored.record.index, stored.record.inputs_hash);
    let missing = ReadError::InputsMissing { index, hash };
    let inputs = state.handle.journal().object(&hash)?.ok_or(missing)?;
    bytes.extend_from_slice(b"{\"record\":");
    bytes.extend_from_slice(&stored.encoded);
    bytes.extend_from_slice(format!(",\"chain\":\"{}\",\"inputs\":", stored.chain).as_bytes());
    bytes.extend_from_slice(&inputs);
    bytes.push(b'}');
    Ok(())
}

/// Read a decision record.
///
/// Why one transition was accepted: how every guard judged and by which facts, who signed, and where the
/// decision belongs. Named by its `bubble://` id, percent-encoded or not, or by project and index.
#[utoipa::path(get, path = "/decisions/{id}", tag = "records",
    params(("id" = String, Path, example = "default/17",
        description = "`bubble://dr/<project>/<index>-<digest>`, or `<project>/<index>`.")),
    responses(
        (status = 200, description = "The decision record.", body = schema::Decision),
        (status = 404, description = "`unknown_decision`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 410, description = "`pruned`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn decision(
    State(state): State<AppState>,
    asker: Asker,
    reach: Reach,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    Query::read(&uri, &[])?;
    let Path(id) = id.map_err(|error| unknown_decision(error.body_text()))?;
    let wanted = Wanted::read(&id)?;
    reach.check(&wanted.project)?;
    state.show_bytes(&asker, move |state, _| find(state, &wanted)).await
}

/// Which decision record a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    project: ProjectName,
    index: u64,
    id: Option<DecisionId>,
}

impl Wanted {
    fn read(path: &str) -> Answer<Wanted> {
        if path.starts_with("bubble:") {
            let id: DecisionId = path.parse().map_err(|error| unknown_decision(format!("{error}")))?;
            return Ok(Wanted { project: id.project.clone(), index: id.index, id: Some(id) });
        }
        let parts = path.split_once('/').and_then(|(project, index)| {
            let digits = index.bytes().all(|byte| byte.is_ascii_digit());
            Some((project.parse().ok()?, index.parse().ok().filter(|_| digits)?))
        });
        let advice = || format!("{path:?} names no decision record; write <project>/<index> or bubble://dr/…");
        let (project, index) = parts.ok_or_else(|| unknown_decision(advice()))?;
        Ok(Wanted { project, index, id: None })
    }
}

fn unknown_decision(reason: String) -> Fault {
    Fault::new(Code::UnknownDecision, reason)
}

fn find(state: &AppState, wanted: &Wanted) -> Answer<Vec<u8>> {
    let Wanted { project, index, id } = wanted;
    let none = || unknown_decision(format!("project {project} has no decision record at index {index}"));
    if *index > state.handle.last_index() {
        return Err(none());
    }
    let journal = state.handle.journal();
    let found = journal.decision(project, *index);
    let Some(bytes) = found.inspect_err(|error| state.handle.read_failed(Some(project), error))? else {
        // Of a record that is pruned, the decision is as well.
        if *index > 0 && *index < journal.first_index() {
            journal.record(*index)?;
        }
        return Err(none());
    };
    let Some(id) = id else { return Ok(bytes) };
    let found: Decision = serde_json::from_slice(&bytes).map_err(|error| Fault::internal(&error))?;
    if found.id == *id {
        return Ok(bytes);
    }
    Err(unknown_decision(format!("there is no {id}; the decision record at that index is {}", found.id)))
}

/// Rejections, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RejectionsAnswer {
    /// The rejections.
    #[schema(value_type = Vec<schema::RejectionEntry>)]
    rejections: Vec<RejectionEntry>,
}

/// List what was not accepted.
///
/// The last 1000 proposals that were refused after their signatures were found good, the last 100 of signers that are unknown or
/// revoked, and the last 100 requests that were refused before: bad signatures, schema, inputs hash, headers, media types. The latter two
/// take at most a quarter of a page that others fill. The project that an unverified request names is not shown. They are kept in memory,
/// until the node stops.
#[utoipa::path(get, path = "/rejections", tag = "records",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Most rejections, 1 to 1000; 100 when left out."),
    ),
    responses((status = 200, description = "Newest first.", body = RejectionsAnswer)),
)]
pub(super) async fn rejections(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["project", "limit"])?;
    let project: Option<ProjectName> = query.parsed("project")?;
    let limit = query.number("limit", 1..=1_000)?.unwrap_or(100) as usize;
    let answer = state.show(&asker, move |state, _| {
        Ok(RejectionsAnswer { rejections: state.handle.rejections(project.as_ref(), limit) })
    });
    answer.await
}

/// Scrape metrics.
///
/// Series of single repositories (`swoosh_source_…`) are shown to callers who may read their projects.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Metrics in Prometheus' text format.", body = String, content_type = "text/plain"),
))]
pub(super) async fn metrics(State(state): State<AppState>, reach: Reach, uri: Uri) -> Answer<Response> {
    Query::read(&uri, &[])?;
    // A workspace whose folder is no project's name belongs to the node itself.
    let may_show = |project: &str| match project.parse() {
        Ok(project) => reach.holds(&project),
        Err(_) => reach == Reach::All,
    };
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    Ok((headers, state.queries.metrics(&may_show)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_named_by_id_or_by_place() {
        let by_place = Wanted::read("default/17").unwrap();
        assert_eq!((by_place.project.as_str(), by_place.index, by_place.id), ("default", 17, None));
        let id = "bubble://dr/default/17-0123456789abcdef";
        assert_eq!(Wanted::read(id).unwrap().id.unwrap().to_string(), id);
        for text in ["", "default", "default/", "default/x", "default/+1", "A/1", "bubble://dr/default/17", "a/1/2"] {
            assert_eq!(Wanted::read(text).unwrap_err().code(), Code::UnknownDecision, "{text}");
        }
    }
}
