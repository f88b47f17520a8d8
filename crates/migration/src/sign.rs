//! Delegated signing: from what an unsigned client asks to a proposal that the caller's delegate signed.

use super::callers::Caller;
use super::ports::Standing;
use super::wire::Asked;
use swoosh_client::op_class;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::migration::{key_for, on_behalf};
use swoosh_types::proposal::{Proposal, SignedProposal};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ClusterId;

/// Signs as the caller's delegate: on the project's head, at a fresh clock, with the caller's own clock as evidence.
/// `earlier` holds the inputs that the client's key is bound to.
pub(super) fn sign(
    asked: &Asked,
    caller: &Caller,
    (standing, earlier): (&Standing, Option<Json>),
    (hlc, decided): (Hlc, bool),
    cluster: &ClusterId,
) -> Result<SignedProposal, Rejection> {
    let schema = |reason: &str| Rejection::new(Code::Schema, reason);
    let inputs = filled(asked, standing, earlier);
    let inputs_hash = Hash::of(&inputs.canonical());
    let unique = Hash::of_parts([inputs_hash.as_bytes().as_slice(), hlc.to_string().as_bytes()]);
    let class = op_class(asked.transition);
    let key = asked.key.clone().or_else(|| key_for(&caller.name, standing.beat, class, &unique.short(32)));
    let named = on_behalf(&caller.name, &asked.project, decided, asked.hlc);
    let proposal = Proposal {
        project: Some(asked.project.clone()),
        current_state_hash: standing.head,
        transition: asked.transition,
        inputs,
        inputs_hash,
        signer: caller.delegate(),
        idem_key: key.ok_or_else(|| schema("no idempotency key can be made for this caller; send one"))?,
        hlc,
        window_id: asked.window_id.or(standing.window_id),
        evidence: named
            .ok_or_else(|| schema("the caller's name and the project make no UCXL address"))
            .map(|named| std::iter::once(named).chain(asked.evidence.iter().cloned()).collect())?,
    };
    Ok(proposal.sign(cluster, caller.key()))
}

/// Inputs that a client of WHOOSH does not know, so the shim fills them in.
const FILLED: [&str; 2] = ["effect", "seat"];

/// The inputs, with the effect that they answer or the seat that they approve for. A repeat under a known key gets the
/// inputs of the first time, so that it is the same proposal.
fn filled(asked: &Asked, standing: &Standing, earlier: Option<Json>) -> Json {
    let Json::Object(mut members) = asked.inputs.clone() else { return asked.inputs.clone() };
    if FILLED.iter().any(|name| members.contains_key(*name)) {
        return asked.inputs.clone();
    }
    if let Some(before) = earlier.filter(|before| without_filled(before) == asked.inputs) {
        return before;
    }
    let effect = standing.effect.as_ref().map(|effect| ("effect", effect.to_string()));
    let seat = standing.seat.map(|seat| ("seat", seat.to_string()));
    members.extend(effect.into_iter().chain(seat).map(|(name, text)| (name.to_owned(), Json::String(text))));
    Json::Object(members)
}

/// Inputs without what the shim fills in.
pub(super) fn without_filled(inputs: &Json) -> Json {
    let Json::Object(mut members) = inputs.clone() else { return inputs.clone() };
    FILLED.iter().for_each(|name| drop(members.remove(*name)));
    Json::Object(members)
}
