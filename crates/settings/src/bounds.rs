//! Bounds of the settings: ranges of numbers, and what the other values may be.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use yaml_serde::Value;

use super::described::{ENTRIES, Entry};
use super::development;
use super::load::SettingsError;
use super::log_filter;
use super::model::Settings;
use super::provider_checks::check_providers;
use super::serving::Tls;
use swoosh_types::fact::FactKind;
use swoosh_types::names::Role;
use swoosh_types::text::{GitRef, ProjectName, Url};

/// The range of a number.
pub(super) struct Bound {
    /// The key, with its sections.
    pub key: &'static str,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

/// The range of every number in the settings: `Bound: LEAST to MOST` in its comment in `config/swoosh.yaml`.
pub(super) static BOUNDS: LazyLock<Vec<Bound>> = LazyLock::new(|| ENTRIES.iter().filter_map(range).collect());

fn range(entry: &'static Entry) -> Option<Bound> {
    entry.value.parse::<u64>().ok()?;
    let parts = entry.parts()?;
    let (least, most) = parts.bound.split_once(" to ")?;
    Some(Bound { key: &entry.key, least: least.parse().ok()?, most: most.parse().ok()? })
}

/// Schemes that sources may be fetched by.
pub(super) const TRANSPORTS: [&str; 3] = ["file", "https", "ssh"];

/// The value under a key with its sections.
pub(super) fn find<'v>(document: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(document, |value, part| value.as_mapping()?.get(part))
}

/// Checks every number before it is read into its type, so that errors name the bound for -1 and 1.5 too.
pub(super) fn check_numbers(document: &Value) -> Result<(), SettingsError> {
    for Bound { key, least, most } in BOUNDS.iter() {
        let Some(Value::Number(found)) = find(document, key) else { continue };
        if !found.as_u64().is_some_and(|number| (*least..=*most).contains(&number)) {
            return Err(SettingsError::Bound { key, found: found.to_string(), least: *least, most: *most });
        }
    }
    Ok(())
}

pub(super) fn invalid(key: impl Into<String>, detail: impl Into<String>) -> SettingsError {
    SettingsError::Invalid { key: key.into(), detail: detail.into() }
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    check_keys(settings)?;
    check_identities(settings)?;
    check_sources(settings)?;
    check_tls(&settings.tls)?;
    check_readers(settings)?;
    check_sequencer(settings)?;
    check_observe(settings)?;
    check_providers(settings)?;
    check_decisions(settings)?;
    check_exports(settings)?;
    check_backup(settings)?;
    super::kaching::check(settings)?;
    super::effects::check(settings)?;
    super::migration::check(settings)?;
    super::traces::check(settings)?;
    if settings.facts.sources.contains_key(&FactKind::Settings) {
        return Err(invalid("facts.sources.settings", "settings facts are the node's alone; take this kind out"));
    }
    check_log(settings)
}

fn check_log(settings: &Settings) -> Result<(), SettingsError> {
    let log = &settings.log;
    let example = "write a level such as info, or info,swoosh::sequencer=debug";
    log_filter::check(&log.level).map_err(|error| invalid("log.level", format!("{error}; {example}")))?;
    let filter = tracing_subscriber::EnvFilter::builder().parse(&log.level);
    filter.map(drop).map_err(|error| invalid("log.level", format!("{error}; {example}")))
}

