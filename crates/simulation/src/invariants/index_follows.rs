//! Records follow each other without a gap, and each starts where its project stood.

use super::Step;
use crate::oracle::Past;

/// The index is the one after the last, and the head before is the record's.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let (record, expected) = (step.record, past.last_index + 1);
    if record.index != expected {
        return Err(format!("it is at the place of record {expected}"));
    }
    if record.state_pre_hash != step.before.hash() || record.state_post_hash != step.after.hash() {
        return Err("it does not lead from the project's head to the one that it says".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use swoosh_types::names::Transition;

    #[test]
    fn a_gap_and_another_head_are_found() {
        let (mut it, genesis) = (record(Transition::ControlPause), head(|_| ()));
        (it.state_pre_hash, it.state_post_hash) = (genesis.hash(), genesis.hash());
        assert_eq!(asked(check, &it, &genesis, &genesis, &Past::default()), Ok(()));
        assert!(asked(check, &it, &genesis, &genesis, &Past { last_index: 1, ..Past::default() }).is_err());
        it.state_pre_hash = swoosh_types::hash::Hash::ZERO;
        assert!(asked(check, &it, &genesis, &genesis, &Past::default()).is_err());
    }
}
