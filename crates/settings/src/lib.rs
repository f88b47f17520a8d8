//! The settings of a node: one YAML file, of which `config/swoosh.yaml` is the built-in default.
//!
//! **Architecture invariant.** Every key has a meaning, a unit, a default and a bound in
//! `config/swoosh.yaml`. Numbers are made from that file at build time; tests compare the other defaults and
//! `docs/settings.md` with it. What guards read of the settings leaves here as a [`GuardSettings`] fact; nothing else of them is judged by.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

// Macros of the sections with numbers; see build.rs.
include!(concat!(env!("OUT_DIR"), "/sections.rs"));

mod backup;
mod bounds;
mod described;
mod development;
#[cfg(test)]
mod document;
mod effects;
mod kaching;
mod keys;
mod load;
mod log_filter;
mod migration;
mod model;
mod provider_checks;
mod providers;
mod schedule;
mod serving;
mod traces;
mod words;

pub use backup::Backup;
pub use effects::{Build, EffectMode, Effects};
pub use kaching::Kaching;
pub use load::{Overrides, SettingsError, default_policies, without_mark};
pub use migration::{Migration, MigrationCaller};
pub use model::*;
pub use providers::*;
pub use schedule::{backbeat, schedule_of};
pub use serving::{Console, Http, Limits, Readers, Tls};
pub use traces::{TraceProtocol, Traces};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use swoosh_types::fact::GuardSettings;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;
use swoosh_types::text::Name;

/// The built-in settings file, with every key documented.
pub const DEFAULT_YAML: &str = include_str!("../../../config/swoosh.yaml");

impl Settings {
    /// Where the node's secret key is: `node_key`, or `node.key` in the data directory.
    pub fn node_key_path(&self) -> PathBuf {
        self.node_key.clone().unwrap_or_else(|| self.data.join("node.key"))
    }

    /// Where the license is kept that was fetched last.
    pub fn license_path(&self) -> PathBuf {
        self.data.join("license.json")
    }

    /// Where the migration keeps its switches and what it found.
    pub fn migration_path(&self) -> PathBuf {
        self.data.join("migration")
    }

    /// Folders below which `file://` may lead, as absolute paths.
    pub fn file_prefixes(&self) -> Vec<PathBuf> {
        self.sources.file_prefixes.iter().map(|folder| absolute(folder)).collect()
    }

    /// The beginnings of addresses below those folders: as the settings spell them, and by their paths without symbolic links.
    /// Both lead to the same folders. Before a repository is read, links are followed again, and the folder is checked itself.
    fn listed_prefixes(&self) -> BTreeSet<String> {
        let spelled = self.file_prefixes();
        let real = spelled.iter().filter_map(|folder| real_path(folder));
        real.chain(spelled.iter().cloned()).map(|folder| folder.display().to_string()).collect()
    }

    /// Where facts are kept that were pushed.
    pub fn pushed_facts_path(&self) -> PathBuf {
        self.data.join("facts")
    }

    /// Why a key may not be used with these settings: it is published, and they are not those of a node to try things.
    pub fn published_fault(&self, key: &PublicKey) -> Option<String> {
        development::fault(self, key)
    }

    /// Everything that a guard reads of these settings. The node is listed with role `node`, beside
    /// whatever else its key is granted.
    pub fn guard_settings(&self, node: PublicKey) -> GuardSettings {
        let mut identities = self.identities.clone();
        let own = identities.entry(node).or_insert_with(|| IdentityGrant {
            name: node_name(),
            roles: [].into(),
            delegate: None,
        });
        own.roles.insert(Role::Node);
        GuardSettings {
            identities,
            max_ahead_ms: self.clock.max_ahead_ms,
            max_behind_ms: self.clock.max_behind_ms,
            license_grace_ms: self.license.grace_ms,
            license_scope: self.license.scope.clone(),
            key_horizon_ms: self.idempotency.horizon_ms,
            key_ahead_ms: self.idempotency.ahead_ms,
            transports: self.sources.transports.clone(),
            floating_refs: self.sources.floating_refs.clone(),
            file_prefixes: Some(self.listed_prefixes()),
            lost_after_ms: self.liveness.lost_after_ms,
            back_after_ms: self.liveness.back_after_ms,
            lead_ms: 0,
            published_keys: development::allows(self),
            // Where WHOOSH decides a region, its workers answer the effects there, and the settings for them here do not count.
            external: self.migration.upstream.is_none().then(|| self.effects.external()),
            grants: self.migration.grants.clone(),
        }
    }
}

fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())
}

/// A folder's path without symbolic links. Parts at its end may be missing: they are made later.
fn real_path(folder: &Path) -> Option<PathBuf> {
    let found = folder.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    let (above, real) = found?;
    folder
        .strip_prefix(above)
        .ok()
        .map(|missing| if missing.as_os_str().is_empty() { real.clone() } else { real.join(missing) })
}

#[expect(clippy::expect_used, reason = "the text is a name; a test makes guard settings")]
fn node_name() -> Name {
    "node".parse().expect("node is a name")
}

#[cfg(test)]
mod tests;
