//! Effects' outcomes, sources, versions.

use std::collections::BTreeSet;

use super::{Case, Judged};
use crate::chart::Inputs;
use crate::chart::guarded::Coverage;
use crate::facts::KnownFact;
use crate::state::State;
use swoosh_types::canonical::canonical_hash;
use swoosh_types::fact::GuardSettings;
use swoosh_types::inputs::{AssetHealth, AssetOutcomes, CheckOutcome, SourceSpec};
use swoosh_types::names::{EffectName, ExecutionState, IngestionState, Role, Transition};
use swoosh_types::text::{GitId, GitRef, Name};

/// The outcome answers the effect that is open, and no other. From version 2 on, the node alone answers what it runs.
pub(super) fn effect(case: &Case<'_>) -> Judged {
    let Some(closes) = case.spec.closes else { return Judged::pass(["answers no effect"]) };
    let region = crate::chart::effect(closes).region;
    let open = case.state().effects(region).get(&closes);
    let named = case.asked.and_then(|(_, inputs)| inputs.effect());
    match (open, named) {
        (None, _) => Judged::fail([format!("no {closes} effect is open")]),
        (Some(open), Some(named)) if open.id != *named => {
            let mut reason = format!("the open effect is {}, not {named}", open.id);
            if (&open.id.project, open.id.index) == (&named.project, named.index) {
                reason.push_str(
                    ": copy the id from GET /effects; where it was copied, another record has this index since a restore, \
                     a promotion or an accepted loss, and the effect that this outcome answers is gone",
                );
            }
            Judged::fail([reason])
        }
        (Some(open), _) => by_runner(case, closes, Judged::pass([format!("{} is open", open.id)])),
    }
}

/// Judges who answers an effect: the node, a worker where the settings hand the effect to workers, or a delegate of the
/// settings, which speaks for WHOOSH while that decides. A worker may always answer a release: assets that no run of
/// this node made are taken down by hand. Settings from before they named the effects of workers let any
/// worker answer.
fn by_runner(case: &Case<'_>, effect: EffectName, passed: Judged) -> Judged {
    let (Some((proposal, _)), true) = (case.asked, case.state().is_under(2)) else { return passed };
    let Ok((settings, fact)) = case.settings() else { return passed };
    let Some(external) = &settings.external else { return passed };
    let granted = settings.identities.get(&proposal.signer);
    let trusted = granted.is_some_and(|grant| grant.roles.contains(&Role::Node) || grant.delegate.is_some());
    if trusted || effect == EffectName::Release || external.contains(&effect) {
        return passed.read(fact);
    }
    let reason =
        format!("the node runs {effect} itself; outcomes of workers count where effects.{effect}.mode is external");
    Judged::fail([reason]).read(fact)
}

/// A commit or a version tag; anything else floats.
fn is_pinned(reference: &GitRef) -> bool {
    let text = reference.as_str();
    let tag = text.strip_prefix("refs/tags/");
    let version = text.strip_prefix('v').unwrap_or(text);
    let versioned = version.contains('.') && version.starts_with(|c: char| c.is_ascii_digit());
    text.parse::<GitId>().is_ok() || tag.is_some() || versioned
}

/// Whether an address of `file://` lies below a listed folder, read in one way only: git decodes `%`, and follows `..`.
fn is_listed(url: &str, prefixes: &BTreeSet<String>) -> bool {
    let Some(path) = url.strip_prefix("file://").filter(|path| path.starts_with('/')) else { return false };
    let plain = !path.contains('%') && path.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part));
    let below = |folder: &String| {
        path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    plain && prefixes.iter().any(below)
}

fn source_fault(name: &Name, source: &SourceSpec, settings: &GuardSettings, lists: bool) -> Option<String> {
    let scheme = source.url.scheme();
    if !settings.transports.iter().any(|allowed| allowed.as_str() == scheme) {
        let allowed: Vec<_> = settings.transports.iter().map(|t| t.as_str()).collect();
        return Some(format!("{name}: the transport {scheme} is not allowed; allowed are {}", allowed.join(", ")));
    }
    let listed = settings.file_prefixes.as_ref().filter(|_| lists && scheme == "file");
    if listed.is_some_and(|prefixes| !is_listed(source.url.as_str(), prefixes)) {
        return Some(format!("{name}: {} lies below none of sources.file_prefixes", source.url));
    }
    let floats = !is_pinned(&source.reference);
    if floats && !settings.floating_refs.contains(&format!("{}#{}", source.url, source.reference)) {
        let advice = "pin a commit or a version tag, or allow it in sources.floating_refs";
        return Some(format!("{name}: {} floats; {advice}", source.reference));
    }
    None
}

