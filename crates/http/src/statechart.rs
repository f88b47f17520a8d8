//! `GET /statechart`: the statechart that the node was built from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use utoipa::ToSchema;

use super::fault::Answer;
use super::query::Query;
use super::{etag, schema};
use swoosh_types::hash::Hash;

/// Written by the build script.
const CHART: &str = include_str!(concat!(env!("OUT_DIR"), "/chart.json"));
static TAG: LazyLock<String> = LazyLock::new(|| etag::of(&Hash::of(CHART.as_bytes())));

/// The statechart: the members of `statechart.yaml`, and its hash.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct StatechartAnswer {
    /// The chart's version; a project has it as `meta.chart_version`.
    #[schema(example = 2)]
    version: u64,
    /// Hash of the chart without its prose; a project has it as `meta.schema_hash`.
    #[schema(value_type = schema::Hash)]
    schema_hash: Hash,
    /// The parallel regions.
    regions: BTreeMap<String, ChartRegion>,
    /// The roles of identities.
    roles: BTreeMap<String, String>,
    /// The classes of windows.
    window_classes: BTreeMap<String, String>,
    /// The third part of idempotency keys.
    op_classes: BTreeMap<String, String>,
    /// Guards of every transition.
    base_guards: Vec<String>,
    /// Guards of every transition of `licensed_regions`.
    licensed_guards: Vec<String>,
    /// Regions whose transitions need a license.
    licensed_regions: Vec<String>,
    /// The guards.
    guards: BTreeMap<String, ChartGuard>,
    /// Work outside the machine.
    effects: BTreeMap<String, ChartEffect>,
    /// What passes while a project is blocked, by the block's reason.
    blocked: BTreeMap<String, ChartPasses>,
    /// Bounds of the state's lists.
    bounds: BTreeMap<String, u64>,
    /// The transitions.
    transitions: BTreeMap<String, ChartTransition>,
    /// Rejection codes, in the order of their page.
    rejections: Vec<ChartGroup>,
}

/// A parallel region; the first state is the initial one.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartRegion {
    /// The region in words.
    doc: String,
    /// Its states.
    #[schema(example = json!(["ALLOCATE", "PROVISION", "READY"]))]
    states: Vec<String>,
    /// States that nothing leaves.
    #[schema(required = false)]
    terminal: Vec<String>,
    /// States that it may rest in while other regions go on.
    #[schema(required = false)]
    resting: Vec<String>,
}

/// A condition on transitions. The texts are those of its code `guard_<name>`; left out if other codes name it as theirs.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartGuard {
    /// The guard in words.
    doc: String,
    /// Why it refuses.
    #[schema(required = false)]
    cause: String,
    /// A detail as the node writes it.
    #[schema(required = false)]
    example: String,
    /// The remedy.
    #[schema(required = false)]
    remedy: String,
    /// The rule.
    #[schema(required = false)]
    rule: String,
    /// How another try can help.
    #[schema(required = false)]
    retry: String,
}

/// Work outside the machine.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartEffect {
    /// The region that waits for it.
    region: String,
    /// The state that the region waits in.
    state: String,
    /// Transitions that report success.
    success: Vec<String>,
    /// Transitions that report failure.
    failure: Vec<String>,
    /// The transition after which its outcome is unknown.
    unknown: String,
    /// The effect in words.
    doc: String,
}

/// Regions and transitions that a block does not stop.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartPasses {
    /// Whole regions.
    regions: Vec<String>,
    /// Single transitions.
    transitions: Vec<String>,
    /// Whether compensations pass.
    compensations: bool,
}

/// A transition.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartTransition {
    /// The transition in words.
    doc: String,
    /// Template of its sentence in decision records.
    summary: String,
    /// Its region.
    #[schema(example = "execution")]
    region: String,
    /// States that it may start from.
    #[schema(example = json!(["REVIEW"]))]
    from: Vec<String>,
    /// States that it may lead to; the same several states in `from` and `to` mean that the state stays.
    #[schema(example = json!(["REVIEW"]))]
    to: Vec<String>,
    /// Roles that may sign it.
    #[schema(example = json!(["voter"]))]
    signers: Vec<String>,
    /// Its guards, besides `base_guards`, `licensed_guards` and `window`.
    guards: Vec<String>,
    /// Guards that a later version of the chart added, with that version.
    #[schema(required = false)]
    since: BTreeMap<String, u64>,
    /// Members of its inputs, and their types; `Inputs_<Transition>` has the schema.
    inputs: BTreeMap<String, String>,
    /// The class of window that it needs.
    #[schema(required = false)]
    window: String,
    /// The effect whose outcome it is.
    #[schema(required = false)]
    closes: String,
    /// Effects that it may open.
    #[schema(required = false)]
    opens: Vec<String>,
    /// Effects that it cancels.
    #[schema(required = false)]
    cancels: Vec<String>,
    /// Whether it passes where others are blocked.
    #[schema(required = false)]
    compensation: bool,
}

/// Rejection codes under one heading.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartGroup {
    /// The heading.
    group: String,
    /// The group in words.
    doc: String,
    /// Whether its entries are those of the guards.
    guards: bool,
    /// The codes.
    codes: Vec<ChartRejection>,
}

/// A rejection code that is not `guard_<name>`.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the build script writes")]
pub(super) struct ChartRejection {
    /// The code.
    code: String,
    /// The code in words.
    title: String,
    /// The guard whose failure it reports.
    #[schema(required = false)]
    guard: String,
    /// Why it is given.
    cause: String,
    /// A detail as the node writes it.
    example: String,
    /// The remedy.
    remedy: String,
    /// The rule.
    rule: String,
    /// How another try can help.
    #[schema(example = "never")]
    retry: String,
}

/// Read the statechart.
///
/// The chart that the node was built from, with its prose: regions, states, transitions, guards, effects, roles and rejection
/// codes. It is the same for all callers and names no project, so that it is open to all. Ask again with `If-None-Match`.
#[utoipa::path(get, path = "/statechart", tag = "state",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that the caller has.")),
    responses(
        (status = 200, description = "The statechart.", body = StatechartAnswer,
            headers(("ETag" = String, description = "The tag of this answer."))),
        (status = 304, description = "The caller has this answer."),
    ),
)]
pub(super) async fn statechart(headers: HeaderMap, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(etag::json(&headers, &TAG, Bytes::from_static(CHART.as_bytes())))
}
