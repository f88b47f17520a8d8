//! Facts of the node itself: signs the observations of its providers.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::asked::{Asked, Provider, Uncounted};
use super::table::{FactRefusal, FactTable, Inserted};
use swoosh_types::canonical::to_json;
use swoosh_types::civil::MAX_MS;
use swoosh_types::fact::{FactClaim, FactKind};
use swoosh_types::hlc::{Hlc, HlcError};
use swoosh_types::json::JsonError;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::text::ProjectName;

/// Why the node cannot say something.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// It cannot be written as a fact.
    #[error("the observation cannot be written as a {kind} fact: {source}")]
    Form { kind: FactKind, source: JsonError },
    /// The clock is at its end.
    #[error("the {kind} fact cannot be stamped: {source}")]
    Stamp { kind: FactKind, source: HlcError },
    /// It is not believed.
    #[error("the {kind} fact is refused: {source}")]
    Refused { kind: FactKind, source: Box<FactRefusal> },
}

/// Signs what providers learn with the node's key and holds it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Speaker {
    table: Arc<FactTable>,
    key: SecretKey,
    asked: Arc<dyn Asked>,
}

impl Speaker {
    /// Speaks with the node's key, which every table believes about everything.
    pub fn new(table: Arc<FactTable>, key: SecretKey) -> Speaker {
        Speaker { table, key, asked: Arc::new(Uncounted) }
    }

    /// The same, with a counter of its providers' outside requests.
    pub fn counted(self, asked: Arc<dyn Asked>) -> Speaker {
        Speaker { asked, ..self }
    }

    /// A provider asked outside since `began`, and got something or nothing.
    pub fn asked(&self, provider: Provider, brought: bool, began: Instant) {
        self.asked.asked(provider, brought, began.elapsed());
    }

    /// The table it speaks into.
    pub fn table(&self) -> &Arc<FactTable> {
        &self.table
    }

    /// The key it speaks with.
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Says what was seen just now, believed for `valid_for_ms` at most (and no longer than its kind allows).
    /// The later call counts, also within one millisecond.
    pub fn say<T: Serialize>(
        &self,
        kind: FactKind,
        project: Option<&ProjectName>,
        valid_for_ms: u64,
        body: &T,
    ) -> Result<Inserted, SayError> {
        let now_ms = self.table.clock().now().wall_ms;
        let last = self.table.newest(kind, project, self.key.public()).unwrap_or_default();
        let observed_at = last.tick(now_ms).map_err(|source| SayError::Stamp { kind, source })?;
        let until_ms = observed_at.physical_ms().saturating_add(valid_for_ms).min(MAX_MS);
        let valid_until = Hlc::new(until_ms, 0).unwrap_or(observed_at);
        self.say_at(kind, project, observed_at, valid_until, body)
    }

    /// Says what was seen at a moment, and until when it may be believed.
    pub fn say_at<T: Serialize>(
        &self,
        kind: FactKind,
        project: Option<&ProjectName>,
        observed_at: Hlc,
        valid_until: Hlc,
        body: &T,
    ) -> Result<Inserted, SayError> {
        let body = to_json(body).map_err(|source| SayError::Form { kind, source })?;
        let source = self.key.public();
        let claim = FactClaim { kind, project: project.cloned(), source, observed_at, valid_until, body };
        let fact = claim.sign(self.table.cluster(), &self.key);
        self.table.insert(fact).map_err(|source| SayError::Refused { kind, source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use swoosh_types::fact::License;

    fn body(id: &str) -> License {
        License { id: id.parse().unwrap(), scopes: ["swoosh".parse().unwrap()].into(), token: None }
    }

    #[test]
    fn the_later_call_in_the_same_millisecond_counts() {
        let table = Arc::new(table());
        let speaker = Speaker::new(table.clone(), node());
        for id in ["l-1", "l-2", "l-3"] {
            let said = speaker.say(FactKind::License, None, 1_000, &body(id)).unwrap();
            assert!(matches!(said, Inserted::Held(hash) if table.bytes(&hash).is_some()), "{id}");
        }
        let described = table.describe();
        assert_eq!(described[0].valid_until.physical_ms(), NOW_MS + 1_000);
        assert!(described[0].believed);
    }

    #[test]
    fn a_body_of_another_kind_is_refused_and_changes_nothing() {
        let table = Arc::new(table());
        let speaker = Speaker::new(table.clone(), node());
        let said = speaker.say(FactKind::Capacity, None, 1_000, &body("l-1"));
        assert!(matches!(said, Err(SayError::Refused { kind: FactKind::Capacity, .. })));
        assert!(table.describe().is_empty());
    }
}
