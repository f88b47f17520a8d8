//! The bound of every list in the state (statechart.yaml, `bounds`).

use super::chart::bounds;
use super::state::{Section, State};

/// Lists of `after` that are over their bound, among the sections that a transition touched.
pub fn exceeded(before: &State, after: &State) -> Vec<String> {
    let mut over = Vec::new();
    for section in Section::ALL {
        if !after.shares(before, section) {
            check(after, section, &mut |name, found, most| {
                if found > most {
                    over.push(format!("{name} would hold {found}; the bound is {most}"));
                }
            });
        }
    }
    over
}

fn check(state: &State, section: Section, list: &mut dyn FnMut(&str, usize, usize)) {
    match section {
        Section::Boot => check_identities(state, list),
        Section::Ingestion => check_ingestion(state, list),
        Section::Council => check_council(state, list),
        Section::Environment => {
            list("environment.allocation", state.environment.allocation.len(), bounds::RESOURCES);
            // Builds count as resources.
            list("environment.builds", state.environment.builds.len(), bounds::RESOURCES);
            list("environment.assets", state.environment.assets.len(), bounds::ASSETS);
            list("environment.outcomes", state.environment.outcomes.len(), bounds::ASSETS);
        }
        Section::Execution => {
            list("execution.approvals", state.execution.approvals.len(), bounds::MEMBERS);
            list("execution.submissions", state.execution.submissions.len(), bounds::SUBMISSIONS);
            list("execution.evidence", state.execution.evidence.len(), bounds::EVIDENCE);
        }
        Section::Policy => {
            let reasons = state.policy.breach.as_ref().map_or(0, |breach| breach.reasons.len());
            list("policy.breach.reasons", reasons, bounds::BREACH_REASONS);
        }
        Section::Meta | Section::Control | Section::Epoch | Section::HlcLast => {}
    }
}

/// Revoked keys stay known, so that none comes back, and leave their place to others. They have a bound of their own,
/// which counts every key: a key that is granted takes the place that it needs when it is revoked, so that revoking is
/// never refused for want of room. Version 1 counted all of them against one bound.
fn check_identities(state: &State, list: &mut dyn FnMut(&str, usize, usize)) {
    let identities = &state.boot.identities;
    if !state.is_under(2) {
        return list("boot.identities", identities.len(), bounds::IDENTITIES);
    }
    let live = identities.values().filter(|identity| !identity.revoked).count();
    list("boot.identities without revoked keys", live, bounds::IDENTITIES);
    list("boot.identities with revoked keys", identities.len(), bounds::KEYS);
}

fn check_ingestion(state: &State, list: &mut dyn FnMut(&str, usize, usize)) {
    let ingestion = &state.ingestion;
    list("ingestion.sources", ingestion.sources.len(), bounds::SOURCES);
    list("ingestion.upstreams", ingestion.upstreams.len(), bounds::SOURCES);
    list("ingestion.outcomes", ingestion.outcomes.len(), bounds::OUTCOMES);
    list("ingestion.ready_versions", ingestion.ready_versions.len(), bounds::READY_VERSIONS);
}

fn check_council(state: &State, list: &mut dyn FnMut(&str, usize, usize)) {
    let council = &state.council;
    list("council.roles", council.roles.len(), bounds::ROLES);
    list("council.candidates", council.candidates.len(), bounds::CANDIDATES);
    list("council.members", council.members.len(), bounds::MEMBERS);
    list("council.tool_pins", council.tool_pins.len(), bounds::TOOL_PINS);
    list("council.tooling", council.tooling.len(), bounds::TOOL_PINS);
    list("council.unreachable", council.unreachable.len(), bounds::TOOL_PINS);
    let votes = council.certificate.as_ref().map_or(0, |certificate| certificate.votes.len());
    list("council.certificate.votes", votes, bounds::CANDIDATES);
    let most =
        council.candidates.values().chain(council.roles.values().map(|role| &role.capabilities)).map(|c| c.len()).max();
    list("capabilities of a candidate or a role", most.unwrap_or(0), bounds::CAPABILITIES);
}
