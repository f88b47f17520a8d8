//! The listener of the WHOOSH migration: the paths of WHOOSH's clients, answered by the system that decides.

mod outcome;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

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

use super::admission::{Lack, Memory, Places};
use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::query::Query;
use super::serve::within;
use super::transition::REPLAYED;
use super::windows::Asked;
use super::{Gate, admission, body, browsers, fault, junk};
use swoosh_sequencer::Handle;
use swoosh_types::migration::{Call, LegacyAnswer, WhooshAnswer};
use swoosh_types::names::GuardName;
use swoosh_types::rejection::{Code, Rejection};

/// Headers of one connection (RFC 9110 §7.6.1), and headers that are replaced.
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

/// The place and the memory of a request on its way.
pub type Held = Arc<dyn Any + Send + Sync>;

/// Carries requests of WHOOSH's clients.
pub trait Carrier: Send + Sync {
    /// Carries one to its answer. The request keeps what is held until all its work is done, which may be after the answer.
    fn carry(&self, call: Call, held: Held) -> BoxFuture<'static, Result<LegacyAnswer, Rejection>>;
    /// Whether the caller of a request is known; why not.
    fn knows(&self, call: &Call) -> Result<(), Rejection>;
}

/// State of the migration's routes.
#[derive(Clone)]
pub struct LegacyState {
    /// Carries the requests.
    pub carrier: Arc<dyn Carrier>,
    /// Admission; shared with the node's other routes.
    pub gate: Arc<Gate>,
    /// Requests that may be on their way; one peer gets half of them.
    pub in_flight: usize,
    /// The sequencer, for what SWOOSH alone can answer.
    pub handle: Handle,
}

/// The same with places for requests on their way.
#[derive(Clone)]
struct Carrying {
    carrier: Arc<dyn Carrier>,
    gate: Arc<Gate>,
    places: Arc<Places>,
    handle: Handle,
}

/// An answer, with what is held until it is written.
struct Carried {
    answered: LegacyAnswer,
    held: Held,
}

impl Carrying {
    /// A place for a request of this caller.
    fn hold(&self, asker: &Asker, memory: Option<Memory>) -> Answer<Held> {
        let place = self.places.take(asker.peer()).map_err(|lack| match lack {
            Lack::OfPeer(most) => {
                let reason =
                    format!("{most} requests of this peer are on their way already; raise migration.in_flight");
                self.gate.shed(Code::TooManyRequests, reason)
            }
            Lack::OfAll(_) => {
                self.gate.shed(Code::Overloaded, "too many requests are on their way; raise migration.in_flight")
            }
        })?;
        Ok(Arc::new((place, memory)))
    }

    /// Carries a proposal to its answer. It is counted, and charged to its peer where it did not verify, also when the client is gone.
    async fn carry_proposal(&self, asker: &Asker, call: Call, memory: Memory) -> Answer<Carried> {
        let (state, peer, bytes) = (self.clone(), asker.peer(), call.body.len());
        let held = self.hold(asker, Some(memory)).inspect_err(|fault| outcome::failed_early(self, fault))?;
        let carried = self.carrier.carry(call, held.clone());
        let carried = tokio::spawn(async move {
            let answered = carried.await.map_err(|rejection| outcome::named(rejection.into()));
            outcome::note(&state, &answered);
            let was_suspect = outcome::did_not_verify(&answered) && junk::note(&state.gate, peer, bytes);
            (answered, was_suspect)
        });
        let (answered, was_suspect) = carried.await.map_err(|error| Fault::internal(&error))?;
        if was_suspect {
            // A delayed refusal must not hold memory that other callers need.
            drop((answered, held));
            return Err(self.gate.shut_out(peer).await);
        }
        Ok(Carried { answered: answered?, held })
    }

    /// Carries another request to its answer.
    async fn carry(&self, asker: &Asker, call: Call, memory: Option<Memory>) -> Answer<Carried> {
        let held = self.hold(asker, memory)?;
        Ok(Carried { answered: self.carrier.carry(call, held.clone()).await?, held })
    }

