//! Facts: observations from outside, signed by their source (docs/design.md#facts).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::canonical::{canonical_bytes, canonical_hash};
use super::hash::Hash;
use super::hlc::Hlc;
use super::inputs::{Allocation, AssetOutcomes, IdentityGrant};
use super::json::Json;
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::legacy_grant::LegacyGrant;
use super::names::EffectName;
use super::text::{Capability, ClusterId, Detail, Name, ProjectName, ServerName, Url, Version};

/// Subject of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// A KACHING license; the fact's `valid_until` is the license's.
    License,
    /// The BACKBEAT schedule.
    Windows,
    /// Answers of MCP servers.
    Tooling,
    /// The resources there are.
    Capacity,
    /// How the assets are.
    Health,
    Liveness,
    /// The Cedar policies.
    Policy,
    /// The settings that guards read.
    Settings,
}

impl FactKind {
    pub const ALL: &[FactKind] = &[
        FactKind::License,
        FactKind::Windows,
        FactKind::Tooling,
        FactKind::Capacity,
        FactKind::Health,
        FactKind::Liveness,
        FactKind::Policy,
        FactKind::Settings,
    ];

    /// The name as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            FactKind::License => "license",
            FactKind::Windows => "windows",
            FactKind::Tooling => "tooling",
            FactKind::Capacity => "capacity",
            FactKind::Health => "health",
            FactKind::Liveness => "liveness",
            FactKind::Policy => "policy",
            FactKind::Settings => "settings",
        }
    }

    /// The longest time a fact of this kind may be believed, in milliseconds; a later `valid_until` counts
    /// as this long after `observed_at`. Probes go stale in a day, what people sign lasts ten years.
    pub const fn max_lifetime_ms(self) -> u64 {
        const DAY_MS: u64 = 86_400_000;
        match self {
            FactKind::Tooling | FactKind::Capacity | FactKind::Health | FactKind::Liveness => DAY_MS,
            FactKind::License => 400 * DAY_MS,
            FactKind::Windows | FactKind::Policy | FactKind::Settings => 3653 * DAY_MS,
        }
    }
}

/// The longest grace after the end of a license that settings may give, in milliseconds.
pub const MAX_LICENSE_GRACE_MS: u64 = 365 * 86_400_000;

impl FactKind {
    /// How long after `observed_at` a fact of this kind can still have an effect, in milliseconds: its longest lifetime,
    /// and for a license the longest grace after it.
    pub const fn max_effect_ms(self) -> u64 {
        match self {
            FactKind::License => self.max_lifetime_ms() + MAX_LICENSE_GRACE_MS,
            FactKind::Windows
            | FactKind::Tooling
            | FactKind::Capacity
            | FactKind::Health
            | FactKind::Liveness
            | FactKind::Policy
            | FactKind::Settings => self.max_lifetime_ms(),
        }
    }

    /// Most bytes that the canonical form of a pushed fact of this kind may have.
    pub const fn max_bytes(self) -> usize {
        match self {
            FactKind::License | FactKind::Capacity => 16 << 10,
            FactKind::Windows | FactKind::Settings => 64 << 10,
            FactKind::Tooling | FactKind::Health | FactKind::Liveness => 128 << 10,
            FactKind::Policy => 1 << 20,
        }
    }
}

impl std::str::FromStr for FactKind {
    type Err = FactKindError;
    fn from_str(text: &str) -> Result<FactKind, FactKindError> {
        let found = FactKind::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| FactKindError(text.chars().take(80).collect()))
    }
}

/// There is no such kind of fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of fact; kinds are license, windows, tooling, capacity, health, liveness, policy, settings")]
pub struct FactKindError(String);

impl std::fmt::Display for FactKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactClaim {
    pub kind: FactKind,
    /// Its project; left out, all projects of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    pub source: PublicKey,
    /// When it was seen.
    pub observed_at: Hlc,
    /// Until when it may be believed.
    pub valid_until: Hlc,
    /// The observation; its form follows from the kind.
    pub body: Json,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    pub claim: FactClaim,
    /// The source's signature over the claim.
    pub signature: Signature,
}

impl FactClaim {
    /// Signs the claim for one cluster.
    pub fn sign(self, cluster: &ClusterId, key: &SecretKey) -> Fact {
        let signature = key.sign(&keys::message(domain::FACT, cluster, &canonical_bytes(&self)));
        Fact { claim: self, signature }
    }
}

impl Fact {
    /// The address the fact is stored under.
    pub fn hash(&self) -> Hash {
        canonical_hash(self)
    }

