//! Bounds of the settings: ranges of numbers, and what the other values may be.

use yaml_serde::Value;

use super::load::SettingsError;
use super::model::Settings;
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
    bound("liveness.lost_after_ms", SECOND_MS, DAY_MS),
    bound("liveness.back_after_ms", 0, DAY_MS),
    bound("journal.interval_ms", 1, 10 * SECOND_MS),
    bound("journal.snapshot_every", 1, 1_000_000),
    bound("journal.sweep_every", 1_000, 200_000),
    bound("journal.cache_bytes", 1 << 20, 1 << 40),
    bound("journal.write_buffer_bytes", 8 << 20, 1 << 40),
    bound("journal.open_files", 64, 1_000_000),
    bound("sequencer.queue", 1, 1_000_000),
    bound("sequencer.batch_max", 1, 16_384),
    bound("heads.memory_projects", 1, 1_000_000),
    bound("heads.memory_bytes", 1 << 20, 1 << 40),
    bound("heads.idle_ms", SECOND_MS, 30 * DAY_MS),
    bound("retention.wal_ms", 0, 36_500 * DAY_MS),
    bound("retention.wal_records", 0, MAX_INTEGER),
    bound("retention.every_ms", 100, DAY_MS),
    bound("exports.every_ms", 100, 30 * DAY_MS),
    bound("exports.command_timeout_ms", 100, HOUR_MS),
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
    check_exports(settings)?;
    if settings.facts.sources.contains_key(&FactKind::Settings) {
        return Err(invalid("facts.sources.settings", "settings facts are the node's alone; take this kind out"));
    }
    let filter = tracing_subscriber::EnvFilter::builder().parse(&settings.log.level);
    let example = "write a level such as info, or info,swoosh::sequencer=debug";
    filter.map(drop).map_err(|error| invalid("log.level", format!("{error}; {example}")))
}

fn check_exports(settings: &Settings) -> Result<(), SettingsError> {
    let exports = &settings.exports;
    if exports.directory.as_ref().is_some_and(|directory| directory.starts_with(&settings.data)) {
        return Err(invalid("exports.directory", "it lies in the data directory; name one outside of it"));
    }
    if let Some(key) = exports.recipients.iter().find(|key| !key.starts_with("age1")) {
        return Err(invalid("exports.recipients", format!("{key:?} is no age public key; those begin with age1")));
    }
    if exports.command.first().is_some_and(String::is_empty) {
        return Err(invalid("exports.command", "the program has no name; name one, or take the list out"));
    }
    Ok(())
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
