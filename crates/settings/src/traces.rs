//! `traces`: where spans of accepted transitions go.

use serde::{Deserialize, Serialize};

use super::bounds::{self, invalid};
use super::load::SettingsError;
use super::model::Settings;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::Url;

/// How the trace collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP, as protobuf.
    Http,
}

/// Spans of accepted transitions. `config/swoosh.yaml` describes the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// The collector; none means that there are no traces.
    pub collector: Option<Url>,
    /// How it is spoken to.
    pub protocol: TraceProtocol,
    /// Its bearer token.
    pub token: Option<SecretRef>,
    /// How many of a thousand traces are sent that no caller began.
    pub sample_permille: u64,
    /// Spans that may wait.
    pub queue: usize,
    /// Spans that are sent at once.
    pub batch: usize,
    /// How long spans wait for others, in milliseconds.
    pub every_ms: u64,
    /// How long sending a batch may take, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Traces {
    fn default() -> Traces {
        Traces {
            collector: None,
            protocol: TraceProtocol::Grpc,
            token: None,
            sample_permille: 1_000,
            queue: 8_192,
            batch: 512,
            every_ms: 1_000,
            timeout_ms: 5_000,
        }
    }
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let traces = &settings.traces;
    let Some(url) = &traces.collector else {
        let detail = "there is no collector to send it to; set traces.collector, or take the token out";
        return if traces.token.is_some() { Err(invalid("traces.token", detail)) } else { Ok(()) };
    };
    bounds::check_web("traces.collector", url, traces.token.is_some())?;
    if traces.protocol == TraceProtocol::Grpc && url.scheme() == "https" {
        let detail = "gRPC is spoken without TLS; set traces.protocol to http, or send to a collector on this machine";
        return Err(invalid("traces.collector", detail));
    }
    if traces.queue < traces.batch {
        return Err(invalid("traces.queue", "it is less than traces.batch; raise it"));
    }
    Ok(())
}
