//! Bytes → [`VerifiedProposal`]: strict JSON, headers, schema, inputs hash, signature (docs/design.md#order-of-checks).
//!
//! **Architecture invariant.** A [`VerifiedProposal`] is constructed only here, so its signature was checked. Of a
//! document that does not verify, only the reason of its rejection is kept, in a bounded list.

mod headers;
mod known_keys;

pub use headers::Headers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::canonical::DecodeError;
use crate::forms::{self, Fault};
use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::json::Json;
use crate::keys::{KeyTable, PublicKey, SecretKey, Signature, begin_message, domain};
use crate::names::Transition;
use crate::proposal::{MAX_EVIDENCE, Proposal, SignedProposal, fingerprint};
use crate::rejection::{Code, Rejection};
use crate::text::ClusterId;

/// A proposal whose signature is its signer's. `T` is the typed form of its inputs.
#[derive(Clone, Debug)]
pub struct VerifiedProposal<T> {
    signed: SignedProposal,
    inputs: T,
    /// Holds the canonical inputs, and what they were signed with.
    bytes: Vec<u8>,
    /// Where in `bytes` the inputs are.
    inputs_at: Range<usize>,
    fingerprint: Hash,
}

impl<T> VerifiedProposal<T> {
    pub fn proposal(&self) -> &Proposal {
        &self.signed.proposal
    }

    pub fn signature(&self) -> Signature {
        self.signed.signature
    }

    pub fn inputs(&self) -> &T {
        &self.inputs
    }

    /// The canonical bytes of the inputs.
    pub fn inputs_bytes(&self) -> &[u8] {
        &self.bytes[self.inputs_at.clone()]
    }

    /// See [`fingerprint`]. It is made where the signature is checked, so that the sequencer's thread need not hash.
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }

    /// Signs a proposal of the node's own: verified because it was signed here.
    pub fn own(proposal: Proposal, inputs: T, cluster: &ClusterId, key: &SecretKey) -> VerifiedProposal<T> {
        let bytes = proposal.inputs.canonical();
        let inputs_at = 0..bytes.len();
        VerifiedProposal::of(proposal.sign(cluster, key), inputs, bytes, inputs_at)
    }

    fn of(signed: SignedProposal, inputs: T, bytes: Vec<u8>, inputs_at: Range<usize>) -> VerifiedProposal<T> {
        let Proposal { transition, inputs_hash, signer, .. } = &signed.proposal;
        let fingerprint = fingerprint(*transition, inputs_hash, signer);
        VerifiedProposal { signed, inputs, bytes, inputs_at, fingerprint }
    }
}

/// Decodes the canonical bytes of a transition's inputs.
pub trait DecodeInputs<T>: Fn(Transition, &[u8]) -> Result<T, DecodeError> {}
impl<T, F: Fn(Transition, &[u8]) -> Result<T, DecodeError>> DecodeInputs<T> for F {}

/// Verifies a request's body and headers for one cluster.
pub fn verify<T>(
    body: &[u8],
    headers: &Headers,
    cluster: &ClusterId,
    decode: impl DecodeInputs<T>,
) -> Result<VerifiedProposal<T>, Rejection> {
    verify_by_tables(body, headers, cluster, decode, |_| None)
}

/// The same, with the signature checked by its key's table where `tables` has one.
pub fn verify_by_tables<T>(
    body: &[u8],
    headers: &Headers,
    cluster: &ClusterId,
    decode: impl DecodeInputs<T>,
    tables: impl FnOnce(&PublicKey) -> Option<Arc<KeyTable>>,
) -> Result<VerifiedProposal<T>, Rejection> {
    let Json::Object(mut document) = Json::parse(body)? else {
        return Err(Rejection::new(Code::Schema, "the body must be one JSON object: a transition proposal"));
    };
    headers.merge_into(&mut document)?;
    let signature = take_signature(&mut document)?;
    write_clock_in_utc(&mut document)?;
    // The canonical bytes are written once, behind the beginning of the signed message; the inputs' are a part of them.
    let mut message = begin_message(domain::TRANSITION, cluster, body.len());
    let begins = message.len();
    let inputs_at = Json::write_object(&document, &mut message, "inputs").unwrap_or_default();
    let inputs = document.remove("inputs");
    let canonical = &message[begins..];
    let decoded = Proposal::decode(&document, inputs, canonical);
    let proposal = decoded.map_err(|error| proposal_rejection(error, canonical))?;
    if proposal.evidence.len() > MAX_EVIDENCE {
        return Err(Rejection::new(Code::Schema, format!("evidence holds more than {MAX_EVIDENCE} addresses")));
    }
    let inputs_bytes = &message[inputs_at.clone()];
    let inputs = decode(proposal.transition, inputs_bytes).map_err(|error| inputs_rejection(error, &proposal))?;
    if let Some(fault) = forms::list_in_place_of_object(proposal.transition, &proposal.inputs) {
        return Err(Rejection::new(Code::Schema, of_inputs(&fault)));
    }
    check_inputs_hash(&proposal, inputs_bytes)?;
    if !is_signed(&proposal.signer, &message, &signature, tables) {
        let what = "an ed25519 signature over \"swoosh/transition/v1\\n\" ‖ cluster ‖ \"\\n\" ‖ JCS(proposal without signature)";
        let reason = format!(
            "signature is not {what} by {} for cluster {cluster}; the node checks it over bytes whose hash is {}",
            proposal.signer,
            Hash::of(&message)
        );
        return Err(Rejection::new(Code::SignatureInvalid, reason));
    }
    Ok(VerifiedProposal::of(SignedProposal { proposal, signature }, inputs, message, inputs_at))
}

