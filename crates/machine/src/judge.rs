//! Judging a proposal, in the order of docs/design.md#order-of-checks: identity, key, head, clock, enabled, guards.
//! The first failure is the answer; all guards are evaluated, so that every reason is reported at once.
//!
//! Events in, one value out: the shell looks up idempotency keys, makes records durable and answers. [`judge`] is the
//! only place with the order: proposals, dry runs, `swoosh replay --reguard` and the simulation go through it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::authority::{self, Granted, Right};
use super::beats::Beats;
use super::bounds;
use super::chart::{self, Inputs, TransitionSpec, passes, spec};
use super::facts::FactSet;
use super::guards::{Case, Judged, breach_of, guard};
use super::head::Head;
use super::invariants::violations;
use super::reduce::{Stamp, reduce};
use super::state::{LicenseStatus, QuarantineOrigin, State, TopPhase};
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::Breach;
use swoosh_types::keys::PublicKey;
use swoosh_types::legacy_grant::LegacyGrant;
use swoosh_types::migration::signed_for;
use swoosh_types::names::{BootState, EffectName, EnvironmentState, GuardName, PolicyState, Role, Transition};
use swoosh_types::proposal::Proposal;
use swoosh_types::record::GuardOutcome;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ClusterId;

#[derive(Clone, Copy)]
pub struct Docket<'a> {
    pub cluster: &'a ClusterId,
    pub head: &'a Head,
    pub facts: &'a FactSet,
    /// The proposal; its signature has been checked.
    pub proposal: &'a Proposal,
    pub inputs: &'a Inputs,
    /// Index and time that its record would get.
    pub stamp: Stamp,
}

#[derive(Clone, Debug)]
pub struct Accepted {
    pub next: Head,
    /// How every guard judged, in the chart's order.
    pub outcomes: Vec<GuardOutcome>,
}

/// A proposal that is not accepted.
#[derive(Clone, Debug)]
pub struct Refused {
    pub rejection: Rejection,
    /// The breach of a policy, where the project can be quarantined for it.
    pub breach: Option<Box<Breach>>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Refused {
        Refused { rejection, breach: None }
    }
}

impl<'a> Docket<'a> {
    fn spec(&self) -> &'static TransitionSpec {
        spec(self.proposal.transition)
    }

    /// The time outside: the stamp, less the lead that an operator accepted.
    fn time(&self) -> Hlc {
        self.facts.outside(&self.head.state().meta.project, self.stamp.at)
    }

    /// The case as guards see it.
    pub fn case(&self) -> Case<'a> {
        let asked = Some((self.proposal, self.inputs));
        Case { cluster: self.cluster, head: self.head, facts: self.facts, at: self.stamp.at, spec: self.spec(), asked }
    }
}

/// The binding of the proposal's idempotency key.
pub enum Key<'a> {
    /// Bound to another proposal.
    Taken,
    /// Not bound, or not any more. `floor` looks up the project's beat below which keys may have been pruned; it is asked
    /// only after the checks before it pass.
    Free { floor: &'a dyn Fn() -> Result<u64, Rejection> },
    /// Bound to the record of this proposal, which is judged again: other records do not count.
    Recorded,
}

/// Steps 5 to 11. A conflict of keys is reported to those alone who may propose here.
pub fn judge(docket: &Docket<'_>, key: &Key<'_>) -> Result<Accepted, Refused> {
    let identity = identity(docket)?;
    key_form(docket)?;
    match key {
        Key::Taken => return Err(key_conflict(docket).into()),
        // After the look-up of the key: a key goes only once its project's floor is above it.
        Key::Free { floor } => key_horizon(docket, floor()?)?,
        Key::Recorded => {}
    }
    merits(docket, identity)
}