/// Faults of sources, and the settings fact that they were judged by.
pub(super) fn source_faults<'a>(
    case: &Case<'a>,
    sources: impl Iterator<Item = (&'a Name, &'a SourceSpec)>,
) -> (Vec<String>, Option<&'a KnownFact>) {
    match case.settings() {
        Ok((settings, fact)) => {
            let lists = case.state().is_under(2);
            let fault = |(name, source)| source_fault(name, source, settings, lists);
            (sources.filter_map(fault).collect(), Some(fact))
        }
        Err(judged) => (judged.reasons, None),
    }
}

/// Every reference is pinned or allow-listed, every transport allowed; sources and upstreams share no name.
pub(super) fn sources(case: &Case<'_>) -> Judged {
    let ingestion = &case.state().ingestion;
    let (sources, upstreams) = match case.asked {
        Some((_, Inputs::IngestionRetry(inputs))) => (inputs.sources.as_ref(), inputs.upstreams.as_ref()),
        Some((_, Inputs::IngestionNewVersion(inputs))) => (inputs.sources.as_ref(), inputs.upstreams.as_ref()),
        _ => (None, None),
    };
    let sources = sources.unwrap_or(&ingestion.sources);
    let upstreams = upstreams.unwrap_or(&ingestion.upstreams);
    let (mut wrong, fact) = source_faults(case, sources.iter().chain(upstreams));
    if sources.is_empty() {
        wrong.push("sources: name at least one".into());
    }
    let twice = sources.keys().filter(|name| upstreams.contains_key(*name));
    wrong.extend(twice.map(|name| format!("{name} is both a source and an upstream")));
    let judged = Judged::unless(wrong, format!("{} references are pinned or allowed", sources.len() + upstreams.len()));
    if let Some(fact) = fact { judged.read(fact) } else { judged }
}

/// The outcome covers exactly what the state asks for.
pub(super) fn coverage(case: &Case<'_>) -> Judged {
    let Some(inputs) = case.asked.and_then(|(_, inputs)| Coverage::of(inputs)) else { return Judged::open() };
    let wrong = match inputs {
        Coverage::IngestionSourcesResolved(inputs) => resolved_faults(case, &inputs.resolved),
        Coverage::IngestionBytesOk(inputs) => fetched_faults(case, &inputs.fetched),
        Coverage::IngestionSchemaOk(inputs) => outcome_faults(case, &inputs.outcomes),
        Coverage::CouncilMcpRed(inputs) => {
            let strange = inputs.unreachable.keys().filter(|name| !case.state().council.tool_pins.contains_key(*name));
            strange.map(|name| format!("{name} is not pinned")).collect()
        }
        Coverage::EnvironmentInstalled(inputs) => {
            let hash = canonical_hash(&inputs.assets);
            let mut wrong = Vec::new();
            if inputs.assets.is_empty() {
                wrong.push("assets: name at least one".to_owned());
            }
            if hash != inputs.manifest_hash {
                wrong.push(format!("manifest_hash must be the hash of assets, {hash}"));
            }
            wrong
        }
        Coverage::EnvironmentGreen(inputs) => health_faults(case, &inputs.outcomes, Transition::EnvironmentGreen),
        Coverage::EnvironmentAmber(inputs) => health_faults(case, &inputs.outcomes, Transition::EnvironmentAmber),
    };
    Judged::unless(wrong, "covers what was asked for")
}

/// Names that stand in one list and not in the other.
fn differences<'a, K: Ord + std::fmt::Display + 'a>(
    wanted: impl Iterator<Item = &'a K>,
    given: impl Iterator<Item = &'a K>,
) -> Vec<String> {
    let wanted: std::collections::BTreeSet<&K> = wanted.collect();
    let given: std::collections::BTreeSet<&K> = given.collect();
    let missing = wanted.difference(&given).map(|name| format!("{name} is missing"));
    let strange = given.difference(&wanted).map(|name| format!("{name} was not asked for"));
    missing.chain(strange).collect()
}

fn resolved_faults(case: &Case<'_>, resolved: &swoosh_types::inputs::ResolvedSources) -> Vec<String> {
    let ingestion = &case.state().ingestion;
    let wanted = || ingestion.sources.iter().chain(&ingestion.upstreams);
    let mut wrong = differences(wanted().map(|(name, _)| name), resolved.keys());
    for (name, source) in wanted() {
        let Ok(pinned) = source.reference.as_str().parse::<GitId>() else { continue };
        if resolved.get(name).is_some_and(|found| found.commit != pinned) {
            wrong.push(format!("{name} is pinned to {pinned}"));
        }
    }
    wrong
}

fn fetched_faults(case: &Case<'_>, fetched: &swoosh_types::inputs::FetchedSources) -> Vec<String> {
    let resolved = &case.state().ingestion.resolved;
    let mut wrong = differences(resolved.keys(), fetched.keys());
    for (name, source) in resolved {
        if fetched.get(name).is_some_and(|found| found.commit != source.commit) {
            wrong.push(format!("{name} was resolved to {}", source.commit));
        }
    }
    wrong
}

