//! The facts that the node says itself at every start: its settings, window schedule and policies.

use super::table::{FactRefusal, FactTable};
use swoosh_types::backbeat::Schedule;
use swoosh_types::canonical::to_json;
use swoosh_types::civil::MAX_MS;
use swoosh_types::fact::{FactClaim, FactKind, GuardSettings, PolicyBundle};
use swoosh_types::hlc::Hlc;
use swoosh_types::json::{Json, JsonError};
use swoosh_types::keys::SecretKey;

/// Facts of the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// The settings that guards read.
    pub settings: GuardSettings,
    pub windows: Schedule,
    /// The policies.
    pub policy: PolicyBundle,
}

/// Why the node cannot say what it is set to.
#[derive(Debug, thiserror::Error)]
pub enum BuiltInError {
    /// It cannot be written as a fact.
    #[error("the node's {kind} cannot be written as a fact: {source}")]
    Form { kind: FactKind, source: JsonError },
    /// It is not believed.
    #[error("the node's {kind} cannot be used: {source}")]
    Refused { kind: FactKind, source: Box<FactRefusal> },
}

impl FactTable {
    /// Signs the node's own facts with its key, seen now and valid as long as their kinds allow, and
    /// holds them.
    pub fn insert_built_in(&self, key: &SecretKey, built_in: &BuiltIn) -> Result<(), BuiltInError> {
        let now_ms = self.clock().now().wall_ms;
        let bodies = [
            (FactKind::Settings, to_json(&built_in.settings)),
            (FactKind::Windows, to_json(&built_in.windows)),
            (FactKind::Policy, to_json(&built_in.policy)),
        ];
        for (kind, body) in bodies {
            let body = body.map_err(|source| BuiltInError::Form { kind, source })?;
            let fact = claim(kind, key, now_ms, body).sign(self.cluster(), key);
            self.insert_default(fact).map_err(|source| BuiltInError::Refused { kind, source: Box::new(source) })?;
        }
        Ok(())
    }
}

fn claim(kind: FactKind, key: &SecretKey, now_ms: u64, body: Json) -> FactClaim {
    let hlc = |ms: u64| Hlc::new(ms.min(MAX_MS), 0).unwrap_or_default();
    let valid_until = hlc(now_ms.saturating_add(kind.max_lifetime_ms()));
    FactClaim { kind, project: None, source: key.public(), observed_at: hlc(now_ms), valid_until, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use swoosh_machine::facts::FactBody;

    /// The built-in schedule, with the given policies and settings without identities.
    fn built_in(policies: &str) -> BuiltIn {
        let settings = guard_settings(0);
        let windows = yaml_serde::from_str(include_str!("../../../config/backbeat.yaml")).unwrap();
        BuiltIn { settings, windows, policy: PolicyBundle { serial: 1, policies: policies.into() } }
    }

    #[test]
    fn settings_schedule_and_policies_are_facts_of_the_node() {
        let built_in = built_in(include_str!("../../../config/policies/default.cedar"));
        let table = table();
        table.insert_built_in(&node(), &built_in).unwrap();
        let facts = table.load();
        let body = |kind| &facts.set().at(kind, None).unwrap().body;
        assert!(matches!(body(FactKind::Settings), FactBody::Settings(held) if *held == built_in.settings));
        assert!(matches!(body(FactKind::Windows), FactBody::Windows(held) if *held == built_in.windows));
        assert!(matches!(body(FactKind::Policy), FactBody::Policy(held) if held.serial() == 1));
        assert!(table.describe().iter().all(|fact| fact.believed));
        let lifetime_ms = table.describe()[0].valid_until.physical_ms() - NOW_MS;
        assert_eq!(lifetime_ms, FactKind::Windows.max_lifetime_ms());
    }

    #[test]
    fn policies_that_are_not_cedar_stop_the_start() {
        let error = table().insert_built_in(&node(), &built_in("allow everything")).unwrap_err().to_string();
        assert!(error.starts_with("the node's policy cannot be used: the policy bundle cannot be used"), "{error}");
    }
}