    /// The answer as it is written. It keeps its place while it waits for memory.
    async fn answer(&self, asker: &Asker, carried: Carried) -> Answer {
        let bytes = match &carried.answered {
            LegacyAnswer::Whoosh(answer) => answer.body.len(),
            LegacyAnswer::Accepted { document, .. }
            | LegacyAnswer::Refused { document, .. }
            | LegacyAnswer::Unverified { document, .. }
            | LegacyAnswer::Shown(document) => document.len(),
        };
        self.gate.reserve_answer(asker, bytes).await?;
        let Carried { answered, held: _held } = carried;
        answer(answered)
    }
}

/// The routes of the migration's listener.
pub fn legacy_router(state: LegacyState) -> Router {
    let LegacyState { carrier, gate, in_flight, handle } = state;
    let state = Carrying { carrier, gate, places: Arc::new(Places::new(in_flight)), handle };
    Router::new()
        .route("/transition", post(transition))
        .route("/state", get(project_state))
        .route("/health", get(health))
        .route("/windows", get(windows))
        .fallback(other)
        .method_not_allowed_fallback(super::method_not_allowed)
        .layer(from_fn_with_state(state.gate.clone(), admission::admit))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .with_state(state)
}

async fn transition(State(state): State<Carrying>, asker: Asker, uri: Uri, headers: HeaderMap, body: Body) -> Answer {
    // A request of WHOOSH's clients counts as signed, so a web page must not be able to send one.
    let checked = check_call(&uri, &[], &headers).and_then(|()| body::check_media_type(&headers));
    if let Err(fault) = checked {
        let patience = Duration::from_millis(state.gate.limits().request_timeout_ms);
        let _ = within(patience, body::discard(&headers, body)).await;
        outcome::failed_early(&state, &fault);
        return Err(fault.failing(GuardName::Signature));
    }
    let whole = body::whole(&headers, body, &state.gate, asker.peer()).await;
    let body::Whole { bytes, memory } = whole.inspect_err(|fault| outcome::failed_early(&state, fault))?;
    let proposal = call(&Method::POST, &uri, &headers, bytes);
    let carried = state.carry_proposal(&asker, proposal, memory).await?;
    state.answer(&asker, carried).await
}

async fn project_state(
    State(state): State<Carrying>,
    asker: Asker,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    check_call(&uri, &["project", "projection"], &headers)?;
    let carried = state.carry(&asker, call(&method, &uri, &headers, Bytes::new()), None).await?;
    state.answer(&asker, carried).await
}

async fn health(State(state): State<Carrying>, asker: Asker, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    check_call(&uri, &[], &headers)?;
    let carried = state.carry(&asker, call(&method, &uri, &headers, Bytes::new()), None).await?;
    state.answer(&asker, carried).await
}

/// The window schedule, by which clients find the `window_id` that they are to send. SWOOSH answers it in every mode.
async fn windows(State(state): State<Carrying>, asker: Asker, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    browsers::check_no_page(&headers)?;
    state.carrier.knows(&call(&method, &uri, &headers, Bytes::new()))?;
    let asked = Asked::read(&uri)?;
    let held = state.hold(&asker, None)?;
    let shown = asked.answer(&state.handle);
    let document = serde_json::to_vec(&shown).map_err(|error| Fault::internal(&error))?;
    state.answer(&asker, Carried { answered: LegacyAnswer::Shown(document), held }).await
}

/// A path that SWOOSH does not know is WHOOSH's own.
async fn other(
    State(state): State<Carrying>,
    asker: Asker,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    browsers::check_no_page(&headers)?;
    let body::Whole { bytes, memory } = body::whole(&headers, body, &state.gate, asker.peer()).await?;
    let carried = state.carry(&asker, call(&method, &uri, &headers, bytes), Some(memory)).await?;
    state.answer(&asker, carried).await
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
        LegacyAnswer::Refused { document, .. } | LegacyAnswer::Unverified { document, .. } => {
            own(StatusCode::BAD_REQUEST, document)
        }
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
