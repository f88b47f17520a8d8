//! WAL records: an accepted proposal, its reasons and its result.

use serde::{Deserialize, Serialize};

use super::canonical::{DecodeError, Passed, canonical_bytes, from_checked};
use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{IdemKey, WindowId};
use super::json::Json;
use super::keys::{PublicKey, Signature};
use super::names::{GuardName, Transition};
use super::proposal::{Proposal, SignedProposal};
use super::text::{Name, ProjectName};
use super::ucxl::EvidenceRef;

/// How one guard judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardOutcome {
    pub guard: GuardName,
    /// Whether it lets the proposal pass.
    pub ok: bool,
    /// Why; a passing guard gives its reasons too.
    pub reasons: Vec<String>,
    /// Hashes of the facts it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Hash>,
    /// The grant by which an unsigned caller of WHOOSH passed; only guard `identity` names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Name>,
}

/// One entry of the WAL (docs/design.md#records), in canonical JSON. `inputs` is stored under `inputs_hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Position in the WAL, from 1.
    pub index: u64,
    pub project: ProjectName,
    /// Whether the proposal left `project` out, which its signature depends on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub project_implied: bool,
    /// Head before.
    pub state_pre_hash: Hash,
    pub transition: Transition,
    pub inputs_hash: Hash,
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
        canonical_bytes(&InOrder::of(self))
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

/// A record with its members in canonical order, so that writing it sorts nothing.
#[derive(Serialize)]
struct InOrder<'a> {
    evidence: &'a [EvidenceRef],
    guard_outcomes: Vec<OutcomeInOrder<'a>>,
    hlc: &'a Hlc,
    idem_key: &'a IdemKey,
    index: u64,
    inputs_hash: &'a Hash,
    policy_engine: &'a str,
    project: &'a ProjectName,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    project_implied: bool,
    signature: &'a Signature,
    signer: &'a PublicKey,
    state_post_hash: &'a Hash,
    state_pre_hash: &'a Hash,
    timestamp: &'a Hlc,
    transition: Transition,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_id: &'a Option<WindowId>,
}

/// A guard's outcome with its members in canonical order.
#[derive(Serialize)]
struct OutcomeInOrder<'a> {
    #[serde(skip_serializing_if = "<[Hash]>::is_empty")]
    facts: &'a [Hash],
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: &'a Option<Name>,
    guard: GuardName,
    ok: bool,
    reasons: &'a [String],
}

impl<'a> InOrder<'a> {
    fn of(record: &'a Record) -> InOrder<'a> {
        let Record { index, project, project_implied, state_pre_hash, transition, inputs_hash, signer, .. } = record;
        let Record { idem_key, hlc, window_id, guard_outcomes, policy_engine, evidence, .. } = record;
        let Record { signature, timestamp, state_post_hash, .. } = record;
        let in_order = |outcome: &'a GuardOutcome| {
            let GuardOutcome { guard, ok, reasons, facts, grant } = outcome;
            OutcomeInOrder { facts, grant, guard: *guard, ok: *ok, reasons }
        };
        InOrder {
            evidence,
            guard_outcomes: guard_outcomes.iter().map(in_order).collect(),
            hlc,
            idem_key,
            index: *index,
            inputs_hash,
            policy_engine,
            project,
            project_implied: *project_implied,
            signature,
            signer,
            state_post_hash,
            state_pre_hash,
            timestamp,
            transition: *transition,
            window_id,
        }
    }
}

/// A record's canonical bytes as a part of the chain. A value proves that [`Linked::chain`] is the link of these bytes behind
/// [`Linked::previous`], so the bytes are hashed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    previous: Hash,
    encoded: Vec<u8>,
    chain: Hash,
}

impl Linked {
    pub fn of(previous: Hash, encoded: Vec<u8>) -> Linked {
        let chain = Record::chain(&previous, &encoded);
        Linked { previous, encoded, chain }
    }

    /// The link that the record follows.
    pub fn previous(&self) -> Hash {
        self.previous
    }

    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// The record's own link.
    pub fn chain(&self) -> Hash {
        self.chain
    }
}

