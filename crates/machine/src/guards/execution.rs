//! The loop: prerequisites, pins, approvals.

use std::collections::BTreeSet;

use super::{Case, Judged};
use crate::authority::{self, Granted};
use crate::chart::Inputs;
use crate::chart::guarded::Prerequisites;
use crate::state::State;
use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{CouncilState, EnvironmentState, ExecutionState, IngestionState, Transition};
use swoosh_types::words::count;

/// Faults that keep the three lifecycle regions from being READY at ingestion's version.
pub(crate) fn lifecycle_faults(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let version = state.ingestion.version;
    if state.ingestion.phase != IngestionState::Ready {
        wrong.push(format!("ingestion is {}, not READY", state.ingestion.phase));
    }
    wrong.extend(ready_faults(state));
    if let Some(bound) = state.council.version.filter(|bound| *bound != version) {
        wrong.push(format!(
            "the council is bound to version {bound}, ingestion is at {version}; propose Council_Reaffirm"
        ));
    }
    if let Some(bound) = state.environment.version.filter(|bound| *bound != version) {
        wrong.push(format!(
            "the environment is bound to version {bound}, ingestion is at {version}; propose Environment_Reaffirm"
        ));
    }
    wrong
}

fn ready_faults(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    if state.council.phase != CouncilState::Ready {
        wrong.push(format!("council is {}, not READY", state.council.phase));
    }
    if state.environment.phase != EnvironmentState::Ready {
        wrong.push(format!("environment is {}, not READY", state.environment.phase));
    }
    wrong
}

/// Whether too few of the elected council may still vote for it to decide anything. From version 2 of the chart on, the
/// loop is not entered and does not go forward with such a council.
fn council_fault(case: &Case<'_>) -> Option<String> {
    let council = &case.state().council;
    let elected = council.members.len() as u64;
    if !case.state().is_under(2) || elected == 0 {
        return None;
    }
    let (counting, needed) = (case.identities().seats().counting(), council.rules.quorum.votes_needed(elected));
    (counting < needed).then(|| {
        format!("{counting} of {elected} elected members may vote; the quorum is {needed}; propose Council_ReElect")
    })
}

fn hash_fault(name: &str, named: Hash, actual: Option<Hash>) -> Option<String> {
    match actual {
        Some(actual) if actual == named => None,
        Some(actual) => Some(format!("{name} is {actual}, not {named}")),
        None => Some(format!("there is no {name} yet")),
    }
}

pub(super) fn prerequisites(case: &Case<'_>) -> Judged {
    let state = case.state();
    let mut wrong = lifecycle_faults(state);
    wrong.extend(council_fault(case));
    let named = case.asked.and_then(|(_, inputs)| Prerequisites::of(inputs)).map(|inputs| match inputs {
        Prerequisites::ExecutionAllReady(i) => (i.version, i.content_hash, i.member_set_hash, i.assets_hash),
        Prerequisites::ExecutionPlanChange(i) => (i.version, i.content_hash, i.member_set_hash, i.assets_hash),
    });
    let version = state.ingestion.version;
    if let Some((wanted, content, members, assets)) = named {
        if wanted != version {
            wrong.push(format!("ingestion is at version {version}, not {wanted}"));
        }
        wrong.extend(hash_fault("content_hash", content, state.ingestion.content_hash));
        wrong.extend(hash_fault("member_set_hash", members, state.council.member_set_hash));
        wrong.extend(hash_fault("assets_hash", assets, state.environment.assets_hash));
    }
    if case.spec.transition == Transition::ExecutionPlanChange && !has_moved(state) {
        wrong.push(format!("nothing moved: execution is pinned to version {version} with these hashes already"));
    }
    case.naming_settings(Judged::unless(wrong, format!("all three regions are READY at version {version}")))
}

/// Whether any of the four values that execution is pinned to is another now.
fn has_moved(state: &State) -> bool {
    let pinned = state.execution.pin.as_ref();
    let pinned = pinned.map(|p| (p.version, Some(p.content_hash), Some(p.member_set_hash), Some(p.assets_hash)));
    let (ingestion, members, assets) = (&state.ingestion, state.council.member_set_hash, state.environment.assets_hash);
    pinned != Some((ingestion.version, ingestion.content_hash, members, assets))
}

