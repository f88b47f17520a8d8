//! Keys, claims and a table for the tests of this module.

use std::sync::Arc;

use super::table::{FactTable, Trust};
use swoosh_platform::clock::{Clock, Reading, TimeSource};
use swoosh_types::canonical::to_json;
use swoosh_types::fact::{FactClaim, FactKind, GuardSettings, License, PolicyBundle};
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::text::ClusterId;

/// 2025-10-19T00:00:00Z.
pub const NOW_MS: u64 = 1_760_832_000_000;

pub fn cluster() -> ClusterId {
    "swoosh".parse().unwrap()
}

pub fn node() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

pub fn kaching() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

pub fn stranger() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

pub struct Still;

impl TimeSource for Still {
    fn read(&self) -> Reading {
        Reading { wall_ms: NOW_MS, monotonic_ms: 0 }
    }
}

/// A table at [`NOW_MS`] that believes [`kaching`] about licenses.
pub fn table() -> FactTable {
    let sources = [(FactKind::License, [kaching().public()].into())].into();
    let trust = Trust { cluster: cluster(), node: node().public(), sources, max_ahead_ms: 5_000 };
    FactTable::new(trust, Arc::new(Clock::new(Box::new(Still), 5_000)))
}

fn claim(kind: FactKind, source: &SecretKey, observed_ms: u64, body: Json) -> FactClaim {
    let hlc = |ms| Hlc::new(ms, 0).unwrap();
    let valid_until = hlc(observed_ms + 3_600_000);
    FactClaim { kind, project: None, source: source.public(), observed_at: hlc(observed_ms), valid_until, body }
}

pub fn license(source: &SecretKey, observed_ms: u64) -> FactClaim {
    let body = License { id: "l-1".parse().unwrap(), scopes: ["swoosh".parse().unwrap()].into(), token: None };
    claim(FactKind::License, source, observed_ms, to_json(&body).unwrap())
}

pub fn policy(serial: u64, policies: &str, observed_ms: u64) -> FactClaim {
    let body = PolicyBundle { serial, policies: policies.into() };
    claim(FactKind::Policy, &node(), observed_ms, to_json(&body).unwrap())
}

/// Settings without identities, with a grace for licenses.
pub fn guard_settings(license_grace_ms: u64) -> GuardSettings {
    GuardSettings {
        identities: [].into(),
        max_ahead_ms: 5_000,
        max_behind_ms: 300_000,
        license_grace_ms,
        license_scope: "swoosh".parse().unwrap(),
        key_horizon_ms: 604_800_000,
        key_ahead_ms: 86_400_000,
        transports: [].into(),
        floating_refs: [].into(),
        file_prefixes: None,
        published_keys: false,
        lost_after_ms: 30_000,
        back_after_ms: 10_000,
        lead_ms: 0,
        external: None,
        grants: [].into(),
    }
}

pub fn settings(license_grace_ms: u64) -> FactClaim {
    claim(FactKind::Settings, &node(), NOW_MS, to_json(&guard_settings(license_grace_ms)).unwrap())
}
