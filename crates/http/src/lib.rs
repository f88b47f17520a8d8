//! HTTP: the only place that knows it (docs/design.md#http).
//!
//! ```text
//!  POST /transition ── body ── verify ── Handle::propose ──▶ 202 receipt │ 400, 503 problem
//!  POST /facts ── Intake ───────────────────────────────▶ 200 │ 400, 413, 503 problem
//!  GET  /state /transitions /wal … ── Handle, Journal ─────▶ durable heads and records
//! ```
//! Signatures are verified here, on the runtime's workers, so that the sequencer never waits for one.
//! Every answer that is no success is a problem document with a stable code; the module `status` alone decides
//! which status it has.
//!
//! **Architecture invariant.** Nothing here decides about a proposal, and nothing here writes. What the
//! routes cannot know themselves comes in through [`Queries`], and facts that are pushed go out through
//! [`Intake`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod admission;
mod asker;
mod body;
mod brief;
mod browsers;
mod bulk;
mod console;
mod docs;
mod effects;
mod etag;
mod events;
mod explain;
mod facts;
mod fault;
mod feed;
mod health;
mod junk;
mod legacy;
mod limits;
mod markdown;
mod migration;
mod observe;
mod openapi;
mod peer;
mod proposing;
mod query;
mod readers;
mod reads;
mod records;
mod routes;
mod schema;
mod serve;
mod state;
mod statechart;
mod status;
#[cfg(test)]
mod tests;
mod trace;
mod traffic;
mod transition;
mod turns;
mod windows;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast;
use tower_http::catch_panic::CatchPanicLayer;

use fault::{Answer, Fault};
use swoosh_sequencer::Handle;
use swoosh_sequencer::queries::ReadError;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::rejection::Code;
use swoosh_types::text::ClusterId;

pub use admission::Gate;
pub use effects::{EffectFilter, EffectView, EffectsPage};
pub use events::{Happened, transition_event};
pub use facts::{FactFilter, Intake, Pushed};
pub use health::ExportView;
pub use legacy::{Carrier, Held, LegacyState, legacy_router};
pub use limits::Limits;
pub use migration::Migration;
pub use observe::{observe_limits, observe_router};
pub use peer::{Caller, Peer};
pub use readers::{Readers, SharedReaders};
pub use serve::{Tls, TlsError, TlsFiles, serve};
pub use traffic::{Traffic, Turned};

/// The node's identity and version.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The cluster, which every signature names.
    pub cluster: ClusterId,
    /// The node's key, which signs receipts.
    pub node: PublicKey,
    /// The program's version.
    pub version: String,
}

/// Data that the routes show and do not know themselves.
pub trait Queries: Send + Sync {
    /// The metrics in Prometheus' text format, without series of projects that may not be shown.
    fn metrics(&self, may_show: &dyn Fn(&str) -> bool) -> Vec<u8>;
    /// The facts held now and what is missing, as `GET /facts` answers.
    fn facts(&self, filter: &FactFilter) -> serde_json::Value;
    /// Open effects, as `GET /effects` answers.
    fn effects(&self, _filter: &EffectFilter) -> Result<EffectsPage, ReadError> {
        Ok(EffectsPage::default())
    }
    /// Events from here on, for `GET /events`.
    fn events(&self) -> broadcast::Receiver<Arc<Happened>> {
        broadcast::channel(1).1
    }
    /// The proposal's clock of the newest snapshot.
    fn last_snapshot_hlc(&self) -> Option<Hlc>;
    /// Value of the metric `swoosh_wal_lag_records`.
    fn wal_lag(&self) -> u64;
    /// How the exporters of decision records are.
    fn exports(&self) -> Vec<ExportView> {
        Vec::new()
    }
}

/// State of the routes. Cheap to clone: each layer and each request clones it.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

impl From<Parts> for AppState {
    fn from(parts: Parts) -> AppState {
        AppState(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of [`AppState`].
pub struct Parts {
    /// The way to the sequencer.
    pub handle: Handle,
    /// The node's identity and version.
    pub meta: NodeInfo,
    /// Bounds on requests.
    pub limits: Limits,
    /// Admission of requests.
    pub gate: Arc<Gate>,
    /// Data that the routes do not know themselves.
    pub queries: Arc<dyn Queries>,
    /// Whether the console is served.
    pub console: bool,
    /// Takes facts that are pushed.
    pub intake: Arc<dyn Intake>,
    /// Readers that are limited to projects.
    pub readers: SharedReaders,
    /// The WHOOSH migration, where the settings name a WHOOSH.
    pub migration: Option<Arc<dyn Migration>>,
}

/// All routes. A request's [`Caller`] says whether it may read; without one, it may.
pub fn router(state: AppState) -> Router {
    routes::router()
        .merge(if state.console { console::router() } else { Router::new() })
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), reads::gate))
        .layer(from_fn_with_state(state.gate.clone(), admission::admit))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .with_state(state)
}

async fn not_found(uri: Uri) -> Fault {
    let path: String = uri.path().chars().take(200).collect();
    Fault::new(Code::NotFound, format!("there is nothing at {path}; GET / lists the routes"))
}

/// The router adds `Allow`.
async fn method_not_allowed(method: Method, uri: Uri) -> Fault {
    let path: String = uri.path().chars().take(200).collect();
    Fault::new(Code::MethodNotAllowed, format!("{method} is not allowed at {path}; see the header Allow"))
}

/// JSON bytes that are there already.
fn json_bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Response {
    use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], bytes.into()).into_response()
}

/// A document as JSON.
fn json<T: serde::Serialize>(document: &T) -> Answer {
    let bytes = serde_json::to_vec(document).map_err(|error| Fault::internal(&error))?;
    Ok(json_bytes(StatusCode::OK, bytes))
}
