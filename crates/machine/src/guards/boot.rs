//! Project documents, identities, the chart.

use std::collections::BTreeSet;

use super::{Case, Judged, ingestion};
use crate::authority;
use crate::chart::{self, Inputs};
use crate::state::Identity;
use swoosh_types::council::verify_rotation;
use swoosh_types::development;
use swoosh_types::fact::GuardSettings;
use swoosh_types::inputs::{BuildChoice, IdentityGrant, ProjectDocument, RoleSpecs};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;

pub(super) fn document(case: &Case<'_>) -> Judged {
    match case.asked {
        Some((_, Inputs::BootConfigOk(inputs))) => {
            let mut wrong = document_faults(&inputs.document, case);
            wrong.extend(outlasting_roles(&inputs.document, case));
            let all = inputs.document.sources.iter().chain(&inputs.document.upstreams);
            let (unpinned, fact) = ingestion::source_faults(case, all);
            wrong.extend(unpinned);
            let judged = Judged::unless(wrong, "the document agrees with itself");
            if let Some(fact) = fact { judged.read(fact) } else { judged }
        }
        Some((_, Inputs::CouncilReplan(inputs))) => {
            let council = &case.state().council;
            let roles = inputs.roles.as_ref().unwrap_or(&council.roles);
            let threshold = inputs.approval_threshold.unwrap_or(case.state().execution.approval_threshold);
            let wrong = council_faults(roles, threshold, council.rules.min_members);
            Judged::unless(wrong, "roles and approval threshold agree")
        }
        _ => Judged::open(),
    }
}

fn document_faults(document: &ProjectDocument, case: &Case<'_>) -> Vec<String> {
    let mut wrong = council_faults(&document.roles, document.approval_threshold, document.council.min_members);
    let mut when = |is_wrong: bool, reason: String| {
        if is_wrong {
            wrong.push(reason)
        }
    };
    when(document.sources.is_empty(), "sources: name at least one".into());
    for name in document.sources.keys().filter(|name| document.upstreams.contains_key(*name)) {
        when(true, format!("{name} is both a source and an upstream"));
    }
    let again = |(at, build): &(usize, &BuildChoice)| document.builds.iter().take(*at).any(|other| other == *build);
    if let Some((_, build)) = document.builds.iter().enumerate().find(again) {
        when(true, format!("builds: {} occurs twice for {}", build.builder, build.environment));
    }
    when(!(1..=100).contains(&document.limits.retries), "limits.retries must be from 1 to 100".into());
    when(!(1..=64).contains(&document.council.min_members), "council.min_members must be from 1 to 64".into());
    let operators = document.identities.values().any(is_operator);
    when(!operators, "identities: grant the role operator at least once".into());
    for (key, grant) in &document.identities {
        wrong.extend(grant_faults(key, grant, case));
    }
    wrong
}

/// A caller that begins a project by a grant hands out no role of operator or human that the settings do not give: such a
/// key would act in the project after the grant ended.
fn outlasting_roles(document: &ProjectDocument, case: &Case<'_>) -> Vec<String> {
    let Some(granted) = authority::grant(case) else { return Vec::new() };
    let who = case.identities();
    let holds = |key: &PublicKey, role: &Role| who.granted(key).is_some_and(|grant| grant.roles.contains(role));
    let mut wrong = Vec::new();
    for (key, identity) in &document.identities {
        for role in identity.roles.iter().filter(|role| [Role::Operator, Role::Human].contains(role)) {
            if !holds(key, role) {
                let name = granted.name;
                wrong.push(format!("the grant {name} begins projects, and {key} is no {role} of the node's settings"));
            }
        }
    }
    wrong
}

fn council_faults(roles: &RoleSpecs, threshold: u64, min_members: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let seats = roles.values().fold(0u64, |sum, role| sum.saturating_add(role.seats));
    if roles.is_empty() {
        wrong.push("roles: name at least one".to_owned());
    }
    for (name, _) in roles.iter().filter(|(_, role)| role.seats == 0) {
        wrong.push(format!("role {name} has no seat"));
    }
    if seats < min_members {
        wrong.push(format!("the roles have {seats} seats, fewer than council.min_members {min_members}"));
    }
    // Without seats there is no majority, and their lack is reported already.
    if seats > 0 && (threshold <= seats / 2 || threshold > seats) {
        wrong.push(format!(
            "approval_threshold {threshold} must be from {} (a majority) to {seats} (all seats)",
            seats / 2 + 1
        ));
    }
    wrong
}

