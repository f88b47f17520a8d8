//! `GET /migration`, `GET /migration/divergences`, `POST /migration/mode`: the state of the WHOOSH migration, and the
//! operator's signed order that switches it.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use futures::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::query::Query;
use super::{AppState, body, json, junk, schema};
use swoosh_types::canonical::from_json;
use swoosh_types::json::Json;
use swoosh_types::migration::{Divergence, MigrationView, SignedOrder, Switch};
use swoosh_types::rejection::{Code, Rejection};

/// The WHOOSH migration, as the routes see it.
pub trait Migration: Send + Sync {
    fn view(&self) -> MigrationView;
    /// The last divergences, newest first.
    fn divergences(&self, limit: usize) -> Vec<Divergence>;
    /// Carries out an order; it is durable when this is ready. It is completed even if the caller stops waiting.
    fn order(&self, order: SignedOrder) -> BoxFuture<'static, Result<Switch, Rejection>>;
}

/// Differences between WHOOSH and SWOOSH.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DivergencesAnswer {
    /// How many were found in all.
    found: u64,
    /// The last ones, newest first, with both sides.
    #[schema(value_type = Vec<Object>)]
    divergences: Vec<Divergence>,
}

fn migration(state: &AppState) -> Answer<&Arc<dyn Migration>> {
    let reason = "this node migrates nothing; set migration.upstream to the address of WHOOSH (docs/migration.md)";
    state.migration.as_ref().ok_or_else(|| Fault::new(Code::MigrationOff, reason))
}

/// Show the state of the migration from WHOOSH.
///
/// The routing, the last switch with its order, the differing projects, and for each caller the number of proposals
/// without an idempotency key.
#[utoipa::path(get, path = "/migration", tag = "migration",
    responses(
        (status = 200, description = "Its state.", body = Object),
        (status = 404, description = "`migration_off`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn view(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    state.show(&asker, |state, _| Ok(migration(state)?.view())).await
}

/// List differences between WHOOSH and SWOOSH.
///
/// The last 1000, each with what both sides say. They are kept on disk.
#[utoipa::path(get, path = "/migration/divergences", tag = "migration",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Most divergences, 1 to 1000; 100 when left out.")),
    responses(
        (status = 200, description = "Newest first.", body = DivergencesAnswer),
        (status = 404, description = "`migration_off`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn divergences(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let limit = Query::read(&uri, &["limit"])?.number("limit", 1..=1_000)?.unwrap_or(100) as usize;
    let answer = state.show(&asker, move |state, _| {
        let migration = migration(state)?;
        Ok(DivergencesAnswer { found: migration.view().divergences, divergences: migration.divergences(limit) })
    });
    answer.await
}

/// Switch the migration.
///
/// The order is signed by an identity of the settings with role `operator`, and names the number of the last switch,
/// so that it counts once. The switch is durable, and in force, when it is answered. Before SWOOSH decides more than
/// it did, all projects are compared; before it decides less, WHOOSH receives everything that SWOOSH decided.
/// An order for `cutover` with `without_comparison: true` is also carried out while WHOOSH gives no answer; the switch then
/// says so under `uncompared`.
#[utoipa::path(post, path = "/migration/mode", tag = "migration",
    request_body(content = Object, content_type = "application/json",
        description = "`{\"order\": {routing: {mode, regions?}, follows, rationale, hlc, without_comparison?, signer}, \"signature\"}`, as \
            `swoosh migration mode` sends it."),
    responses(
        (status = 200, description = "The switch, as it is kept.", body = Object),
        (status = 400, description = "The order does not count; `code` and `reasons` say why.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "`migration_off`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 409, description = "`order_stale` or `migration_diverged`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 502, description = "`legacy_unreachable`: WHOOSH must answer or receive records first, and is unreachable.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 504, description = "`legacy_timeout`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn order(
    State(state): State<AppState>,
    asker: Asker,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Query::read(&uri, &[])?;
    let migration = migration(&state)?.clone();
    body::check_media_type(&headers)?;
    let peer = asker.peer();
    let whole = body::whole(&headers, body, &state.gate, peer).await?;
    let length = whole.bytes.len();
    let (order, memory) = junk::look(&state.gate, peer, whole, read).await?;
    let gate = state.gate.clone();
    // It is charged to the end, also when its caller is gone.
    let ordered = tokio::spawn(async move {
        let _memory = memory;
        migration.order(order).await.map_err(Fault::from).map_err(|fault| {
            let was_suspect = is_junk(fault.code()) && junk::note(&gate, peer, length);
            junk::Refused { fault, was_suspect }
        })
    });
    match ordered.await.map_err(|error| Fault::internal(&error))? {
        Ok(switch) => json(&switch),
        Err(refused) => Err(junk::refused(&state.gate, peer, refused).await),
    }
}

fn is_junk(code: Code) -> bool {
    matches!(code, Code::SignatureInvalid | Code::IdentityUnknown | Code::RoleNotAllowed)
}

fn read(bytes: &[u8]) -> Result<SignedOrder, Rejection> {
    Ok(from_json(&Json::parse(bytes)?)?)
}