fn check_sequencer(settings: &Settings) -> Result<(), SettingsError> {
    if settings.sequencer.silence_ms < settings.sequencer.stall_ms {
        let detail = "it is below sequencer.stall_ms: the node would count as dead before it counts as not ready";
        return Err(invalid("sequencer.silence_ms", detail));
    }
    Ok(())
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

fn check_backup(settings: &Settings) -> Result<(), SettingsError> {
    let backup = &settings.backup;
    if backup.directory.as_ref().is_some_and(|directory| directory.starts_with(&settings.data)) {
        return Err(invalid("backup.directory", "it lies in the data directory; name one on another disk"));
    }
    if let Some(key) = backup.recipients.iter().find(|key| !key.starts_with("age1")) {
        return Err(invalid("backup.recipients", format!("{key:?} is no age public key; those begin with age1")));
    }
    Ok(())
}

/// The second listener needs an address of its own.
fn check_observe(settings: &Settings) -> Result<(), SettingsError> {
    let Some(observe) = settings.http.observe.filter(|observe| observe.port() != 0) else { return Ok(()) };
    if observe == settings.listen {
        return Err(invalid("http.observe", "it is the address of the node itself; take another port"));
    }
    if settings.migration.upstream.is_some() && observe == settings.migration.listen {
        return Err(invalid("http.observe", "it is migration.listen; take another port"));
    }
    Ok(())
}

/// Certificate and key go together, and client certificates need a trusted authority.
fn check_tls(tls: &Tls) -> Result<(), SettingsError> {
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => return Err(invalid("tls.key", "tls.certificate is set and its key is not; name it too")),
        (None, Some(_)) => {
            return Err(invalid("tls.certificate", "tls.key is set and its certificate is not; name it too"));
        }
        (None, None) if tls.client_ca.is_some() => {
            return Err(invalid("tls.client_ca", "client certificates need TLS; set tls.certificate and tls.key"));
        }
        _ => {}
    }
    if tls.require_client_certificate && tls.client_ca.is_none() {
        return Err(invalid("tls.require_client_certificate", "no certificate is trusted; set tls.client_ca"));
    }
    Ok(())
}

/// A reader that is listed in vain would be thought limited.
fn check_readers(settings: &Settings) -> Result<(), SettingsError> {
    let (readers, tls) = (&settings.readers, &settings.tls);
    let names = tls.client_names.iter().chain(readers.certificates.keys());
    for (key, used) in
        [("tls.client_names", !tls.client_names.is_empty()), ("readers.certificates", !readers.certificates.is_empty())]
    {
        if used && tls.client_ca.is_none() {
            return Err(invalid(key, "no client certificate is believed; set tls.client_ca"));
        }
    }
    if names.into_iter().any(|name| name.trim().is_empty()) {
        return Err(invalid("tls.client_names", "an empty name is no certificate's; take it out"));
    }
    for (key, projects) in &readers.identities {
        let is_reader = settings.identities.get(key).is_some_and(|grant| grant.roles.contains(&Role::Reader));
        if !is_reader {
            return Err(invalid("readers.identities", format!("{key} has not role reader; grant it under identities")));
        }
        check_some("readers.identities", key, projects)?;
    }
    readers.certificates.iter().try_for_each(|(name, projects)| check_some("readers.certificates", name, projects))
}

fn check_some(at: &str, reader: &dyn std::fmt::Display, projects: &BTreeSet<ProjectName>) -> Result<(), SettingsError> {
    match projects.is_empty() {
        true => Err(invalid(at, format!("{reader} may read no project; name one, or take the reader out"))),
        false => Ok(()),
    }
}

/// Keys without a secret half are mistakes, or traps: elsewhere any signature may pass for theirs. Published keys count on this machine alone.
pub(super) fn check_keys(settings: &Settings) -> Result<(), SettingsError> {
    let identities = settings.identities.keys().map(|key| ("identities".to_owned(), key));
    let kinds = settings.facts.sources.iter();
    let sources = kinds.flat_map(|(kind, keys)| keys.iter().map(move |key| (format!("facts.sources.{kind}"), key)));
    let others = settings.kaching.keys.iter().map(|key| ("kaching.keys".to_owned(), key));
    let beats = settings.backbeat.source_key.iter().map(|key| ("backbeat.source_key".to_owned(), key));
    let grants = settings.migration.grants.iter();
    let seats =
        grants.filter_map(|(name, grant)| Some((format!("migration.grants.{name}.seat"), grant.seat.as_ref()?)));
    for (at, key) in identities.chain(sources).chain(others).chain(beats).chain(seats) {
        if let Some(weakness) = key.weakness() {
            return Err(invalid(at, format!("{key} {weakness}; name a key of `swoosh keygen`")));
        }
        if let Some(fault) = development::fault(settings, key) {
            return Err(invalid(at, fault));
        }
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
        if let Some(fault) = grant.delegation_faults().into_iter().next() {
            return Err(invalid(at(), fault));
        }
    }
    Ok(())
}

