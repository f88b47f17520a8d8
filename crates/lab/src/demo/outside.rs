//! The world outside: facts that a platform signs and writes into the fact file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::cast::now_ms;
use swoosh_client::Identity;
use swoosh_types::fact::{Fact, FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::text::ClusterId;

/// How long every fact holds, in milliseconds: a day.
const LASTS_MS: u64 = 86_400_000;

/// Facts, their file and who signs them.
#[derive(Debug)]
pub(super) struct Outside {
    path: PathBuf,
    cluster: ClusterId,
    platform: Identity,
    facts: BTreeMap<FactKind, Fact>,
    last_ms: u64,
}

impl Outside {
    /// A world that nothing is known of yet.
    pub fn new(path: PathBuf, cluster: ClusterId, platform: Identity) -> Outside {
        Outside { path, cluster, platform, facts: BTreeMap::new(), last_ms: 0 }
    }

    /// Who signs the facts.
    pub fn platform(&self) -> &Identity {
        &self.platform
    }

    /// Says something new, and returns the address that the node will hold it under.
    pub fn say(&mut self, kind: FactKind, body: &Value) -> anyhow::Result<Hash> {
        self.last_ms = now_ms().max(self.last_ms + 1);
        let claim = FactClaim {
            kind,
            project: None,
            source: self.platform.public(),
            observed_at: Hlc::new(self.last_ms, 0).unwrap_or_default(),
            valid_until: Hlc::new(self.last_ms + LASTS_MS, 0).unwrap_or_default(),
            body: Json::parse(&serde_json::to_vec(body)?)?,
        };
        let fact = claim.sign(&self.cluster, self.platform.key());
        let hash = fact.hash();
        self.facts.insert(kind, fact);
        self.write()?;
        Ok(hash)
    }

    /// Replaces the file atomically, so that the node never reads a partial one.
    fn write(&self) -> anyhow::Result<()> {
        let next = self.path.with_extension("next");
        std::fs::write(&next, serde_json::to_vec_pretty(&self.facts.values().collect::<Vec<_>>())?)?;
        Ok(std::fs::rename(next, &self.path)?)
    }
}
