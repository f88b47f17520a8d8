//! Decision records: the BUBBLE document that every accepted transition leaves (brief §9).

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{DecisionId, IdemKey, WindowId};
use super::keys::PublicKey;
use super::names::Transition;
use super::record::GuardOutcome;
use super::text::ProjectName;
use super::ucxl::EvidenceRef;

/// Why one transition was accepted, in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// `bubble://dr/<project>/<index>-<hash>`.
    pub id: DecisionId,
    /// The project decided about.
    pub project: ProjectName,
    /// Index of the record.
    pub index: u64,
    /// The record's link in the chain.
    pub chain: Hash,
    /// What was decided.
    pub transition: Transition,
    /// What that means, in a sentence.
    pub summary: String,
    /// Why, in the caller's words where it gave any.
    pub justification: String,
    /// Who proposed.
    pub signer: PublicKey,
    /// For whom the signer proposed, where it is a delegate of the WHOOSH migration: a caller's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Under which key.
    pub idem_key: IdemKey,
    /// The caller's clock.
    pub hlc: Hlc,
    /// When the node accepted it.
    pub timestamp: Hlc,
    /// The window named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<WindowId>,
    /// Head before.
    pub state_pre_hash: Hash,
    /// Head after.
    pub state_post_hash: Hash,
    /// Hash of the inputs.
    pub inputs_hash: Hash,
    /// How every guard judged, with reasons and the hashes of the facts it read.
    pub guard_outcomes: Vec<GuardOutcome>,
    /// Version of the policy engine that judged.
    pub policy_engine: String,
    /// The caller's evidence.
    pub evidence: Vec<EvidenceRef>,
    /// Where the decision belongs: the UCXL evidence, or the record's own derived address.
    pub ucxl: Vec<EvidenceRef>,
}
