//! TLS of the daemon: from settings, and again on SIGHUP.

use std::sync::Arc;

use anyhow::Context as _;

use swoosh_http::{SharedReaders, Tls, TlsFiles};
use swoosh_platform::clock::{SystemTimeSource, TimeSource as _};
use swoosh_settings::Settings;
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::civil::rfc3339;

/// From how long before its end on the log warns of a certificate.
const SOON_MS: u64 = 14 * 86_400_000;

/// TLS of the settings; `None` without a certificate. Errors name the file.
pub fn load(settings: &Settings, readers: &SharedReaders) -> anyhow::Result<Option<Arc<Tls>>> {
    let tls = &settings.tls;
    let (Some(certificate), Some(key)) = (tls.certificate.clone(), tls.key.clone()) else { return Ok(None) };
    let files = TlsFiles {
        certificate,
        key,
        client_ca: tls.client_ca.clone(),
        require_client_certificate: tls.require_client_certificate,
    };
    Ok(Some(Arc::new(Tls::load(files, readers.clone(), now_ms()).context("TLS cannot be set up")?)))
}

/// Reads the files again. Errors are logged, and the files read before stay in use.
pub fn reload(tls: &Tls, metrics: &Metrics) {
    match tls.reload(now_ms()) {
        Ok(()) => {
            tracing::info!(valid_until = rfc3339(tls.valid_until_ms()), "TLS files were read again");
            watch(tls, metrics);
        }
        Err(error) => tracing::error!(%error, "TLS is unchanged: its files cannot be used"),
    }
}

/// Shows until when the certificate is valid.
pub fn watch(tls: &Tls, metrics: &Metrics) {
    let until_ms = tls.valid_until_ms();
    metrics.set_certificate_expires(until_ms);
    if until_ms.saturating_sub(now_ms()) < SOON_MS {
        tracing::warn!(valid_until = rfc3339(until_ms), "the TLS certificate expires soon; replace it and send SIGHUP");
    }
}

fn now_ms() -> u64 {
    SystemTimeSource::new().read().wall_ms
}
