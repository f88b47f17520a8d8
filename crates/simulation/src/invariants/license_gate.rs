//! Without a license nothing moves but control, policy and license themselves: neither in a project that says so, nor
//! once the last license that the license server gave has run out, with its grace.

use super::Step;
use crate::oracle::Past;
use crate::outside::GRACE_MS;
use swoosh_machine::state::LicenseStatus;
use swoosh_types::names::{Region, Transition};

/// Checks the transitions after the license has expired.
pub fn check(step: &Step<'_>, past: &Past) -> Result<(), String> {
    let expired = step.before.state().control.license == LicenseStatus::Expired;
    let region = swoosh_machine::chart::spec(step.record.transition).region;
    // A stolen key can be taken away all the same, and the chart goes on.
    let passes = matches!(step.record.transition, Transition::BootIdentityRevoked | Transition::BootChartUpgraded);
    if expired && !passes && !matches!(region, Region::Control | Region::Policy) {
        return Err("it moves a project whose license has run out".into());
    }
    let exempt = matches!(region, Region::Boot | Region::Control | Region::Policy);
    let needed = !exempt || step.record.transition == Transition::BootLicensed;
    let (until_ms, now_ms) = (past.licensed_until_ms + GRACE_MS, past.time_ms(step.record));
    if needed && now_ms > until_ms {
        return Err(format!("the last license and its grace ran out {} ms before", now_ms - until_ms));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use crate::outside::START_MS;
    use std::sync::Arc;

    #[test]
    fn work_without_a_license_is_found() {
        let past = Past { licensed_until_ms: START_MS, ..Past::default() };
        let expired = head(|state| Arc::make_mut(&mut state.control).license = LicenseStatus::Expired);
        let of = |transition| asked(check, &record(transition), &expired, &expired, &past);
        assert_eq!(of(Transition::LicenseRenewed), Ok(()));
        assert_eq!(of(Transition::BootIdentityRevoked), Ok(()));
        assert!(of(Transition::ExecutionPlanLocked).is_err());
    }

    #[test]
    fn work_after_the_last_license_ran_out_is_found() {
        let genesis = head(|_| ());
        let of = |until_ms, transition| {
            let past = Past { licensed_until_ms: until_ms, ..Past::default() };
            asked(check, &record(transition), &genesis, &genesis, &past)
        };
        assert_eq!(of(START_MS - GRACE_MS, Transition::ExecutionPlanLocked), Ok(()));
        assert!(of(START_MS - GRACE_MS - 1, Transition::ExecutionPlanLocked).is_err());
        assert!(of(START_MS - GRACE_MS - 1, Transition::BootLicensed).is_err());
        assert_eq!(of(0, Transition::ControlPause), Ok(()));
    }
}
