//! Allocation, assets, health.

use std::sync::Arc;

use super::{Step, most};
use crate::chart::{
    EnvironmentAmber, EnvironmentCapacityDenied, EnvironmentCapacityOk, EnvironmentDeprovision, EnvironmentGreen,
    EnvironmentHealthFailed, EnvironmentInstalled, EnvironmentProvisionFailed, EnvironmentReaffirm, EnvironmentRecheck,
    EnvironmentReleaseFailed, EnvironmentReleased, bounds,
};
use crate::state::State;
use swoosh_types::inputs::Failure;
use swoosh_types::names::{EffectName, EnvironmentState};

pub(super) fn capacity_ok(next: &mut State, _: &EnvironmentCapacityOk, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Provision;
    environment.last_failure = None;
    step.open(&mut environment.effects, EffectName::Provision);
}

pub(super) fn capacity_denied(next: &mut State, inputs: &EnvironmentCapacityDenied, step: &Step<'_>) {
    again(next, &inputs.failure, EffectName::Allocate, step);
}

/// Keeps the failure and opens the same effect again.
fn again(next: &mut State, failure: &Failure, effect: EffectName, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.last_failure = Some(failure.clone());
    step.open(&mut environment.effects, effect);
}

pub(super) fn installed(next: &mut State, inputs: &EnvironmentInstalled, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Healthcheck;
    environment.assets = inputs.assets.clone();
    environment.assets_hash = Some(inputs.manifest_hash);
    environment.outcomes.clear();
    environment.tries = 0;
    environment.last_failure = None;
    step.open(&mut environment.effects, EffectName::Healthcheck);
}

/// A half-made asset stays on record, so that a release can remove it. Past the limit the region steps back to
/// ALLOCATE, through a release if there are assets. From chart version 2 on, assets beyond the bound are left out, by
/// name, so that a failure is always recorded, and the region rests in ALLOCATE until Environment_Deprovision;
/// version 1 began again at once.
pub(super) fn provision_failed(next: &mut State, inputs: &EnvironmentProvisionFailed, step: &Step<'_>) {
    let most = most(next, bounds::ASSETS);
    let rests = next.is_under(2);
    let environment = Arc::make_mut(&mut next.environment);
    environment.tries += 1;
    environment.last_failure = Some(inputs.failure.clone());
    if let Some(assets) = &inputs.assets {
        for (name, hash) in assets.iter() {
            if environment.assets.len() < most || environment.assets.contains_key(name) {
                environment.assets.insert(name.clone(), *hash);
            }
        }
    }
    if environment.tries <= environment.retry_limit {
        return step.open(&mut environment.effects, EffectName::Provision);
    }
    environment.phase = EnvironmentState::Allocate;
    if !environment.assets.is_empty() {
        if !rests {
            environment.tries = 0;
        }
        return step.open(&mut environment.effects, EffectName::Release);
    }
    if !rests {
        environment.tries = 0;
        step.open(&mut environment.effects, EffectName::Allocate);
    }
}

pub(super) fn green(next: &mut State, inputs: &EnvironmentGreen, _: &Step<'_>) {
    let binding = next.binding();
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Ready;
    environment.outcomes = inputs.outcomes.clone();
    environment.last_failure = None;
    environment.version.get_or_insert(binding);
}

pub(super) fn amber(next: &mut State, inputs: &EnvironmentAmber, _: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Degraded;
    environment.outcomes = inputs.outcomes.clone();
    environment.last_failure = None;
}

pub(super) fn health_failed(next: &mut State, inputs: &EnvironmentHealthFailed, step: &Step<'_>) {
    if let Some(outcomes) = &inputs.outcomes {
        let kept = outcomes.iter().take(most(next, bounds::ASSETS)).map(|(name, health)| (name.clone(), *health));
        Arc::make_mut(&mut next.environment).outcomes = kept.collect();
    }
    again(next, &inputs.failure, EffectName::Healthcheck, step);
}

/// The same assets are looked at again: they stand for the version that they stood for.
pub(super) fn recheck(next: &mut State, _: &EnvironmentRecheck, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Healthcheck;
    step.open(&mut environment.effects, EffectName::Healthcheck);
}

/// The assets stay on record until the release is done. Where provisioning rests, this begins it again.
pub(super) fn deprovision(next: &mut State, inputs: &EnvironmentDeprovision, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.phase = EnvironmentState::Allocate;
    environment.assets_hash = None;
    environment.outcomes.clear();
    environment.tries = 0;
    environment.version = None;
    if let Some(allocation) = &inputs.allocation {
        environment.allocation = allocation.clone();
    }
    step.open(&mut environment.effects, EffectName::Release);
}

pub(super) fn release_failed(next: &mut State, inputs: &EnvironmentReleaseFailed, step: &Step<'_>) {
    again(next, &inputs.failure, EffectName::Release, step);
}

pub(super) fn released(next: &mut State, _: &EnvironmentReleased, step: &Step<'_>) {
    let environment = Arc::make_mut(&mut next.environment);
    environment.assets.clear();
    if environment.rests() {
        return;
    }
    environment.last_failure = None;
    step.open(&mut environment.effects, EffectName::Allocate);
}

pub(super) fn reaffirm(next: &mut State, inputs: &EnvironmentReaffirm, _: &Step<'_>) {
    Arc::make_mut(&mut next.environment).version = Some(inputs.version);
}
