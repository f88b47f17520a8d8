//! The routes of the listener for probes and scrapers (`http.observe`): health and metrics, as the main listener answers them.
//!
//! The listener has its own bounds on connections and requests, so that callers of the main one cannot keep probes away.

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use super::fault::{self, Fault};
use super::{AppState, Gate, Limits, admission, reads, routes};
use swoosh_types::rejection::Code;

/// Connections of all peers.
const CONNECTIONS: usize = 256;
/// Connections of one peer, such as the address that a cluster's machine probes all of its pods from.
const CONNECTIONS_PER_PEER: usize = 64;
/// Longest that a shutdown waits for answers that are under way, in milliseconds.
const DRAIN_TIMEOUT_MS: u64 = 1_000;

/// The routes for probes and scrapers.
pub fn observe_router(state: AppState, gate: Arc<Gate>) -> Router {
    routes::open_router()
        .fallback(not_found)
        .method_not_allowed_fallback(super::method_not_allowed)
        .layer(from_fn(reads::by_address))
        .layer(from_fn_with_state(gate, admission::admit))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .with_state(state)
}

/// The bounds of its listener.
pub fn observe_limits(limits: Limits) -> Limits {
    Limits {
        connections: limits.connections.min(CONNECTIONS),
        connections_per_peer: limits.connections_per_peer.min(CONNECTIONS_PER_PEER),
        drain_timeout_ms: limits.drain_timeout_ms.min(DRAIN_TIMEOUT_MS),
        ..limits
    }
}

async fn not_found(uri: Uri) -> Fault {
    let path: String = uri.path().chars().take(200).collect();
    let reason =
        format!("there is nothing at {path}; this listener answers /health, /health/live, /health/ready and /metrics");
    Fault::new(Code::NotFound, reason)
}
