//! Each transition advances its own region's epoch by exactly one, and no other's.

use super::Step;
use crate::oracle::Past;
use swoosh_machine::chart;
use swoosh_types::names::Region;

/// The epochs before and after.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let own = chart::spec(step.record.transition).region;
    let (old, new) = (&step.before.state().epoch, &step.after.state().epoch);
    for &region in Region::ALL {
        let (was, is) = (old.of(region), new.of(region));
        if is != if region == own { was + 1 } else { was } {
            return Err(format!("the epoch of {region} goes from {was} to {is}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use std::sync::Arc;
    use swoosh_types::names::Transition;

    #[test]
    fn an_epoch_that_stays_or_belongs_to_another_region_is_found() {
        let (it, genesis) = (record(Transition::ControlPause), head(|_| ()));
        let one = head(|state| Arc::make_mut(&mut state.epoch).control = 1);
        let both = head(|state| {
            Arc::make_mut(&mut state.epoch).control = 1;
            Arc::make_mut(&mut state.epoch).council = 1;
        });
        assert_eq!(asked(check, &it, &genesis, &one, &Past::default()), Ok(()));
        assert!(asked(check, &it, &genesis, &genesis, &Past::default()).is_err());
        assert!(asked(check, &it, &genesis, &both, &Past::default()).is_err());
    }
}