fn check_sources(settings: &Settings) -> Result<(), SettingsError> {
    let known = TRANSPORTS.join(", ");
    if let Some(scheme) = settings.sources.transports.iter().find(|scheme| !TRANSPORTS.contains(&scheme.as_str())) {
        return Err(invalid("sources.transports", format!("{scheme} is no transport; use some of {known}")));
    }
    check_files(settings)?;
    let mut prefixes = BTreeSet::new();
    for credential in &settings.sources.credentials {
        if !prefixes.insert(&credential.url_prefix) {
            let detail = format!("two tokens are bound to {}; take one out", credential.url_prefix);
            return Err(invalid("sources.credentials", detail));
        }
        if credential.user.is_empty() || !credential.user.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            return Err(invalid("sources.credentials", "a user is of visible characters, without ':'"));
        }
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

/// `file://` is read with the node's own rights: only listed folders may be, and never the node's data.
fn check_files(settings: &Settings) -> Result<(), SettingsError> {
    let sources = &settings.sources;
    let allowed = sources.transports.iter().any(|scheme| scheme.as_str() == "file");
    match (allowed, sources.file_prefixes.is_empty()) {
        (true, true) => {
            let detail = "file needs sources.file_prefixes; list the folders below which repositories may lie, or take \
                          file out";
            return Err(invalid("sources.transports", detail));
        }
        (false, false) => {
            let detail = "file is not among sources.transports; add it there, or take the folders out";
            return Err(invalid("sources.file_prefixes", detail));
        }
        _ => {}
    }
    let absolute = |folder: &Path| super::absolute(folder);
    let own = [Some(&settings.data), settings.effects.workspace.as_ref()];
    let is_own = |folder: &&PathBuf| own.iter().flatten().any(|own| absolute(folder).starts_with(absolute(own)));
    if let Some(folder) = sources.file_prefixes.iter().find(is_own) {
        let detail = format!("{} lies in the node's own data; name a folder outside of it", folder.display());
        return Err(invalid("sources.file_prefixes", detail));
    }
    let is_plain = |folder: &&PathBuf| folder.components().all(|part| !matches!(part, Component::ParentDir));
    match sources.file_prefixes.iter().find(|folder| !is_plain(folder)) {
        Some(folder) => {
            Err(invalid("sources.file_prefixes", format!("{} holds '..'; write it plainly", folder.display())))
        }
        None => Ok(()),
    }
}

fn check_decisions(settings: &Settings) -> Result<(), SettingsError> {
    let decisions = &settings.decisions;
    let Some(url) = &decisions.bubble else {
        let detail = "there is no server to send it to; set decisions.bubble, or take the token out";
        return if decisions.bubble_token.is_some() { Err(invalid("decisions.bubble_token", detail)) } else { Ok(()) };
    };
    check_web("decisions.bubble", url, decisions.bubble_token.is_some())
}

/// An address that HTTP requests go to; a token goes through TLS, or does not leave the machine.
pub(super) fn check_web(key: &str, url: &Url, with_token: bool) -> Result<(), SettingsError> {
    let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    // Addresses appear in logs and errors. This one does not: it may contain a secret.
    if rest.contains(['?', '#']) || rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(invalid(key, "an address with '@', '?' or '#' may carry a secret; put that into the secrets file"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if with_token && !is_loopback(url) => {
            Err(invalid(key, format!("{url} would carry the token in the clear; use https://")))
        }
        "http" => Ok(()),
        other => Err(invalid(key, format!("{other}:// is not spoken; use https:// or http://"))),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