/// Step 5: the signer is known, unrevoked, and holds a role that may propose this.
fn identity(docket: &Docket<'_>) -> Result<GuardOutcome, Rejection> {
    let case = docket.case();
    let signer = &docket.proposal.signer;
    let (_, settings) =
        case.settings().map_err(|judged| Rejection::new(Code::IdentityUnknown, judged.reasons.join("; ")))?;
    let Some(identity) = case.identity(signer) else { return Err(unknown(signer)) };
    if !identity.counts(docket.stamp.at) {
        let reason = match identity.retires_at.filter(|_| !identity.revoked) {
            Some(end) => {
                format!("the identity {} ({signer}) retired at {end}; sign with the key that took over", identity.name)
            }
            None => format!("the identity {} ({signer}) is revoked", identity.name),
        };
        return Err(Rejection::new(Code::IdentityRevoked, reason));
    }
    let right = match acts_for_another(docket) {
        Some(fault) => Err(fault),
        None => authority::right(&case, &identity),
    };
    let (reason, grant) = match right.map_err(|fault| Rejection::new(Code::RoleNotAllowed, fault))? {
        Right::Own(role) => (format!("{} holds {role}", identity.name), None),
        Right::Granted(Granted { name, grant, role }) => {
            let LegacyGrant { caller, until, .. } = grant;
            let reason = format!("{} acts for {caller} as {role}, by the grant {name} until {until}", identity.name);
            (reason, Some(name.clone()))
        }
    };
    let facts = vec![settings.hash];
    Ok(GuardOutcome { guard: GuardName::Identity, ok: true, reasons: vec![reason], facts, grant })
}

/// The rejection of an unknown signer: neither the project nor the settings name it. It is the same for every
/// project, known or not.
pub fn unknown(signer: &PublicKey) -> Rejection {
    let advice = "an operator can grant it with Boot_IdentityGranted, or the node's settings under identities";
    Rejection::new(Code::IdentityUnknown, format!("{signer} is not known to this project; {advice}"))
}

/// Whether the project or the settings know the signer at all, whatever it may do.
pub fn knows_signer(docket: &Docket<'_>) -> bool {
    docket.case().identity(&docket.proposal.signer).is_some()
}

/// Why a proposal may not say that it was signed for a caller of WHOOSH: that evidence decides whose decision a record
/// is, and whether WHOOSH hears of it. Only a delegate of the settings signs for callers, and the node passes on what a
/// delegate brought. Since version 2 of the chart.
fn acts_for_another(docket: &Docket<'_>) -> Option<String> {
    let (caller, _) = signed_for(&docket.proposal.evidence).filter(|_| docket.head.state().is_under(2))?;
    let case = docket.case();
    let granted = case.settings().ok().and_then(|(settings, _)| settings.identities.get(&docket.proposal.signer));
    let trusted = granted.is_some_and(|grant| grant.delegate.is_some() || grant.roles.contains(&Role::Node));
    (!trusted).then(|| {
        format!(
            "its evidence says that it was signed for {caller}, and a delegate of the settings alone signs for callers"
        )
    })
}

/// Step 6, first part: the key is of the transition's op class and its goal is the signer's to use.
fn key_form(docket: &Docket<'_>) -> Result<(), Rejection> {
    let key = &docket.proposal.idem_key;
    let expected = docket.spec().op_class;
    if key.op_class != expected {
        let reason = format!("the key's op class is {}, {} needs {expected}", key.op_class, docket.proposal.transition);
        return Err(Rejection::new(Code::OpClassMismatch, reason));
    }
    if key.goal.is_reserved() && !signed_by_node(docket) {
        return Err(Rejection::new(
            Code::ReservedGoal,
            format!("the goal {} is the node's own; use another", key.goal),
        ));
    }
    Ok(())
}

/// Step 6, second part: another proposal has the key.
fn key_conflict(docket: &Docket<'_>) -> Rejection {
    let key = &docket.proposal.idem_key;
    let reason =
        format!("the key {key} is bound to another transition, other inputs or another signer; use a new uuid");
    Rejection::new(Code::IdemKeyConflict, reason)
}

