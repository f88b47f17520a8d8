//! Bounds of the settings: ranges of numbers, and what the other values may be.

use yaml_serde::Value;

use super::load::SettingsError;
use super::model::Settings;
use super::providers::{Backbeat, Mcp, PollFormat};
use crate::types::fact::FactKind;
use crate::types::json::MAX_INTEGER;
use crate::types::names::Role;
use crate::types::text::{GitRef, Url};

/// The range of a number.
pub(super) struct Bound {
    /// The key, with its sections.
    pub key: &'static str,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

const fn bound(key: &'static str, least: u64, most: u64) -> Bound {
    Bound { key, least, most }
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// The range of every number in the settings.
pub(super) const BOUNDS: &[Bound] = &[
    bound("policies.serial", 1, MAX_INTEGER),
    bound("clock.max_ahead_ms", 100, HOUR_MS),
    bound("clock.max_behind_ms", SECOND_MS, DAY_MS),
    bound("license.grace_ms", 0, 365 * DAY_MS),
    bound("idempotency.horizon_ms", HOUR_MS, 365 * DAY_MS),
    bound("idempotency.ahead_ms", 60 * SECOND_MS, 30 * DAY_MS),
    bound("backbeat.poll_ms", 100, HOUR_MS),
    bound("backbeat.timeout_ms", 100, MINUTE_MS),
    bound("backbeat.silence_ms", SECOND_MS, DAY_MS),
    bound("backbeat.max_shift_ms", 0, DAY_MS),
    bound("backbeat.max_tempo_permille", 0, 500),
    bound("backbeat.max_pressure", 0, 1_000),
    bound("mcp.interval_ms", 100, HOUR_MS),
    bound("mcp.settle_ms", 50, HOUR_MS),
    bound("mcp.timeout_ms", 100, MINUTE_MS),
    bound("mcp.answer_bytes", 4_096, 16_777_216),
    bound("mcp.max_servers", 1, 4_096),
    bound("mcp.window", 1, 100),
    bound("mcp.up", 1, 100),
    bound("mcp.down", 1, 100),
    bound("mcp.valid_for_ms", SECOND_MS, DAY_MS),
    bound("capacity.interval_ms", 100, HOUR_MS),
    bound("capacity.timeout_ms", 100, MINUTE_MS),
    bound("capacity.valid_for_ms", SECOND_MS, DAY_MS),
    bound("health.interval_ms", 100, HOUR_MS),
    bound("health.timeout_ms", 100, MINUTE_MS),
    bound("health.valid_for_ms", SECOND_MS, DAY_MS),
    bound("liveness.lost_after_ms", SECOND_MS, DAY_MS),
    bound("liveness.back_after_ms", 0, DAY_MS),
    bound("liveness.interval_ms", 100, HOUR_MS),
    bound("liveness.timeout_ms", 100, MINUTE_MS),
    bound("liveness.valid_for_ms", SECOND_MS, DAY_MS),
    bound("journal.interval_ms", 1, 10 * SECOND_MS),
    bound("journal.snapshot_every", 1, 1_000_000),
    bound("journal.sweep_every", 1_000, 200_000),
    bound("sequencer.queue", 1, 1_000_000),
    bound("sequencer.batch_max", 1, 16_384),
    bound("heads.memory_projects", 1, 1_000_000),
    bound("http.body_limit_bytes", 4_096, 16_777_216),
    bound("http.request_timeout_ms", 100, 600_000),
    bound("http.drain_timeout_ms", 0, 600_000),
];

/// Schemes that sources may be fetched by.
pub(super) const TRANSPORTS: [&str; 3] = ["file", "https", "ssh"];

/// The value under a key with its sections.
pub(super) fn find<'v>(document: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(document, |value, part| value.as_mapping()?.get(part))
}

/// Checks every number, before it is read into its type, so that the bound is told also of -1 and 1.5.
pub(super) fn check_numbers(document: &Value) -> Result<(), SettingsError> {
    for Bound { key, least, most } in BOUNDS {
        let Some(Value::Number(found)) = find(document, key) else { continue };
        if !found.as_u64().is_some_and(|number| (*least..=*most).contains(&number)) {
            return Err(SettingsError::Bound { key, found: found.to_string(), least: *least, most: *most });
        }
    }
    Ok(())
}

fn invalid(key: impl Into<String>, detail: impl Into<String>) -> SettingsError {
    SettingsError::Invalid { key: key.into(), detail: detail.into() }
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    check_identities(settings)?;
    check_sources(settings)?;
    check_backbeat(&settings.backbeat)?;
    check_mcp(&settings.mcp)?;
    check_polled(settings)?;
    if settings.facts.sources.contains_key(&FactKind::Settings) {
        return Err(invalid("facts.sources.settings", "settings facts are the node's alone; take this kind out"));
    }
    let filter = tracing_subscriber::EnvFilter::builder().parse(&settings.log.level);
    let example = "write a level such as info, or info,swoosh::sequencer=debug";
    filter.map(drop).map_err(|error| invalid("log.level", format!("{error}; {example}")))
}

fn check_identities(settings: &Settings) -> Result<(), SettingsError> {
    for (key, grant) in &settings.identities {
        let at = || format!("identities.{key}");
        if grant.roles.contains(&Role::Node) {
            return Err(invalid(at(), "role node is the daemon's alone and cannot be granted; take it out"));
        }
        if grant.roles.is_empty() {
            return Err(invalid(at(), "an identity without roles may do nothing; name at least one, such as reader"));
        }
    }
    Ok(())
}

fn check_sources(settings: &Settings) -> Result<(), SettingsError> {
    let known = TRANSPORTS.join(", ");
    if let Some(scheme) = settings.sources.transports.iter().find(|scheme| !TRANSPORTS.contains(&scheme.as_str())) {
        return Err(invalid("sources.transports", format!("{scheme} is no transport; use some of {known}")));
    }
    for text in &settings.sources.floating_refs {
        let parsed = text
            .rsplit_once('#')
            .filter(|(url, reference)| url.parse::<Url>().is_ok() && reference.parse::<GitRef>().is_ok());
        if parsed.is_none() {
            return Err(invalid("sources.floating_refs", format!("{text:?} is not of the form <url>#<ref>")));
        }
    }
    Ok(())
}

/// Whether an address is one that HTTP goes to, and whether what comes from there is who it should be: over
/// TLS, or from this machine.
fn web(key: &str, url: &Url) -> Result<bool, SettingsError> {
    let parsed = reqwest::Url::parse(url.as_str()).map_err(|error| invalid(key, format!("{url}: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(invalid(key, format!("{url} is no web address; write http://… or https://…")));
    }
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(local || parsed.scheme() == "https")
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