/// Council and environment are READY at the version that execution is pinned to. Of the content, that is what the
/// pinned version was READY with, whatever ingestion builds now.
///
/// Where a plan is locked, no pinned hash may have moved either. Later in the loop members and assets may be others:
/// a council that was elected again, or an environment that was built again, in a pause or in recovery. The approvals
/// of those before are cleared then, and Execution_PlanChange, which passes in PLAN alone, pins what is there.
pub(super) fn pin(case: &Case<'_>) -> Judged {
    let state = case.state();
    let Some(pin) = &state.execution.pin else { return Judged::fail(["execution is not pinned"]) };
    let mut wrong = ready_faults(state);
    wrong.extend(council_fault(case));
    for (name, bound) in [("council", state.council.version), ("environment", state.environment.version)] {
        if let Some(bound) = bound.filter(|bound| *bound != pin.version) {
            wrong.push(format!("the {name} is bound to version {bound}, execution is pinned to {}", pin.version));
        }
    }
    let content = state.ingestion.ready_versions.get(&pin.version).map(|ready| ready.content_hash);
    if content.is_none() {
        wrong.push(format!("version {} is not kept any more; propose Execution_PlanChange", pin.version));
    }
    let locks = case.spec.transition == Transition::ExecutionPlanLocked;
    let hashes = [
        ("content_hash", pin.content_hash, content),
        ("member_set_hash", pin.member_set_hash, state.council.member_set_hash),
        ("assets_hash", pin.assets_hash, state.environment.assets_hash),
    ];
    for (name, pinned, actual) in hashes.into_iter().filter(|_| locks) {
        // Without an actual hash, the region is not READY, which is reported already.
        if let Some(actual) = actual.filter(|actual| *actual != pinned) {
            wrong.push(format!("{name} is {actual}, execution is pinned to {pinned}; propose Execution_PlanChange"));
        }
    }
    let as_pinned = if locks { " as pinned" } else { "" };
    let right = format!("council and environment are READY at version {}{as_pinned}", pin.version);
    case.naming_settings(Judged::unless(wrong, right))
}

pub(super) fn ready(case: &Case<'_>) -> Judged {
    let mut wrong = ready_faults(case.state());
    wrong.extend(council_fault(case));
    case.naming_settings(Judged::unless(wrong, "council and environment are READY"))
}

/// An approval counts for one plan, beat, rework round and council.
pub(super) fn binding(case: &Case<'_>) -> Judged {
    let Some((_, Inputs::ExecutionApprove(inputs))) = case.asked else { return Judged::open() };
    let state = case.state();
    let mut wrong: Vec<_> = hash_fault("plan_hash", inputs.plan_hash, state.execution.plan_hash).into_iter().collect();
    let counts = [
        ("beat", inputs.beat, state.execution.beat),
        ("rework_round", inputs.rework_round, state.execution.rework_round),
        ("council_epoch", inputs.council_epoch, state.epoch.council),
    ];
    let differs = counts.into_iter().filter(|(_, named, actual)| named != actual);
    wrong.extend(differs.map(|(name, named, actual)| format!("{name} is {actual}, not {named}")));
    Judged::unless(wrong, format!("approves beat {} round {}", inputs.beat, inputs.rework_round))
}

