//! The node's own proposals: built and signed on its own head, ahead of queued requests.

use super::Verified;
use swoosh_machine::chart::Inputs;
use swoosh_machine::head::Head;
use swoosh_types::canonical::{DecodeError, to_json};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::{Hlc, HlcError};
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::inputs::Breach;
use swoosh_types::json::Json;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::names::Transition;
use swoosh_types::proposal::Proposal;
use swoosh_types::text::{ClusterId, ProjectName, TextError};
use swoosh_types::ucxl::EvidenceRef;
use swoosh_types::verify::VerifiedProposal;

/// The outcome of an effect that the node ran itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnOutcome {
    pub effect: EffectId,
    /// One of the effect's outcomes.
    pub transition: Transition,
    /// Its inputs, which name the effect.
    pub inputs: Json,
    /// Its evidence: the worker's proposal, where a worker brought it.
    pub evidence: Vec<EvidenceRef>,
    /// The worker that brought it while the project was blocked; `None` for the node's own work. The node signs for the
    /// worker, so the worker must still be allowed to bring it when it is applied.
    pub brought_by: Option<PublicKey>,
}

impl OwnOutcome {
    /// The cause from which the key is derived: the effect alone, so that its outcome counts once however often it is
    /// worked at. A rejected outcome has bound no key, and another one may take its place.
    pub(super) fn cause(&self) -> Hash {
        Hash::of_parts([b"swoosh/effect/v1\n".as_slice(), self.effect.to_string().as_bytes()])
    }
}

/// Most characters of a rationale that the node writes.
const RATIONALE: usize = 400;

/// Why a project is quarantined, in words that a rationale may hold: how many rules struck, where not all of them are
/// listed, and what they say, as far as it fits.
pub(super) fn rationale(breach: &Breach) -> String {
    let reasons: Vec<&str> = breach.reasons.iter().map(|reason| reason.as_str().trim()).collect();
    let listed = reasons.len() as u64;
    let count = breach.more.map(|more| format!("{} rules struck: ", listed.saturating_add(more)));
    format!("{}{}", count.unwrap_or_default(), reasons.join("; ")).chars().take(RATIONALE).collect()
}

/// The outcomes that report content in breach of a policy, in place of the good one. The second omits the checks'
/// outcomes, for policies that forbid showing them.
pub(super) fn violations(outcome: &OwnOutcome, breach: &Breach) -> Vec<OwnOutcome> {
    let Json::Object(members) = &outcome.inputs else { return Vec::new() };
    let rationale = rationale(breach);
    let bundle_serial = Json::Integer(breach.bundle_serial);
    let bare = [("rationale".to_owned(), Json::String(rationale)), ("bundle_serial".to_owned(), bundle_serial)];
    let with = |kept: &[&str]| {
        let kept = members.iter().filter(|(name, _)| kept.contains(&name.as_str()));
        let inputs = kept.map(|(name, value)| (name.clone(), value.clone())).chain(bare.clone()).collect();
        let transition = Transition::IngestionPolicyViolation;
        OwnOutcome { transition, inputs: Json::Object(inputs), ..outcome.clone() }
    };
    vec![with(&["effect", "outcomes"]), with(&["effect"])]
}

/// Why the node cannot build a proposal of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnError {
    #[error(transparent)]
    Clock(#[from] HlcError),
    #[error(transparent)]
    Key(#[from] TextError),
    #[error(transparent)]
    Inputs(#[from] DecodeError),
    #[error(transparent)]
    Json(#[from] swoosh_types::json::JsonError),
}

/// A proposal that the node wants to make.
pub(super) struct Wish<'a> {
    pub project: &'a ProjectName,
    pub transition: Transition,
    /// Its topic in the goal: `swoosh.<topic>`.
    pub topic: &'static str,
    pub inputs: Json,
    /// Its cause, from which the key is derived, so that one cause never acts twice.
    pub cause: Hash,
    pub beat: u64,
    pub evidence: Vec<EvidenceRef>,
}

/// Builds and signs: the clock is max(clock, last) + 1.
pub(super) fn propose(
    wish: Wish<'_>,
    head: &Head,
    cluster: &ClusterId,
    key: &SecretKey,
    wall_ms: u64,
) -> Result<Verified, OwnError> {
    let last = head.state().hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
    let spec = swoosh_machine::chart::spec(wish.transition);
    let idem_key = IdemKey {
        goal: format!("swoosh.{}", wish.topic).parse()?,
        beat: wish.beat,
        op_class: spec.op_class,
        uuid: wish.cause.short(32).parse()?,
    };
    let inputs_bytes = wish.inputs.canonical();
    let inputs = Inputs::decode(wish.transition, &inputs_bytes)?;
    let proposal = Proposal {
        project: Some(wish.project.clone()),
        current_state_hash: head.hash(),
        transition: wish.transition,
        inputs_hash: Hash::of(&inputs_bytes),
        inputs: wish.inputs,
        signer: key.public(),
        idem_key,
        hlc: last.tick(wall_ms)?,
        window_id: None,
        evidence: wish.evidence,
    };
    Ok(VerifiedProposal::own(proposal, inputs, cluster, key))
}

/// The cause of a proposal of the node's own, as one hash.
pub(super) fn cause(transition: Transition, head: &Head) -> Hash {
    Hash::of_parts([transition.as_str().as_bytes(), head.hash().as_bytes().as_slice()])
}

/// Any document as inputs.
pub(super) fn inputs<T: serde::Serialize>(document: &T) -> Result<Json, OwnError> {
    Ok(to_json(document)?)
}