fn is_signed(
    signer: &PublicKey,
    message: &[u8],
    signature: &Signature,
    tables: impl FnOnce(&PublicKey) -> Option<Arc<KeyTable>>,
) -> bool {
    // A table of another key says nothing about this one.
    match tables(signer).filter(|table| table.key() == *signer) {
        Some(table) => table.verify(message, signature),
        None => known_keys::verify(signer, message, signature),
    }
}

fn check_inputs_hash(proposal: &Proposal, inputs_bytes: &[u8]) -> Result<(), Rejection> {
    let hash = Hash::of(inputs_bytes);
    if hash == proposal.inputs_hash {
        return Ok(());
    }
    let reason = format!("inputs hash to {hash}, inputs_hash says {}; hash their RFC 8785 bytes", proposal.inputs_hash);
    Err(Rejection::new(Code::InputsHashMismatch, reason))
}

fn take_signature(document: &mut BTreeMap<String, Json>) -> Result<Signature, Rejection> {
    match document.remove("signature") {
        None => Err(Rejection::new(Code::Schema, "missing field `signature`: sign the proposal")),
        Some(Json::String(text)) => {
            text.parse().map_err(|error| Rejection::new(Code::SignatureInvalid, format!("signature: {error}")))
        }
        Some(other) => Err(Rejection::new(Code::Schema, format!("signature must be a string, not {}", other.kind()))),
    }
}

/// Any offset is read; UTC is signed and hashed.
fn write_clock_in_utc(document: &mut BTreeMap<String, Json>) -> Result<(), Rejection> {
    if let Some(Json::String(text)) = document.get_mut("hlc") {
        let hlc: Hlc = text.parse().map_err(|e| Rejection::new(Code::Schema, format!("hlc: {e}")))?;
        *text = hlc.to_string();
    }
    Ok(())
}

/// The faults of the inputs, each with its path.
fn inputs_rejection(error: DecodeError, proposal: &Proposal) -> Rejection {
    let faults = forms::faults(proposal.transition, &proposal.inputs);
    match faults.is_empty() {
        true => match error {
            DecodeError::Schema { path, reason } => Rejection::new(Code::Schema, of_inputs(&Fault { path, reason })),
            DecodeError::Json(error) => with_reasons(error.into(), |reason| vec![format!("inputs: {reason}")]),
        },
        false => with_reasons(error, |_| faults.iter().map(of_inputs).collect()),
    }
}

fn of_inputs(fault: &Fault) -> String {
    let joint = if fault.path.is_empty() { ": " } else { "." };
    format!("inputs{joint}{fault}")
}

/// The faults of the other members.
fn proposal_rejection(error: DecodeError, canonical: &[u8]) -> Rejection {
    let faults = Json::parse(canonical).map(|document| forms::proposal_faults(&document)).unwrap_or_default();
    match faults.is_empty() {
        true => error.into(),
        false => with_reasons(error, |_| faults.iter().map(ToString::to_string).collect()),
    }
}

fn with_reasons(error: DecodeError, reasons: impl FnOnce(String) -> Vec<String>) -> Rejection {
    let mut rejection = Rejection::from(error);
    rejection.reasons = reasons(rejection.reasons.concat());
    rejection
}

#[cfg(test)]
mod tests;
