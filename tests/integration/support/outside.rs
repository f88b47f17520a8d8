//! The world outside, as signed facts. Change a field, then get the facts again.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};
use swoosh::machine::facts::{FactSet, KnownFact};
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::text::ClusterId;
pub use swoosh_testkit::outside::{POLICIES, SERVER_URL};

use super::hands::{Hands, VOTERS};
use super::strict;

/// When every world begins.
pub const START: &str = "2025-10-19T12:00:00.000+00:00#0";

/// The moment at which every world begins, in milliseconds.
pub fn start_ms() -> u64 {
    START.parse::<Hlc>().unwrap().physical_ms()
}

/// A fact to be: its body, and when it was seen and how long it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub body: Value,
    /// When it was seen, in milliseconds.
    pub observed_ms: u64,
    /// How long it holds, in milliseconds.
    pub lasts_ms: u64,
}

/// Everything outside: facts by kind.
#[derive(Clone, Debug)]
pub struct Outside {
    said: BTreeMap<FactKind, Said>,
    set: FactSet,
    cluster: ClusterId,
    hands: Rc<Hands>,
}

/// Validity of facts without a time of their own: ten years.
pub const LONG_MS: u64 = 10 * 365 * 86_400_000;

impl Outside {
    /// All well: windows always open, a license for long, every server up, enough of everything.
    pub fn well(cluster: &ClusterId, hands: Rc<Hands>) -> Outside {
        let set = FactSet::default();
        let well = all_well(&hands);
        let mut outside = Outside { said: BTreeMap::new(), set, cluster: cluster.clone(), hands };
        well.into_iter().for_each(|(kind, body)| outside.say(kind, body));
        outside
    }

    /// Says something new that holds for long.
    pub fn say(&mut self, kind: FactKind, body: Value) {
        self.say_for(kind, Said { body, observed_ms: start_ms(), lasts_ms: LONG_MS });
    }

    /// Says something new that holds for a while.
    pub fn say_for(&mut self, kind: FactKind, said: Said) {
        self.said.insert(kind, said);
        self.sign(kind);
    }

    /// Nothing is known of a kind any more.
    pub fn forget(&mut self, kind: FactKind) {
        self.said.remove(&kind);
        let kept = std::mem::take(&mut self.set);
        kept.iter()
            .filter(|fact| fact.fact.claim.kind != kind)
            .for_each(|fact| self.set.insert(KnownFact::clone(fact)));
    }

    fn sign(&mut self, kind: FactKind) {
        let said = &self.said[&kind];
        let node = self.hands.get("node");
        let claim = FactClaim {
            kind,
            project: None,
            source: node.key(),
            observed_at: Hlc::new(said.observed_ms, 0).unwrap(),
            valid_until: Hlc::new(said.observed_ms + said.lasts_ms, 0).unwrap(),
            body: strict(&said.body),
        };
        let fact = claim.sign(&self.cluster, &node.secret);
        self.set.insert(KnownFact::read(fact).unwrap());
    }

    /// The present statement of a kind.
    pub fn said(&self, kind: FactKind) -> Option<&Said> {
        self.said.get(&kind)
    }

    /// The facts as guards read them.
    pub fn facts(&self) -> &FactSet {
        &self.set
    }
}

/// The body of every fact when all is well.
pub fn all_well(hands: &Hands) -> [(FactKind, Value); 8] {
    [
        (FactKind::Settings, settings(hands)),
        (FactKind::Windows, always_open()),
        (FactKind::License, json!({"id": "license-1", "scopes": ["swoosh"]})),
        (FactKind::Policy, json!({"serial": 1, "policies": POLICIES})),
        (FactKind::Tooling, tooling(true, "1.2.0")),
        (FactKind::Capacity, json!({"resources": {"vcpu": 8, "memory_mib": 16384}})),
        (FactKind::Health, json!({"assets": {"image/base": "ok", "image/tools": "ok"}})),
        (FactKind::Liveness, liveness(hands, &[], start_ms() - 3_600_000)),
    ]
}

/// The settings that guards read.
pub fn settings(hands: &Hands) -> Value {
    json!({
        "identities": hands.of_settings(),
        "max_ahead_ms": 5_000, "max_behind_ms": 300_000,
        "license_grace_ms": 3_600_000, "license_scope": "swoosh",
        "key_horizon_ms": 7 * 86_400_000u64, "key_ahead_ms": 86_400_000,
        "transports": ["https", "ssh"], "floating_refs": ["https://git.example/app#main"],
        "lost_after_ms": 30_000, "back_after_ms": 60_000,
    })
}

fn schedule(beat_ms: u64, plan: (u64, u64), review: (u64, u64), reverb: (u64, u64)) -> Value {
    let window = |(phase, length): (u64, u64)| json!([{"phase_beats": phase, "length_beats": length}]);
    json!({
        "epoch": "2025-01-01T00:00:00.000+00:00#0", "beat_ms": beat_ms, "cycle_beats": 60,
        "windows": {"plan": window(plan), "review": window(review), "reverb": window(reverb)},
    })
}

/// Cycles of a minute in which every window is always open.
pub fn always_open() -> Value {
    schedule(1_000, (0, 60), (0, 60), (0, 60))
}

/// Cycles of an hour: plan from the full hour for 20 minutes, review from :20 for 25, reverb from :30.
pub fn hourly() -> Value {
    schedule(60_000, (0, 20), (20, 25), (30, 30))
}

/// The tooling fact of the one pinned server.
pub fn tooling(reachable: bool, version: &str) -> Value {
    json!({"servers": {SERVER_URL: {"reachable": reachable, "server": "search", "version": version}}})
}

/// All voters alive but some, and all since one moment.
pub fn liveness(hands: &Hands, silent: &[&str], since_ms: u64) -> Value {
    let since = Hlc::new(since_ms, 0).unwrap();
    let pulse =
        |name: &&str| (hands.get(name).key().to_string(), json!({"alive": !silent.contains(name), "since": since}));
    json!({"members": VOTERS.iter().map(pulse).collect::<BTreeMap<String, Value>>()})
}
