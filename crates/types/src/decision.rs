//! Decision records: the BUBBLE document that every accepted transition leaves (docs/design.md#decision-records).

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{DecisionId, IdemKey, WindowId};
use super::keys::PublicKey;
use super::migration::signed_for;
use super::names::Transition;
use super::record::{GuardOutcome, Record};
use super::text::{Name, ProjectName};
use super::ucxl::EvidenceRef;

/// Why one transition was accepted, in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// `bubble://dr/<project>/<index>-<hash>`.
    pub id: DecisionId,
    /// The project decided about.
    pub project: ProjectName,
    pub index: u64,
    /// The record's link in the chain.
    pub chain: Hash,
    pub transition: Transition,
    /// The transition in a sentence.
    pub summary: String,
    /// Why, in the caller's words where it gave any.
    pub justification: String,
    pub signer: PublicKey,
    /// The caller that a delegate of the WHOOSH migration signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The grant of the settings by which that caller acted as operator, voter or human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Name>,
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

/// The part of a decision that is not in its WAL record: the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// Why, in the caller's words where it gave any.
    pub justification: String,
    /// The transition in a sentence.
    pub summary: String,
    /// Where the decision belongs.
    pub ucxl: Vec<EvidenceRef>,
}

impl Decision {
    /// The decision that a record made, in these words. `chain` is the record's link.
    pub fn of(record: &Record, chain: &Hash, wording: Wording) -> Decision {
        Decision {
            id: DecisionId::of(&record.project, record.index, chain),
            project: record.project.clone(),
            index: record.index,
            chain: *chain,
            transition: record.transition,
            summary: wording.summary,
            justification: wording.justification,
            signer: record.signer,
            on_behalf_of: signed_for(&record.evidence).map(|(caller, _)| caller.to_owned()),
            grant: record.guard_outcomes.iter().find_map(|outcome| outcome.grant.clone()),
            idem_key: record.idem_key.clone(),
            hlc: record.hlc,
            timestamp: record.timestamp,
            window_id: record.window_id,
            state_pre_hash: record.state_pre_hash,
            state_post_hash: record.state_post_hash,
            inputs_hash: record.inputs_hash,
            guard_outcomes: record.guard_outcomes.clone(),
            policy_engine: record.policy_engine.clone(),
            evidence: record.evidence.clone(),
            ucxl: wording.ucxl,
        }
    }
}
