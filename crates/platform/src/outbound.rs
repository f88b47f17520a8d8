//! HTTP to the world outside, under the network gate.
//!
//! Every connect asks the gate, every exchange is dropped when it closes, and no connection is kept from one
//! exchange to the next; so a closed gate means no connection. Redirects are not followed, and answers have a
//! bound in time and size.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, Url, header::HeaderMap};
use tower::{BoxError, Layer, Service};

use super::gate::{GateClosed, GatePass, NetworkGate};

/// A client that is lent; see [`Http::lend`]. No other code builds a client: a house rule checks the sources.
pub type LentClient = reqwest::Client;

/// Bounds of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest whole exchange, from connecting to the last byte of the answer.
    pub exchange: Duration,
    /// Most bytes of an answer.
    pub answer_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits { connect: Duration::from_secs(3), exchange: Duration::from_secs(10), answer_bytes: 1 << 20 }
    }
}

/// Users of the network that need no license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// The license client, which fetches what opens the gate.
    Kaching,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The gate is closed, or closed meanwhile.
    #[error(transparent)]
    Closed(#[from] GateClosed),
    /// The client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
    /// No connection to the address.
    #[error("cannot connect to {address}: {cause}")]
    Connect { address: String, cause: String },
    /// It took too long.
    #[error("{address} did not answer in time")]
    Timeout { address: String },
    /// The exchange broke off.
    #[error("the exchange with {address} broke off: {cause}")]
    Broken { address: String, cause: String },
    /// The answer is over its bound.
    #[error("{address} answers with more than {most} bytes")]
    TooLarge {
        address: String,
        /// The bound.
        most: usize,
    },
}

impl OutboundError {
    /// Whether it was the gate, and not the server.
    pub fn is_closed(&self) -> bool {
        matches!(self, OutboundError::Closed(_))
    }
}

/// An answer of any status; redirects are answers too.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Vec<u8>,
}

/// The way to one server.
#[derive(Debug)]
pub struct Http {
    address: Url,
    limits: HttpLimits,
    gate: Option<NetworkGate>,
    /// The client of one opening of the gate.
    built: Mutex<Option<(u64, reqwest::Client)>>,
}

impl Http {
    /// The way to the server at an address, under the gate. Opens no connection yet.
    pub fn new(gate: NetworkGate, address: Url, limits: HttpLimits) -> Http {
        Http { address, limits, gate: Some(gate), built: Mutex::default() }
    }

    /// The way of a caller that needs no license.
    pub fn exempt(_why: Exemption, address: Url, limits: HttpLimits) -> Http {
        Http { address, limits, gate: None, built: Mutex::default() }
    }

    /// The server's address.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// Sends one request and reads the whole answer, within all bounds. The request must go to this server.
    pub async fn send(&self, request: impl FnOnce(&LentClient) -> RequestBuilder) -> Result<Answer, OutboundError> {
        let exchange = async |client: reqwest::Client| {
            // Bounds the whole exchange: the client's own timeout restarts with each chunk read.
            let whole = self.exchange(request(&client));
            let late = || OutboundError::Timeout { address: self.shown_address() };
            tokio::time::timeout(self.limits.exchange, whole).await.unwrap_or_else(|_| Err(late()))
        };
        self.lend(exchange).await?
    }

    /// Lends the client to work of its own kind, such as reading a stream. The work is dropped when the gate closes.
    /// The borrower bounds time and size itself, and must not keep the client: it cannot connect once the gate closed.
    pub async fn lend<T>(&self, work: impl AsyncFnOnce(LentClient) -> T) -> Result<T, OutboundError> {
        let Some(gate) = &self.gate else { return Ok(work(self.client(None)?).await) };
        let pass = gate.pass()?;
        let client = self.client(Some(&pass))?;
        Ok(pass.run(work(client)).await?)
    }

    fn client(&self, pass: Option<&GatePass>) -> Result<reqwest::Client, OutboundError> {
        let opening = pass.map_or(0, GatePass::opening);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = built.as_ref().filter(|(of, _)| *of == opening) {
            return Ok(client.clone());
        }
        let client = build(&self.address, self.limits, pass).map_err(|error| OutboundError::Setup(chain(&error)))?;
        *built = Some((opening, client.clone()));
        Ok(client)
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, OutboundError> {
        let mut response = request.send().await.map_err(|error| self.error(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let most = self.limits.answer_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.error(&error))? {
            if body.len() + chunk.len() > most {
                return Err(OutboundError::TooLarge { address: self.shown_address(), most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// The address without its query, which may hold more than others should read.
    fn shown_address(&self) -> String {
        let mut address = self.address.clone();
        address.set_query(None);
        address.set_fragment(None);
        address.as_str().trim_end_matches('/').to_owned()
    }

    /// The error without the request's address, which may contain more than the server's.
    fn error(&self, error: &reqwest::Error) -> OutboundError {
        let address = self.shown_address();
        let cause = std::error::Error::source(error).map_or_else(|| "no cause is known".to_owned(), chain);
        match () {
            () if error.is_timeout() => OutboundError::Timeout { address },
            () if error.is_connect() => OutboundError::Connect { address, cause },
            () => OutboundError::Broken { address, cause },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the gated client")]
fn build(address: &Url, limits: HttpLimits, pass: Option<&GatePass>) -> Result<reqwest::Client, reqwest::Error> {
    // Another part of the process may have chosen a provider before; then that one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(limits.connect)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // No connection is kept that a closing gate would have to find.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("swoosh/", env!("CARGO_PKG_VERSION")));
    if let Some(pass) = pass {
        builder = builder.connector_layer(GateLayer(pass.clone()));
    }
    if address.scheme() == "http" {
        // Reading the system's certificates takes time, fails where there are none, and serves nothing.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(address) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// A proxy from the environment must not be asked for a server on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error and all that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Asks the gate before every connect, so that no borrowed client gets around it.
#[derive(Clone)]
struct GateLayer(GatePass);

#[derive(Clone)]
struct Gated<S> {
    inner: S,
    pass: GatePass,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, pass: self.0.clone() }
    }
}

impl<S, R> Service<R> for Gated<S>
where
    S: Service<R, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if !self.pass.is_good() {
            let pass = self.pass.clone();
            return Box::pin(async move { Err(pass.closed().await.into()) });
        }
        let (pass, connected) = (self.pass.clone(), self.inner.call(request));
        Box::pin(async move { pass.run(connected).await?.map_err(Into::into) })
    }
}
