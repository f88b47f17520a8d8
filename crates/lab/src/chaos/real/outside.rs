//! Services outside the node: a license server and an MCP server that misbehave on request, and the capacity of the
//! environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::bench::world::World;
use swoosh_settings::Settings;
use swoosh_standins::kaching::{Kaching, Mood};
use swoosh_standins::mcp::McpStandIn;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::keys::SecretKey;

/// The version that the MCP server is pinned at.
pub(super) const PINNED: &str = "1.2.0";
/// How long projects go on without a license, in milliseconds.
const GRACE_MS: u64 = 800;

/// The servers, and what is said of the environment.
pub(super) struct Outside {
    pub kaching: Kaching,
    pub mcp: McpStandIn,
    facts: PathBuf,
}

impl Outside {
    /// Starts the servers on free ports.
    pub fn start(folder: &Path) -> anyhow::Result<Outside> {
        let key = SecretKey::from_bytes(Hash::of(b"kaching").as_bytes());
        let (kaching, mcp) = (Kaching::start(key, Mood::kind())?, McpStandIn::start("search", PINNED)?);
        Ok(Outside { kaching, mcp, facts: folder.join("facts.json") })
    }

    /// Has a node ask these servers, soon and often.
    pub fn configure(&self, settings: &mut Settings) -> anyhow::Result<()> {
        for kind in [FactKind::License, FactKind::Tooling] {
            settings.facts.sources.remove(&kind);
        }
        settings.facts.file = Some(self.facts.clone());
        settings.kaching.url = Some(self.kaching.url().parse()?);
        settings.kaching.keys = [self.kaching.key()].into();
        settings.kaching.request_timeout_ms = 1_000;
        settings.kaching.refresh_max_ms = 1_000;
        (settings.kaching.retry_min_ms, settings.kaching.retry_max_ms) = (100, 1_000);
        settings.license.grace_ms = GRACE_MS;
        (settings.mcp.interval_ms, settings.mcp.settle_ms) = (200, 50);
        (settings.mcp.timeout_ms, settings.mcp.valid_for_ms) = (500, 10_000);
        Ok(())
    }

    /// Says how many processors the environment has, and that all assets are well.
    pub fn say_capacity(&self, world: &Arc<World>, vcpu: u64) -> anyhow::Result<()> {
        let facts = [
            world.fact(FactKind::Capacity, &json!({"resources": {"vcpu": vcpu, "memory_mib": 16_384}}))?,
            world.fact(FactKind::Health, &json!({"assets": {"image/base": "ok", "image/tools": "ok"}}))?,
        ];
        // Replaced atomically, so that the node never reads a partial file.
        let next = self.facts.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(&facts)?)?;
        Ok(std::fs::rename(next, &self.facts)?)
    }
}
