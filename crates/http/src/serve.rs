//! Serving connections: HTTP/1.1 and HTTP/2, with or without TLS, bounded in number and time, and drained on
//! shutdown.
//!
//! ```text
//!  accept ── place ──▶ handshake ──▶ first byte ──▶ head ──▶ request ──▶ answer written ──▶ idle ─┐
//!     │   (or 503)                                    ▲                                            │
//!     │                                               └────────────────────────────────────────────┘
//!     └── every stage but the request has a deadline; a request's own are in `body` and `transition`
//! ```
//! One task looks at all connections every few hundred milliseconds and enforces these deadlines. A request costs no timer for them.

mod activity;
mod certificate;
mod connection;
mod farewell;
mod patience;
mod preface;
mod registry;
#[cfg(test)]
mod tests;
mod tls;
mod watched;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures::FutureExt as _;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::admission::Gate;
use super::browsers::Browsers;
use super::fault::Fault;
use super::traffic::Hush;
use super::{Limits, Peer, Turned};
use connection::{Service, Versions};
use farewell::Farewells;
pub(super) use patience::{Late, Patience, within};
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
    let service = Service {
        router,
        http: versions(gate.limits()),
        gate,
        tls,
        reads_open: listens_on.to_canonical().is_loopback(),
        browsers: Browsers::new(listens_on, allowed_hosts),
        refused: Hush::new(),
    };
    let server = Server::new(service);
    let _sweeper = Sweeper::start(server.registry.clone(), server.limits());
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
    full: Hush,
    failed: Hush,
}

impl Server {
    fn new(service: Service) -> Server {
        let registry = Registry::new(*service.gate.limits(), service.gate.traffic().clone());
        Server {
            service: Arc::new(service),
            registry,
            farewells: Farewells::new(),
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
        self.registry.drain();
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

/// Enforces the deadlines of connections until it is dropped.
struct Sweeper(JoinHandle<()>);

impl Sweeper {
    fn start(registry: Arc<Registry>, limits: &Limits) -> Sweeper {
        let mut looks = tokio::time::interval(Duration::from_millis(limits.look_every_ms()));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Sweeper(tokio::spawn(async move {
            loop {
                looks.tick().await;
                registry.enforce_deadlines(Instant::now());
            }
        }))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn versions(limits: &Limits) -> Versions {
    let resets = usize::try_from(limits.resets).unwrap_or(usize::MAX);
    let mut http1 = http1::Builder::new();
    // The head's deadline is kept by `activity`, which tells an idle connection from a slow one.
    http1.header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(limits.ping_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.ping_timeout_ms))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(resets)
        .max_local_error_reset_streams(resets)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .max_header_list_size(16 << 10);
    Versions { http1, http2 }
}
