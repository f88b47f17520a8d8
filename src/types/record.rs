//! WAL records: what was accepted, why, and what it led to.

use serde::{Deserialize, Serialize};

use super::canonical::canonical_bytes;
use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{IdemKey, WindowId};
use super::json::Json;
use super::keys::{PublicKey, Signature};
use super::names::{GuardName, Transition};
use super::proposal::{Proposal, SignedProposal};
use super::text::ProjectName;
use super::ucxl::EvidenceRef;

/// How one guard judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardOutcome {
    /// Which guard.
    pub guard: GuardName,
    /// Whether it lets the proposal pass.
    pub ok: bool,
    /// Why; a passing guard gives its reasons too.
    pub reasons: Vec<String>,
    /// Hashes of the facts it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Hash>,
}

/// One entry of the WAL (brief §7), in canonical JSON. `inputs` is stored under `inputs_hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Position in the WAL, from 1.
    pub index: u64,
    /// The project.
    pub project: ProjectName,
    /// Whether the proposal left `project` out, which its signature depends on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub project_implied: bool,
    /// Head before.
    pub state_pre_hash: Hash,
    /// What was proposed.
    pub transition: Transition,
    /// Hash of the inputs.
    pub inputs_hash: Hash,
    /// Who proposed.
    pub signer: PublicKey,
    /// The caller's idempotency key.
    pub idem_key: IdemKey,
    /// The caller's clock.
    pub hlc: Hlc,
    /// The window named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<WindowId>,
    /// How every guard judged, in the chart's order.
    pub guard_outcomes: Vec<GuardOutcome>,
    /// Version of the policy language engine that judged.
    pub policy_engine: String,
    /// The caller's evidence.
    pub evidence: Vec<EvidenceRef>,
    /// The caller's signature.
    pub signature: Signature,
    /// When the node accepted it, by its own monotone clock.
    pub timestamp: Hlc,
    /// Head after.
    pub state_post_hash: Hash,
}

impl Record {
    /// The canonical bytes, which the chain is built over.
    pub fn encode(&self) -> Vec<u8> {
        canonical_bytes(self)
    }

    /// The next link of the chain: sha256(previous link ‖ canonical record).
    pub fn chain(previous: &Hash, encoded: &[u8]) -> Hash {
        Hash::of_parts([previous.as_bytes().as_slice(), encoded])
    }

    /// The whole signed proposal, given its inputs.
    pub fn proposal(&self, inputs: Json) -> SignedProposal {
        let proposal = Proposal {
            project: (!self.project_implied).then(|| self.project.clone()),
            current_state_hash: self.state_pre_hash,
            transition: self.transition,
            inputs,
            inputs_hash: self.inputs_hash,
            signer: self.signer,
            idem_key: self.idem_key.clone(),
            hlc: self.hlc,
            window_id: self.window_id,
            evidence: self.evidence.clone(),
        };
        SignedProposal { proposal, signature: self.signature }
    }

    /// Hashes of all facts that guards read, sorted, without repeats.
    pub fn facts(&self) -> Vec<Hash> {
        let mut facts: Vec<_> = self.guard_outcomes.iter().flat_map(|outcome| &outcome.facts).copied().collect();
        facts.sort_unstable();
        facts.dedup();
        facts
    }
}
