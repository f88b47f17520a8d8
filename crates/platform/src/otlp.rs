//! OTLP to a trace collector, under the network gate.
//!
//! As with [`super::outbound`], no connection is kept from one batch to the next, and what is under way is dropped
//! when the gate closes; so a closed gate means no connection.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::gate::{GateClosed, NetworkGate};
use super::outbound::{Http, HttpLimits, LentClient, OutboundError};
use swoosh_types::secret::Secret;

/// Where OTLP over HTTP takes spans, unless the address says otherwise.
const HTTP_PATH: &str = "/v1/traces";
/// Most bytes of an answer.
const ANSWER_BYTES: usize = 64 << 10;

/// How the collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2, without TLS.
    Grpc,
    /// Protobuf over HTTP/1.1.
    Http,
}

/// Why spans were not sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The gate is closed, or closed meanwhile.
    #[error(transparent)]
    Closed(#[from] GateClosed),
    /// The client cannot be built.
    #[error("cannot set up the way to the trace collector {address}: {cause}")]
    Setup { address: Url, cause: String },
    /// It did not take them.
    #[error("the trace collector {address} did not take the spans: {cause}")]
    Refused { address: Url, cause: String },
    /// It took too long.
    #[error("the trace collector {address} did not answer in time")]
    Timeout { address: Url },
}

/// The way to a trace collector.
#[derive(Debug)]
pub struct Collector {
    gate: NetworkGate,
    address: Url,
    limit: Duration,
    token: Option<Secret>,
    resource: Resource,
    /// The gated client, for OTLP over HTTP.
    http: Option<Http>,
}

impl Collector {
    /// The way to the collector at an address. `resource` is what all spans have in common; `limit` bounds one batch.
    pub fn new(
        gate: NetworkGate,
        (protocol, mut address): (Protocol, Url),
        limit: Duration,
        token: Option<Secret>,
        resource: Resource,
    ) -> Collector {
        if protocol == Protocol::Http && matches!(address.path(), "" | "/") {
            address.set_path(HTTP_PATH);
        }
        let limits = HttpLimits { connect: limit, exchange: limit, answer_bytes: ANSWER_BYTES };
        let http = (protocol == Protocol::Http).then(|| Http::new(gate.clone(), address.clone(), limits));
        Collector { gate, address, limit, token, resource, http }
    }

    /// Waits until the license lets anything outside.
    pub async fn opened(&self) {
        self.gate.opened().await;
    }

    /// Whether the license lets anything outside now.
    pub fn may_send(&self) -> bool {
        self.gate.is_open()
    }

    /// Sends a batch, once.
    pub async fn send(&self, spans: Vec<SpanData>) -> Result<(), SendError> {
        let whole = async {
            match &self.http {
                Some(http) => self.by_http(http, spans).await,
                None => self.gate.pass()?.run(self.by_grpc(spans)).await?,
            }
        };
        let late = || SendError::Timeout { address: self.address.clone() };
        tokio::time::timeout(self.limit, whole).await.unwrap_or_else(|_| Err(late()))
    }

    #[expect(clippy::disallowed_methods, reason = "both ways ask the gate")]
    async fn by_http(&self, http: &Http, spans: Vec<SpanData>) -> Result<(), SendError> {
        let work = async |client: LentClient| {
            let exporter = SpanExporter::builder().with_http().with_http_client(client);
            let exporter = exporter.with_endpoint(self.address.as_str()).with_timeout(self.limit);
            let exporter = exporter.with_headers(self.headers()).with_retry_policy(RetryPolicy::disabled()).build();
            self.export(exporter, spans).await
        };
        match http.lend(work).await {
            Ok(sent) => sent,
            Err(OutboundError::Closed(closed)) => Err(closed.into()),
            Err(error) => Err(self.setup(&error)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "both ways ask the gate")]
    async fn by_grpc(&self, spans: Vec<SpanData>) -> Result<(), SendError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(self.address.as_str());
        let exporter = exporter.with_timeout(self.limit).with_metadata(self.metadata());
        self.export(exporter.with_retry_policy(RetryPolicy::disabled()).build(), spans).await
    }

    /// The exporter, and with it its connection, lasts as long as the batch takes.
    async fn export(
        &self,
        exporter: Result<SpanExporter, ExporterBuildError>,
        spans: Vec<SpanData>,
    ) -> Result<(), SendError> {
        let mut exporter = exporter.map_err(|error| self.setup(&error))?;
        exporter.set_resource(&self.resource);
        let refused = |error: OTelSdkError| match error {
            OTelSdkError::Timeout(_) => SendError::Timeout { address: self.address.clone() },
            error => SendError::Refused { address: self.address.clone(), cause: error.to_string() },
        };
        exporter.export(spans).await.map_err(refused)
    }

    fn setup(&self, error: &dyn std::error::Error) -> SendError {
        SendError::Setup { address: self.address.clone(), cause: error.to_string() }
    }

    fn headers(&self) -> HashMap<String, String> {
        let bearer = |token: &Secret| (AUTHORIZATION.to_string(), format!("Bearer {}", token.expose()));
        self.token.iter().map(bearer).collect()
    }

    fn metadata(&self) -> MetadataMap {
        let bearer = |token: &Secret| HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok();
        let bearer = self.token.as_ref().and_then(bearer).map(|mut value| {
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        });
        MetadataMap::from_headers(bearer.into_iter().collect::<HeaderMap>())
    }
}
