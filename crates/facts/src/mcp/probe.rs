//! One probe of one server: initialise, read what it says it is, list its tools.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ListToolsRequest, PaginatedRequestParams, ServerResult,
};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::NeverRetry;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use unicode_normalization::UnicodeNormalization as _;

use super::capped::{Budget, CappedClient};
use super::damping::Identity;
use super::explain;
use super::listing::{EndlessListing, Listing};
use swoosh_platform::outbound::{Http, OutboundError};
use swoosh_types::text::TextError;

/// Longest wait for a goodbye, which needs no answer.
const GOODBYE: Duration = Duration::from_millis(500);

/// Bounds of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeLimits {
    /// Longest whole probe.
    pub timeout: Duration,
    /// Most bytes that are read of everything the server answers.
    pub answer_bytes: usize,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub identity: Identity,
    /// The protocol version agreed on.
    pub protocol: String,
    /// Names of its tools, in its order; at most 1,000.
    pub tools: Vec<String>,
    /// Whether it has more tools than that.
    pub has_more_tools: bool,
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nothing may go outside.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It took too long.
    #[error("it did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// It answers too much.
    #[error("it answers with more than {0} bytes")]
    TooLarge(usize),
    /// It cannot be initialised.
    #[error("it cannot be initialised: {0}")]
    Initialise(String),
    /// It does not say what it is.
    #[error("it does not identify itself: {0}")]
    Unnamed(String),
    /// It does not list its tools.
    #[error("it does not list its tools: {0}")]
    Tools(String),
    /// Its list of tools does not end.
    #[error(transparent)]
    Endless(#[from] EndlessListing),
}

/// Probes a server once, within all bounds.
pub async fn probe(http: &Http, limits: ProbeLimits) -> Result<Seen, ProbeError> {
    let budget = Budget::new(limits.answer_bytes);
    let work = async |client| {
        let asked = ask(CappedClient::new(client, budget.clone()), http.address().as_str());
        tokio::select! {
            // A server over its budget gets this error, not the error that rmcp reports.
            seen = asked => if budget.is_over() { Err(ProbeError::TooLarge(limits.answer_bytes)) } else { seen },
            () = budget.over() => Err(ProbeError::TooLarge(limits.answer_bytes)),
            () = tokio::time::sleep(limits.timeout) => Err(ProbeError::Late(limits.timeout)),
        }
    };
    http.lend(work).await?
}

async fn ask(client: CappedClient, address: &str) -> Result<Seen, ProbeError> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(address);
    config.retry_config = Arc::new(NeverRetry::default());
    config.reinit_on_expired_session = false;
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let me = Implementation::new("swoosh", env!("CARGO_PKG_VERSION"));
    let serving = rmcp::serve_client(ClientConfig::new(ClientCapabilities::default(), me), transport).await;
    let mut service = serving.map_err(|error| ProbeError::Initialise(explain::initialise(&error)))?;
    let seen = look(&service).await;
    // The session goes with the transport either way; a server that hangs on goodbye is not waited for.
    let _ = service.close_with_timeout(GOODBYE).await;
    seen
}

async fn look(service: &RunningService<RoleClient, ClientConfig>) -> Result<Seen, ProbeError> {
    let info = service.peer_info().ok_or_else(|| ProbeError::Unnamed("it sent no answer".into()))?;
    let named = info.server_info.as_ref().ok_or_else(|| ProbeError::Unnamed("it left serverInfo out".into()))?;
    let identity = identity(&named.name, &named.version)?;
    let protocol = info.protocol_version.to_string();
    let listing = match info.capabilities.tools {
        None => Listing::default(),
        Some(_) => list(service).await?,
    };
    let has_more_tools = listing.is_cut();
    Ok(Seen { identity, protocol, tools: listing.into_tools(), has_more_tools })
}

/// A server's reported identity, in Unicode's normal form C: facts and pins hold no other text.
pub fn identity(name: &str, version: &str) -> Result<Identity, ProbeError> {
    let unnamed = |error: TextError| ProbeError::Unnamed(error.to_string());
    let server = name.nfc().collect::<String>().parse().map_err(unnamed)?;
    let version = version.nfc().collect::<String>().parse().map_err(unnamed)?;
    Ok(Identity { server, version })
}

async fn list(service: &RunningService<RoleClient, ClientConfig>) -> Result<Listing, ProbeError> {
    let (mut listing, mut cursor) = (Listing::default(), None);
    loop {
        let request = ListToolsRequest::with_param(PaginatedRequestParams::default().with_cursor(cursor));
        // Not `list_tools`: its error has no answer in it, so that the field at fault could not be named.
        let answer = service.peer().send_request(request.into()).await;
        cursor = match answer.map_err(|error| ProbeError::Tools(explain::request(&error)))? {
            ServerResult::ListToolsResult(page) => listing.add(page)?,
            other => return Err(ProbeError::Tools(explain::tools(&other))),
        };
        if cursor.is_none() {
            return Ok(listing);
        }
    }
}
