//! Serving connections: HTTP/1.1 and HTTP/2, with or without TLS, bounded in number and time, and drained on
//! shutdown.
//!
//! ```text
//!  accept ── place ──▶ handshake ──▶ first byte ──▶ head ──▶ request ──▶ answer written ──▶ idle ─┐
//!     │   (or 503)                                    ▲                                            │
//!     │                                               └────────────────────────────────────────────┘
//!     └── every stage but the request has a deadline; a request's own stand in `body` and `transition`
//! ```

mod activity;
mod certificate;
mod connection;
mod farewell;
mod registry;
mod tls;
mod watched;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admission::Gate;
use super::browsers::Browsers;
use super::fault::Fault;
use super::traffic::Hush;
use super::{Limits, Peer, Turned};
use connection::Service;
use farewell::Farewells;
use registry::Registry;
use swoosh_types::host::Host;
use swoosh_types::rejection::Code;
pub use tls::{Tls, TlsError, TlsFiles};

/// Pause of the accept loop after the operating system had no descriptor for a connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(10);
/// Part of the connections that is closed when no descriptor is left; the newest are closed last.
const NO_ROOM_PART: usize = 16;

/// Serves until `shutdown` is ready; then takes no more connections, answers what was accepted, closes what
/// is idle, and returns when that is done or [`Limits::drain_timeout_ms`] is over. On an address that is not
/// a loopback one, reads need a client certificate or a signature. On a loopback one, or where hosts are listed, requests name the
/// machine itself or a listed host.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    gate: Arc<Gate>,
    allowed_hosts: BTreeSet<Host>,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listens_on = listener.local_addr()?.ip();
    let drain = CancellationToken::new();
    let service = Service {
        router,
        http: http(gate.limits()),
        gate,
        tls,
        reads_open: listens_on.to_canonical().is_loopback(),
        browsers: Browsers::new(listens_on, allowed_hosts),
        refused: Hush::new(),
        drain: drain.clone(),
    };
    let server = Server::new(service, drain);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => server.accepted(accepted, &mut connections).await,
            Some(_) = connections.join_next() => {}
        }
    }
    // Callers that connected before the shutdown are answered as well.
    while let Some(Ok((stream, address))) = listener.accept().now_or_never() {
        server.welcome(stream, address, &mut connections);
    }
    drop(listener);
    server.drain(connections).await;
    Ok(())
}

/// Buffer of one HTTP/1 connection for a head, or for an unread body.
const BUFFER_BYTES: usize = 64 << 10;
/// The same of one HTTP/2 stream; a connection holds twice that.
const WINDOW_BYTES: u32 = 128 << 10;

struct Server {
    service: Arc<Service>,
    registry: Arc<Registry>,
    farewells: Farewells,
    drain: CancellationToken,
    full: Hush,
    failed: Hush,
}

impl Server {
    fn new(service: Service, drain: CancellationToken) -> Server {
        let registry = Registry::new(*service.gate.limits(), service.gate.traffic().clone());
        Server {
            service: Arc::new(service),
            registry,
            farewells: Farewells::new(),
            drain,
            full: Hush::new(),
            failed: Hush::new(),
        }
    }

    fn limits(&self) -> &Limits {
        self.service.gate.limits()
    }

    fn turned_away(&self, why: Turned) {
        self.service.gate.traffic().turned_away(why);
    }

    async fn accepted(&self, accepted: io::Result<(TcpStream, SocketAddr)>, connections: &mut JoinSet<()>) {
        match accepted {
            Ok((stream, address)) => self.welcome(stream, address, connections),
            Err(error) if is_theirs(&error) => {}
            Err(error) => self.no_descriptor(&error).await,
        }
    }

    fn welcome(&self, stream: TcpStream, address: SocketAddr, connections: &mut JoinSet<()>) {
        let peer = Peer::of(address.ip());
        match self.registry.admit(peer) {
            Ok(place) => drop(connections.spawn(self.service.clone().run(stream, peer, place))),
            Err(why) => self.refuse(stream, peer, why),
        }
    }

    fn refuse(&self, stream: TcpStream, peer: Peer, why: Turned) {
        self.turned_away(why);
        let limits = self.limits();
        let reason = match why {
            Turned::PeerFull => format!(
                "{} connections of {peer} are open already; use those, or close some",
                limits.connections_per_peer
            ),
            Turned::NodeFull
            | Turned::GaveWay
            | Turned::NoDescriptor
            | Turned::Handshake
            | Turned::FirstByte
            | Turned::Headers
            | Turned::Idle
            | Turned::Write
            | Turned::Resets => format!("{} connections are open already, all of them under way", limits.connections),
        };
        if let Some(held_back) = self.full.pass() {
            tracing::warn!(%peer, why = why.as_str(), held_back, reason, "a connection was refused");
        }
        // Under TLS nothing can be said before the handshake, which is what there is no room for.
        if self.service.tls.is_none() {
            self.farewells.say(stream, &Fault::new(Code::Overloaded, reason).into_problem());
        }
    }

    /// Neither spins nor gives up: connections that wait for nothing free their descriptors.
    async fn no_descriptor(&self, error: &io::Error) {
        self.turned_away(Turned::NoDescriptor);
        let closed = self.registry.make_room(self.registry.len() / NO_ROOM_PART + 1);
        if let Some(held_back) = self.failed.pass() {
            let open = self.registry.len();
            tracing::warn!(%error, open, closed, held_back, "a connection could not be accepted; raise the open-files limit");
        }
        tokio::time::sleep(NO_ROOM_PAUSE).await;
    }

    async fn drain(&self, mut connections: JoinSet<()>) {
        self.drain.cancel();
        let patience = Duration::from_millis(self.limits().drain_timeout_ms);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            let connections = connections.len();
            tracing::warn!(connections, "connections were cut off: they outlasted the drain timeout");
        }
        connections.shutdown().await;
    }
}

/// Whether the caller caused the error of its own connection.
fn is_theirs(error: &io::Error) -> bool {
    let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    theirs.contains(&error.kind())
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The head's deadline is kept by `activity`, which tells an idle connection from a slow one.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(limits.ping_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.ping_timeout_ms))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(usize::try_from(limits.resets).unwrap_or(usize::MAX))
        .max_local_error_reset_streams(usize::try_from(limits.resets).unwrap_or(usize::MAX))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .max_header_list_size(16 << 10);
    builder
}
