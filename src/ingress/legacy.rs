//! The listener of the WHOOSH migration: the paths that WHOOSH's clients know, answered by whoever decides.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::future::BoxFuture;
use tower_http::catch_panic::CatchPanicLayer;

use super::fault::{Answer, Fault};
use super::query::Query;
use super::transition::REPLAYED;
use super::{Caller, Gate, admission, body, browsers, fault};
use crate::types::migration::{Call, LegacyAnswer, WhooshAnswer};
use crate::types::rejection::{Code, Rejection};

/// Headers that concern one connection alone (RFC 9110 §7.6.1), and those that are written anew.
const NOT_HANDED_ON: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Carries requests of WHOOSH's clients.
pub trait Carrier: Send + Sync {
    /// Carries one to its answer.
    fn carry(&self, call: Call) -> BoxFuture<'static, Result<LegacyAnswer, Rejection>>;
}

/// What the routes of the migration work on.
#[derive(Clone)]
pub struct LegacyState {
    /// Carries the requests.
    pub carrier: Arc<dyn Carrier>,
    /// Who may ask something now; shared with the node's other routes.
    pub gate: Arc<Gate>,
}

/// The routes of the migration's listener.
pub fn legacy_router(state: LegacyState) -> Router {
    Router::new()
        .route("/transition", post(transition))
        .route("/state", get(project_state))
        .route("/health", get(health))
        .fallback(not_found)
        .method_not_allowed_fallback(super::method_not_allowed)
        .layer(from_fn_with_state(state.gate.clone(), admission::admit))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .with_state(state)
}

async fn not_found(uri: Uri) -> Fault {
    let path: String = uri.path().chars().take(200).collect();
    let reason =
        format!("there is nothing at {path}; the migration carries POST /transition, GET /state and GET /health");
    Fault::new(Code::NotFound, reason)
}

async fn transition(
    State(state): State<LegacyState>,
    caller: Option<Extension<Caller>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    // What a client of WHOOSH sends counts as signed: a page, which sends what a browser lets it, must not send it.
    let checked = check_call(&uri, &[], &headers).and_then(|()| body::check_media_type(&headers));
    if let Err(fault) = checked {
        let patience = Duration::from_millis(state.gate.limits().request_timeout_ms);
        let _ = tokio::time::timeout(patience, body::discard(&headers, body)).await;
        return Err(fault);
    }
    let peer = caller.map_or_else(Caller::default, |Extension(caller)| caller).peer;
    let mut memory = state.gate.memory(peer);
    let bytes = body::read(&headers, body, &state.gate, &mut memory).await?;
    let length = bytes.len();
    let carried = state.carrier.carry(call(&Method::POST, &uri, &headers, bytes)).await;
    answer(carried.map_err(Fault::from).inspect_err(|fault| {
        if fault.code() == Code::CallerUnknown {
            state.gate.charge(peer, length);
        }
    })?)
}

async fn project_state(State(state): State<LegacyState>, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    check_call(&uri, &["project", "projection"], &headers)?;
    answer(state.carrier.carry(call(&method, &uri, &headers, Bytes::new())).await?)
}

async fn health(State(state): State<LegacyState>, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    check_call(&uri, &[], &headers)?;
    answer(state.carrier.carry(call(&method, &uri, &headers, Bytes::new())).await?)
}

/// Refuses requests of web pages, and parameters that neither WHOOSH's wire format nor SWOOSH knows: a `dry_run` that is passed over
/// would be a real transition.
fn check_call(uri: &Uri, known: &[&str], headers: &HeaderMap) -> Answer<()> {
    browsers::check_no_page(headers)?;
    Query::read(uri, known).map(drop)
}

fn call(method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Call {
    let handed_on = headers.iter().filter(|(name, _)| !NOT_HANDED_ON.contains(&name.as_str()));
    Call {
        method: method.to_string(),
        target: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: handed_on.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        body: body.into(),
    }
}

fn answer(answer: LegacyAnswer) -> Answer {
    let own = |status, document: Vec<u8>| {
        (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], document).into_response()
    };
    Ok(match answer {
        LegacyAnswer::Whoosh(answer) => hand_through(answer)?,
        LegacyAnswer::Accepted { document, replayed } => {
            let mut response = own(StatusCode::ACCEPTED, document);
            if replayed {
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            }
            response
        }
        LegacyAnswer::Refused(document) => own(StatusCode::BAD_REQUEST, document),
        LegacyAnswer::Shown(document) => own(StatusCode::OK, document),
    })
}

/// WHOOSH's answer as it came, but for what concerns its connection.
fn hand_through(answer: WhooshAnswer) -> Answer {
    let status = StatusCode::from_u16(answer.status).ok().filter(|status| !status.is_informational());
    let Some(status) = status else {
        let reason = format!("WHOOSH answers with status {}, which is none", answer.status);
        return Err(Fault::new(Code::LegacyUnreachable, reason));
    };
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    for (name, value) in answer.headers {
        let handed_on = !NOT_HANDED_ON.contains(&name.as_str()) && name != CONTENT_LENGTH.as_str();
        if let (true, Ok(name), Ok(value)) =
            (handed_on, HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value))
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}
