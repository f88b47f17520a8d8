//! `GET /facts`: what is believed. `POST /facts`: facts that integrations push.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fault::{Answer, Fault};
use super::query::Query;
use super::{AppState, Caller, Peer, body, json, json_bytes, schema};
use crate::types::canonical::from_json;
use crate::types::fact::{Fact, FactKind};
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::json::Json;
use crate::types::rejection::{Code, Rejection};
use crate::types::text::ProjectName;

/// Takes facts that are pushed: checks them, makes them durable, and believes them.
pub trait Intake: Send + Sync {
    /// Takes one. It may wait for the disk.
    fn push(&self, fact: Fact) -> Result<Pushed, Rejection>;
}

/// What became of a pushed fact that nothing is wrong with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pushed {
    /// Whether it is held now. A fact that is not newer than what is held is left alone.
    pub held: bool,
    /// The address it is stored under.
    #[schema(value_type = schema::Hash)]
    pub hash: Hash,
    /// Until when it may be believed: as claimed, or the longest its kind allows if that is earlier.
    #[schema(value_type = schema::Hlc)]
    pub valid_until: Hlc,
    /// Why it is not held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// Which facts are asked for.
#[derive(Clone, Debug, Default)]
pub struct FactFilter {
    /// Of one kind.
    pub kind: Option<FactKind>,
    /// That hold for one project.
    pub project: Option<ProjectName>,
}

/// List what the node believes.
///
/// Every fact that is held: what it is about, who said so, when it was seen, since when the node holds it, and
/// until when it may be believed. `missing` names the kinds of which nothing is believed; `network` tells
/// whether the node may talk to the world outside.
#[utoipa::path(get, path = "/facts", tag = "state",
    params(
        ("kind" = Option<schema::FactKind>, Query, description = "Of this kind only: `license`, `windows`, `tooling`, \
            `capacity`, `health`, `liveness`, `policy` or `settings`."),
        ("project" = Option<schema::ProjectName>, Query, description = "Those that hold for this project: its own, and \
            those for all projects."),
    ),
    responses(
        (status = 200, description = "The facts that guards read.", body = Object),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn facts(State(state): State<AppState>, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["kind", "project"])?;
    let filter = FactFilter { kind: query.parsed("kind")?, project: query.parsed("project")? };
    let facts: Value = state.read(move |state| Ok(state.queries.facts(&filter))).await?;
    json(&facts)
}

/// Push a fact.
///
/// A fact signed by a source that the settings list for its kind. It is checked, made durable, and believed from
/// then on, also after a restart, until it runs out or its source says something newer. Pushing it again is
/// harmless. A fact that ends in the past takes back what its source said before.
#[utoipa::path(post, path = "/facts", tag = "state",
    request_body(content = Object, content_type = "application/json",
        description = "`{\"claim\": {kind, project?, source, observed_at, valid_until, body}, \"signature\"}`, as \
            `swoosh fact sign` prints it."),
    responses(
        (status = 200, description = "It is held and durable, or it is not newer than what is held; `held` says which.",
            body = Pushed),
        (status = 400, description = "It is not believed; `code` and `reasons` say why.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large for its kind.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be made durable, or too many facts are pushed at once.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn push(
    State(state): State<AppState>,
    caller: Option<Extension<Caller>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let checked = Query::read(&uri, &[]).and_then(|_| body::check_media_type(&headers));
    if let Err(fault) = checked {
        let patience = Duration::from_millis(state.limits.request_timeout_ms);
        let _ = tokio::time::timeout(patience, body::discard(&headers, body)).await;
        return Err(fault);
    }
    let peer = caller.map_or_else(Caller::default, |Extension(caller)| caller).peer;
    // Held until the answer: what the fact is made into takes as much as its bytes.
    let mut memory = state.gate.memory(peer);
    let bytes = body::read(&headers, body, &state.gate, &mut memory).await?;
    let document = Json::parse(&bytes).map_err(Rejection::from)?;
    let fact: Fact = from_json(&document).map_err(Rejection::from)?;
    // Pushes wait for the disk, one after the other; more than a few at once would only hold workers.
    let Ok(_permit) = state.pushes.clone().try_acquire_owned() else {
        return Err(Fault::new(Code::Overloaded, "too many facts are pushed at once; push it again"));
    };
    let pushed = state.read(move |state| Ok(state.intake.push(fact).map_err(Fault::from)));
    let pushed = pushed.await?.inspect_err(|fault| charge(&state, peer, fault, bytes.len()))?;
    let bytes = serde_json::to_vec(&pushed).map_err(|error| Fault::internal(&error))?;
    Ok(json_bytes(StatusCode::OK, bytes))
}

/// Charges a peer for what its refused fact cost, as of a proposal.
fn charge(state: &AppState, peer: Peer, fault: &Fault, bytes: usize) {
    match fault.code() {
        Code::SignatureInvalid | Code::FactSource => state.gate.charge(peer, bytes),
        Code::FactAhead | Code::FactBody | Code::FactSerial | Code::FactsFull => state.gate.charge_refusal(peer),
        _ => {}
    }
}