/// Step 6, third part, for a key that is not bound, or not any more: its beat lies within the horizon, see [`Beats`].
/// `floor` is the project's: keys of beats below it may have been pruned. The node's own proposals may come at any time,
/// the outcome of an effect that is open at any later time.
fn key_horizon(docket: &Docket<'_>, floor: u64) -> Result<(), Rejection> {
    let key = &docket.proposal.idem_key;
    if key.goal.is_reserved() {
        return Ok(());
    }
    let case = docket.case();
    let (settings, _) =
        case.settings().map_err(|judged| Rejection::new(Code::IdentityUnknown, judged.reasons.join("; ")))?;
    let beats = Beats::known(docket.facts, case.project(), docket.time(), floor);
    if let Some(closes) = docket.spec().closes {
        late_outcome(docket, closes, floor)?;
        return beats.judge_outcome(key.beat, settings);
    }
    beats.judge(key.beat, docket.spec(), settings)
}

/// The outcome of an effect that was answered may be one that was accepted under a key that is forgotten since.
fn late_outcome(docket: &Docket<'_>, closes: EffectName, floor: u64) -> Result<(), Rejection> {
    let beat = docket.proposal.idem_key.beat;
    let open = docket.head.state().effects(chart::effect(closes).region).get(&closes);
    let named = docket.inputs.effect();
    if beat >= floor || open.is_some_and(|open| named.is_none_or(|named| open.id == *named)) {
        return Ok(());
    }
    let effect = named.map_or_else(|| format!("a {closes} effect"), |named| format!("the effect {named}"));
    let reason = format!("beat {beat} is not {floor} or later, where keys are kept, and {effect} is not open");
    Err(Rejection::new(Code::IdemKeyExpired, reason))
}

/// Steps 7 to 11: head, clock, enabled, guards; then the reducer, bounds and invariants.
fn merits(docket: &Docket<'_>, identity: GuardOutcome) -> Result<Accepted, Refused> {
    let head = head(docket)?;
    let clock = clock(docket)?;
    enabled(docket.head.state(), docket.spec())?;
    let signature = base(GuardName::Signature, "the signature is the signer's");
    let mut outcomes = vec![signature, identity, head, clock];
    guards(docket, &mut outcomes)?;
    let state = docket.head.state();
    let after = reduce(docket.head, docket.proposal, docket.inputs, docket.stamp);
    let over = bounds::exceeded(state, &after);
    if !over.is_empty() {
        return Err(Rejection { code: Code::BoundExceeded, reasons: over, guard_outcomes: outcomes }.into());
    }
    let next = docket.head.advance(after);
    let broken = violations(docket.head, &next, docket.spec());
    if !broken.is_empty() {
        return Err(Rejection { code: Code::InvariantViolated, reasons: broken, guard_outcomes: outcomes }.into());
    }
    Ok(Accepted { next, outcomes })
}

fn base(guard: GuardName, reason: impl Into<String>) -> GuardOutcome {
    GuardOutcome { guard, ok: true, reasons: vec![reason.into()], facts: Vec::new(), grant: None }
}

fn head(docket: &Docket<'_>) -> Result<GuardOutcome, Rejection> {
    let (named, actual) = (docket.proposal.current_state_hash, docket.head.hash());
    if named == actual {
        return Ok(base(GuardName::Head, "the proposal names the head"));
    }
    Err(Rejection::new(
        Code::StaleHead,
        format!("the head is {actual}, not {named}; read the state again and resubmit"),
    ))
}

