//! Without a license nothing moves but control, policy and license themselves.

use super::Step;
use crate::machine::state::LicenseStatus;
use crate::simulation::oracle::Past;
use crate::types::names::Region;

/// What passes once the license ran out.
pub fn check(step: &Step<'_>, _past: &Past) -> Result<(), String> {
    let expired = step.before.state().control.license == LicenseStatus::Expired;
    let region = crate::machine::chart::spec(step.record.transition).region;
    if expired && !matches!(region, Region::Control | Region::Policy) {
        return Err("it moves a project whose license has run out".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{asked, head, record};
    use super::*;
    use crate::types::names::Transition;
    use std::sync::Arc;

    #[test]
    fn work_without_a_license_is_found() {
        let expired = head(|state| Arc::make_mut(&mut state.control).license = LicenseStatus::Expired);
        let of = |transition| asked(check, &record(transition), &expired, &expired, &Past::default());
        assert_eq!(of(Transition::LicenseRenewed), Ok(()));
        assert!(of(Transition::ExecutionPlanLocked).is_err());
    }
}
