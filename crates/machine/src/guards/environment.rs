//! Capacity and health.

use super::{Case, Judged};
use crate::facts::FactBody;
use swoosh_types::fact::FactKind;
use swoosh_types::inputs::AssetHealth;
use swoosh_types::names::{EffectName, Transition};

pub(super) fn capacity(case: &Case<'_>) -> Judged {
    let allocation = &case.state().environment.allocation;
    if allocation.is_empty() {
        return Judged::pass(["the allocation is empty"]);
    }
    let fact = match case.valid_fact(FactKind::Capacity) {
        Ok(fact) => fact,
        Err(judged) => return judged,
    };
    let FactBody::Capacity(capacity) = &fact.body else { return Judged::fail(["there is no capacity fact"]) };
    let mut wrong = Vec::new();
    for (resource, wanted) in allocation {
        let there = capacity.resources.get(resource).copied().unwrap_or(0);
        if there < *wanted {
            wrong.push(format!("{resource}: {wanted} wanted, {there} there"));
        }
    }
    Judged::unless(wrong, format!("{} resources are there", allocation.len())).read(fact)
}

pub(super) fn release(case: &Case<'_>) -> Judged {
    match case.state().environment.effects.get(&EffectName::Release) {
        Some(open) => Judged::fail([format!("{} is open; wait for Environment_Released", open.id)]),
        None => Judged::pass(["no release is under way"]),
    }
}

/// Green needs every asset healthy, Amber none failed.
pub(super) fn health(case: &Case<'_>) -> Judged {
    let fact = match case.valid_fact(FactKind::Health) {
        Ok(fact) => fact,
        Err(judged) => return judged,
    };
    let FactBody::Health(health) = &fact.body else { return Judged::fail(["there is no health fact"]) };
    let green = case.spec.transition == Transition::EnvironmentGreen;
    let worst = if green { AssetHealth::Ok } else { AssetHealth::Degraded };
    let mut wrong = Vec::new();
    for asset in case.state().environment.assets.keys() {
        match health.assets.get(asset) {
            None => wrong.push(format!("{asset}: its health is not known")),
            Some(found) if *found > worst => wrong.push(format!("{asset} is {}", describe(*found))),
            Some(_) => {}
        }
    }
    Judged::unless(wrong, format!("{} assets are known to be well", case.state().environment.assets.len())).read(fact)
}

fn describe(health: AssetHealth) -> &'static str {
    match health {
        AssetHealth::Ok => "ok",
        AssetHealth::Degraded => "degraded",
        AssetHealth::Failed => "failed",
    }
}