/// The members of a record that reducing reads. On replay the chain proves that the record is the one that was
/// written, so its outcomes and its signature are not needed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Position in the WAL.
    pub index: u64,
    pub project: ProjectName,
    #[serde(default)]
    project_implied: bool,
    /// Head before.
    pub state_pre_hash: Hash,
    pub transition: Transition,
    pub inputs_hash: Hash,
    signer: PublicKey,
    idem_key: IdemKey,
    hlc: Hlc,
    #[serde(default)]
    window_id: Option<WindowId>,
    #[serde(default, rename = "guard_outcomes")]
    _guard_outcomes: Passed,
    #[serde(rename = "policy_engine")]
    _policy_engine: Passed,
    evidence: Vec<EvidenceRef>,
    #[serde(rename = "signature")]
    _signature: Passed,
    /// When the node accepted it.
    pub timestamp: Hlc,
    /// Head after.
    pub state_post_hash: Hash,
}

/// The canonical members on both sides of a record's outcomes.
const OUTCOMES: &str = ",\"guard_outcomes\":";
const AFTER_OUTCOMES: &str = ",\"hlc\":";

/// Where the canonical outcomes stand in a canonical record. Within a text no quote follows a comma without a
/// backslash between them, and outcomes have no member `hlc`, so what is found are the record's own members.
fn outcomes_in(encoded: &str) -> Option<std::ops::Range<usize>> {
    let start = encoded.find(OUTCOMES)? + OUTCOMES.len();
    let length = encoded.get(start..)?.find(AFTER_OUTCOMES)?;
    Some(start..start + length)
}

impl Passage {
    /// Reads a canonical record.
    pub fn decode(encoded: &[u8]) -> Result<Passage, DecodeError> {
        match std::str::from_utf8(encoded).ok().and_then(outcomes_in) {
            // Half of a record is outcomes, which need not even be looked through.
            Some(place) => from_checked(&[&encoded[..place.start - OUTCOMES.len()], &encoded[place.end..]].concat()),
            None => from_checked(encoded),
        }
    }

    /// The proposal, given its inputs.
    pub fn proposal(&self, inputs: Json) -> Proposal {
        Proposal {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn record(reason: &str, evidence: &[&str]) -> Record {
        let (key, hlc) = (SecretKey::from_bytes(&[1; 32]), "2025-10-19T01:23:45.678+00:00#1".parse().unwrap());
        let outcome = GuardOutcome {
            guard: GuardName::Head,
            ok: true,
            reasons: vec![reason.into()],
            facts: vec![Hash::ZERO],
            grant: None,
        };
        Record {
            index: 17,
            project: "default".parse().unwrap(),
            project_implied: true,
            state_pre_hash: Hash::of(b"pre"),
            transition: Transition::ControlPause,
            inputs_hash: Hash::of(b"inputs"),
            signer: key.public(),
            idem_key: "g:1:control:abcdefgh".parse().unwrap(),
            hlc,
            window_id: Some("backbeat:W-2025-10-19-02".parse().unwrap()),
            guard_outcomes: vec![outcome; 3],
            policy_engine: "cedar".into(),
            evidence: evidence.iter().map(|text| text.parse().unwrap()).collect(),
            signature: key.sign(b"x"),
            timestamp: hlc,
            state_post_hash: Hash::of(b"post"),
        }
    }

    #[test]
    fn outcomes_are_found_whatever_texts_say() {
        for reason in
            ["fine", r#"","hlc":"x"#, r#",\"hlc\":"#, r#"{"a":[],"hlc":1}"#, "\",\"guard_outcomes\":[],\"hlc\":\"\\"]
        {
            for evidence in [&[][..], &["bubble://dr/,guard_outcomes:", "ucxl://a:b@c/~~latest/hlc:"]] {
                let record = record(reason, evidence);
                let encoded = record.encode();
                let place = outcomes_in(std::str::from_utf8(&encoded).unwrap());
                assert_eq!(
                    place.map(|place| &encoded[place]),
                    Some(&canonical_bytes(&record.guard_outcomes)[..]),
                    "{reason}"
                );
                let passage = Passage::decode(&encoded).unwrap();
                assert_eq!(passage.proposal(Json::empty_object()), record.proposal(Json::empty_object()).proposal);
                assert_eq!((passage.index, &passage.project), (record.index, &record.project));
                assert_eq!((passage.state_post_hash, passage.timestamp), (record.state_post_hash, record.timestamp));
            }
        }
    }

    #[test]
    fn what_is_no_record_is_no_passage() {
        let encoded = String::from_utf8(record("fine", &[]).encode()).unwrap();
        for broken in ["", "{}", &encoded[..encoded.len() - 1], &encoded.replace("\"index\":17", "\"index\":\"17\"")] {
            assert!(Passage::decode(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(Passage::decode(encoded.replace("\"signer\"", "\"singer\"").as_bytes()).is_err());
    }
}