/// The faults of a grant. Version 1 granted roles also to keys without a secret half.
fn grant_faults(key: &PublicKey, grant: &IdentityGrant, case: &Case<'_>) -> Vec<String> {
    let project = case.project();
    let mut wrong = Vec::new();
    if let Some(weakness) = key.weakness().filter(|_| case.state().is_under(2)) {
        wrong.push(format!("{key} {weakness}; grant a key of `swoosh keygen`"));
    }
    wrong.extend(published(key, case));
    if grant.roles.is_empty() {
        wrong.push(format!("{key} is granted no role"));
    }
    if grant.roles.contains(&Role::Node) {
        wrong.push(format!("{key}: the role node cannot be granted"));
    }
    wrong.extend(grant.delegation_faults().into_iter().map(|fault| format!("{key}: {fault}")));
    let projects = grant.delegate.iter().map(|delegation| &delegation.projects);
    if projects.into_iter().any(|projects| !projects.is_empty() && !projects.contains(project)) {
        wrong.push(format!("{key}: it is a delegate for other projects only; name {project}, or none"));
    }
    wrong
}

/// Refuses a key whose secret half everyone has, except on a node to try things.
fn published(key: &PublicKey, case: &Case<'_>) -> Option<String> {
    let name = development::owner(key).filter(|_| case.state().is_under(2))?;
    if case.settings().is_ok_and(|(settings, _)| settings.published_keys) {
        return None;
    }
    let whose = format!("{key} is the published development key of {name}");
    Some(format!("{whose}, with which everyone can sign; grant a key of `swoosh keygen`"))
}

fn is_operator(grant: &IdentityGrant) -> bool {
    grant.roles.contains(&Role::Operator) && grant.delegate.is_none()
}

/// Operators of the project that nothing ends: not revoked, not about to retire, no delegate.
fn own_operators(case: &Case<'_>) -> BTreeSet<PublicKey> {
    let lasts = |identity: &Identity| {
        let may_act = identity.delegate.is_none() || !case.state().is_under(2);
        !identity.revoked && identity.retires_at.is_none() && may_act && identity.roles.contains(&Role::Operator)
    };
    case.state().boot.identities.iter().filter(|(_, identity)| lasts(identity)).map(|(key, _)| *key).collect()
}

/// Operators of the settings beside those counted already. Version 1 let a project's identity go before that of the
/// settings, and did not count those.
fn operators_of_settings(case: &Case<'_>, settings: &GuardSettings, counted: &BTreeSet<PublicKey>) -> usize {
    let own = &case.state().boot.identities;
    let skipped = |key| if case.state().is_under(2) { counted.contains(key) } else { own.contains_key(key) };
    settings.identities.iter().filter(|(key, grant)| is_operator(grant) && !skipped(*key)).count()
}

/// At least one operator remains: of the project, or of the settings, whose keys the project cannot take away.
pub(super) fn operators(case: &Case<'_>) -> Judged {
    let identities = &case.state().boot.identities;
    let mut left = own_operators(case);
    let mut wrong = Vec::new();
    match case.asked {
        Some((_, Inputs::BootIdentityGranted(inputs))) => {
            wrong.extend(grant_faults(&inputs.key, &inputs.identity, case));
            wrong.extend(delegated_candidate(case, &inputs.key, &inputs.identity));
            let over = |identity: &Identity| identity.revoked || identity.retires_at.is_some();
            if identities.get(&inputs.key).is_some_and(over) {
                wrong.push(format!("{} is revoked and stays so; grant a new key", inputs.key));
            }
            wrong.extend(takes_from_settings(case, &inputs.key, &inputs.identity));
            left.remove(&inputs.key);
            if is_operator(&inputs.identity) {
                left.insert(inputs.key);
            }
        }
        Some((_, Inputs::BootIdentityRevoked(inputs))) => {
            left.remove(&inputs.key);
            wrong.extend(ends_platform_key(case, &inputs.key));
            match identities.get(&inputs.key) {
                None => wrong.push(format!("{} is not an identity of this project", inputs.key)),
                Some(identity) if identity.revoked => wrong.push(format!("{} is revoked already", inputs.key)),
                Some(_) => {}
            }
        }
        _ => return Judged::open(),
    }
    let (settings, fact) = match case.settings() {
        Ok(found) => found,
        Err(judged) => return judged,
    };
    let others = operators_of_settings(case, settings, &left);
    if left.is_empty() && others == 0 {
        wrong.push("no operator would remain".into());
    }
    Judged::unless(wrong, format!("{} operators remain", left.len() + others)).read(fact)
}

