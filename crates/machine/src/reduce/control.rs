//! Three independent flags, and the end.

use std::sync::Arc;

use super::Step;
use crate::chart::{
    ControlPause, ControlQuorumLost, ControlRecovered, ControlResume, ControlTerminate, LicenseExpired,
    LicenseGraceEntered, LicenseRenewed,
};
use crate::state::{LicenseStatus, State};
use swoosh_types::names::ControlState;
use swoosh_types::text::{Detail, Rationale};

pub(super) fn grace_entered(next: &mut State, inputs: &LicenseGraceEntered, _: &Step<'_>) {
    license(next, LicenseStatus::Grace, &inputs.cause);
}

pub(super) fn expired(next: &mut State, inputs: &LicenseExpired, _: &Step<'_>) {
    license(next, LicenseStatus::Expired, &inputs.cause);
}

pub(super) fn renewed(next: &mut State, inputs: &LicenseRenewed, _: &Step<'_>) {
    license(next, LicenseStatus::Ok, &inputs.cause);
}

fn license(next: &mut State, status: LicenseStatus, cause: &Detail) {
    let control = Arc::make_mut(&mut next.control);
    control.license = status;
    control.rationale = Some(cause.to_string());
}

pub(super) fn pause(next: &mut State, inputs: &ControlPause, _: &Step<'_>) {
    set_paused(next, true, &inputs.rationale);
}

pub(super) fn resume(next: &mut State, inputs: &ControlResume, _: &Step<'_>) {
    set_paused(next, false, &inputs.rationale);
}

fn set_paused(next: &mut State, paused: bool, rationale: &Rationale) {
    let control = Arc::make_mut(&mut next.control);
    control.paused = paused;
    control.rationale = Some(rationale.to_string());
}

pub(super) fn quorum_lost(next: &mut State, _: &ControlQuorumLost, _: &Step<'_>) {
    Arc::make_mut(&mut next.control).recovery = true;
}

pub(super) fn recovered(next: &mut State, _: &ControlRecovered, _: &Step<'_>) {
    Arc::make_mut(&mut next.control).recovery = false;
}

pub(super) fn terminate(next: &mut State, inputs: &ControlTerminate, _: &Step<'_>) {
    let control = Arc::make_mut(&mut next.control);
    control.phase = ControlState::Terminated;
    control.rationale = Some(inputs.rationale.to_string());
}