fn clock(docket: &Docket<'_>) -> Result<GuardOutcome, Rejection> {
    let proposal = docket.proposal;
    let (settings, fact) =
        docket.case().settings().map_err(|judged| Rejection::new(Code::HlcAhead, judged.reasons.join("; ")))?;
    if let Some(last) = &*docket.head.state().hlc_last {
        let later = (proposal.hlc, &proposal.signer, &proposal.idem_key) > (last.hlc, &last.signer, &last.idem_key);
        if !later {
            let reason =
                format!("{} is not after the last reading {}; ties break by signer, then key", proposal.hlc, last.hlc);
            return Err(Rejection::new(Code::HlcNotAfter, reason));
        }
    }
    let (theirs, ours) = (proposal.hlc.physical_ms(), docket.stamp.at.physical_ms());
    if theirs > ours.saturating_add(settings.max_ahead_ms) && !may_be_ahead(docket) {
        let reason = format!(
            "{} is more than {} ms ahead of the node's {}",
            proposal.hlc, settings.max_ahead_ms, docket.stamp.at
        );
        return Err(Rejection::new(Code::HlcAhead, reason));
    }
    let now = docket.time();
    if theirs.saturating_add(settings.max_behind_ms) < now.physical_ms() {
        let reason = format!("{} is more than {} ms behind the node's {now}", proposal.hlc, settings.max_behind_ms);
        return Err(Rejection::new(Code::HlcBehind, reason));
    }
    let mut outcome = base(GuardName::Clock, "after the last reading and within bounds");
    outcome.facts.push(fact.hash);
    Ok(outcome)
}

/// Whether a reading that is ahead of the node's clock passes. The node's own follow from the last reading, and what the
/// node must record may not wait for its clock. From version 2 on, the reading right after the last one passes as well:
/// else a last reading near the bound, or beyond a bound that was lowered, locks every caller out.
fn may_be_ahead(docket: &Docket<'_>) -> bool {
    if signed_by_node(docket) {
        return true;
    }
    let state = docket.head.state();
    let next = state.hlc_last.as_ref().as_ref().and_then(|last| last.hlc.successor().ok());
    state.is_under(2) && next == Some(docket.proposal.hlc)
}

/// Whether the signer holds the node's role.
fn signed_by_node(docket: &Docket<'_>) -> bool {
    docket.case().identity(&docket.proposal.signer).is_some_and(|identity| identity.roles.contains(&Role::Node))
}

/// Step 9: the transition may start from here, and nothing that blocks the project stops it.
pub fn enabled(state: &State, spec: &TransitionSpec) -> Result<(), Rejection> {
    if state.phase() == TopPhase::Terminated {
        return Err(Rejection::new(Code::Terminated, "the project is terminated; nothing changes it any more"));
    }
    if spec.needs_license && state.boot.phase != BootState::Licensed {
        let reason = format!(
            "boot is {}; {} needs LICENSED (Boot_ConfigOk, then Boot_Licensed)",
            state.boot.phase, spec.transition
        );
        return Err(Rejection::new(Code::NotLicensed, reason));
    }
    let at = state.region_state(spec.region);
    if !spec.from.contains(&at) {
        let reason = format!("{} is {at}; {} starts from {}", spec.region, spec.transition, spec.from.join(", "));
        return Err(Rejection::new(Code::NotEnabled, reason));
    }
    if state.boot.phase == BootState::Uninitialized && spec.transition != Transition::BootConfigOk {
        let reason = "the project does not exist yet; Boot_ConfigOk creates it";
        return Err(Rejection::new(Code::NotEnabled, reason));
    }
    if let Some(reason) = changes_nothing(state, spec.transition) {
        return Err(Rejection::new(Code::NotEnabled, reason));
    }
    let blocks = [
        (state.control.paused, &passes::PAUSED, "the project is paused; Control_Resume lifts that"),
        (state.control.recovery, &passes::RECOVERY, "the project is in recovery; Control_Recovered lifts that"),
        (
            state.control.license == LicenseStatus::Expired,
            &passes::EXPIRED,
            "the license is expired; License_Renewed lifts that",
        ),
        (
            state.policy.phase == PolicyState::Quarantined,
            &passes::QUARANTINED,
            "the project is quarantined; Policy_Release lifts that",
        ),
    ];
    let stopped = blocks.into_iter().filter(|(active, passes, _)| *active && !passes.lets(spec));
    let reasons: Vec<String> = stopped.map(|(_, _, reason)| reason.to_owned()).collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Rejection { code: Code::Blocked, reasons, guard_outcomes: Vec::new() })
    }
}

