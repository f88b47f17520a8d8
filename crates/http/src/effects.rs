//! `GET /effects`: open work and its progress.

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::Answer;
use super::query::Query;
use super::state::unknown_project;
use super::{AppState, schema};
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::names::EffectName;
use swoosh_types::text::ProjectName;

/// Which effects are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectFilter {
    /// One project's alone, all of them.
    pub project: Option<ProjectName>,
    /// Those whose ids come after this one.
    pub after: Option<EffectId>,
    /// How many at most.
    pub limit: usize,
}

/// An open effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EffectView {
    /// `<project>/<index>-<digest>/<effect>`, which its outcome must name.
    #[schema(value_type = String, example = "default/17-0123456789abcdef/fetch")]
    pub id: EffectId,
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    pub project: ProjectName,
    /// Its name in the statechart.
    #[schema(value_type = String, example = "fetch")]
    pub effect: EffectName,
    /// When it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Hlc>, nullable = false)]
    pub opened_at: Option<Hlc>,
    /// `builtin`, performed by the node; `external`, by an identity of role worker.
    pub mode: &'static str,
    /// `waiting`, `suspended` (its project is blocked), `running`, `reporting` (its outcome waits to be recorded),
    /// `external`; in events `closed` too.
    pub phase: &'static str,
    /// Attempts that were begun, those at earlier effects of the same work that failed too; one that was cut short by a crash counts.
    pub attempt: u32,
    /// When the present attempt began, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub begun_ms: Option<u64>,
    /// When something is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_ms: Option<u64>,
    /// Why it waits, or what went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Step of the current attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub step: Option<String>,
    /// How much of the step is done, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub done: Option<u64>,
    /// Of how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// A page of open effects, by id.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct EffectsPage {
    /// The effects.
    pub effects: Vec<EffectView>,
    /// Value of `after` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub next: Option<EffectId>,
}

/// List open effects.
///
/// Open work outside of the machine, done by the node or by others. Work of the node has its attempts and progress.
#[utoipa::path(get, path = "/effects", tag = "state",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's effects."),
        ("after" = Option<schema::EffectId>, Query, description = "Only effects whose ids sort after this one."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10000, description = "Most effects, 1 to 10000; 1000 when left out."),
    ),
    responses(
        (status = 200, description = "Open effects.", body = EffectsPage),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_project`: the project has no record.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn effects(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["project", "after", "limit"])?;
    let limit = query.number("limit", 1..=10_000)?.unwrap_or(1_000) as usize;
    let filter = EffectFilter { project: query.parsed("project")?, after: query.parsed("after")?, limit };
    let answer = state.show(&asker, move |state, stop| {
        let page = state.queries.effects(&filter)?;
        // Only a project with a record has open effects.
        if let Some(project) = filter.project.as_ref().filter(|_| page.effects.is_empty())
            && state.handle.view_until(project, stop)?.index == 0
        {
            return Err(unknown_project(project));
        }
        Ok(page)
    });
    answer.await
}
