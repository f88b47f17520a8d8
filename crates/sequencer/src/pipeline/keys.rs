//! Idempotency keys: the binding of a proposal's key, and the receipt for a repeat.

use super::{LOG_FAILED, Pipeline, answer};
use crate::inbox::{Reply, Request};
use crate::{Outcome, Verified};
use swoosh_types::hash::Hash;
use swoosh_types::ids::IdemKey;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

pub(super) type KeyPlace = (ProjectName, IdemKey);

/// A key whose record is not durable yet, and who waits for its receipt.
pub(super) struct InFlight {
    pub fingerprint: Hash,
    pub waiting: Vec<Reply>,
}

/// The binding of a proposal's key.
pub(super) enum KeyUse {
    Free,
    /// Another transition, other inputs or another signer.
    Taken,
    /// This very proposal; the receipt is known.
    Repeat(Vec<u8>),
    /// The same, but the record is not durable yet.
    RepeatInFlight,
}

impl Pipeline {
    /// The binding of the proposal's key. A failed log answers nothing from its keys, because they may not be
    /// durable.
    pub(super) fn key_use(&self, verified: &Verified) -> Result<KeyUse, Rejection> {
        if self.failed {
            return Err(Rejection::new(Code::NotDurable, LOG_FAILED));
        }
        let proposal = verified.proposal();
        let print = verified.fingerprint();
        let place = (proposal.project(), proposal.idem_key.clone());
        if let Some(in_flight) = self.keys.get(&place) {
            return Ok(if in_flight.fingerprint == print { KeyUse::RepeatInFlight } else { KeyUse::Taken });
        }
        let unreadable = |error| self.shared.unreadable_key(&place.0, &error);
        let journal = self.shared.journal();
        match journal.bound_key(&place.0, &place.1).map_err(unreadable)? {
            None => Ok(KeyUse::Free),
            Some(bound) if bound.fingerprint == print => {
                let receipt = journal.receipt(&place.0, &place.1, bound).map_err(unreadable)?;
                // Forgotten between both reads: its project's floor refuses it.
                Ok(receipt.map_or(KeyUse::Free, KeyUse::Repeat))
            }
            Some(_) => Ok(KeyUse::Taken),
        }
    }

    pub(super) fn repeat(&self, request: Request, receipt: Vec<u8>) {
        if !self.trying {
            self.shared.ports.observer.repeated(request.verified.proposal().transition);
        }
        answer(request.reply, Outcome::Accepted { receipt: receipt.into(), replayed: true });
    }

    pub(super) fn wait_for_key(&mut self, request: Request) {
        let proposal = request.verified.proposal();
        if !self.trying {
            self.shared.ports.observer.repeated(proposal.transition);
        }
        let place = (proposal.project(), proposal.idem_key.clone());
        if let Some(in_flight) = self.keys.get_mut(&place) {
            in_flight.waiting.push(request.reply);
        }
    }
}
