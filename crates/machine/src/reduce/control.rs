//! Three independent flags, and the end.

use std::sync::Arc;

use crate::state::{LicenseStatus, State};
use swoosh_types::names::ControlState;
use swoosh_types::text::{Detail, Rationale};

pub(super) fn license(next: &mut State, status: LicenseStatus, cause: &Detail) {
    let control = Arc::make_mut(&mut next.control);
    control.license = status;
    control.rationale = Some(cause.to_string());
}

pub(super) fn pause(next: &mut State, paused: bool, rationale: &Rationale) {
    let control = Arc::make_mut(&mut next.control);
    control.paused = paused;
    control.rationale = Some(rationale.to_string());
}

pub(super) fn recovery(next: &mut State, recovery: bool) {
    Arc::make_mut(&mut next.control).recovery = recovery;
}

pub(super) fn terminate(next: &mut State, rationale: &Rationale) {
    let control = Arc::make_mut(&mut next.control);
    control.phase = ControlState::Terminated;
    control.rationale = Some(rationale.to_string());
}
