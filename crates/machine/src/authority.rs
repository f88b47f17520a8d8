//! By which right a proposal is signed: a role of the signer, or a grant to the caller of WHOOSH that its delegate signs for.
//!
//! A delegate holds no role of operator, human or voter. A grant of the settings lets it act in one, for one caller, in named
//! projects and op classes, until a time. Since version 2 of the chart.

use std::collections::BTreeSet;

use super::guards::Case;
use super::state::Identity;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::legacy_grant::{LegacyGrant, NEVER_GRANTED};
use swoosh_types::migration::signed_for;
use swoosh_types::names::{OpClass, Role};
use swoosh_types::proposal::Proposal;
use swoosh_types::text::{Name, ProjectName};

/// A grant that lets a proposal pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted<'a> {
    pub name: &'a Name,
    pub grant: &'a LegacyGrant,
    /// The role that the transition asks for.
    pub role: Role,
}

/// A right to propose a transition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Right<'a> {
    /// The signer holds this role.
    Own(Role),
    /// Its caller was granted one.
    Granted(Granted<'a>),
}

/// The right by which a proposal of this identity passes, or why it has none.
pub(super) fn right<'a>(case: &Case<'a>, identity: &Identity) -> Result<Right<'a>, String> {
    let Some((proposal, _)) = case.asked else { return Err("depends on the proposal".to_owned()) };
    let fault = match own_role(case, identity) {
        Ok(role) => return Ok(Right::Own(role)),
        Err(fault) => fault,
    };
    granted(case, proposal).map(Right::Granted).map_err(|reasons| [vec![fault], reasons].concat().join("; "))
}

/// The grant by which the proposal passes; none where it needs none, and where none lets it pass.
pub(super) fn grant<'a>(case: &Case<'a>) -> Option<Granted<'a>> {
    let identity = case.identity(&case.asked?.0.signer)?;
    match right(case, &identity) {
        Ok(Right::Granted(granted)) => Some(granted),
        _ => None,
    }
}

/// The roles that policies see: those of the grant alone, where the proposal passes by one. The caller acts in them, and
/// not in those by which its delegate reports outcomes.
pub(super) fn acting_roles(case: &Case<'_>, proposal: &Proposal) -> BTreeSet<Role> {
    let Some(identity) = case.identity(&proposal.signer) else { return BTreeSet::new() };
    match right(case, &identity) {
        Ok(Right::Granted(granted)) => granted.grant.roles.clone(),
        _ => identity.roles,
    }
}

/// The role by which an identity itself may propose the transition.
fn own_role(case: &Case<'_>, identity: &Identity) -> Result<Role, String> {
    if let Some(fault) = beyond_delegation(case, identity) {
        return Err(fault);
    }
    let held = case.spec.signers.iter().find(|role| identity.roles.contains(role));
    held.copied().ok_or_else(|| {
        let (transition, may, holds) = (case.spec.transition, join(case.spec.signers), join(&identity.roles));
        format!("{transition} is for {may}; {} holds {holds}", identity.name)
    })
}

/// Why a delegate may not propose this, here.
fn beyond_delegation(case: &Case<'_>, identity: &Identity) -> Option<String> {
    let delegation = identity.delegate.as_ref()?;
    let (name, class, project) = (&identity.name, case.spec.op_class, case.project());
    if !delegation.op_classes.contains(&class) {
        let classes: Vec<&str> = delegation.op_classes.iter().map(|class| class.as_str()).collect();
        return Some(format!("{name} is a delegate for {}, not for {class}", classes.join(", ")));
    }
    let elsewhere = !delegation.projects.is_empty() && !delegation.projects.contains(project);
    elsewhere.then(|| format!("{name} is a delegate for other projects, not for {project}"))
}

/// The first grant that lets a proposal pass, by name. A grant counts only where a delegate of the settings signed, and the
/// evidence names the caller that was granted. Else why each grant of this caller does not count.
fn granted<'a>(case: &Case<'a>, proposal: &Proposal) -> Result<Granted<'a>, Vec<String>> {
    let (Some((caller, _)), Ok((settings, _)), true) =
        (signed_for(&proposal.evidence), case.settings(), case.state().is_under(2))
    else {
        return Err(Vec::new());
    };
    let is_delegate = |key: &PublicKey| settings.identities.get(key).is_some_and(|grant| grant.delegate.is_some());
    if !is_delegate(&proposal.signer) {
        return Err(Vec::new());
    }
    let own = |grant: &LegacyGrant| grant.caller.as_str() == caller && grant.delegate == proposal.signer;
    let mut faults = Vec::new();
    for (name, grant) in settings.grants.iter().filter(|(_, grant)| own(grant)) {
        match role_of(case, grant) {
            Ok(role) => return Ok(Granted { name, grant, role }),
            Err(fault) => faults.push(format!("the grant {name} of {caller} {fault}")),
        }
    }
    Err(faults)
}

/// The role by which a grant lets the transition pass, or why it does not.
fn role_of(case: &Case<'_>, grant: &LegacyGrant) -> Result<Role, String> {
    let (spec, project) = (case.spec, case.project());
    if NEVER_GRANTED.contains(&spec.transition) {
        return Err("changes no identities".to_owned());
    }
    if !grant.projects.contains(project) {
        return Err(format!("is for other projects, not for {project}"));
    }
    if !grant.op_classes.contains(&spec.op_class) {
        let classes: Vec<&str> = grant.op_classes.iter().map(|class| class.as_str()).collect();
        return Err(format!("is for {}, not for {}", classes.join(", "), spec.op_class));
    }
    let role = spec.signers.iter().find(|role| grant.roles.contains(role));
    let role = role.ok_or_else(|| format!("gives {}, and not {}", join(&grant.roles), join(spec.signers)))?;
    if grant.counts(case.time()) { Ok(*role) } else { Err(format!("ended at {}", grant.until)) }
}

/// Whether an approval that a delegate signed for a seat still counts: by a grant of that seat that covers the project's
/// approvals at this time.
pub(super) fn approves_for<'g>(
    grants: impl IntoIterator<Item = &'g LegacyGrant>,
    (delegate, is_seat): (&PublicKey, impl Fn(&PublicKey) -> bool),
    (project, time): (&ProjectName, Hlc),
) -> bool {
    grants.into_iter().any(|grant| {
        let is_voter = grant.delegate == *delegate && grant.roles.contains(&Role::Voter);
        let counts = grant.covers(project, OpClass::Execution) && grant.counts(time);
        is_voter && counts && grant.seat.as_ref().is_some_and(&is_seat)
    })
}

pub(super) fn join<'r>(roles: impl IntoIterator<Item = &'r Role>) -> String {
    roles.into_iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
