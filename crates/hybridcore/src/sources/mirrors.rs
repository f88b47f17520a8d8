//! Mirrors for places without a network: from environment variables, and from `state/sources-mirrors.json`,
//! which is also the inventory of all that were ever used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{Address, AddressError, Role};
use crate::state::document::Versioned;

/// Names the mirror of one source: `SWOOSH_SOURCES_MIRROR_AZURE=file:///media/azure.git`.
pub const NAME_PREFIX: &str = "SWOOSH_SOURCES_MIRROR_";
/// Names the mirror of everything that is not on this machine: the host and path of each address are appended.
pub const BASE_VARIABLE: &str = "SWOOSH_SOURCES_MIRROR";
/// When it is `1`, only mirrors and files are asked.
pub const OFFLINE_VARIABLE: &str = "SWOOSH_SOURCES_OFFLINE";

/// The origin of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An operator, by `swoosh sources mirrors add`.
    Inventory,
    /// An environment variable; recorded when it was first used.
    Environment,
}

/// A mirror in the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Its address.
    pub mirror_url: String,
    /// When it was recorded, RFC 3339.
    pub added_at: String,
    /// The user that recorded it, or that ran the command that used it.
    pub added_by: String,
    /// The governance request that approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `state/sources-mirrors.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorInventory {
    /// Mirrors that operators recorded, by what they stand for: an address or the beginning of some.
    #[serde(default)]
    pub mirrors: BTreeMap<String, Mirror>,
    /// Mirrors that variables named, by address, when they were first used. They lead nowhere by themselves.
    #[serde(default)]
    pub seen: BTreeMap<String, Mirror>,
}

impl Versioned for MirrorInventory {
    const SCHEMA_VERSION: u64 = 1;

    fn migrate(_from: u64, _document: Value) -> Option<Value> {
        None
    }
}

/// All mirrors that are in force.
#[derive(Clone, Debug, Default)]
pub struct MirrorTable {
    pub inventory: MirrorInventory,
    /// Environment variables whose names begin with [`BASE_VARIABLE`].
    pub environment: BTreeMap<String, String>,
    /// Whether nothing but mirrors and files may be asked.
    pub offline: bool,
}

/// Where to go for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The address to ask.
    pub address: Address,
    /// Its origin, if it is a mirror.
    pub mirror: Option<Origin>,
}

/// Why there is no way to a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The repository's own address.
    #[error(transparent)]
    Source(#[from] AddressError),
    /// The mirror's address.
    #[error("the mirror of {url} ({named}): {source}")]
    Mirror {
        /// The mirrored address.
        url: String,
        /// The variable or the file that names it.
        named: String,
        #[source]
        source: AddressError,
    },
    /// Two sources would come from one mirror.
    #[error(
        "{variable} names the mirror of {first} and of {second}, which are two repositories; give one of them another name, \
         or record their mirrors with `swoosh sources mirrors add URL file:///…`"
    )]
    Shared {
        variable: String,
        /// The first source.
        first: String,
        /// The second source.
        second: String,
    },
    /// There is no mirror, and nothing else may be asked.
    #[error(
        "{url} has no mirror, and {OFFLINE_VARIABLE} forbids to leave this machine; set {variable}, or record one with \
         `swoosh sources mirrors add {url} file:///…`"
    )]
    Offline {
        /// The repository.
        url: String,
        /// The variable that would name its mirror.
        variable: String,
    },
}

impl MirrorTable {
    /// The inventory together with this process's environment.
    pub fn from_environment(inventory: MirrorInventory) -> MirrorTable {
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(BASE_VARIABLE))?;
            Some((name, value.into_string().ok().filter(|value| !value.is_empty())?))
        };
        let environment = std::env::vars_os().filter_map(ours).collect();
        let offline = std::env::var(OFFLINE_VARIABLE).is_ok_and(|value| value == "1" || value == "true");
        MirrorTable { inventory, environment, offline }
    }

    /// Where to go for the source of this name and address.
    pub fn route(&self, name: &str, url: &str) -> Result<Route, RouteError> {
        let own = Address::parse(url, Role::Source)?;
        if let Some((named, mirror, origin)) = self.mirror(name, &own) {
            let address = Address::parse(&mirror, Role::Mirror).map_err(|source| RouteError::Mirror {
                url: url.to_owned(),
                named,
                source,
            })?;
            return Ok(Route { address, mirror: Some(origin) });
        }
        if self.offline && own.is_far() {
            return Err(RouteError::Offline { url: url.to_owned(), variable: variable(name) });
        }
        Ok(Route { address: own, mirror: None })
    }

    /// Refuses sources (name and address) of which one variable names the mirror, unless they are the same repository: the second would
    /// hold what the first is.
    pub fn refuse_shared<'a>(&self, sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), RouteError> {
        let mut by_variable: BTreeMap<String, (&str, &str)> = BTreeMap::new();
        for (name, url) in sources {
            let variable = variable(name);
            if !self.environment.contains_key(&variable) {
                continue;
            }
            match by_variable.get(&variable) {
                Some((first, other)) if *other != url => {
                    let (first, second) = ((*first).to_owned(), name.to_owned());
                    return Err(RouteError::Shared { variable, first, second });
                }
                Some(_) => {}
                None => drop(by_variable.insert(variable, (name, url))),
            }
        }
        Ok(())
    }

    fn mirror(&self, name: &str, own: &Address) -> Option<(String, String, Origin)> {
        let variable = variable(name);
        if let Some(url) = self.environment.get(&variable) {
            return Some((variable, url.clone(), Origin::Environment));
        }
        // A file is where it says already; only a mirror that names this very source leads elsewhere.
        if let Some(base) = self.environment.get(BASE_VARIABLE).filter(|_| own.scheme() != "file") {
            let url = format!("{}/{}", base.trim_end_matches('/'), own.host_and_path().trim_start_matches('/'));
            return Some((BASE_VARIABLE.to_owned(), url, Origin::Environment));
        }
        let matching = self.inventory.mirrors.iter().filter_map(|(prefix, mirror)| {
            let rest = own.as_str().strip_prefix(prefix.as_str())?;
            // `https://h/a` covers itself and paths below it, not `https://h/ab`.
            let whole = rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/');
            whole.then(|| (prefix.len(), format!("{}{rest}", mirror.mirror_url)))
        });
        let (_, url) = matching.max_by_key(|(length, _)| *length)?;
        Some((super::MIRRORS_FILE.to_owned(), url, Origin::Inventory))
    }
}

/// The variable that names the mirror of a source.
pub fn variable(name: &str) -> String {
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    NAME_PREFIX.chars().chain(upper).collect()
}
