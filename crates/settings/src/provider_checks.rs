//! Checks of the providers' settings beyond their bounds.

use super::bounds::{invalid, is_loopback};
use super::load::SettingsError;
use super::model::Settings;
use super::providers::{Backbeat, Mcp, PollFormat};
use swoosh_types::text::Url;

/// Checks the sections of the providers.
pub(super) fn check_providers(settings: &Settings) -> Result<(), SettingsError> {
    check_backbeat(&settings.backbeat)?;
    check_mcp(&settings.mcp)?;
    check_polled(settings)
}

/// Whether an address is one that HTTP goes to, and whether what comes from there is who it should be: over
/// TLS, or from this machine.
fn web(key: &str, url: &Url) -> Result<bool, SettingsError> {
    let parsed = reqwest::Url::parse(url.as_str()).map_err(|error| invalid(key, format!("{url}: {error}")))?;
    match parsed.scheme() {
        "https" => Ok(true),
        "http" => Ok(is_loopback(url)),
        _ => Err(invalid(key, format!("{url} is no web address; write http://… or https://…"))),
    }
}

fn check_backbeat(backbeat: &Backbeat) -> Result<(), SettingsError> {
    let Some(source) = &backbeat.source else { return Ok(()) };
    web("backbeat.source", source)?;
    let lacks_key = || invalid("backbeat.source_key", "the live source's public key is missing; its beats are signed");
    backbeat.source_key.map(drop).ok_or_else(lacks_key)
}

fn check_mcp(mcp: &Mcp) -> Result<(), SettingsError> {
    let (window, up, down) = (mcp.window, mcp.up, mcp.down);
    if up > window || down > window {
        return Err(invalid("mcp.window", format!("{window} probes cannot hold up {up} or down {down}; raise it")));
    }
    if up + down <= window {
        let detail = format!("up {up} and down {down} of {window} could both hold, so that a server flaps; raise one");
        return Err(invalid("mcp.up", detail));
    }
    if mcp.valid_for_ms < mcp.interval_ms.saturating_add(mcp.timeout_ms) {
        return Err(invalid(
            "mcp.valid_for_ms",
            "results run out before the next ones; raise it above interval_ms and timeout_ms",
        ));
    }
    Ok(())
}

fn check_polled(settings: &Settings) -> Result<(), SettingsError> {
    let (capacity, health, liveness) = (settings.capacity.clone(), settings.health.clone(), settings.liveness.polled());
    for (section, polled) in [("capacity", capacity), ("health", health), ("liveness", liveness)] {
        let Some(url) = &polled.url else { continue };
        let trusted = web(&format!("{section}.url"), url)?;
        if polled.format == PollFormat::Plain && !trusted {
            let detail = format!("{url} is not https:// and not on this machine; use https://, or format signed");
            return Err(invalid(format!("{section}.format"), detail));
        }
        if polled.valid_for_ms < polled.interval_ms.saturating_add(polled.timeout_ms) {
            let detail = "answers run out before the next ones; raise it above interval_ms and timeout_ms";
            return Err(invalid(format!("{section}.valid_for_ms"), detail));
        }
    }
    Ok(())
}
