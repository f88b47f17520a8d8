//! `GET /state`: a project's head, and sections of its state that can be proven against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::query::Query;
use super::{AppState, schema};
use swoosh_sequencer::View;
use swoosh_sequencer::queries::{Head, HlcLast, Section, Stop, TopPhase};
use swoosh_types::hash::Hash;
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// A project's head and the sections asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct StateAnswer {
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// The state hash: what the next proposal must name as `current_state_hash`.
    #[schema(value_type = schema::Hash)]
    hash: Hash,
    /// Index of the record that led here.
    index: u64,
    /// The last clock reading accepted; null before the first.
    #[schema(value_type = Option<schema::HlcLast>, required = true)]
    hlc_last: Option<HlcLast>,
    /// The top-level phase.
    #[schema(value_type = schema::Phase)]
    phase: TopPhase,
    /// The hash of each of the ten sections. The state hash is `sha256("swoosh/state/v1\n" ‖ JCS(sections))`.
    #[schema(value_type = BTreeMap<String, schema::Hash>)]
    sections: BTreeMap<&'static str, Hash>,
    /// The sections asked for; `sha256(JCS(section))` is a section's entry in `sections`.
    #[schema(value_type = BTreeMap<String, Value>)]
    projection: BTreeMap<&'static str, Value>,
}

/// Read a project's state.
///
/// Answers the durable head, the hash of every section, and the sections asked for.
#[utoipa::path(
    get,
    path = "/state",
    tag = "state",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "The project; `default` when left out."),
        ("projection" = Option<schema::Projection>, Query,
            description = "Section names in any case, separated by commas; all sections when left out."),
        ("at" = Option<u64>, Query, description = "The state after the record at this index of the WAL."),
    ),
    responses(
        (status = 200, description = "The state.", body = StateAnswer),
        (status = 400, description = "`unknown_projection` or `bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_project`, with the genesis head that its first proposal must name; \
            or `unknown_index`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn state(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["project", "projection", "at"])?;
    let project = query.project()?;
    let at = query.number("at", 0..=MAX_INTEGER)?;
    let sections = sections(query.text("projection"))?;
    let answer = state.show(&asker, move |state, stop| {
        let view = match at {
            None => state.handle.view_until(&project, stop)?,
            Some(index) => past(state, &project, index, stop)?,
        };
        if view.index == 0 && at.is_none() {
            return Err(unknown_project(&project));
        }
        show(project, &view, &sections)
    });
    answer.await
}

/// The fault of a project that does not exist; it tells how to begin it.
pub(super) fn unknown_project(project: &ProjectName) -> Fault {
    let head = Head::genesis(project).hash();
    let reason = format!("there is no project {project}; propose Boot_ConfigOk on the head {head} to begin it");
    Fault::new(Code::UnknownProject, reason).about(project, head)
}

/// The sections that a projection names.
fn sections(projection: Option<&str>) -> Answer<BTreeSet<Section>> {
    let Some(projection) = projection else { return Ok(Section::ALL.into()) };
    let section = |name: &str| {
        let known = || Section::ALL.map(Section::as_str).join(", ");
        let found: String = name.chars().take(80).collect();
        let fault = || format!("the state has no section {found:?}; its sections are {}", known());
        Section::parse(name.trim()).ok_or_else(|| Fault::new(Code::UnknownProjection, fault()))
    };
    projection.split(',').map(section).collect()
}

/// The head of a project as of a record of the WAL, whichever project's.
fn past(state: &AppState, project: &ProjectName, at: u64, stop: &Stop) -> Answer<Arc<View>> {
    let last = state.handle.last_index();
    if at > last {
        let reason = format!("there is no record {at}; the last one is {last}");
        return Err(Fault::new(Code::UnknownIndex, reason));
    }
    let Some(head) = state.handle.journal().head_at(project, at, stop)? else { return Err(unknown_project(project)) };
    let index = index_of(state, project, &head, at, stop)?;
    Ok(Arc::new(View { head: Arc::new(head), index }))
}

/// Index of the record that led to a head of the past. The head keeps that record's key, and the key is
/// bound to the index; only where the key was pruned the project's records are counted through.
fn index_of(state: &AppState, project: &ProjectName, head: &Head, at: u64, stop: &Stop) -> Answer<u64> {
    let journal = state.handle.journal();
    let Some(last) = &*head.state().hlc_last else { return Ok(0) };
    if let Some(bound) = journal.bound_key(project, &last.idem_key)? {
        return Ok(bound.index);
    }
    let mut index = 0;
    for found in journal.project_indexes(project, 0) {
        stop.check()?;
        match found? {
            found if found > at => break,
            found => index = found,
        }
    }
    Ok(index)
}

fn show(project: ProjectName, view: &View, asked: &BTreeSet<Section>) -> Answer<StateAnswer> {
    let (head, state) = (&view.head, view.head.state());
    let section = |&section: &Section| {
        let value = serde_json::from_slice(&state.section_bytes(section)).map_err(|error| Fault::internal(&error))?;
        Ok((section.as_str(), value))
    };
    Ok(StateAnswer {
        project,
        hash: head.hash(),
        index: view.index,
        hlc_last: state.hlc_last.as_ref().clone(),
        phase: state.phase(),
        sections: Section::ALL.iter().map(|&section| (section.as_str(), head.section_hash(section))).collect(),
        projection: asked.iter().map(section).collect::<Answer<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_name_sections_in_any_case() {
        let found = sections(Some("Council, INGESTION,council")).unwrap();
        assert_eq!(found, [Section::Ingestion, Section::Council].into());
        assert_eq!(sections(None).unwrap().len(), 10);
        for text in ["", "council,", "councils"] {
            let problem = sections(Some(text)).unwrap_err().into_problem();
            assert_eq!(problem.code, Code::UnknownProjection, "{text}");
            assert!(problem.detail.ends_with("control, policy, epoch, hlc_last"), "{}", problem.detail);
        }
    }
}
