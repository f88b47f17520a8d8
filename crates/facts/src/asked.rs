//! Counts the requests that providers send outside.

use std::fmt::Debug;
use std::time::Duration;

use swoosh_types::fact::FactKind;

/// A provider of facts from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The license client.
    License,
    /// The listener for live beats.
    Backbeat,
    /// The probes of MCP servers.
    Mcp,
    /// The poller of resources.
    Capacity,
    /// The poller of the assets' health.
    Health,
    /// The poller of pulses.
    Liveness,
}

impl Provider {
    /// All of them.
    pub const ALL: [Provider; 6] = [
        Provider::License,
        Provider::Backbeat,
        Provider::Mcp,
        Provider::Capacity,
        Provider::Health,
        Provider::Liveness,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::License => "license",
            Provider::Backbeat => "backbeat",
            Provider::Mcp => "mcp",
            Provider::Capacity => "capacity",
            Provider::Health => "health",
            Provider::Liveness => "liveness",
        }
    }

    /// The provider of a kind of facts.
    pub fn of(kind: FactKind) -> Option<Provider> {
        match kind {
            FactKind::License => Some(Provider::License),
            FactKind::Windows => Some(Provider::Backbeat),
            FactKind::Tooling => Some(Provider::Mcp),
            FactKind::Capacity => Some(Provider::Capacity),
            FactKind::Health => Some(Provider::Health),
            FactKind::Liveness => Some(Provider::Liveness),
            FactKind::Policy | FactKind::Settings => None,
        }
    }
}

/// Counts questions; must not block.
pub trait Asked: Debug + Send + Sync {
    /// A provider asked, got something or nothing, and waited this long.
    fn asked(&self, provider: Provider, brought: bool, took: Duration);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncounted;

impl Asked for Uncounted {
    fn asked(&self, _provider: Provider, _brought: bool, _took: Duration) {}
}
