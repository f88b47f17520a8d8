//! Requests that do not parse or verify: charged to their peer, and answered late once it sent too many.

use super::admission::Memory;
use super::body::Whole;
use super::fault::{Answer, Fault};
use super::{Gate, Peer};
use crate::types::rejection::Rejection;

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
    charge(gate, peer, bytes).await.err().unwrap_or(fault)
}

/// Charges a peer for such a request. One that was suspect before gets no other answer.
pub(super) async fn charge(gate: &Gate, peer: Peer, bytes: usize) -> Answer<()> {
    let was_suspect = gate.is_suspect(peer);
    gate.charge(peer, bytes);
    if was_suspect { Err(gate.shut_out(peer).await) } else { Ok(()) }
}
