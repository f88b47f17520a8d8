//! How long a refused caller should wait, scaled by the tidal pressure.

use swoosh_machine::facts::{FactBody, FactSet};
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::names::Transition;
use swoosh_types::rejection::{Code, Retry};
use swoosh_types::text::ProjectName;

/// Wait of a caller that only has to read the head again.
const RACE_MS: u64 = 20;
/// Wait of a caller for a change outside of the node.
const OUTSIDE_MS: u64 = 1_000;
/// Wait of a caller for a node that is overloaded or cannot write.
pub(super) const NODE_MS: u64 = 500;

/// The wait in milliseconds; none where trying the same again cannot help.
pub(super) fn after_ms(
    code: Code,
    transition: Transition,
    facts: &FactSet,
    project: &ProjectName,
    at: Hlc,
) -> Option<u64> {
    let at = facts.outside(project, at);
    let fact = facts.get(FactKind::Windows, project);
    let schedule = fact.and_then(|fact| if let FactBody::Windows(it) = &fact.body { Some(it) } else { None });
    let base_ms = match code.retry() {
        Retry::Never | Retry::Restamp | Retry::Resend => return None,
        Retry::Head | Retry::Clock => RACE_MS,
        Retry::Window => return window_ms(schedule?, transition, at),
        Retry::Outside => OUTSIDE_MS,
        Retry::Node => NODE_MS,
    };
    Some(scale(base_ms, schedule.map_or(0, |schedule| schedule.pressure(at))))
}

/// From once the base at slack water to five times at full pressure.
fn scale(base_ms: u64, pressure: u64) -> u64 {
    base_ms + base_ms * 4 * pressure / 1000
}

/// Until the window opens; past a cycle's end when it is open but used up.
fn window_ms(schedule: &Schedule, transition: Transition, at: Hlc) -> Option<u64> {
    let class = swoosh_machine::chart::spec(transition).window?;
    let wait_ms = schedule.opens_in_ms(class, at)?;
    if wait_ms > 0 {
        return Some(wait_ms);
    }
    let next_cycle = Hlc::new(schedule.cycle_begins_ms(schedule.position(at).cycle + 1), 0)?;
    let rest_ms = next_cycle.physical_ms().saturating_sub(at.physical_ms());
    schedule.opens_in_ms(class, next_cycle).map(|wait_ms| rest_ms + wait_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_scales_the_wait_from_one_to_five_times() {
        assert_eq!(scale(20, 0), 20);
        assert_eq!(scale(20, 500), 60);
        assert_eq!(scale(20, 1000), 100);
    }
}
