//! SHHH: the Cedar policies, and whether a newer bundle permits what once struck.

use super::{Case, Judged};
use crate::authority::acting_roles;
use crate::chart::{Inputs, bounds, spec};
use crate::facts::{FactBody, KnownFact};
use crate::policy::{CompiledPolicies, Question, Ruling, SAFETY};
use crate::state::QuarantineOrigin;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::Breach;
use swoosh_types::json::Json;
use swoosh_types::names::{IngestionState, Role, Transition};
use swoosh_types::proposal::Proposal;

fn policies<'a>(case: &Case<'a>) -> Result<(&'a CompiledPolicies, &'a KnownFact), Judged> {
    let fact = case.valid_fact(FactKind::Policy)?;
    let FactBody::Policy(policies) = &fact.body else { return Err(Judged::fail(["there is no policy fact"])) };
    Ok((policies, fact))
}

fn ask(case: &Case<'_>, policies: &CompiledPolicies, proposal: &Proposal) -> Ruling {
    let roles = acting_roles(case, proposal);
    policies.ask(Question {
        signer: &proposal.signer,
        roles: &roles,
        transition: proposal.transition,
        region: case.spec.region,
        project: case.project(),
        inputs: &proposal.inputs,
    })
}

/// Transitions by which the node says what holds whether policies like it or not: no bundle can keep them from being
/// recorded. The barrier is judged under the version that it ends.
fn is_duty_of_node(case: &Case<'_>) -> bool {
    let duty = match case.spec.transition {
        Transition::BootChartUpgraded => true,
        Transition::LicenseGraceEntered
        | Transition::LicenseExpired
        | Transition::LicenseRenewed
        | Transition::ControlQuorumLost
        | Transition::ControlRecovered
        | Transition::PolicyQuarantine => case.state().is_under(2),
        _ => false,
    };
    duty && case.asked.is_some_and(|(proposal, _)| is_node(case, proposal))
}

fn is_node(case: &Case<'_>, proposal: &Proposal) -> bool {
    case.identity(&proposal.signer).is_some_and(|identity| identity.roles.contains(&Role::Node))
}

/// The bundle that judges stops and repairs: the last known one, also after its expiry. From version 2 on, an expired
/// bundle does not keep operators from stopping a project or revoking a key.
fn policies_in_need<'a>(case: &Case<'a>) -> Result<(&'a CompiledPolicies, &'a KnownFact), Judged> {
    match case.fact(FactKind::Policy) {
        Some(fact) if SAFETY.contains(&case.spec.transition) && case.state().is_under(2) => match &fact.body {
            FactBody::Policy(policies) => Ok((policies, fact)),
            FactBody::License(_)
            | FactBody::Windows(_)
            | FactBody::Tooling(_)
            | FactBody::Capacity(_)
            | FactBody::Health(_)
            | FactBody::Liveness(_)
            | FactBody::Settings(_) => Err(Judged::fail(["there is no policy fact"])),
        },
        _ => policies(case),
    }
}

pub(super) fn policy(case: &Case<'_>) -> Judged {
    if is_duty_of_node(case) {
        return Judged::pass(["the node must record it; policies are not asked"]);
    }
    let (policies, fact) = match policies_in_need(case) {
        Ok(found) => found,
        Err(judged) => return judged,
    };
    let Some((proposal, _)) = case.asked else { return Judged::open() };
    let judged = match ask(case, policies, proposal) {
        Ruling::Permit(names) => {
            Judged::pass([format!("bundle {} permits it by {}", policies.serial(), names.join(", "))])
        }
        Ruling::Deny(reasons) => Judged::fail(reasons),
        Ruling::Breach(reasons) => Judged::fail(reasons.into_iter().map(|reason| format!("breach: {reason}"))),
    };
    judged.read(fact)
}

/// The breach that a proposal is, if it is one.
pub(crate) fn breach_of(case: &Case<'_>) -> Option<Breach> {
    let (policies, _) = policies_in_need(case).ok()?;
    let (proposal, _) = case.asked?;
    let Ruling::Breach(reasons) = ask(case, policies, proposal) else { return None };
    // Texts are checked when a bundle is taken, so none is lost here.
    let (listed, left) = reasons.split_at(reasons.len().min(bounds::BREACH_REASONS));
    Some(Breach {
        signer: proposal.signer,
        roles: acting_roles(case, proposal),
        transition: proposal.transition,
        inputs_hash: proposal.inputs_hash,
        bundle_serial: policies.serial(),
        reasons: listed.iter().filter_map(|reason| reason.parse().ok()).collect(),
        more: Some(left.len() as u64).filter(|more| *more > 0),
    })
}

