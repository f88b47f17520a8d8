//! How the effects of a watch ended.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{EffectView, WalEntry};
use crate::machine::chart;
use crate::machine::state::{State, TopPhase};
use crate::types::ids::EffectId;
use crate::types::names::{EffectName, Region, Transition};
use crate::types::text::ProjectName;

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// With the reason that its own record gives, if that was read.
    Failed(Option<String>),
    /// Another transition took it away.
    Cancelled,
    /// Not known.
    Closed,
}

impl Ending {
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Failed(_) => "failed",
            Ending::Cancelled => "cancelled",
            Ending::Closed => "closed",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Ending::Failed(why) => why.as_deref(),
            Ending::Done | Ending::Cancelled | Ending::Closed => None,
        }
    }
}

/// Work of one kind in one project: each repetition has an effect of its own.
type Work = (ProjectName, EffectName);

/// Endings by effect, and what they say of the work.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    endings: BTreeMap<EffectId, Ending>,
    /// The last failure of work that did not succeed since.
    failures: BTreeMap<Work, String>,
}

impl Ledger {
    pub fn knows(&self, id: &EffectId) -> bool {
        self.endings.contains_key(id)
    }

    pub fn ending(&self, id: &EffectId) -> Ending {
        self.endings.get(id).cloned().unwrap_or(Ending::Closed)
    }

    /// Failures in words.
    pub fn failures(&self) -> Vec<String> {
        self.failures.iter().map(|((project, effect), why)| format!("{project}: {effect}: {why}")).collect()
    }

    /// A transition was recorded; `entry` is its record, if it could be read. Without it, an outcome is taken for that of the oldest
    /// open effect of its kind.
    pub fn heard(&mut self, data: &Value, open: &BTreeMap<String, EffectView>, entry: Option<&WalEntry>) {
        let named = |member: &str| data[member].as_str().unwrap_or_default();
        let Ok(transition) = named("transition").parse::<Transition>() else { return };
        let Ok(project) = named("project").parse::<ProjectName>() else { return };
        let (spec, index) = (chart::spec(transition), data["index"].as_u64().unwrap_or(u64::MAX));
        let before = |id: &&EffectId| id.project == project && id.index < index;
        let ids: Vec<EffectId> = open.values().map(|effect| &effect.id).filter(before).cloned().collect();
        for id in ids.iter().filter(|id| spec.cancels.contains(&id.effect)) {
            self.close(id, Ending::Cancelled);
        }
        let Some(effect) = spec.closes else { return };
        let oldest = || ids.iter().filter(|id| id.effect == effect).min_by_key(|id| id.index).cloned();
        let Some(id) = entry.and_then(closed_by).or_else(oldest) else { return };
        self.close(&id, outcome(transition, effect, entry));
    }

    /// The ending of an effect that is open no more and whose record was not read. The state has the newest failure of a region alone,
    /// which may be that of a later attempt: it counts for the work, and this attempt has no reason.
    pub fn close_by_state(&mut self, effect: &EffectView, state: &State) {
        let failure = match chart::effect(effect.effect).region {
            Region::Ingestion => state.ingestion.last_failure.as_ref(),
            Region::Environment => state.environment.last_failure.as_ref(),
            _ => None,
        };
        let failure = match failure {
            _ if state.phase() == TopPhase::Terminated => return self.close(&effect.id, Ending::Cancelled),
            Some(failure) => failure.detail.to_string(),
            None if effect.effect == EffectName::Probe && !state.council.unreachable.is_empty() => {
                UNREACHABLE.to_owned()
            }
            None => return self.close(&effect.id, Ending::Done),
        };
        self.close(&effect.id, Ending::Closed);
        self.failures.insert(work(&effect.id), failure);
    }

    pub fn close(&mut self, id: &EffectId, ending: Ending) {
        match &ending {
            Ending::Failed(why) => {
                self.failures.insert(work(id), why.clone().unwrap_or_else(|| "no reason is known".to_owned()));
            }
            Ending::Done | Ending::Cancelled | Ending::Closed => {
                self.failures.remove(&work(id));
            }
        }
        self.endings.insert(id.clone(), ending);
    }
}

/// Reason of a probe that failed; its record names the servers.
const UNREACHABLE: &str = "servers did not answer as pinned";

/// How a record ended an effect; none where it did not.
pub(super) fn ending_in(entry: &WalEntry, id: &EffectId) -> Option<Ending> {
    let (record, spec) = (&entry.record, chart::spec(entry.record.transition));
    if record.project != id.project || record.index <= id.index {
        return None;
    }
    if spec.cancels.contains(&id.effect) {
        return Some(Ending::Cancelled);
    }
    (closed_by(entry).as_ref() == Some(id)).then(|| outcome(record.transition, id.effect, Some(entry)))
}

/// The effect whose outcome a record is.
fn closed_by(entry: &WalEntry) -> Option<EffectId> {
    chart::spec(entry.record.transition).closes?;
    inputs(entry)["effect"].as_str()?.parse().ok()
}

fn outcome(transition: Transition, effect: EffectName, entry: Option<&WalEntry>) -> Ending {
    if !chart::effect(effect).failure.contains(&transition) {
        return Ending::Done;
    }
    let recorded = entry.and_then(|entry| inputs(entry)["failure"]["detail"].as_str().map(str::to_owned));
    let unreachable = (effect == EffectName::Probe).then(|| UNREACHABLE.to_owned());
    Ending::Failed(recorded.or(unreachable))
}

