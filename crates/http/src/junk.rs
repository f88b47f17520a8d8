//! Requests that do not parse or verify: charged to their peer, and answered late once it sent too many.

use super::admission::Memory;
use super::body::Whole;
use super::fault::{Answer, Fault};
use super::{Gate, Peer};
use swoosh_types::rejection::Rejection;

/// Parses or verifies a request's body, in turn where the peer is suspect. Returns the body's memory with the result.
pub(super) async fn look<T>(
    gate: &Gate,
    peer: Peer,
    whole: Whole,
    look: impl FnOnce(&[u8]) -> Result<T, Rejection>,
) -> Answer<(T, Memory)> {
    let turn = gate.turn(peer).await?;
    let looked = look(&whole.bytes);
    drop(turn);
    match looked {
        Ok(made) => Ok((made, whole.memory)),
        Err(rejection) => {
            let length = whole.bytes.len();
            // A delayed refusal must not hold memory that other callers need.
            drop(whole);
            Err(found(gate, peer, length, rejection.into()).await)
        }
    }
}

/// Charges a peer for such a request, of so many bytes; the answer to it.
pub(super) async fn found(gate: &Gate, peer: Peer, bytes: usize, fault: Fault) -> Fault {
    refused(gate, peer, Refused { fault, was_suspect: note(gate, peer, bytes) }).await
}

/// Charges a peer for such a request. Whether it was suspect before: it gets no other answer then.
pub(super) fn note(gate: &Gate, peer: Peer, bytes: usize) -> bool {
    let was_suspect = gate.is_suspect(peer);
    gate.charge(peer, bytes);
    was_suspect
}

/// A refused request.
pub(super) struct Refused {
    pub fault: Fault,
    /// Whether its peer was suspect before it was charged.
    pub was_suspect: bool,
}

/// The answer to a refused request.
pub(super) async fn refused(gate: &Gate, peer: Peer, refused: Refused) -> Fault {
    if refused.was_suspect { gate.shut_out(peer).await } else { refused.fault }
}
