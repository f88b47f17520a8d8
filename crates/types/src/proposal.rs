//! The document that a caller signs and posts (docs/design.md#proposals).

use serde::{Deserialize, Serialize};

use super::canonical::{DecodeError, Passed, canonical_bytes, from_checked, to_json};
use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{IdemKey, WindowId};
use super::json::{Json, JsonError};
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::names::Transition;
use super::text::{ClusterId, ProjectName};
use super::ucxl::EvidenceRef;

/// The most addresses one proposal may carry as evidence.
pub const MAX_EVIDENCE: usize = 32;

/// A proposal without its signature: the document that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The project; left out, it is `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The head that the caller saw.
    pub current_state_hash: Hash,
    pub transition: Transition,
    /// Its inputs; their form follows from the transition.
    pub inputs: Json,
    /// sha256 of the canonical bytes of `inputs`.
    pub inputs_hash: Hash,
    pub signer: PublicKey,
    /// Makes repeats harmless.
    pub idem_key: IdemKey,
    /// The caller's clock.
    pub hlc: Hlc,
    /// The window the caller means; needed where the transition has a window class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<WindowId>,
    /// Addresses that back the proposal, at most 32.
    pub evidence: Vec<EvidenceRef>,
}

/// [`Proposal`] without its inputs; its members keep their order, so that faults are reported alike.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithoutInputs {
    #[serde(default)]
    project: Option<ProjectName>,
    current_state_hash: Hash,
    transition: Transition,
    #[serde(rename = "inputs")]
    _inputs: Passed,
    inputs_hash: Hash,
    signer: PublicKey,
    idem_key: IdemKey,
    hlc: Hlc,
    #[serde(default)]
    window_id: Option<WindowId>,
    evidence: Vec<EvidenceRef>,
}

/// A proposal and its signature, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedProposal {
    /// The signed document.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The signer's signature over it.
    pub signature: Signature,
}

/// The name of the project that a proposal means when it names none.
pub const DEFAULT_PROJECT: &str = "default";

impl Proposal {
    /// The project meant.
    pub fn project(&self) -> ProjectName {
        self.project.clone().unwrap_or_else(default_project)
    }

    /// Decodes the canonical bytes of a proposal whose inputs were read already.
    pub fn decode(canonical: &[u8], inputs: Json) -> Result<Proposal, DecodeError> {
        let read: WithoutInputs = from_checked(canonical)?;
        Ok(Proposal {
            project: read.project,
            current_state_hash: read.current_state_hash,
            transition: read.transition,
            inputs,
            inputs_hash: read.inputs_hash,
            signer: read.signer,
            idem_key: read.idem_key,
            hlc: read.hlc,
            window_id: read.window_id,
            evidence: read.evidence,
        })
    }

    /// The bytes that are signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::TRANSITION, cluster, &canonical_bytes(self))
    }

    pub fn sign(self, cluster: &ClusterId, key: &SecretKey) -> SignedProposal {
        let signature = key.sign(&self.message(cluster));
        SignedProposal { proposal: self, signature }
    }
}

impl SignedProposal {
    /// The document to post.
    pub fn to_json(&self) -> Result<Json, JsonError> {
        to_json(self)
    }
}

/// The project that a proposal means when it names none.
///
/// # Panics
/// Never: `default` is a project name.
#[expect(clippy::expect_used, reason = "`default` is a project name")]
pub fn default_project() -> ProjectName {
    DEFAULT_PROJECT.parse().expect("`default` is a project name")
}
