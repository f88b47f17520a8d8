//! Sources and index.

use std::sync::Arc;

use super::{Step, most};
use crate::chart::{
    IngestionBytesOk, IngestionCorpusBuilt, IngestionFetchFailed, IngestionIndexFailed, IngestionNewVersion,
    IngestionPolicyViolation, IngestionResolveFailed, IngestionRetry, IngestionRollbackIndex, IngestionSchemaOk,
    IngestionSourcesResolved, IngestionValidateFailed, bounds,
};
use crate::state::{Ingestion, QuarantineOrigin, ReadyVersion, State};
use swoosh_types::inputs::{CheckOutcomes, Failure, ResolvedSource, SourceSet};
use swoosh_types::names::{EffectName, IngestionState, PolicyState};

/// Takes a step forward: a success clears what failed before.
fn advance<'a>(next: &'a mut State, phase: IngestionState, opens: EffectName, step: &Step<'_>) -> &'a mut Ingestion {
    let ingestion = Arc::make_mut(&mut next.ingestion);
    ingestion.phase = phase;
    ingestion.tries = 0;
    ingestion.last_failure = None;
    step.open(&mut ingestion.effects, opens);
    ingestion
}

pub(super) fn sources_resolved(next: &mut State, inputs: &IngestionSourcesResolved, step: &Step<'_>) {
    advance(next, IngestionState::Fetch, EffectName::Fetch, step).resolved = inputs.resolved.clone();
}

pub(super) fn bytes_ok(next: &mut State, inputs: &IngestionBytesOk, step: &Step<'_>) {
    advance(next, IngestionState::Validate, EffectName::Validate, step).fetched = inputs.fetched.clone();
}

pub(super) fn schema_ok(next: &mut State, inputs: &IngestionSchemaOk, step: &Step<'_>) {
    advance(next, IngestionState::Index, EffectName::Index, step).outcomes = inputs.outcomes.clone();
}

pub(super) fn resolve_failed(next: &mut State, inputs: &IngestionResolveFailed, step: &Step<'_>) {
    failed(next, &inputs.failure, None, EffectName::Resolve, step);
}

pub(super) fn fetch_failed(next: &mut State, inputs: &IngestionFetchFailed, step: &Step<'_>) {
    failed(next, &inputs.failure, None, EffectName::Fetch, step);
}

pub(super) fn validate_failed(next: &mut State, inputs: &IngestionValidateFailed, step: &Step<'_>) {
    failed(next, &inputs.failure, inputs.outcomes.as_ref(), EffectName::Validate, step);
}

pub(super) fn index_failed(next: &mut State, inputs: &IngestionIndexFailed, step: &Step<'_>) {
    failed(next, &inputs.failure, None, EffectName::Index, step);
}

/// Counts the try. Up to the limit the same effect opens again; past it, ingestion is back in DISCOVER and
/// nothing starts until Ingestion_Retry.
fn failed(next: &mut State, failure: &Failure, outcomes: Option<&CheckOutcomes>, effect: EffectName, step: &Step<'_>) {
    let most = most(next, bounds::OUTCOMES);
    let ingestion = Arc::make_mut(&mut next.ingestion);
    ingestion.tries += 1;
    ingestion.last_failure = Some(failure.clone());
    if let Some(outcomes) = outcomes {
        ingestion.outcomes = outcomes.iter().take(most).cloned().collect();
    }
    if ingestion.tries <= ingestion.retry_limit {
        return step.open(&mut ingestion.effects, effect);
    }
    ingestion.phase = IngestionState::Discover;
    ingestion.resolved.clear();
    ingestion.fetched.clear();
}

/// Ingestion rests in VALIDATE, without an effect, until the quarantine is lifted.
pub(super) fn policy_violation(next: &mut State, inputs: &IngestionPolicyViolation, _: &Step<'_>) {
    if let Some(outcomes) = &inputs.outcomes {
        let kept = outcomes.iter().take(most(next, bounds::OUTCOMES)).cloned().collect();
        Arc::make_mut(&mut next.ingestion).outcomes = kept;
    }
    let policy = Arc::make_mut(&mut next.policy);
    policy.phase = PolicyState::Quarantined;
    policy.rationale = Some(inputs.rationale.clone());
    policy.origin = Some(QuarantineOrigin::Content);
    policy.breach = None;
    policy.struck_serial = Some(inputs.bundle_serial);
}

/// Past the bound the oldest version goes, but never the one that execution is pinned to.
pub(super) fn corpus_built(next: &mut State, inputs: &IngestionCorpusBuilt, _: &Step<'_>) {
    let pinned = next.execution.pin.as_ref().map(|pin| pin.version);
    let ingestion = Arc::make_mut(&mut next.ingestion);
    ingestion.phase = IngestionState::Ready;
    ingestion.tries = 0;
    ingestion.last_failure = None;
    ingestion.content_hash = Some(inputs.content_hash);
    let ready = ReadyVersion { content_hash: inputs.content_hash, fetched: ingestion.fetched.clone() };
    ingestion.ready_versions.insert(ingestion.version, ready);
    while ingestion.ready_versions.len() > bounds::READY_VERSIONS {
        let Some(oldest) = ingestion.ready_versions.keys().find(|version| Some(**version) != pinned).copied() else {
            break;
        };
        ingestion.ready_versions.remove(&oldest);
    }
}

fn discover(ingestion: &mut Ingestion, sources: Option<&SourceSet>, upstreams: Option<&SourceSet>, step: &Step<'_>) {
    ingestion.phase = IngestionState::Discover;
    ingestion.tries = 0;
    ingestion.last_failure = None;
    ingestion.resolved.clear();
    ingestion.fetched.clear();
    ingestion.outcomes.clear();
    if let Some(sources) = sources {
        ingestion.sources = sources.clone();
    }
    if let Some(upstreams) = upstreams {
        ingestion.upstreams = upstreams.clone();
    }
    step.open(&mut ingestion.effects, EffectName::Resolve);
}

pub(super) fn retry(next: &mut State, inputs: &IngestionRetry, step: &Step<'_>) {
    let ingestion = Arc::make_mut(&mut next.ingestion);
    discover(ingestion, inputs.sources.as_ref(), inputs.upstreams.as_ref(), step);
}

/// The number is one more than the highest ever, so that no two contents ever share a version.
pub(super) fn new_version(next: &mut State, inputs: &IngestionNewVersion, step: &Step<'_>) {
    let ingestion = Arc::make_mut(&mut next.ingestion);
    ingestion.highest_version += 1;
    ingestion.version = ingestion.highest_version;
    ingestion.content_hash = None;
    discover(ingestion, inputs.sources.as_ref(), inputs.upstreams.as_ref(), step);
}

pub(super) fn rollback_index(next: &mut State, inputs: &IngestionRollbackIndex, _: &Step<'_>) {
    let ingestion = Arc::make_mut(&mut next.ingestion);
    let Some(ready) = ingestion.ready_versions.get(&inputs.version).cloned() else { return };
    ingestion.phase = IngestionState::Ready;
    ingestion.version = inputs.version;
    ingestion.tries = 0;
    ingestion.last_failure = None;
    ingestion.outcomes.clear();
    ingestion.content_hash = Some(ready.content_hash);
    let resolved = |(name, source): (&_, &swoosh_types::inputs::FetchedSource)| {
        (Clone::clone(name), ResolvedSource { commit: source.commit.clone() })
    };
    ingestion.resolved = ready.fetched.iter().map(resolved).collect();
    ingestion.fetched = ready.fetched;
}
