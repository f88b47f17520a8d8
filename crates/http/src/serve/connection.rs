//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::response::IntoResponse as _;
use futures::future::{Either, select};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::activity::Activity;
use super::certificate;
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

/// So long no deadline is looked at.
const FAR: Duration = Duration::from_secs(3_600);

/// Shared state of connections.
pub(super) struct Service {
    pub router: Router,
    pub http: Builder<TokioExecutor>,
    pub gate: Arc<Gate>,
    pub tls: Option<Arc<Tls>>,
    pub reads_open: bool,
    pub browsers: Browsers,
    /// Of the log lines about requests that are not for the routes.
    pub refused: Hush,
    pub drain: CancellationToken,
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
        let stopped = pin!(async {
            match select(pin!(cut(activity)), pin!(self.drain.cancelled())).await {
                Either::Left((why, _)) => why,
                Either::Right(_) => Turned::GaveWay,
            }
        });
        match select(pin!(shaken), stopped).await {
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
        let service = service_fn(|request| self.clone().answer(request, ends.clone(), activity.clone()));
        let watched = TokioIo::new(Watched::new(stream, activity.clone()));
        let mut served = pin!(self.http.serve_connection(watched, service));
        let mut drained = pin!(self.drain.cancelled());
        let mut is_draining = false;
        let mut alarm = pin!(tokio::time::sleep(FAR));
        poll_fn(|cx| {
            activity.watch(cx.waker());
            if !is_draining && drained.as_mut().poll(cx).is_ready() {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
            if let Some(why) = activity.cut_for() {
                return Poll::Ready(Some(why));
            }
            // How a connection ends, its caller sees; the node has nothing to do about it.
            if served.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            loop {
                let Some((end, why)) = activity.deadline(self.gate.limits()) else { return Poll::Pending };
                if Instant::now() >= end {
                    return Poll::Ready(Some(why));
                }
                // An alarm that is too early is left as it is: it costs one look, and moving it costs more.
                if alarm.deadline().into_std() > end || alarm.is_elapsed() {
                    alarm.as_mut().reset(end.into());
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

impl Service {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
        activity: Arc<Activity>,
    ) -> Result<Response<Tracked<Body>>, Infallible> {
        let mut in_flight = activity.begin(request.version() == Version::HTTP_2, self.gate.limits().resets);
        let has_no_body = request.method() == Method::HEAD;
        let mut request = request.map(Body::new);
        let checked = self.browsers.check(&request, ends.reached).and_then(|()| self.admit(&ends, &mut request));
        let mut response = match checked {
            Ok(()) => self.router.clone().oneshot(request).await?,
            Err(fault) => self.refuse(request, ends.peer, fault).await,
        };
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(kept) = response.extensions_mut().remove::<Kept>() {
            in_flight.hold(Arc::new(kept));
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
        let _ = tokio::time::timeout(patience, discard(&parts.headers, body)).await;
        fault.into_response()
    }
}

/// Waits until a close is requested.
async fn cut(activity: &Activity) -> Turned {
    poll_fn(|cx| {
        activity.watch(cx.waker());
        activity.cut_for().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
