//! Settings of the license client. `config/swoosh.yaml` describes the keys.

use std::collections::BTreeSet;

use super::load::SettingsError;
use super::{Settings, bounds};
use swoosh_types::keys::PublicKey;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::Url;

section_kaching! {
    /// The license server. Without an address, licenses come as facts alone.
    Kaching {
        url: Option<Url> = None,
        keys: BTreeSet<PublicKey> = BTreeSet::new(),
        token: Option<SecretRef> = None,
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
