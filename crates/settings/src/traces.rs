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

section_traces! {
    /// Spans of accepted transitions. `config/swoosh.yaml` describes the keys.
    Traces {
        collector: Option<Url> = None,
        protocol: TraceProtocol = TraceProtocol::Grpc,
        token: Option<SecretRef> = None,
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
