//! Closed reads: on an address that others reach, only health and metrics are open (DESIGN §8).

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use super::fault::Fault;
use crate::types::rejection::Code;

/// Closes all reads but health and metrics. Proposals stay open: they are signed.
pub fn close_reads(router: Router) -> Router {
    router.layer(from_fn(gate))
}

async fn gate(request: Request, next: Next) -> Response {
    if is_open(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let reason = "this address is not a loopback one, so only /health, /metrics and signed proposals are open; \
                  read on the node itself";
    Fault::new(Code::ReadsClosed, reason).into_response()
}

/// Other methods than those that read meet the routes, which know whether they allow them.
fn is_open(method: &Method, path: &str) -> bool {
    let reads = *method == Method::GET || *method == Method::HEAD;
    !reads || matches!(path, "/transition" | "/health" | "/health/live" | "/health/ready" | "/metrics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_metrics_are_read_from_outside() {
        for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
            assert!(is_open(&Method::GET, path) && is_open(&Method::HEAD, path), "{path}");
        }
        for path in ["/", "/state", "/wal", "/facts", "/docs", "/healthy", "/health/", "/metrics/x", "/decisions/a/1"] {
            assert!(!is_open(&Method::GET, path) && !is_open(&Method::HEAD, path), "{path}");
        }
        assert!(is_open(&Method::POST, "/transition"));
    }
}
