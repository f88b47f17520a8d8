//! No time travel: a project's clock readings rise, and what the node stamps rises over all projects, restarts
//! and jumps of the wall clock.

use super::Step;
use crate::oracle::Past;

/// Both clocks rise.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let record = step.record;
    if record.timestamp <= past.last_timestamp {
        return Err(format!("it is stamped {}, and the record before it {}", record.timestamp, past.last_timestamp));
    }
    if let Some(last) = step.before.state().hlc_last.as_ref() {
        let rises = (record.hlc, &record.signer, &record.idem_key) > (last.hlc, &last.signer, &last.idem_key);
        if !rises {
            return Err(format!("its clock reads {}, and the project's last one {}", record.hlc, last.hlc));
        }
    }
    match step.after.state().hlc_last.as_ref() {
        Some(now) if now.hlc == record.hlc && now.signer == record.signer => Ok(()),
        _ => Err("the state does not hold its clock reading".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use swoosh_types::names::Transition;

    #[test]
    fn a_stamp_that_goes_back_is_found() {
        let (it, genesis) = (record(Transition::ControlPause), head(|_| ()));
        let past = Past { last_timestamp: it.timestamp, ..Past::default() };
        let found = asked(check, &it, &genesis, &genesis, &past).unwrap_err();
        assert!(found.starts_with("it is stamped"), "{found}");
        let found = asked(check, &it, &genesis, &genesis, &Past::default()).unwrap_err();
        assert_eq!(found, "the state does not hold its clock reading");
    }
}