/// Why the transition would change nothing: its flag is set already.
fn changes_nothing(state: &State, transition: Transition) -> Option<&'static str> {
    match transition {
        Transition::ControlPause if state.control.paused => {
            Some("the project is paused already; Control_Resume lifts that")
        }
        Transition::ControlResume if !state.control.paused => Some("the project is not paused"),
        Transition::PolicyQuarantine if state.policy.phase == PolicyState::Quarantined => declared_already(state),
        Transition::EnvironmentDeprovision if state.environment.phase == EnvironmentState::Allocate => {
            (!state.environment.rests())
                .then_some("environment is ALLOCATE; nothing is provisioned that could be taken down")
        }
        _ => None,
    }
}

/// A quarantine that was declared can be declared no further. Version 1 did not let a quarantined project be quarantined.
fn declared_already(state: &State) -> Option<&'static str> {
    let holds = !state.is_under(2) || state.policy.origin == Some(QuarantineOrigin::Declared);
    holds.then_some("the project is quarantined already; Policy_Release lifts that")
}

const BASE: [GuardName; 4] = [GuardName::Signature, GuardName::Identity, GuardName::Head, GuardName::Clock];

/// Step 10: asks every guard, also after one fails.
fn guards(docket: &Docket<'_>, outcomes: &mut Vec<GuardOutcome>) -> Result<(), Refused> {
    let case = docket.case();
    let names = docket.spec().guards_under(case.state().meta.chart_version).filter(|name| !BASE.contains(name));
    outcomes.extend(names.map(|name| guard(name)(&case).outcome(name)));
    let failed = || outcomes.iter().filter(|outcome| !outcome.ok);
    let Some(first) = failed().next() else { return Ok(()) };
    let breach = if first.guard == GuardName::Policy { breach_of(&case) } else { None };
    let code = if breach.is_some() { Code::PolicyBreach } else { Code::Guard(first.guard) };
    let reasons = failed().flat_map(|o| o.reasons.iter().map(move |reason| format!("{}: {reason}", o.guard))).collect();
    let state = docket.head.state();
    let holdable = state.boot.phase != BootState::Uninitialized && state.policy.phase == PolicyState::Clear;
    let rejection = Rejection { code, reasons, guard_outcomes: outcomes.clone() };
    Err(Refused { rejection, breach: breach.filter(|_| holdable).map(Box::new) })
}

/// The License_* transition that the license calls for: its facts show another status than the state
/// keeps. Only a project that passed its license check has one.
pub fn license_change(case: &Case<'_>) -> Option<(Transition, String)> {
    let state = case.state();
    if state.boot.phase != BootState::Licensed || state.phase() == TopPhase::Terminated {
        return None;
    }
    let reading = super::guards::read_license(case);
    let transition = match reading.status {
        LicenseStatus::Ok => Transition::LicenseRenewed,
        LicenseStatus::Grace => Transition::LicenseGraceEntered,
        LicenseStatus::Expired => Transition::LicenseExpired,
    };
    (reading.status != state.control.license).then_some((transition, reading.reason))
}

/// The Control_QuorumLost or Control_Recovered that the pulses of the elected set call for, and the live members.
/// Only in EXECUTION with an elected set.
pub fn liveness_change(case: &Case<'_>) -> Option<(Transition, BTreeSet<PublicKey>)> {
    let state = case.state();
    if state.phase() != TopPhase::Execution || state.council.members.is_empty() {
        return None;
    }
    let reading = super::guards::read_liveness(case).ok()?;
    match (state.control.recovery, reading.is_lost()) {
        (false, true) => Some((Transition::ControlQuorumLost, reading.alive)),
        (true, false) => Some((Transition::ControlRecovered, reading.alive)),
        _ => None,
    }
}