    /// Whether the signature is the source's, for this cluster.
    pub fn verify(&self, cluster: &ClusterId) -> bool {
        self.claim.source.verify(&self.message(cluster), &self.signature)
    }

    /// The bytes that its source signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::FACT, cluster, &canonical_bytes(&self.claim))
    }

    /// The last moment at which the fact may be believed, in milliseconds.
    pub fn believed_until_ms(&self) -> u64 {
        let cap = self.claim.observed_at.physical_ms().saturating_add(self.claim.kind.max_lifetime_ms());
        self.claim.valid_until.physical_ms().min(cap)
    }

    /// The last moment at which a fact that its source observed earlier can have an effect, in milliseconds. Until then
    /// this fact keeps earlier ones from returning, also where it has ended itself.
    pub fn outlives_earlier_until_ms(&self) -> u64 {
        self.claim.observed_at.physical_ms().saturating_add(self.claim.kind.max_effect_ms())
    }
}

/// Body of a `license` fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// The license's own number or name.
    pub id: Name,
    /// Its scopes; SWOOSH needs the one that the settings name.
    pub scopes: BTreeSet<Capability>,
    /// Hash of the KACHING token that says so, where it was read from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Hash>,
}

/// Answer of one MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolStatus {
    /// Whether it answered at all.
    pub reachable: bool,
    /// The name it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerName>,
    /// The version it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// Body of a `tooling` fact: servers by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tooling {
    /// Servers by the address they were asked at.
    pub servers: BTreeMap<Url, ToolStatus>,
}

/// Body of a `capacity` fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The available capacity, by resource.
    pub resources: Allocation,
}

/// Body of a `health` fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Health by asset.
    pub assets: AssetOutcomes,
}

/// Whether a member is alive, and since when that has been so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulse {
    /// Whether they answer.
    pub alive: bool,
    /// Since when.
    pub since: Hlc,
}

/// Body of a `liveness` fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liveness {
    pub members: BTreeMap<PublicKey, Pulse>,
}

/// Body of a `policy` fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyBundle {
    /// Grows with every bundle.
    pub serial: u64,
    /// Cedar policies.
    pub policies: String,
}

/// Body of a `settings` fact: every setting that a guard reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSettings {
    /// Identities that may propose in every project, the node among them.
    pub identities: BTreeMap<PublicKey, IdentityGrant>,
    /// How far a proposal's clock may be ahead of the node's, in milliseconds.
    pub max_ahead_ms: u64,
    /// How far it may be behind.
    pub max_behind_ms: u64,
    /// How long a license counts after it ran out, in milliseconds.
    pub license_grace_ms: u64,
    /// The scope a license must cover.
    pub license_scope: Capability,
    /// How long an idempotency key is good, in milliseconds.
    pub key_horizon_ms: u64,
    /// How far ahead a key's beat may be, in milliseconds.
    pub key_ahead_ms: u64,
    /// Schemes that sources may be fetched by.
    pub transports: BTreeSet<Capability>,
    /// References that may float, as `<url>#<ref>`.
    pub floating_refs: BTreeSet<String>,
    /// How long a member must be silent before it counts as lost, in milliseconds.
    pub lost_after_ms: u64,
    /// How long a member must answer again before it counts as back, in milliseconds.
    pub back_after_ms: u64,
    /// How far the node's stamps run ahead of the time outside, in milliseconds, as an operator accepted after a clock
    /// was ahead once. Facts, windows and callers are judged at the stamp less this. Usually 0, and then not written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lead_ms: u64,
    /// Whether projects may grant roles to the published keys of deploy/settings/development.yaml: the node is one to try things.
    /// Usually not, and then not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published_keys: bool,
    /// Folders below which sources of `file://` must lie. Facts from before version 2 of the statechart list none; then any
    /// may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_prefixes: Option<BTreeSet<String>>,
    /// Effects whose outcomes workers bring. Facts from before version 2 of the statechart name none; then workers may
    /// bring any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<BTreeSet<EffectName>>,
    /// Grants to unsigned callers of WHOOSH, by name. Usually none, and then not written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<Name, LegacyGrant>,
}

impl GuardSettings {
    /// The time outside at a stamp: earlier than the stamp by the lead.
    pub fn outside(&self, stamp: Hlc) -> Hlc {
        if self.lead_ms == 0 {
            return stamp;
        }
        Hlc::new(stamp.physical_ms().saturating_sub(self.lead_ms), stamp.logical()).unwrap_or(stamp)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
