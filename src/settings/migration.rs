//! `migration`: taking WHOOSH's place. What each key means stands in `config/swoosh.yaml`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::load::SettingsError;
use super::{Settings, bounds};
use crate::types::secret::SecretRef;
use crate::types::text::{Name, Url};

/// The WHOOSH migration. Without an address of WHOOSH there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Migration {
    /// The address of WHOOSH.
    pub upstream: Option<Url>,
    /// Where WHOOSH's clients are served.
    pub listen: SocketAddr,
    /// How long WHOOSH may take for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// Most bytes of an answer of WHOOSH.
    pub answer_bytes: usize,
    /// Requests that may be on their way.
    pub in_flight: usize,
    /// The callers by name.
    pub callers: BTreeMap<Name, MigrationCaller>,
}

/// A caller of WHOOSH, and the delegate that signs for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationCaller {
    /// The file of the delegate's key.
    pub key: PathBuf,
    /// The bearer token that the caller shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
}

impl Default for Migration {
    fn default() -> Migration {
        Migration {
            upstream: None,
            listen: (Ipv4Addr::LOCALHOST, 7401).into(),
            timeout_ms: 10_000,
            answer_bytes: 1 << 20,
            in_flight: 256,
            callers: BTreeMap::new(),
        }
    }
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let migration = &settings.migration;
    let invalid = |key: &str, detail: &str| Err(bounds::invalid(key, detail));
    let Some(upstream) = &migration.upstream else {
        let lost = "there is no WHOOSH to take the place of; set migration.upstream, or take the callers out";
        return if migration.callers.is_empty() { Ok(()) } else { invalid("migration.callers", lost) };
    };
    bounds::check_web("migration.upstream", upstream, false)?;
    if migration.callers.is_empty() {
        return invalid("migration.callers", "nobody could be signed for; name a caller and its delegate's key");
    }
    let anonymous = migration.callers.values().filter(|caller| caller.token.is_none()).count();
    if anonymous > 1 {
        return invalid("migration.callers", "two callers have no token and cannot be told apart; give one a token");
    }
    if anonymous > 0 && !migration.listen.ip().is_loopback() {
        let detail = "a caller has no token, and migration.listen is no loopback address; anybody could act as it: \
            give it a token";
        return invalid("migration.callers", detail);
    }
    if migration.listen.port() != 0 && migration.listen == settings.listen {
        return invalid("migration.listen", "it is the address of the node itself; take another port");
    }
    Ok(())
}
