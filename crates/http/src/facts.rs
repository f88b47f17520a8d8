//! `GET /facts`: facts in force. `POST /facts`: facts that integrations push.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::junk::Refused;
use super::query::Query;
use super::serve::within;
use super::{AppState, Gate, Peer, body, json_bytes, junk, schema};
use swoosh_sequencer::queries::Stop;
use swoosh_types::canonical::from_json;
use swoosh_types::fact::{Fact, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// Takes facts that are pushed: checks them, makes them durable, and believes them.
pub trait Intake: Send + Sync {
    /// Takes one. It may wait for the disk.
    fn push(&self, fact: Fact) -> Result<Pushed, Rejection>;
}

/// Result for a valid pushed fact.
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
pub(super) async fn facts(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["kind", "project"])?;
    let filter = FactFilter { kind: query.parsed("kind")?, project: query.parsed("project")? };
    state.show(&asker, move |state, _| Ok(state.queries.facts(&filter))).await
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
    asker: Asker,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let checked = Query::read(&uri, &[]).and_then(|_| body::check_media_type(&headers));
    if let Err(fault) = checked {
        let patience = Duration::from_millis(state.limits.request_timeout_ms);
        let _ = within(patience, body::discard(&headers, body)).await;
        return Err(fault);
    }
    let peer = asker.peer();
    let whole = body::whole(&headers, body, &state.gate, peer).await?;
    let length = whole.bytes.len();
    // Held until the fact is durable: its parsed form takes as much as its bytes.
    let (fact, memory) = junk::look(&state.gate, peer, whole, read).await?;
    let source = fact.claim.source;
    if let Some(wait_ms) = state.gate.owes(peer, source) {
        drop((fact, memory));
        return Err(state.gate.refuse_signer(peer, source, wait_ms).await);
    }
    // Pushes wait for the disk, one after the other; more than a few at once would only hold workers.
    let place = state.gate.push_place(peer).await?;
    // It is charged there: its caller may be gone when it is refused.
    let push = move |state: &AppState, _: &Stop| {
        let pushed = state.intake.push(fact).map_err(Fault::from);
        Ok(pushed.map_err(|fault| charge(&state.gate, peer, source, fault, length)))
    };
    let pushed = match state.work(asker.patience(), (place, memory), push).await?.0 {
        Ok(pushed) => pushed,
        Err(refused) => return Err(junk::refused(&state.gate, peer, refused).await),
    };
    let bytes = serde_json::to_vec(&pushed).map_err(|error| Fault::internal(&error))?;
    Ok(json_bytes(StatusCode::OK, bytes))
}

fn read(bytes: &[u8]) -> Result<Fact, Rejection> {
    Ok(from_json(&Json::parse(bytes)?)?)
}

/// Charges for what a refused fact cost, as of a proposal: the peer, or the source where the signature is its own. Whether the
/// peer is shut out.
fn charge(gate: &Gate, peer: Peer, source: PublicKey, fault: Fault, bytes: usize) -> Refused {
    match fault.code() {
        Code::SignatureInvalid | Code::FactSource | Code::ContentTooLarge => {
            return Refused { fault, was_suspect: junk::note(gate, peer, bytes) };
        }
        Code::FactAhead | Code::FactBody | Code::FactSerial | Code::FactsFull => gate.charge_refusal(peer, source),
        _ => {}
    }
    Refused { fault, was_suspect: false }
}
