//! Facts as `GET /facts` shows them.

use std::sync::Arc;

use serde::Serialize;

use super::table::FactTable;
use swoosh_machine::facts::{FactBody, KnownFact};
use swoosh_types::civil::MAX_MS;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

/// One fact that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactDescription {
    pub kind: FactKind,
    /// The project it is about; left out, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    pub source: PublicKey,
    /// When it was seen.
    pub observed_at: Hlc,
    /// Since when this node holds it, by the node's clock; a restart counts as a new beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Hlc>,
    /// Until when it may be believed: as claimed, or the longest its kind allows if that is earlier.
    pub valid_until: Hlc,
    /// Of a license: the end of the grace that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<Hlc>,
    /// Whether it may be believed now.
    pub believed: bool,
    /// The address it is stored under.
    pub hash: Hash,
    /// Serial of a policy bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
}

impl FactDescription {
    fn of(known: &KnownFact, since_ms: Option<u64>, grace_ms: Option<u64>, now_ms: u64) -> FactDescription {
        let claim = &known.fact.claim;
        let until_ms = known.fact.believed_until_ms();
        let serial = if let FactBody::Policy(policies) = &known.body { Some(policies.serial()) } else { None };
        let grace_ms = grace_ms.filter(|_| claim.kind == FactKind::License);
        let grace_until = grace_ms.and_then(|ms| Hlc::new(until_ms.saturating_add(ms).min(MAX_MS), 0));
        FactDescription {
            kind: claim.kind,
            project: claim.project.clone(),
            source: claim.source,
            observed_at: claim.observed_at,
            held_since: since_ms.and_then(|ms| Hlc::new(ms, 0)),
            valid_until: Hlc::new(until_ms, 0).map_or(claim.valid_until, |capped| capped.min(claim.valid_until)),
            grace_until,
            believed: now_ms <= until_ms,
            hash: known.hash,
            serial,
        }
    }
}

impl FactTable {
    /// Every fact that is held, by kind and project.
    pub fn describe(&self) -> Vec<FactDescription> {
        let now_ms = self.clock().now().wall_ms;
        let facts = self.facts();
        let grace_ms = facts.set().iter().find_map(|known| match &known.body {
            FactBody::Settings(settings) => Some(settings.license_grace_ms),
            _ => None,
        });
        let describe = |known: &Arc<KnownFact>| {
            let claim = &known.fact.claim;
            FactDescription::of(known, self.since_ms(claim.kind, claim.project.as_ref()), grace_ms, now_ms)
        };
        facts.set().iter().map(describe).collect()
    }

    /// Kinds of which nothing is believed now, for all projects or for one; their guards let nothing pass.
    pub fn missing(&self) -> Vec<FactKind> {
        let now_ms = self.clock().now().wall_ms;
        let facts = self.load();
        let believed = |kind| {
            facts.set().iter().any(|known| known.fact.claim.kind == kind && now_ms <= known.fact.believed_until_ms())
        };
        FactKind::ALL.iter().copied().filter(|&kind| !believed(kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;

    #[test]
    fn says_what_is_held_and_whether_it_is_believed_now() {
        let table = table();
        let fresh = license(&kaching(), NOW_MS).sign(&cluster(), &kaching());
        let mut stale = license(&kaching(), NOW_MS - 7_200_000);
        stale.project = Some("alpha".parse().unwrap());
        let bundle = policy(7, "permit (principal, action, resource);", NOW_MS).sign(&cluster(), &node());
        table.insert_all(vec![fresh.clone(), stale.sign(&cluster(), &kaching()), bundle]);
        let described = serde_json::to_value(table.describe()).unwrap();
        assert_eq!(described[0]["hash"], fresh.hash().to_string());
        assert_eq!(described[0]["believed"], true);
        assert_eq!(described[0].get("project"), None);
        assert_eq!(described[1]["project"], "alpha");
        assert_eq!(described[1]["believed"], false);
        assert_eq!(described[2]["kind"], "policy");
        assert_eq!(described[0]["held_since"], "2025-10-19T00:00:00.000+00:00#0");
        assert_eq!(described[2]["serial"], 7);
        let missing: Vec<&str> = table.missing().iter().map(|kind| kind.as_str()).collect();
        assert_eq!(missing, ["windows", "tooling", "capacity", "health", "liveness", "settings"]);
        assert_eq!(described[2]["valid_until"], "2025-10-19T01:00:00.000+00:00#0");
    }
}
