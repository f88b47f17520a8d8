//! Settings of the license client. `config/swoosh.yaml` describes the keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::load::SettingsError;
use super::{Settings, bounds};
use swoosh_types::keys::PublicKey;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::Url;

/// The license server. Without an address, licenses come as facts alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kaching {
    /// Where licenses are fetched.
    pub url: Option<Url>,
    /// Keys that sign them.
    pub keys: BTreeSet<PublicKey>,
    /// Bearer token that the server asks for.
    pub token: Option<SecretRef>,
    /// Longest wait for an answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// After how much of its remaining life a license is fetched again, in per cent.
    pub refresh_percent: u64,
    /// After how long at the latest, in milliseconds.
    pub refresh_max_ms: u64,
    /// The first pause after a failure, in milliseconds.
    pub retry_min_ms: u64,
    /// The longest pause, in milliseconds.
    pub retry_max_ms: u64,
}

impl Default for Kaching {
    fn default() -> Kaching {
        Kaching {
            url: None,
            keys: BTreeSet::new(),
            token: None,
            request_timeout_ms: 10_000,
            refresh_percent: 60,
            refresh_max_ms: 3_600_000,
            retry_min_ms: 1_000,
            retry_max_ms: 300_000,
        }
    }
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let kaching = &settings.kaching;
    let invalid = |key: &str, detail: &str| Err(SettingsError::Invalid { key: key.into(), detail: detail.into() });
    if kaching.retry_max_ms < kaching.retry_min_ms {
        return invalid("kaching.retry_max_ms", "it is less than kaching.retry_min_ms; raise it");
    }
    match &kaching.url {
        None if kaching.token.is_some() => {
            invalid("kaching.token", "there is no server to send it to; set kaching.url, or take the token out")
        }
        None => Ok(()),
        Some(_) if kaching.keys.is_empty() => {
            invalid("kaching.keys", "no license could ever count; name the key that the license server signs with")
        }
        Some(url) => bounds::check_web("kaching.url", url, kaching.token.is_some()),
    }
}
