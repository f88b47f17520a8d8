//! How the effects of a watch ended.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::EffectView;
use crate::machine::chart;
use crate::machine::state::{State, TopPhase};
use crate::types::ids::EffectId;
use crate::types::names::{EffectName, Region, Transition};
use crate::types::text::ProjectName;

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Failed(String),
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
            Ending::Failed(why) => Some(why),
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

    /// A transition was recorded; `why` is the reason that the record of a failure gives.
    pub fn heard(&mut self, data: &Value, open: &BTreeMap<String, EffectView>, why: Option<String>) {
        let named = |member: &str| data[member].as_str().unwrap_or_default();
        let Ok(transition) = named("transition").parse::<Transition>() else { return };
        let Ok(project) = named("project").parse::<ProjectName>() else { return };
        let spec = chart::spec(transition);
        let of =
            |name: EffectName| open.values().find(|effect| effect.project == project && effect.effect == name).cloned();
        for effect in spec.cancels.iter().copied().filter_map(of) {
            self.close(&effect, Ending::Cancelled);
        }
        let Some(effect) = spec.closes.and_then(of) else { return };
        if chart::effect(effect.effect).failure.contains(&transition) {
            self.close(&effect, Ending::Failed(why.unwrap_or_else(|| transition.to_string())));
        } else {
            self.close(&effect, Ending::Done);
        }
    }

    /// The ending of an effect that is open no more, as the state shows it.
    pub fn close_by_state(&mut self, effect: &EffectView, state: &State) {
        let failure = match chart::effect(effect.effect).region {
            Region::Ingestion => state.ingestion.last_failure.as_ref(),
            Region::Environment => state.environment.last_failure.as_ref(),
            _ => None,
        };
        let ending = match failure {
            _ if state.phase() == TopPhase::Terminated => Ending::Cancelled,
            Some(failure) => Ending::Failed(failure.detail.to_string()),
            None if effect.effect == EffectName::Probe && !state.council.unreachable.is_empty() => {
                Ending::Failed("servers did not answer as pinned".to_owned())
            }
            None => Ending::Done,
        };
        self.close(effect, ending);
    }

    fn close(&mut self, effect: &EffectView, ending: Ending) {
        let work = work(effect);
        match &ending {
            Ending::Failed(why) => {
                self.failures.insert(work, why.clone());
            }
            Ending::Done | Ending::Cancelled | Ending::Closed => {
                self.failures.remove(&work);
            }
        }
        self.endings.insert(effect.id.clone(), ending);
    }
}

/// Whether an event is of a transition that reports failed work.
pub(super) fn is_failure(data: &Value) -> bool {
    let transition = data["transition"].as_str().and_then(|name| name.parse::<Transition>().ok());
    let closed = transition.and_then(|transition| Some((transition, chart::spec(transition).closes?)));
    closed.is_some_and(|(transition, effect)| chart::effect(effect).failure.contains(&transition))
}

fn work(effect: &EffectView) -> Work {
    (effect.project.clone(), effect.effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn effect(id: &str) -> EffectView {
        serde_json::from_value(json!({
            "id": id, "project": "p", "effect": "fetch", "mode": "builtin", "phase": "running", "attempt": 1,
        }))
        .unwrap()
    }

    fn hear(ledger: &mut Ledger, transition: &str, open: &EffectView) {
        let effects = [(open.id.to_string(), open.clone())].into();
        let data = json!({"transition": transition, "project": "p", "index": 4});
        ledger.heard(&data, &effects, is_failure(&data).then(|| "no disk".to_owned()));
    }

    /// Done and failed work both ended as "closed".
    #[test]
    fn work_ends_as_done_failed_or_cancelled() {
        let mut ledger = Ledger::default();
        let first = effect("p/3/fetch");
        hear(&mut ledger, "Ingestion_FetchFailed", &first);
        assert_eq!(ledger.ending(&first.id), Ending::Failed("no disk".to_owned()));
        assert_eq!(ledger.failures(), ["p: fetch: no disk"]);
        let third = effect("p/5/fetch");
        hear(&mut ledger, "Ingestion_BytesOk", &third);
        assert_eq!((ledger.ending(&third.id), ledger.failures()), (Ending::Done, Vec::new()));
        let last = effect("p/9/fetch");
        hear(&mut ledger, "Control_Terminate", &last);
        assert_eq!(ledger.ending(&last.id).word(), "cancelled");
    }
}