/// Whether nothing but the license holds a proposal back: its guard alone failed, or the expired flag
/// alone blocks.
pub fn held_by_license(state: &State, rejection: &Rejection) -> bool {
    let others_pass = |outcome: &GuardOutcome| outcome.ok || outcome.guard == GuardName::License;
    match rejection.code {
        Code::Guard(GuardName::License) => rejection.guard_outcomes.iter().all(others_pass),
        Code::Blocked => state.control.license == LicenseStatus::Expired && rejection.reasons.len() == 1,
        _ => false,
    }
}

/// Whether nothing but a block of its project holds an outcome back: every guard lets it pass but the license's, which
/// blocks by itself.
pub fn held_by_block(docket: &Docket<'_>) -> bool {
    let mut outcomes = Vec::new();
    match guards(docket, &mut outcomes) {
        Ok(()) => true,
        Err(refused) => {
            let others_pass = outcomes.iter().all(|outcome| outcome.ok || outcome.guard == GuardName::License);
            others_pass && refused.rejection.code != Code::PolicyBreach
        }
    }
}

/// The head with the license's status that its facts call for; `None` where it has that status already, or where the
/// node may propose nothing for want of settings.
fn after_license_change(cluster: &ClusterId, head: &Head, facts: &FactSet, at: Hlc) -> Option<Head> {
    let case = Case { cluster, head, facts, at, spec: spec(Transition::LicenseExpired), asked: None };
    case.settings().ok()?;
    license_change(&case)?;
    let mut after = head.state().clone();
    Arc::make_mut(&mut after.control).license = super::guards::read_license(&case).status;
    Some(head.advance(after))
}

/// Whether the signer of a docket may bring an outcome that another key, the node's, signs in its place. The signer
/// must be known, neither revoked nor retired, with a role and a delegation that allow it. No policy may forbid it
/// while it permits the other key. Reasons against both keys are judged with the proposal itself.
pub fn may_bring(docket: &Docket<'_>, in_its_place: &Proposal) -> Result<(), Rejection> {
    if docket.case().settings().is_err() {
        return Ok(());
    }
    identity(docket)?;
    let judged = |proposal| guard(GuardName::Policy)(&Docket { proposal, ..*docket }.case());
    let own = judged(docket.proposal);
    if own.ok == Some(false) && judged(in_its_place).ok != Some(false) {
        return Err(Rejection::new(Code::Guard(GuardName::Policy), own.reasons.join("; ")));
    }
    Ok(())
}

/// Whether a transition could pass now, as far as that can be said without a proposal.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub spec: &'static TransitionSpec,
    /// Why it is not enabled; none when it is.
    pub disabled: Option<Rejection>,
    /// The current results of its guards.
    pub guards: Vec<(GuardName, Judged)>,
}

/// Explains every transition of a project. Where the license calls for another status, the node changes it before the
/// next proposal, so the state after that change is what a proposal meets.
pub fn explain(cluster: &ClusterId, head: &Head, facts: &FactSet, at: Hlc) -> Vec<Explanation> {
    let after = after_license_change(cluster, head, facts, at);
    let head = after.as_ref().unwrap_or(head);
    let one = |transition: &Transition| {
        let spec = spec(*transition);
        let case = Case { cluster, head, facts, at, spec, asked: None };
        let names = spec.guards_under(head.state().meta.chart_version).filter(|name| !BASE.contains(name));
        let guards = names.map(|name| (name, guard(name)(&case))).collect();
        Explanation { spec, disabled: enabled(head.state(), spec).err(), guards }
    };
    Transition::ALL.iter().map(one).collect()
}
