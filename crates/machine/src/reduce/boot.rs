//! Configuration, license check, identities.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Step, council};
use crate::chart::{
    BootChartUpgraded, BootConfigOk, BootIdentityGranted, BootIdentityRevoked, BootIdentityRotated, BootLicensed,
};
use crate::state::{Identity, State};
use crate::upgrade::{self, Chart};
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{BootState, EffectName};

/// Every part of the document goes to the section that it concerns.
pub(super) fn config_ok(next: &mut State, inputs: &BootConfigOk, _: &Step<'_>) {
    let document = &inputs.document;
    let boot = Arc::make_mut(&mut next.boot);
    boot.phase = BootState::LicenseCheck;
    boot.identities = document.identities.iter().map(|(key, grant)| (*key, Identity::of(grant))).collect();
    let ingestion = Arc::make_mut(&mut next.ingestion);
    ingestion.sources = document.sources.clone();
    ingestion.upstreams = document.upstreams.clone();
    ingestion.retry_limit = document.limits.retries;
    let council = Arc::make_mut(&mut next.council);
    council.roles = document.roles.clone();
    council.rules = document.council.clone();
    council.tool_pins = document.tool_pins.clone();
    let environment = Arc::make_mut(&mut next.environment);
    environment.allocation = document.allocation.clone();
    environment.builds = document.builds.clone();
    environment.retry_limit = document.limits.retries;
    Arc::make_mut(&mut next.execution).approval_threshold = document.approval_threshold;
}

pub(super) fn licensed(next: &mut State, _: &BootLicensed, step: &Step<'_>) {
    let boot = Arc::make_mut(&mut next.boot);
    boot.phase = BootState::Licensed;
    boot.licensed_at = Some(step.stamp.at);
    step.open(&mut Arc::make_mut(&mut next.ingestion).effects, EffectName::Resolve);
    step.open(&mut Arc::make_mut(&mut next.environment).effects, EffectName::Allocate);
}

/// Keys that retired by themselves since are marked as revoked: they leave their place to others and come back never.
fn bury(next: &mut State, at: Hlc) {
    if next.is_under(2) {
        let identities = &mut Arc::make_mut(&mut next.boot).identities;
        identities.values_mut().filter(|identity| !identity.counts(at)).for_each(|identity| identity.revoked = true);
    }
}

pub(super) fn identity_granted(next: &mut State, inputs: &BootIdentityGranted, step: &Step<'_>) {
    bury(next, step.stamp.at);
    let identities = &mut Arc::make_mut(&mut next.boot).identities;
    // Other roles do not change whose place it took.
    let succeeds = identities.get(&inputs.key).and_then(|known| known.succeeds);
    identities.insert(inputs.key, Identity { succeeds, ..Identity::of(&inputs.identity) });
}

pub(super) fn identity_revoked(next: &mut State, inputs: &BootIdentityRevoked, step: &Step<'_>) {
    bury(next, step.stamp.at);
    if let Some(identity) = Arc::make_mut(&mut next.boot).identities.get_mut(&inputs.key) {
        identity.revoked = true;
    }
}

/// The new key holds all that the old one held, from this record on; the old one counts as long as was asked,
/// so that whatever it signed meanwhile is not lost.
pub(super) fn identity_rotated(next: &mut State, inputs: &BootIdentityRotated, step: &Step<'_>) {
    bury(next, step.stamp.at);
    let identities = &mut Arc::make_mut(&mut next.boot).identities;
    let Some(old) = identities.get_mut(&inputs.old) else { return };
    let new = Identity { succeeds: Some(inputs.old), ..old.clone() };
    let end_ms = step.stamp.at.physical_ms().saturating_add(inputs.overlap_ms.unwrap_or(0));
    match inputs.overlap_ms.filter(|overlap_ms| *overlap_ms > 0).and_then(|_| Hlc::new(end_ms, 0)) {
        Some(end) => old.retires_at = Some(end),
        None => old.revoked = true,
    }
    identities.insert(inputs.new, new);
    if next.is_under(2) {
        council::follow_rotation(next, step.head, &inputs.old, inputs.new);
    }
}

pub(super) fn chart_upgraded(next: &mut State, inputs: &BootChartUpgraded, step: &Step<'_>) {
    let from = next.meta.chart_version;
    upgrade::migrate(next, Chart { version: inputs.to_version, schema_hash: inputs.schema_hash });
    if from < 2 && next.is_under(2) {
        candidates_follow_rotations(next, step);
    }
}

/// Version 1 left a candidate whose key was rotated away where it stood.
fn candidates_follow_rotations(next: &mut State, step: &Step<'_>) {
    let took_over = |(new, identity): (&PublicKey, &Identity)| identity.succeeds.map(|old| (old, *new));
    let successors: BTreeMap<PublicKey, PublicKey> = next.boot.identities.iter().filter_map(took_over).collect();
    let mut moved: Vec<PublicKey> = next.council.candidates.keys().copied().collect();
    while let Some(old) = moved.pop() {
        if let Some(new) = successors.get(&old) {
            council::follow_rotation(next, step.head, &old, *new);
            moved.push(*new);
        }
    }
}
