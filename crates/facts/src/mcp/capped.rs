//! The HTTP beneath rmcp's streamable transport, with one budget of bytes for everything a server answers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::{Stream, StreamExt as _};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse};
use tokio::sync::Notify;

use swoosh_platform::outbound::LentClient;
use swoosh_types::server_events::{EventReader, ServerEvent, without_mark};

const SESSION: &str = "mcp-session-id";
const LAST_EVENT: &str = "last-event-id";
const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";

/// Bytes that a probe may still read.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    over: Arc<Notify>,
}

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget { left: Arc::new(AtomicUsize::new(bytes)), is_over: Arc::default(), over: Arc::default() }
    }

    /// Takes bytes out of the budget; too few wake the waiter of [`Budget::over`].
    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| {
            self.is_over.store(true, Ordering::Release);
            self.over.notify_one();
            OverBudget
        })
    }

    /// Returns when a server went over the budget.
    pub async fn over(&self) {
        self.over.notified().await;
    }

    /// Whether a server went over the budget.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// The server answers with more than a probe reads.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server answers with more bytes than a probe reads")]
pub(super) struct OverBudget;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CappedError {
    #[error("{0}")]
    Http(String),
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

type Failure = StreamableHttpError<CappedError>;

fn http(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let text = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    StreamableHttpError::Client(CappedError::Http(text))
}

fn over(error: OverBudget) -> Failure {
    StreamableHttpError::Client(error.into())
}

/// A client of one probe.
#[derive(Clone, Debug)]
pub(super) struct CappedClient {
    client: LentClient,
    budget: Budget,
}

impl CappedClient {
    pub fn new(client: LentClient, budget: Budget) -> CappedClient {
        CappedClient { client, budget }
    }

    async fn send(
        &self,
        mut request: RequestBuilder,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Response, Failure> {
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session) = session {
            request = request.header(SESSION, session.as_ref());
        }
        request.send().await.map_err(http)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            self.budget.take(chunk.len()).map_err(over)?;
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The events of a stream, until it ends or goes over the budget.
    fn events(&self, response: Response) -> BoxedSseResponse {
        let budget = self.budget.clone();
        let reader = EventReader::new(budget.left.load(Ordering::Acquire));
        let read = async move |(mut response, mut reader, budget): (Response, EventReader, Budget)| loop {
            let chunk = response.chunk().await.ok()??;
            budget.take(chunk.len()).ok()?;
            let events = reader.push(&chunk).ok()?;
            if !events.is_empty() {
                return Some((events, (response, reader, budget)));
            }
        };
        let batches = futures::stream::unfold((response, reader, budget), read);
        batches.flat_map(|events| futures::stream::iter(events.into_iter().map(|event| Ok(sse(event))))).boxed()
    }
}

/// Reads an answer that is no stream. A byte-order mark before it is passed over (RFC 8259 §8.1).
pub fn read_message(body: &[u8]) -> serde_json::Result<ServerJsonRpcMessage> {
    serde_json::from_slice(without_mark(body))
}

/// Whether an answer is a stream of events; media types have no case.
fn is_stream(response: &Response) -> bool {
    let kind = header(response, CONTENT_TYPE.as_str()).unwrap_or_default();
    response.status().is_success() && kind.to_ascii_lowercase().starts_with(STREAM)
}

trait OkOf {
    type Ok;
}

impl<T, E> OkOf for Result<T, E> {
    type Ok = T;
}

/// An event as rmcp takes it.
type Sse = <<BoxedSseResponse as Stream>::Item as OkOf>::Ok;

fn sse(event: ServerEvent) -> Sse {
    let kind = Some(event.event).filter(|kind| !kind.is_empty());
    Sse { event: kind, data: Some(event.data), id: event.id, retry: None }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn unexpected(text: impl Into<Cow<'static, str>>) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(text.into())
}

impl StreamableHttpClient for CappedClient {
    type Error = CappedError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let had_session = session_id.is_some();
        let request = self.client.post(uri.as_ref()).header(ACCEPT, format!("{STREAM}, {JSON}")).json(&message);
        let response = self.send(request, session_id, custom_headers).await?;
        let (status, session) = (response.status(), header(&response, SESSION));
        match status {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => return Ok(StreamableHttpPostResponse::Accepted),
            StatusCode::NOT_FOUND if had_session => return Err(StreamableHttpError::SessionExpired),
            _ => {}
        }
        if is_stream(&response) {
            return Ok(StreamableHttpPostResponse::Sse(self.events(response), session));
        }
        let body = self.body(response).await?;
        let asks = matches!(message, ClientJsonRpcMessage::Request(_));
        match read_message(&body) {
            Ok(answer) => Ok(StreamableHttpPostResponse::Json(answer, session)),
            Err(_) if status.is_success() && !asks => Ok(StreamableHttpPostResponse::Accepted),
            Err(_) => Err(unexpected(format!("status {} and no JSON-RPC message", status.as_u16()))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        self.send(self.client.delete(uri.as_ref()), Some(session_id), custom_headers).await.map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxedSseResponse, Failure> {
        let mut request = self.client.get(uri.as_ref()).header(ACCEPT, STREAM);
        if let Some(id) = last_event_id {
            request = request.header(LAST_EVENT, id);
        }
        let response = self.send(request, session_id, custom_headers).await?;
        if is_stream(&response) {
            return Ok(self.events(response));
        }
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
