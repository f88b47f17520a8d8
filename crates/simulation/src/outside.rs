//! The outside world of the node: license server, MCP registry, capacity, health, voters, policies, schedule. It
//! sends signed facts; a node that starts receives them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::clients::hands::{Hands, VOTERS};
use super::well_formed::{reading, strict};
use swoosh_testkit::outside::POLICIES;
pub use swoosh_testkit::outside::SERVER_URL;
use swoosh_testkit::random::Random;
use swoosh_types::fact::{Fact, FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::names::WindowClass;
use swoosh_types::text::ClusterId;

/// 2025-10-19T12:00:00Z, when every world begins.
pub const START_MS: u64 = 1_760_875_200_000;
/// The place of the voter among the voters whose key is rotated.
const ROTATES: usize = 3;
/// One beat, in milliseconds.
pub const BEAT_MS: u64 = 250;
pub const CYCLE_BEATS: u64 = 60;
/// The schedule's epoch: 2025-01-01T00:00:00Z, in milliseconds.
pub const EPOCH_MS: u64 = 1_735_689_600_000;
/// How long a license counts after it ran out, in milliseconds.
pub const GRACE_MS: u64 = 20_000;
/// How long an idempotency key is good, in milliseconds.
pub const HORIZON_MS: u64 = 240_000;
/// How long a license token lasts, in milliseconds.
const LICENSE_MS: u64 = 60_000;
/// How long the other facts are believed, in milliseconds.
pub const LASTS_MS: u64 = 43_200_000;

/// The windows of a class: first beat in the cycle, and how many.
pub fn windows(class: WindowClass) -> (u64, u64) {
    match class {
        WindowClass::Plan => (0, 30),
        WindowClass::Review => (15, 35),
        WindowClass::Reverb => (30, 30),
    }
}

/// The current fact of one kind.
#[derive(Clone, Debug)]
struct Said {
    body: Value,
    observed_ms: u64,
    lasts_ms: u64,
    fact: Fact,
}

#[derive(Clone, Debug)]
pub struct Outside {
    said: BTreeMap<FactKind, Said>,
    cluster: ClusterId,
    hands: Arc<Hands>,
    serial: u64,
    licensed_until_ms: u64,
    /// Whether the license server denies.
    pub denied: bool,
    /// Whether all providers are unreachable, so that facts expire.
    pub silent: bool,
}

impl Outside {
    /// All well.
    pub fn new(cluster: &ClusterId, hands: Arc<Hands>) -> Outside {
        let said = BTreeMap::new();
        let (cluster, serial, licensed_until_ms) = (cluster.clone(), 1, 0);
        let mut outside = Outside { said, cluster, hands, serial, licensed_until_ms, denied: false, silent: false };
        outside.say(FactKind::Settings, settings(&outside.hands.clone()), LASTS_MS * 700, START_MS);
        outside.say(FactKind::Windows, schedule(windows), LASTS_MS * 700, START_MS);
        outside.heal(START_MS);
        outside
    }

    /// Says something new.
    pub fn say(&mut self, kind: FactKind, body: Value, lasts_ms: u64, now_ms: u64) {
        let observed_ms = self.said.get(&kind).map_or(now_ms, |said| now_ms.max(said.observed_ms + 1));
        let node = self.hands.get("node");
        let claim = FactClaim {
            kind,
            project: None,
            source: node.public,
            observed_at: reading(observed_ms),
            valid_until: reading(observed_ms + lasts_ms),
            body: strict(&body),
        };
        let fact = claim.sign(&self.cluster, &node.secret);
        if kind == FactKind::License && body["scopes"] == json!(["swoosh"]) {
            self.licensed_until_ms = observed_ms + lasts_ms;
        }
        self.said.insert(kind, Said { body, observed_ms, lasts_ms, fact });
    }

    /// When the last license runs out that counts here.
    pub fn licensed_until_ms(&self) -> u64 {
        self.licensed_until_ms
    }

    pub fn facts(&self) -> Vec<Fact> {
        self.said.values().map(|said| said.fact.clone()).collect()
    }

    pub fn fact(&self, kind: FactKind) -> Option<Fact> {
        self.said.get(&kind).map(|said| said.fact.clone())
    }

    pub fn body(&self, kind: FactKind) -> Option<&Value> {
        self.said.get(&kind).map(|said| &said.body)
    }

    /// The bundle's serial and policies.
    pub fn bundle(&self) -> (u64, &str) {
        let policies = self.body(FactKind::Policy).and_then(|body| body["policies"].as_str());
        (self.serial, policies.unwrap_or_default())
    }

    /// Renews facts that expire soon, where their provider is reachable; returns the kinds that changed.
    pub fn refresh(&mut self, now_ms: u64) -> Vec<FactKind> {
        if self.silent {
            return Vec::new();
        }
        let half_gone = |said: &Said| said.observed_ms + said.lasts_ms / 2 < now_ms;
        let stale: Vec<FactKind> =
            self.said.iter().filter(|(_, said)| half_gone(said)).map(|(kind, _)| *kind).collect();
        let mut said = Vec::new();
        for kind in stale {
            if kind == FactKind::License && self.denied {
                continue;
            }
            let Some(Said { body, lasts_ms, .. }) = self.said.get(&kind).cloned() else { continue };
            self.say(kind, body, lasts_ms, now_ms);
            said.push(kind);
        }
        said
    }

    /// How far the node's stamps may run ahead of the time outside, in milliseconds.
    pub fn lead_ms(&self) -> u64 {
        self.body(FactKind::Settings).and_then(|body| body["lead_ms"].as_u64()).unwrap_or(0)
    }

    /// An operator lets stamps run ahead by so much; the hash of the settings that say so.
    pub fn lead(&mut self, lead_ms: u64, now_ms: u64) -> Option<Hash> {
        let mut body = settings(&self.hands.clone());
        if lead_ms > 0 {
            body["lead_ms"] = json!(lead_ms);
        }
        self.say(FactKind::Settings, body, LASTS_MS * 700, now_ms);
        self.fact(FactKind::Settings).map(|fact| fact.hash())
    }

    /// The license server denies, or says yes again.
    pub fn license(&mut self, denied: bool, elsewhere: bool, now_ms: u64) {
        self.denied = denied;
        let scope = if elsewhere { "elsewhere" } else { "swoosh" };
        if !denied || elsewhere {
            self.say(FactKind::License, json!({"id": "license-1", "scopes": [scope]}), LICENSE_MS, now_ms);
        }
    }

    /// MCP servers answer, or do not, or with another version.
    pub fn tooling(&mut self, reachable: bool, version: &str, now_ms: u64) {
        let body = json!({"servers": {SERVER_URL: {"reachable": reachable, "server": "search", "version": version}}});
        self.say(FactKind::Tooling, body, LASTS_MS, now_ms);
    }

    /// So many processors are free, and assets are in this health.
    pub fn capacity(&mut self, vcpu: u64, health: &str, now_ms: u64) {
        self.say(FactKind::Capacity, json!({"resources": {"vcpu": vcpu, "memory_mib": 16384}}), LASTS_MS, now_ms);
        let assets = json!({"assets": {"image/base": "ok", "image/tools": health}});
        self.say(FactKind::Health, assets, LASTS_MS, now_ms);
    }

    /// Voters that answer, by the bits of a number, since a moment.
    pub fn pulses(&mut self, silent: u64, since_ms: u64, now_ms: u64) {
        let since = reading(since_ms);
        let pulse = |(n, name): (usize, &str)| {
            let alive = silent >> n & 1 == 0;
            (self.hands.get(name).public.to_string(), json!({"alive": alive, "since": since}))
        };
        // The key that a voter may rotate to is that voter's.
        let all = VOTERS.iter().copied().enumerate().chain([(ROTATES, "fresh")]);
        let members: BTreeMap<String, Value> = all.map(pulse).collect();
        self.say(FactKind::Liveness, json!({"members": members}), LASTS_MS, now_ms);
    }

    /// A new policy bundle with one more rule that forbids nothing in use.
    pub fn policies(&mut self, now_ms: u64) {
        self.serial += 1;
        let extra = format!("@id(\"extra\") permit (principal in Role::\"auditor{}\", action, resource);", self.serial);
        let body = json!({"serial": self.serial, "policies": format!("{POLICIES}{extra}")});
        self.say(FactKind::Policy, body, LASTS_MS * 700, now_ms);
    }

    /// All is well again.
    pub fn heal(&mut self, now_ms: u64) {
        self.silent = false;
        self.license(false, false, now_ms);
        self.tooling(true, "1.2.0", now_ms);
        self.capacity(8, "ok", now_ms);
        self.pulses(0, now_ms.saturating_sub(3_600_000), now_ms);
        if !self.said.contains_key(&FactKind::Policy) {
            self.say(FactKind::Policy, json!({"serial": self.serial, "policies": POLICIES}), LASTS_MS * 700, now_ms);
        }
    }

    /// Something is said again that was said before, or is a little other, as registries do that flap.
    pub fn flap(&mut self, random: &mut Random, now_ms: u64) {
        let (reachable, version) = (random.below(3) != 0, random.pick(["1.2.0", "1.2.0", "1.3.0"]));
        self.tooling(reachable, version, now_ms);
    }
}

/// The settings that guards read.
fn settings(hands: &Hands) -> Value {
    json!({
        "identities": hands.of_settings(),
        "max_ahead_ms": 5_000, "max_behind_ms": 300_000,
        "license_grace_ms": GRACE_MS, "license_scope": "swoosh",
        "key_horizon_ms": HORIZON_MS, "key_ahead_ms": 86_400_000,
        "transports": ["https", "ssh"], "floating_refs": ["https://git.example/app#main"],
        "lost_after_ms": 30_000, "back_after_ms": 60_000,
    })
}

/// The schedule's document.
pub fn schedule(windows: impl Fn(WindowClass) -> (u64, u64)) -> Value {
    let window = |class| {
        let (phase, length) = windows(class);
        json!([{"phase_beats": phase, "length_beats": length}])
    };
    json!({
        "epoch": "2025-01-01T00:00:00.000+00:00#0", "beat_ms": BEAT_MS, "cycle_beats": CYCLE_BEATS,
        "windows": {
            "plan": window(WindowClass::Plan),
            "review": window(WindowClass::Review),
            "reverb": window(WindowClass::Reverb),
        },
    })
}
