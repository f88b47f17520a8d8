//! Serving connections: HTTP/1.1 and HTTP/2, bounded in time, and drained on shutdown.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::{Limits, close_reads};

/// What the accept loop waits after the operating system has no room for a connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How often an HTTP/2 connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Serves until `shutdown` is ready; then takes no more connections, answers what was accepted, and
/// returns when that is done or [`Limits::drain_timeout_ms`] is over. On an address that is not a loopback
/// one, reads are closed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let local = listener.local_addr()?.ip().to_canonical().is_loopback();
    let router = if local { router } else { close_reads(router) };
    let server = Arc::new(server(&limits));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, server.clone(), router.clone(), graceful.watcher(), limits);
                    drop(connections.spawn(connection));
                }
                Err(error) => refused(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drain(graceful, connections, limits).await;
    Ok(())
}

fn server(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header_timeout = Duration::from_millis(limits.header_timeout_ms);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(header_timeout);
    builder
}

/// One connection. The server waits for the first bytes without a bound of its own, so whoever connects and
/// sends no request is cut off here.
async fn connection(
    stream: TcpStream,
    server: Arc<Builder<TokioExecutor>>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    limits: Limits,
) {
    // Answers are small and whole; waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        seen.store(true, Ordering::Relaxed);
        router.clone().oneshot(request.map(Body::new))
    });
    let served = server.serve_connection(TokioIo::new(stream), service).into_owned();
    let served = watcher.watch(served);
    tokio::pin!(served);
    if tokio::time::timeout(Duration::from_millis(limits.header_timeout_ms), &mut served).await.is_ok() {
        return;
    }
    if asked.load(Ordering::Relaxed) {
        // How a connection ends, its caller sees; the node has nothing to do about it.
        let _ = served.await;
    }
}

async fn refused(error: &io::Error) {
    let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !theirs.contains(&error.kind()) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(NO_ROOM_PAUSE).await;
    }
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, limits: Limits) {
    let patience = Duration::from_millis(limits.drain_timeout_ms);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut off: they outlasted the drain timeout");
    }
    connections.shutdown().await;
}
