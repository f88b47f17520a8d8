//! Configuration, license check, identities.

use std::sync::Arc;

use super::Step;
use crate::machine::chart::{BootChartUpgraded, BootIdentityGranted, BootIdentityRevoked, BootIdentityRotated};
use crate::machine::state::{Identity, State};
use crate::machine::upgrade::{self, Chart};
use crate::types::hlc::Hlc;
use crate::types::inputs::ProjectDocument;
use crate::types::names::{BootState, EffectName};

/// Every part of the document goes to the section that it concerns.
pub(super) fn config_ok(next: &mut State, document: &ProjectDocument) {
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

pub(super) fn licensed(next: &mut State, step: &Step<'_>) {
    let boot = Arc::make_mut(&mut next.boot);
    boot.phase = BootState::Licensed;
    boot.licensed_at = Some(step.stamp.at);
    step.open(&mut Arc::make_mut(&mut next.ingestion).effects, EffectName::Resolve);
    step.open(&mut Arc::make_mut(&mut next.environment).effects, EffectName::Allocate);
}

pub(super) fn identity_granted(next: &mut State, inputs: &BootIdentityGranted) {
    let identities = &mut Arc::make_mut(&mut next.boot).identities;
    // Other roles do not change whose place it took.
    let succeeds = identities.get(&inputs.key).and_then(|known| known.succeeds);
    identities.insert(inputs.key, Identity { succeeds, ..Identity::of(&inputs.identity) });
}

pub(super) fn identity_revoked(next: &mut State, inputs: &BootIdentityRevoked) {
    if let Some(identity) = Arc::make_mut(&mut next.boot).identities.get_mut(&inputs.key) {
        identity.revoked = true;
    }
}

/// The new key holds all that the old one held, from this record on; the old one counts as long as was asked,
/// so that whatever it signed meanwhile is not lost.
pub(super) fn identity_rotated(next: &mut State, inputs: &BootIdentityRotated, step: &Step<'_>) {
    let identities = &mut Arc::make_mut(&mut next.boot).identities;
    let Some(old) = identities.get_mut(&inputs.old) else { return };
    let new = Identity { succeeds: Some(inputs.old), ..old.clone() };
    let end_ms = step.stamp.at.physical_ms().saturating_add(inputs.overlap_ms.unwrap_or(0));
    match inputs.overlap_ms.filter(|overlap_ms| *overlap_ms > 0).and_then(|_| Hlc::new(end_ms, 0)) {
        Some(end) => old.retires_at = Some(end),
        None => old.revoked = true,
    }
    identities.insert(inputs.new, new);
}

pub(super) fn chart_upgraded(next: &mut State, inputs: &BootChartUpgraded) {
    upgrade::migrate(next, Chart { version: inputs.to_version, schema_hash: inputs.schema_hash });
}
