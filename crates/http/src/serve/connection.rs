//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::response::IntoResponse as _;
use futures::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::activity::Activity;
use super::certificate;
use super::patience::{Patience, within};
use super::registry::Place;
use super::tls::Tls;
use super::watched::{Tracked, Watched};
use crate::admission::{Gate, Kept};
use crate::body::discard;
use crate::browsers::Browsers;
use crate::fault::{Answer, Fault};
use crate::readers::{Reach, Shown};
use crate::traffic::Hush;
use crate::{Caller, Peer, Turned};

/// How long a new connection may be silent once the drain began.
const SILENT_IN_DRAIN: Duration = Duration::from_millis(100);

/// Shared state of connections.
pub(super) struct Service {
    pub router: Router,
    pub http: Versions,
    pub gate: Arc<Gate>,
    pub tls: Option<Arc<Tls>>,
    pub reads_open: bool,
    pub browsers: Browsers,
    /// Of the log lines about requests that are not for the routes.
    pub refused: Hush,
}

/// The settings of both versions.
pub(super) struct Versions {
    pub http1: http1::Builder,
    pub http2: http2::Builder<TokioExecutor>,
}

/// The peer of a connection, and the node's address that it connected to.
#[derive(Clone)]
struct Ends {
    peer: Peer,
    reached: Option<IpAddr>,
    /// The names of the client certificate, where there is one.
    names: Option<Arc<[String]>>,
}

impl Service {
    /// Serves one connection to its end.
    pub async fn run(self: Arc<Self>, stream: TcpStream, peer: Peer, place: Place) {
        // Answers are small and whole; waiting for more to send would only add latency.
        let _ = stream.set_nodelay(true);
        let reached = stream.local_addr().ok().map(|address| address.ip());
        let ends = |names| Ends { peer, reached, names };
        let ended = match &self.tls {
            None => self.clone().http(stream, ends(None), &place.activity).await,
            Some(tls) => match self.handshake(tls, stream, peer, &place.activity).await {
                Err(why) => Some(why),
                Ok(stream) => {
                    let presented = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let names = presented.map(|presented| certificate::names(presented).into());
                    self.clone().http(stream, ends(names), &place.activity).await
                }
            },
        };
        if let Some(why) = ended {
            tracing::debug!(%peer, why = why.as_str(), "a connection was closed");
            self.gate.traffic().turned_away(why);
        }
    }

    async fn handshake(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: Peer,
        activity: &Activity,
    ) -> Result<TlsStream<TcpStream>, Turned> {
        let patience = Duration::from_millis(self.gate.limits().handshake_timeout_ms);
        let shaken = async {
            self.gate.pace_handshake(peer).await;
            tokio::time::timeout(patience, tls.acceptor().accept(stream)).await
        };
        match select(pin!(shaken), pin!(cut_or_drained(activity))).await {
            Either::Left((Ok(Ok(stream)), _)) => Ok(stream),
            Either::Left((failed, _)) => {
                let error = failed.map_or("it took too long".to_owned(), |ended| {
                    ended.err().map_or_else(String::new, |error| error.to_string())
                });
                tracing::debug!(%peer, error, "a TLS handshake failed");
                self.gate.charge_handshake(peer);
                Err(Turned::Handshake)
            }
            Either::Right((why, _)) => Err(why),
        }
    }

    /// Speaks HTTP until the connection ends; why, when it was the node that ended it.
    async fn http<S>(self: Arc<Self>, stream: S, ends: Ends, activity: &Arc<Activity>) -> Option<Turned>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        activity.open();
        let mut watched = Watched::new(stream, activity.clone());
        let is_http2 = match is_http2(&mut watched, activity).await {
            Ok(is_http2) => is_http2,
            Err(ended) => return ended,
        };
        let service = service_fn(|request| self.clone().answer(request, ends.clone(), activity.clone()));
        let stream = TokioIo::new(watched);
        if is_http2 {
            let served = self.http.http2.serve_connection(stream, service);
            return drive(served, http2::Connection::graceful_shutdown, activity).await;
        }
        let served = self.http.http1.serve_connection(stream, service);
        drive(served, http1::Connection::graceful_shutdown, activity).await
    }
}

/// The version that a connection speaks, or how it ended before that was known.
async fn is_http2<S>(watched: &mut Watched<S>, activity: &Activity) -> Result<bool, Option<Turned>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let found = until_over(activity, |cx| watched.poll_is_http2(cx));
    // A request may have come before the drain, although the runtime has not found it yet.
    let silent_in_drain = async {
        poll_fn(|_| if activity.drains() { Poll::Ready(()) } else { Poll::Pending }).await;
        tokio::time::sleep(SILENT_IN_DRAIN).await;
    };
    match select(pin!(found), pin!(silent_in_drain)).await {
        Either::Left((Ok(Ok(is_http2)), _)) => Ok(is_http2),
        Either::Left((Err(why), _)) => Err(Some(why)),
        Either::Left((Ok(Err(_)), _)) | Either::Right(_) => Err(None),
    }
}

