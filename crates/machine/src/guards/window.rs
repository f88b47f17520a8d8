//! BACKBEAT: the window of the transition's class is open at the proposal's time and at the node's.

use super::{Case, Judged};
use crate::facts::FactBody;
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::WindowId;
use swoosh_types::names::WindowClass;

pub(super) fn window(case: &Case<'_>) -> Judged {
    let Some(class) = case.spec.window else { return Judged::pass(["needs no window"]) };
    let fact = match case.valid_fact(FactKind::Windows) {
        Ok(fact) => fact,
        Err(judged) => return judged,
    };
    let FactBody::Windows(schedule) = &fact.body else { return Judged::fail(["there is no windows fact"]) };
    let now = case.time();
    let mut wrong = closed(schedule, class, now, "the node's time");
    let current = schedule.position(now).window_id;
    if let Some((proposal, _)) = case.asked {
        let theirs = if now < case.at { proposals_time(case, proposal.hlc) } else { proposal.hlc };
        wrong.extend(closed(schedule, class, theirs, "the proposal's time"));
        wrong.extend(misnamed(proposal.window_id, current, "now"));
        wrong.extend(misnamed(proposal.window_id, schedule.position(theirs).window_id, "at the proposal's time"));
        wrong.dedup();
    }
    Judged::unless(wrong, format!("the {class} window is open in {current}")).read(fact)
}

/// The proposal's time where stamps run ahead: a clock that follows the stamps shows no time outside, so the node's counts.
fn proposals_time(case: &Case<'_>, hlc: Hlc) -> Hlc {
    let now = case.time();
    let max_ahead_ms = case.settings().map_or(0, |(settings, _)| settings.max_ahead_ms);
    if hlc.physical_ms() > now.physical_ms().saturating_add(max_ahead_ms) { now } else { hlc }
}

fn closed(schedule: &Schedule, class: WindowClass, at: Hlc, whose: &str) -> Vec<String> {
    if schedule.is_open(class, at) {
        return Vec::new();
    }
    let wait = match schedule.opens_in_ms(class, at) {
        Some(wait_ms) => format!("opens in {wait_ms} ms"),
        None => "the schedule has none".to_owned(),
    };
    vec![format!("the {class} window is closed at {whose} {at}; {wait}")]
}

fn misnamed(named: Option<WindowId>, expected: WindowId, when: &str) -> Option<String> {
    match named {
        None => Some(format!("window_id is missing; it must be {expected}")),
        Some(named) if named != expected => Some(format!("window_id is {named}, but the window {when} is {expected}")),
        Some(_) => None,
    }
}

/// The window must be of a later cycle than the last gated transition's.
pub(super) fn fresh_window(case: &Case<'_>) -> Judged {
    let last = case.state().execution.window;
    let current = match (case.asked, case.fact(FactKind::Windows).map(|fact| &fact.body)) {
        (Some((proposal, _)), _) => proposal.window_id,
        (None, Some(FactBody::Windows(schedule))) => Some(schedule.position(case.time()).window_id),
        _ => None,
    };
    match (last, current) {
        (Some(last), Some(current)) if current <= last => {
            Judged::fail([format!("the last window was {last}; wait for a later one than {current}")])
        }
        (_, Some(current)) => Judged::pass([format!("{current} is a new window")]),
        (_, None) => Judged::fail(["window_id is missing"]),
    }
}
