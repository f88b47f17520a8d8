//! Windowed transitions happen in their windows, by the announced schedule, at the caller's time and at the node's.

use super::Step;
use crate::clients::is_open;
use crate::oracle::Past;
use swoosh_machine::chart;

/// Both times lie in a window of the class.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let Some(class) = chart::spec(step.record.transition).window else { return Ok(()) };
    let node_ms = past.time_ms(step.record);
    // A caller whose clock follows stamps that run ahead shows no time outside.
    let follows_stamps = step.record.hlc.physical_ms() > node_ms + 5_000;
    let caller_ms = if follows_stamps { node_ms } else { step.record.hlc.physical_ms() };
    for (whose, at_ms) in [("caller's", caller_ms), ("node's", node_ms)] {
        if !is_open(class, at_ms) {
            return Err(format!("no window for {class} is open at the {whose} time {at_ms}"));
        }
    }
    if step.record.window_id.is_none() { Err("it names no window".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use crate::outside::{BEAT_MS, START_MS};
    use crate::well_formed::{reading, text};
    use swoosh_types::names::Transition;

    #[test]
    fn what_happens_outside_of_its_window_is_found() {
        let (mut it, genesis) = (record(Transition::ExecutionPlanLocked), head(|_| ()));
        it.window_id = Some(text("backbeat:W-2025-10-19-02"));
        assert_eq!(asked(check, &it, &genesis, &genesis, &Past::default()), Ok(()), "it plans as the cycle begins");
        it.timestamp = reading(START_MS + 45 * BEAT_MS);
        assert!(asked(check, &it, &genesis, &genesis, &Past::default()).is_err());
    }
}