/// Lets a connection go on to its end; why, when it was the node that ended it. In a drain it ends once the requests that it has are
/// answered.
async fn drive<C: Future>(served: C, shut_down: fn(Pin<&mut C>), activity: &Activity) -> Option<Turned> {
    let mut served = pin!(served);
    let mut is_draining = false;
    let ended = until_over(activity, |cx| {
        let polled = served.as_mut().poll(cx);
        // A request that came before the drain was read above, so that it is answered.
        if polled.is_pending() && !is_draining && activity.drains() {
            is_draining = true;
            shut_down(served.as_mut());
            return served.as_mut().poll(cx);
        }
        polled
    });
    // How a connection ends, its caller sees; the node has nothing to do about it.
    ended.await.err()
}

/// Polls until it is ready, or until the connection must end; why.
async fn until_over<T>(activity: &Activity, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T, Turned> {
    let mut watching: Option<Waker> = None;
    poll_fn(|cx| {
        if !watching.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            activity.watch(cx.waker());
            watching = Some(cx.waker().clone());
        }
        if let Some(why) = activity.cut_for().filter(|why| !why.is_deadline()) {
            return Poll::Ready(Err(why));
        }
        // Polled before a deadline is enforced, so that bytes that came end their stage in time.
        match poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => activity.over().map_or(Poll::Pending, |why| Poll::Ready(Err(why))),
        }
    })
    .await
}

impl Service {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
        activity: Arc<Activity>,
    ) -> Result<Response<Tracked<Body>>, Infallible> {
        let is_http2 = request.version() == Version::HTTP_2;
        let mut in_flight = activity.begin(is_http2, self.gate.limits().resets);
        let has_no_body = request.method() == Method::HEAD;
        let mut request = request.map(Body::new);
        if !is_http2 {
            request.extensions_mut().insert(Patience::of(activity));
        }
        let checked = self.browsers.check(&request, ends.reached).and_then(|()| self.admit(&ends, &mut request));
        let mut response = match checked {
            Ok(()) => self.router.clone().oneshot(request).await?,
            Err(fault) => self.refuse(request, ends.peer, fault).await,
        };
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(kept) = response.extensions_mut().remove::<Kept>() {
            in_flight.hold(kept);
        }
        if has_no_body {
            in_flight.answered();
        }
        Ok(response.map(|body| Tracked::new(body, in_flight)))
    }

    /// Says in the request's extensions who sent it, and what its certificate opens.
    fn admit(&self, ends: &Ends, request: &mut Request<Body>) -> Answer<()> {
        let certified = self.tls.as_ref().zip(ends.names.as_ref()).map(|(tls, names)| tls.reach(names));
        let reach = certified.transpose()?;
        let may_read = self.reads_open || reach == Some(Reach::All);
        request.extensions_mut().insert(Caller { peer: ends.peer, may_read });
        if let Some((reach, names)) = reach.zip(ends.names.clone()) {
            request.extensions_mut().insert(reach);
            request.extensions_mut().insert(Shown { names, reads_open: self.reads_open });
        }
        Ok(())
    }

    /// Answers a request that is not for the routes. The body is read first, so that the client gets to read the answer.
    async fn refuse(&self, request: Request<Body>, peer: Peer, fault: Fault) -> Response<Body> {
        self.gate.traffic().shed(fault.code());
        if let Some(held_back) = self.refused.pass() {
            let (code, reason) = (fault.code(), &fault.problem().detail);
            tracing::warn!(%peer, %code, reason, held_back, "a request was refused for its host, its site or its certificate");
        }
        let (parts, body) = request.into_parts();
        let patience = Duration::from_millis(self.gate.limits().request_timeout_ms);
        // The answer is the same whether the body ended or not.
        let _ = within(patience, discard(&parts.headers, body)).await;
        fault.into_response()
    }
}

/// Waits until a close is requested, or the drain begins.
async fn cut_or_drained(activity: &Activity) -> Turned {
    poll_fn(|cx| {
        activity.watch(cx.waker());
        match activity.cut_for() {
            Some(why) => Poll::Ready(why),
            None if activity.drains() => Poll::Ready(Turned::GaveWay),
            None => Poll::Pending,
        }
    })
    .await
}
