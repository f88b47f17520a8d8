//! A key is bound by one record, for ever, also when it was pruned since.

use super::Step;
use crate::oracle::Past;

/// Whether the key is new.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let place = (step.record.project.clone(), step.record.idem_key.clone());
    match past.keys.get(&place) {
        Some(first) => Err(format!("its key was bound by record {first} already")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use swoosh_types::names::Transition;

    #[test]
    fn a_key_that_is_bound_twice_is_found() {
        let (it, genesis) = (record(Transition::ControlPause), head(|_| ()));
        let mut past = Past::default();
        assert_eq!(asked(check, &it, &genesis, &genesis, &past), Ok(()));
        past.keys.insert((it.project.clone(), it.idem_key.clone()), 1);
        assert!(asked(check, &it, &genesis, &genesis, &past).is_err());
    }
}