/// A grant adds to what the settings give a key. One that leaves a role out would have no effect, so it is refused.
fn takes_from_settings(case: &Case<'_>, key: &PublicKey, grant: &IdentityGrant) -> Option<String> {
    let fixed = case.identities().granted(key).filter(|_| case.state().is_under(2))?;
    let missing: Vec<&str> = fixed.roles.difference(&grant.roles).map(|role| role.as_str()).collect();
    if fixed.delegate.is_some() || grant.delegate.is_some() {
        return Some(format!(
            "{key} is an identity of the node's settings, as a delegate or granted as one; change it there"
        ));
    }
    if fixed.roles.contains(&Role::Node) {
        return Some(format!("{key} is the node itself; no project grants it anything"));
    }
    (!missing.is_empty()).then(|| {
        format!("{key} holds {} by the node's settings; name that role too, or change the settings", missing.join(", "))
    })
}

/// A project cannot end a key by which the settings control it.
fn ends_platform_key(case: &Case<'_>, key: &PublicKey) -> Option<String> {
    let fixed = case.identities().granted(key).filter(|_| case.state().is_under(2))?;
    let role = fixed.roles.iter().find(|role| matches!(role, Role::Operator | Role::Human | Role::Node))?;
    Some(format!("{key} is {role} by the node's settings; take it out there"))
}

/// Council candidates and members vote, so they cannot become delegates.
fn delegated_candidate(case: &Case<'_>, key: &PublicKey, grant: &IdentityGrant) -> Option<String> {
    let council = &case.state().council;
    let votes = council.candidates.contains_key(key) || case.state().member_behind(key).is_some();
    (votes && grant.delegate.is_some())
        .then(|| format!("{key}: it is a candidate or member of the council, and a delegate never votes"))
}

/// Longest time that both keys of a rotation count, in milliseconds: a week.
const MAX_OVERLAP_MS: u64 = 7 * 86_400_000;

pub(super) fn rotation(case: &Case<'_>) -> Judged {
    let Some((_, Inputs::BootIdentityRotated(inputs))) = case.asked else { return Judged::open() };
    let identities = &case.state().boot.identities;
    let mut wrong = Vec::new();
    match identities.get(&inputs.old) {
        None => wrong.push(format!("{} is not an identity of this project", inputs.old)),
        Some(identity) if identity.revoked => wrong.push(format!("{} is revoked", inputs.old)),
        Some(identity) if identity.retires_at.is_some() => {
            wrong.push(format!("{} was rotated already; rotate the key that took its place", inputs.old));
        }
        Some(_) => {}
    }
    wrong.extend(ends_platform_key(case, &inputs.old));
    if let Some(overlap_ms) = inputs.overlap_ms.filter(|overlap_ms| *overlap_ms > MAX_OVERLAP_MS) {
        wrong.push(format!("overlap_ms is {overlap_ms}; both keys may count for {MAX_OVERLAP_MS} at most"));
    }
    wrong.extend(published(&inputs.new, case));
    if case.identity(&inputs.new).is_some() {
        wrong.push(format!("{} is known already", inputs.new));
    }
    if !verify_rotation(case.cluster, case.project(), &inputs.old, &inputs.new, &inputs.proof) {
        wrong.push(format!("proof is not a signature by {} over this rotation", inputs.new));
    }
    case.naming_settings(Judged::unless(wrong, format!("{} agrees to take over", inputs.new)))
}

pub(super) fn chart(case: &Case<'_>) -> Judged {
    let Some((_, Inputs::BootChartUpgraded(inputs))) = case.asked else { return Judged::open() };
    let present = case.state().meta.chart_version;
    let mut wrong = Vec::new();
    if inputs.from_version != present {
        wrong.push(format!("the project's chart is version {present}, not {}", inputs.from_version));
    }
    if (inputs.to_version, inputs.schema_hash) != (chart::VERSION, chart::SCHEMA_HASH) {
        wrong.push(format!("this node's chart is version {} with {}", chart::VERSION, chart::SCHEMA_HASH));
    }
    if inputs.to_version <= present {
        wrong.push(format!("version {} does not follow {present}", inputs.to_version));
    }
    Judged::unless(wrong, format!("chart {} follows {present}", inputs.to_version))
}