fn outcome_faults(case: &Case<'_>, outcomes: &[CheckOutcome]) -> Vec<String> {
    let mut wrong = differences(case.state().ingestion.fetched.keys(), outcomes.iter().map(|outcome| &outcome.source));
    let failed = outcomes.iter().filter(|outcome| !outcome.ok);
    wrong.extend(failed.map(|outcome| format!("{} of {} did not pass", outcome.check, outcome.source)));
    wrong
}

fn health_faults(case: &Case<'_>, outcomes: &AssetOutcomes, transition: Transition) -> Vec<String> {
    let mut wrong = differences(case.state().environment.assets.keys(), outcomes.keys());
    wrong.extend(
        outcomes.iter().filter(|(_, health)| **health == AssetHealth::Failed).map(|(name, _)| format!("{name} failed")),
    );
    let degraded = outcomes.values().any(|health| *health == AssetHealth::Degraded);
    match transition {
        Transition::EnvironmentGreen if degraded => {
            wrong.push("an asset is degraded; propose Environment_Amber".into())
        }
        Transition::EnvironmentAmber if !degraded => {
            wrong.push("no asset is degraded; propose Environment_Green".into())
        }
        _ => {}
    }
    wrong
}

pub(super) fn retained(case: &Case<'_>) -> Judged {
    let ingestion = &case.state().ingestion;
    let earlier: Vec<_> = ingestion.ready_versions.keys().filter(|v| **v < ingestion.version).collect();
    let Some((_, Inputs::IngestionRollbackIndex(inputs))) = case.asked else {
        let reason = format!("versions that can be rolled back to: {earlier:?}");
        return Judged::new(if earlier.is_empty() { Some(false) } else { None }, [reason]);
    };
    if earlier.contains(&&inputs.version) {
        return Judged::pass([format!("version {} is kept", inputs.version)]);
    }
    Judged::fail([format!(
        "version {} is not an earlier READY version that is kept; those are {earlier:?}",
        inputs.version
    )])
}

pub(super) fn retryable(case: &Case<'_>) -> Judged {
    match case.state().ingestion.effects.get(&EffectName::Resolve) {
        Some(open) => Judged::fail([format!("{} is open still; report its outcome", open.id)]),
        None => Judged::pass(["no resolve effect is open"]),
    }
}

/// The version named is ingestion's current one, and READY.
pub(super) fn versions(case: &Case<'_>) -> Judged {
    let ingestion = &case.state().ingestion;
    let named = match case.asked {
        Some((_, Inputs::CouncilReaffirm(inputs))) => inputs.version,
        Some((_, Inputs::EnvironmentReaffirm(inputs))) => inputs.version,
        _ => ingestion.version,
    };
    let mut wrong = Vec::new();
    if named != ingestion.version {
        wrong.push(format!("ingestion is at version {}, not {named}", ingestion.version));
    }
    if ingestion.phase != IngestionState::Ready {
        wrong.push(format!("version {} is not READY yet: ingestion is {}", ingestion.version, ingestion.phase));
    }
    wrong.extend(moves_under_the_loop(case.state(), named));
    Judged::unless(wrong, format!("ingestion is READY at version {named}"))
}

/// Work and its review go on at the version that execution is pinned to: a council or an environment that was bound to
/// another one meanwhile would keep them from going forward. Since version 2 of the chart.
fn moves_under_the_loop(state: &State, named: u64) -> Option<String> {
    let phase = state.execution.phase;
    let busy = matches!(phase, ExecutionState::Work | ExecutionState::Review);
    let pinned = state.execution.pin.as_ref().map(|pin| pin.version);
    let moves = state.is_under(2) && busy && pinned.is_some_and(|pinned| pinned != named);
    let pinned = pinned.unwrap_or_default();
    moves.then(|| format!("execution is in {phase}, pinned to version {pinned}; reaffirm in REVERB or PLAN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files_count_only_below_listed_folders() {
        let prefixes: BTreeSet<String> = ["/srv/git", "/media/"].map(str::to_owned).into();
        for url in ["file:///srv/git", "file:///srv/git/team/app.git", "file:///media/a"] {
            assert!(is_listed(url, &prefixes), "{url}");
        }
        for url in [
            "file:///srv/git-evil/app",
            "file:///srv/gi",
            "file:///srv/git/../data",
            "file:///srv/git/./app",
            "file:///srv/git//app",
            "file:////srv/git/app",
            "file:///srv/git/%2e%2e/data",
            "file:///srv/%67it/app",
            "file://localhost/srv/git/app",
            "file://srv/git/app",
            "https:///srv/git/app",
            "file:///",
        ] {
            assert!(!is_listed(url, &prefixes), "{url}");
        }
        assert!(!is_listed("file:///srv/git/app", &BTreeSet::new()));
        assert!(is_listed("file:///any", &["/".to_owned()].into()));
    }
}