fn inputs(entry: &WalEntry) -> Value {
    serde_json::from_slice(&entry.inputs.canonical()).unwrap_or_default()
}

/// Whether an event is of a transition that ends effects.
pub(super) fn ends_effects(data: &Value) -> bool {
    let transition = data["transition"].as_str().and_then(|name| name.parse::<Transition>().ok());
    transition.is_some_and(|transition| chart::spec(transition).closes.is_some())
}

fn work(id: &EffectId) -> Work {
    (id.project.clone(), id.effect)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::hash::Hash;
    use crate::types::keys::SecretKey;
    use serde_json::json;

    fn effect(id: &str) -> EffectView {
        serde_json::from_value(json!({
            "id": id, "project": "p", "effect": "fetch", "mode": "builtin", "phase": "running", "attempt": 1,
        }))
        .unwrap()
    }

    fn entry(transition: &str, index: u64, inputs: Value) -> WalEntry {
        let record = json!({
            "index": index, "project": "p", "transition": transition, "signer": SecretKey::from_bytes(&[1; 32]).public(),
            "idem_key": "agent:1:ingestion:key-00000001", "hlc": "2025-10-19T01:23:45.678+00:00#0", "timestamp": "2025-10-19T01:23:45.678+00:00#0",
            "inputs_hash": Hash::of(b"i"), "state_pre_hash": Hash::of(b"a"), "state_post_hash": Hash::of(b"b"),
            "policy_engine": "cedar 4", "signature": SecretKey::from_bytes(&[1; 32]).sign(b"x"), "evidence": [], "guard_outcomes": [],
        });
        serde_json::from_value(json!({"record": record, "chain": Hash::of(b"c"), "inputs": inputs})).unwrap()
    }

    fn hear(ledger: &mut Ledger, transition: &str, index: u64, open: &[&EffectView], entry: Option<&WalEntry>) {
        let effects = open.iter().map(|effect| (effect.id.to_string(), (*effect).clone())).collect();
        ledger.heard(&json!({"transition": transition, "project": "p", "index": index}), &effects, entry);
    }

    /// Done and failed work both ended as "closed".
    #[test]
    fn work_ends_as_done_failed_or_cancelled() {
        let mut ledger = Ledger::default();
        let first = effect("p/3/fetch");
        let failed = entry("Ingestion_FetchFailed", 4, json!({"effect": first.id, "failure": {"detail": "no disk"}}));
        hear(&mut ledger, "Ingestion_FetchFailed", 4, &[&first], Some(&failed));
        assert_eq!(ledger.ending(&first.id), Ending::Failed(Some("no disk".to_owned())));
        assert_eq!(ledger.failures(), ["p: fetch: no disk"]);
        let third = effect("p/5/fetch");
        hear(&mut ledger, "Ingestion_BytesOk", 6, &[&third], None);
        assert_eq!((ledger.ending(&third.id), ledger.failures()), (Ending::Done, Vec::new()));
        let last = effect("p/9/fetch");
        hear(&mut ledger, "Control_Terminate", 10, &[&last], None);
        assert_eq!(ledger.ending(&last.id).word(), "cancelled");
    }

    /// The newest failure of the state was printed as the reason of an earlier attempt, and an event of an earlier attempt closed the
    /// later one.
    #[test]
    fn an_attempt_has_the_reason_of_its_own_record_or_none() {
        let (first, second) = (effect("p/3/fetch"), effect("p/4/fetch"));
        let own = entry(
            "Ingestion_FetchFailed",
            4,
            json!({"effect": first.id, "failure": {"detail": "no disk (attempt 1)"}}),
        );
        let mut ledger = Ledger::default();
        hear(&mut ledger, "Ingestion_FetchFailed", 4, &[&first, &second], Some(&own));
        assert_eq!(ledger.ending(&first.id).reason(), Some("no disk (attempt 1)"));
        assert!(!ledger.knows(&second.id), "it is another attempt's record");
        // An outcome is of an effect that was opened before it, and of the oldest one.
        let mut ledger = Ledger::default();
        hear(&mut ledger, "Ingestion_FetchFailed", 4, &[&first, &second], None);
        assert!(ledger.knows(&first.id) && !ledger.knows(&second.id));
        assert_eq!(ledger.ending(&first.id), Ending::Failed(None));
        // Not heard: its record says it.
        assert_eq!(ending_in(&own, &first.id), Some(Ending::Failed(Some("no disk (attempt 1)".to_owned()))));
        assert_eq!(ending_in(&own, &second.id), None);
        let end = entry("Control_Terminate", 7, json!({"rationale": "over"}));
        assert_eq!(ending_in(&end, &second.id), Some(Ending::Cancelled));
        // Not readable: the state's failure is that of the work, and of no certain attempt.
        let mut state = State::genesis(&"p".parse().unwrap());
        let newest = serde_json::from_value(json!({"detail": "no disk (attempt 3)"})).unwrap();
        Arc::make_mut(&mut state.ingestion).last_failure = Some(newest);
        let mut ledger = Ledger::default();
        ledger.close_by_state(&first, &state);
        assert_eq!((ledger.ending(&first.id), ledger.ending(&first.id).reason()), (Ending::Closed, None));
        assert_eq!(ledger.failures(), ["p: fetch: no disk (attempt 3)"]);
    }
}
