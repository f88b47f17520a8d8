//! SHHH: the Cedar policies, and whether a newer bundle permits what once struck.

use super::{Case, Judged};
use crate::machine::chart::{Inputs, bounds, spec};
use crate::machine::facts::{FactBody, KnownFact};
use crate::machine::policy::{CompiledPolicies, Question, Ruling};
use crate::types::fact::FactKind;
use crate::types::hash::Hash;
use crate::types::inputs::Breach;
use crate::types::json::Json;
use crate::types::names::Transition;
use crate::types::proposal::Proposal;

fn policies<'a>(case: &Case<'a>) -> Result<(&'a CompiledPolicies, &'a KnownFact), Judged> {
    let fact = case.valid_fact(FactKind::Policy)?;
    let FactBody::Policy(policies) = &fact.body else { return Err(Judged::fail(["there is no policy fact"])) };
    Ok((policies, fact))
}

fn ask(case: &Case<'_>, policies: &CompiledPolicies, proposal: &Proposal) -> Ruling {
    let roles = case.identity(&proposal.signer).map(|identity| identity.roles).unwrap_or_default();
    policies.ask(Question {
        signer: &proposal.signer,
        roles: &roles,
        transition: proposal.transition,
        region: case.spec.region,
        project: case.project(),
        inputs: &proposal.inputs,
    })
}

pub(super) fn policy(case: &Case<'_>) -> Judged {
    let (policies, fact) = match policies(case) {
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
pub(in crate::machine) fn breach_of(case: &Case<'_>) -> Option<Breach> {
    let (policies, _) = policies(case).ok()?;
    let (proposal, _) = case.asked?;
    let Ruling::Breach(reasons) = ask(case, policies, proposal) else { return None };
    // Texts are checked when a bundle is taken, so none is lost here.
    let (listed, left) = reasons.split_at(reasons.len().min(bounds::BREACH_REASONS));
    Some(Breach {
        signer: proposal.signer,
        roles: case.identity(&proposal.signer).map(|identity| identity.roles).unwrap_or_default(),
        transition: proposal.transition,
        inputs_hash: proposal.inputs_hash,
        bundle_serial: policies.serial(),
        reasons: listed.iter().filter_map(|reason| reason.parse().ok()).collect(),
        more: Some(left.len() as u64).filter(|more| *more > 0),
    })
}

/// What strikes, and what lifts it, names the bundle it was judged by, and that bundle is in force.
pub(super) fn bundle(case: &Case<'_>) -> Judged {
    let (serial, hash) = match case.asked {
        Some((_, Inputs::IngestionPolicyViolation(inputs))) => (inputs.bundle_serial, None),
        Some((_, Inputs::PolicyUpdated(inputs))) => (inputs.serial, Some(inputs.bundle_hash)),
        Some((_, Inputs::PolicyQuarantine(inputs))) => match &inputs.breach {
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

/// Policy_Updated: the bundle in force is newer than the one that struck, whatever struck, and permits what it
/// forbade. Of content, the validation that runs again judges by it.
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
