//! `GET /transitions`: which transitions are enabled now, and why the others are not.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::Answer;
use super::query::Query;
use super::{AppState, schema};
use swoosh_sequencer::queries::{Beats, Explanation, FactBody, FactSet, Judged, electorate};
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::WindowId;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{GuardName, OpClass, Region, Role, Transition, WindowClass};
use swoosh_types::text::ProjectName;

/// Whether windows of a class are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct WindowAnswer {
    /// Whether one is open now.
    open: bool,
    /// Milliseconds until one opens; left out where the schedule has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    opens_in_ms: Option<u64>,
}

/// How one guard would judge now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct GuardAnswer {
    /// Which guard.
    #[schema(value_type = schema::GuardName)]
    guard: GuardName,
    /// Whether it would pass; left out where that depends on the proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ok: Option<bool>,
    /// Why.
    reasons: Vec<String>,
}

/// One transition of the statechart, and whether it is enabled now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TransitionAnswer {
    /// Which.
    #[schema(value_type = schema::Transition)]
    transition: Transition,
    /// Its region.
    #[schema(value_type = schema::Region)]
    region: Region,
    /// The class of window it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::WindowClass>, nullable = false)]
    window: Option<WindowClass>,
    /// The op class of its idempotency keys.
    #[schema(value_type = schema::OpClass)]
    op_class: OpClass,
    /// Roles that may sign it.
    #[schema(value_type = Vec<schema::Role>)]
    signers: &'static [Role],
    /// Members of its inputs and their types; `?` marks an optional one.
    #[schema(value_type = BTreeMap<String, String>)]
    inputs: BTreeMap<&'static str, &'static str>,
    /// Whether the state lets it happen, and the node takes proposals.
    enabled: bool,
    /// Why not, where it does not.
    reasons: Vec<String>,
    /// How its guards would judge.
    guards: Vec<GuardAnswer>,
}

/// Transitions that a project allows now, and the state of the window schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TransitionsAnswer {
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// Its head; of a project that does not exist yet, the genesis head.
    #[schema(value_type = schema::Hash)]
    head: Hash,
    /// Whether the project exists.
    exists: bool,
    /// The node's clock.
    #[schema(value_type = schema::Hlc)]
    time: Hlc,
    /// Beats since the schedule's epoch: what idempotency keys name. By the last schedule known where none is
    /// valid, and never below the beat behind which keys are forgotten.
    beat: u64,
    /// The window of now. This member and the next two are left out where the node knows no schedule that is
    /// valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::WindowId>, nullable = false)]
    window_id: Option<WindowId>,
    /// The tidal pressure, 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1000, nullable = false)]
    pressure: Option<u64>,
    /// Windows by class: `plan`, `review`, `reverb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, WindowAnswer>>, nullable = false)]
    windows: Option<BTreeMap<WindowClass, WindowAnswer>>,
    /// Candidates of the council that may be seated and vote now; left out where there are none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = Vec<schema::PublicKey>)]
    electorate: BTreeSet<PublicKey>,
    /// Every transition of the chart.
    transitions: Vec<TransitionAnswer>,
}

impl WindowAnswer {
    fn of(schedule: &Schedule, class: WindowClass, at: Hlc) -> WindowAnswer {
        let opens_in_ms = schedule.opens_in_ms(class, at);
        WindowAnswer { open: opens_in_ms == Some(0), opens_in_ms }
    }
}

/// Explain every transition.
///
/// Says of each transition whether the project's state lets it happen now, and how its guards would judge. A change
/// of the license's status that comes before the next proposal counts already. While the node takes no proposals
/// (`read_only`, `draining`, `follower`, `clock_unsafe`), no transition is enabled. Works for a project that does not
/// exist yet, too.
#[utoipa::path(get, path = "/transitions", tag = "state",
    params(("project" = Option<schema::ProjectName>, Query, description = "The project; `default` when left out.")),
    responses(
        (status = 200, description = "All transitions.", body = TransitionsAnswer),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn transitions(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let project = Query::read(&uri, &["project"])?.project()?;
    let answer = state.show(&asker, move |state, stop| {
        let (view, explained) = state.handle.explain(&project, stop)?;
        let (facts, time) = (state.handle.facts(), state.handle.now());
        let schedule = schedule(facts.set(), &project, time);
        let floor = state.handle.journal().key_floor(&project)?;
        let windows = |schedule: &Schedule| {
            WindowClass::ALL.iter().map(|&class| (class, WindowAnswer::of(schedule, class, time))).collect()
        };
        Ok(TransitionsAnswer {
            project,
            head: view.head.hash(),
            exists: view.index > 0,
            time,
            beat: Beats::known(facts.set(), &view.head.state().meta.project, time, floor).now,
            window_id: schedule.map(|schedule| schedule.position(time).window_id),
            pressure: schedule.map(|schedule| schedule.pressure(time)),
            windows: schedule.map(windows),
            electorate: electorate(view.head.state(), facts.set(), time),
            transitions: explained.into_iter().map(explain).collect(),
        })
    });
    answer.await
}

/// The schedule in force, if it may still be believed.
fn schedule<'a>(facts: &'a FactSet, project: &ProjectName, at: Hlc) -> Option<&'a Schedule> {
    let fact = facts.get(FactKind::Windows, project).filter(|fact| fact.is_valid(at))?;
    if let FactBody::Windows(schedule) = &fact.body { Some(schedule) } else { None }
}

fn explain(explanation: Explanation) -> TransitionAnswer {
    let spec = explanation.spec;
    let guard = |(guard, judged): (GuardName, Judged)| GuardAnswer { guard, ok: judged.ok, reasons: judged.reasons };
    TransitionAnswer {
        transition: spec.transition,
        region: spec.region,
        window: spec.window,
        op_class: spec.op_class,
        signers: spec.signers,
        inputs: spec.inputs.iter().copied().collect(),
        enabled: explanation.disabled.is_none(),
        reasons: explanation.disabled.map(|rejection| rejection.reasons).unwrap_or_default(),
        guards: explanation.guards.into_iter().map(guard).collect(),
    }
}