/// A quarantine and its release name the bundle that they were judged by, and that bundle is in force.
pub(super) fn bundle(case: &Case<'_>) -> Judged {
    let (serial, hash) = match case.asked {
        Some((_, Inputs::IngestionPolicyViolation(inputs))) => (inputs.bundle_serial, None),
        Some((_, Inputs::PolicyUpdated(inputs))) => (inputs.serial, Some(inputs.bundle_hash)),
        Some((_, Inputs::PolicyQuarantine(inputs))) => match &inputs.breach {
            Some(breach) if case.state().is_under(2) => return struck(case, breach),
            Some(breach) => (breach.bundle_serial, None),
            None => return Judged::pass(["names no bundle"]),
        },
        _ => return Judged::open(),
    };
    let (policies, fact) = match policies(case) {
        Ok(found) => found,
        Err(judged) => return judged,
    };
    let (found, found_hash) = (policies.serial(), policies.hash());
    let mut wrong = Vec::new();
    if serial != found || hash.is_some_and(|hash| hash != found_hash) {
        wrong.push(format!("the bundle in force is {found} with {found_hash}; judge by it and name it"));
    }
    Judged::unless(wrong, format!("bundle {found} is in force")).read(fact)
}

/// Policy_Quarantine with a breach, from version 2 on: the node alone says that a policy struck, and which bundle that
/// was. It may have been replaced since, or have run out: the breach happened all the same.
fn struck(case: &Case<'_>, breach: &Breach) -> Judged {
    let Some((proposal, _)) = case.asked else { return Judged::open() };
    if !is_node(case, proposal) {
        return Judged::fail(["the node alone names a breach; declare the quarantine without one"]);
    }
    let (found, fact) = match case.fact(FactKind::Policy).map(|fact| (&fact.body, fact)) {
        Some((FactBody::Policy(policies), fact)) => (policies.serial(), fact),
        _ => return Judged::fail(["there is no policy fact"]),
    };
    if breach.bundle_serial > found {
        return Judged::fail([format!("the bundle in force is {found}, not yet {}", breach.bundle_serial)]).read(fact);
    }
    Judged::pass([format!("bundle {} struck", breach.bundle_serial)]).read(fact)
}

/// Policy_Updated: the bundle in force is newer than the one that struck, whatever struck, and permits what it
/// forbade. Of content, the validation that runs again judges by it; so the content must still be in VALIDATE (from
/// version 2 on).
pub(super) fn breach(case: &Case<'_>) -> Judged {
    let Some((_, Inputs::PolicyUpdated(inputs))) = case.asked else { return Judged::open() };
    let (policies, fact) = match policies(case) {
        Ok(found) => found,
        Err(judged) => return judged,
    };
    let (policy, serial) = (&case.state().policy, policies.serial());
    let mut wrong = Vec::new();
    match policy.struck_serial {
        None => wrong.push("this quarantine was declared; a human must release it".to_owned()),
        Some(struck) if serial <= struck => {
            wrong.push(format!("bundle {serial} is not newer than {struck}, which struck"))
        }
        Some(_) => {}
    }
    let of_content = policy.origin == Some(QuarantineOrigin::Content) && case.state().is_under(2);
    if of_content && case.state().ingestion.phase != IngestionState::Validate {
        wrong.push("the content that struck is not in VALIDATE any more; a human must release it".to_owned());
    }
    if let Some(breach) = &policy.breach {
        wrong.extend(still_forbidden(case, policies, breach, inputs.breach_inputs.as_ref()));
    }
    let right = if policy.breach.is_some() { "permits what struck" } else { "is newer than the one that struck" };
    Judged::unless(wrong, format!("bundle {serial} {right}")).read(fact)
}

fn still_forbidden(
    case: &Case<'_>,
    policies: &CompiledPolicies,
    breach: &Breach,
    inputs: Option<&Json>,
) -> Option<String> {
    let Some(inputs) = inputs else {
        return Some("breach_inputs is missing: the inputs of the proposal that struck".into());
    };
    if Hash::of(&inputs.canonical()) != breach.inputs_hash {
        return Some(format!("breach_inputs do not hash to {}", breach.inputs_hash));
    }
    let transition: Transition = breach.transition;
    let question = Question {
        signer: &breach.signer,
        roles: &breach.roles,
        transition,
        region: spec(transition).region,
        project: case.project(),
        inputs,
    };
    match policies.ask(question) {
        Ruling::Permit(_) => None,
        Ruling::Deny(reasons) | Ruling::Breach(reasons) => Some(format!("still forbidden: {}", reasons.join("; "))),
    }
}