pub(super) fn member(case: &Case<'_>) -> Judged {
    let Some((proposal, Inputs::ExecutionApprove(inputs))) = case.asked else { return Judged::open() };
    let (state, signer) = (case.state(), &proposal.signer);
    let granted = authority::grant(case);
    let key = match (&granted, inputs.seat) {
        (Some(granted), seat) => match mapped_seat(granted, seat) {
            Ok(seat) => seat,
            Err(fault) => return Judged::fail([fault]),
        },
        (None, Some(seat)) => {
            return Judged::fail([format!(
                "it approves for the seat of {seat}, and only a granted caller names a seat"
            )]);
        }
        (None, None) => *signer,
    };
    let behind = state.member_behind(&key);
    let Some((member, role)) = behind.and_then(|key| Some((key, state.council.members.get(&key)?))) else {
        return Judged::fail([format!("{key} is not an elected member")]);
    };
    let mut wrong = Vec::new();
    if approval_counts(case, &member) {
        wrong.push(format!("{key} approved already"));
    }
    if state.is_under(2) {
        let who = case.identities();
        let own = granted.is_none().then(|| who.voter_fault(signer)).flatten();
        let fault = who.seats().fault(&member).or(own);
        wrong.extend(fault.map(|fault| format!("its approval would not count: {fault}")));
    }
    let right = match granted {
        Some(granted) => format!("it approves for {key}, elected as {role}, by the grant {}", granted.name),
        None => format!("the signer is elected as {role}"),
    };
    case.naming_settings(Judged::unless(wrong, right))
}

/// The member for whose seat a granted caller approves: the one that its grant maps it to, named by the proposal.
fn mapped_seat(granted: &Granted<'_>, named: Option<PublicKey>) -> Result<PublicKey, String> {
    let (name, grant) = (granted.name, granted.grant);
    let Some(seat) = grant.seat else { return Err(format!("the grant {name} maps {} to no seat", grant.caller)) };
    if named == Some(seat) {
        return Ok(seat);
    }
    let named = named.map_or_else(|| "no seat".to_owned(), |named| format!("the seat of {named}"));
    Err(format!("it approves for {named}; the grant {name} maps {} to the seat of {seat}", grant.caller))
}

/// Whether a member approved, by a key that may still vote.
fn approval_counts(case: &Case<'_>, member: &PublicKey) -> bool {
    let given = case.state().execution.approvals.get(member);
    let faulty =
        |approval| case.state().is_under(2) && case.identities().seats().approval_fault(member, approval).is_some();
    given.is_some_and(|approval| !faulty(approval))
}

/// Approvals that count; those of seats that one key holds are one, and so are those that one delegate signed.
fn approvals_that_count(case: &Case<'_>) -> u64 {
    let given = &case.state().execution.approvals;
    if !case.state().is_under(2) {
        return given.len() as u64;
    }
    let seats = case.identities().seats();
    let (mut holders, mut signers) = (BTreeSet::new(), BTreeSet::new());
    for (member, approval) in given.iter().filter(|(member, _)| approval_counts(case, member)) {
        if !holders.contains(&seats.holder(member)) && signers.insert(approval.signer.unwrap_or(*member)) {
            holders.insert(seats.holder(member));
        }
    }
    holders.len() as u64
}

pub(super) fn threshold(case: &Case<'_>) -> Judged {
    let state = case.state();
    let (members, needed) = (state.council.members.len() as u64, state.execution.approval_threshold);
    let approvals = approvals_that_count(case);
    let mut wrong = Vec::new();
    if needed <= members / 2 || needed > members {
        wrong.push(format!("the threshold {needed} is not between a majority and all of {members} members"));
    }
    if approvals < needed {
        wrong.push(format!(
            "{}; {needed} {} needed",
            count(approvals, "approval"),
            if needed == 1 { "is" } else { "are" }
        ));
        let given = state.execution.approvals.len() as u64;
        if given > approvals {
            wrong.push(match given - approvals {
                1 => "1 approval does not count: its key may not vote any more".to_owned(),
                lost => format!("{lost} approvals do not count: their keys may not vote any more"),
            });
        }
    }
    let right = format!("{approvals} approvals of {members} members; {needed} are needed");
    case.naming_settings(Judged::unless(wrong, right))
}

/// Compensations that would pull the ground from under running work wait for a pause or a recovery.
pub(super) fn entered(case: &Case<'_>) -> Judged {
    let state = case.state();
    let phase = state.execution.phase;
    let busy = matches!(phase, ExecutionState::Work | ExecutionState::Review | ExecutionState::Reverb);
    if busy && !state.control.paused && !state.control.recovery {
        return Judged::fail([format!("execution is in {phase}; pause the project first")]);
    }
    Judged::pass([format!(
        "execution is {phase}, paused {}, recovery {}",
        state.control.paused, state.control.recovery
    )])
}
