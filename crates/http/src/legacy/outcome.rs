//! Counts proposals of WHOOSH's clients by the rules of the node's own address: SWOOSH's decisions and its failures to decide are in the
//! error objective, requests that do not verify are counted and listed apart. Proposals that WHOOSH decides are its own.

use axum::http::StatusCode;

use super::Carrying;
use crate::fault::Fault;
use crate::status::status;
use swoosh_types::migration::LegacyAnswer;
use swoosh_types::names::GuardName;
use swoosh_types::rejection::{Code, Rejection};

/// Counts a proposal that was carried to its answer.
pub(super) fn note(state: &Carrying, answered: &Result<LegacyAnswer, Fault>) {
    match answered {
        Ok(LegacyAnswer::Whoosh(_) | LegacyAnswer::Shown(_)) => {}
        Ok(LegacyAnswer::Accepted { .. }) => state.gate.traffic().proposed(None),
        Ok(LegacyAnswer::Refused { code, .. }) => state.gate.traffic().proposed(Some(*code)),
        Ok(LegacyAnswer::Unverified { rejection, .. }) => unverified(state, rejection),
        Err(fault) => match fault.code() {
            Code::CallerUnknown => unverified(state, &fault.rejection()),
            // WHOOSH decides, and gives no answer; swoosh_migration_upstream_failures_total counts it.
            Code::LegacyUnreachable | Code::LegacyTimeout => {}
            code => state.gate.traffic().proposed(Some(code)),
        },
    }
}

/// Counts a proposal that was refused before the shim saw it.
pub(super) fn failed_early(state: &Carrying, fault: &Fault) {
    match status(fault.code()) {
        StatusCode::TOO_MANY_REQUESTS => {}
        status if status.is_client_error() => unverified(state, &fault.rejection()),
        _ => state.gate.traffic().proposed(Some(fault.code())),
    }
}

/// The fault with the guard that an unknown caller does not pass.
pub(super) fn named(fault: Fault) -> Fault {
    if fault.code() == Code::CallerUnknown { fault.failing(GuardName::Signature) } else { fault }
}

/// Whether a proposal is charged to its peer.
pub(super) fn did_not_verify(answered: &Result<LegacyAnswer, Fault>) -> bool {
    match answered {
        Ok(answer) => matches!(answer, LegacyAnswer::Unverified { .. }),
        Err(fault) => fault.code() == Code::CallerUnknown,
    }
}

/// Counts and lists it, like a document on the node's own address that does not verify.
fn unverified(state: &Carrying, rejection: &Rejection) {
    let guard = rejection.guard().unwrap_or(GuardName::Signature);
    state.gate.traffic().unverified(guard, rejection);
    state.handle.note_unverified(guard, rejection);
}
