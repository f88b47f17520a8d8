//! Outcomes of effects that a caller brought while their project was blocked, in the `outbox` family:
//! `held/<id>`, by the sequencer, gone with the record that closes the effect.

use super::store::WriteBatch;
use serde::{Deserialize, Serialize};

use super::Journal;
use super::effects::{EffectRowError, effect_key, mangled, parse_key};
use super::error::ReadError;
use super::layout::Family;
use swoosh_types::canonical::{canonical_bytes, from_slice};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::ucxl::EvidenceRef;

pub(super) const HELD: &[u8] = b"held/";
pub(super) const HELD_END: &[u8] = b"held0";

/// An outcome that waits until its project goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutcome {
    pub transition: Transition,
    pub inputs: Json,
    pub signer: PublicKey,
    /// Hash of the signed proposal, as canonical bytes.
    pub proposal_hash: Hash,
    /// The evidence that came with it.
    pub evidence: Vec<EvidenceRef>,
    /// When it came, by the node's clock.
    pub at: Hlc,
}

impl HeldOutcome {
    /// Whether this is the same outcome, said by the same signer.
    pub fn is_same(&self, other: &HeldOutcome) -> bool {
        (self.transition, &self.inputs, &self.signer) == (other.transition, &other.inputs, &other.signer)
    }
}

/// The outcome of a stored row.
pub(super) fn parse(value: &[u8]) -> Option<HeldOutcome> {
    from_slice(value).ok()
}

impl Journal {
    /// Keeps an outcome until its effect is closed, on disk and promised by the time it returns; see `sides.rs`.
    pub fn hold_outcome(&self, id: &EffectId, outcome: &HeldOutcome) -> Result<(), EffectRowError> {
        self.0.write_side(&effect_key(HELD, id), &canonical_bytes(outcome))
    }

    /// Forgets the outcome that is kept of an effect, which stays open for another one.
    pub fn drop_held(&self, id: &EffectId) -> Result<(), EffectRowError> {
        let mut rows = WriteBatch::default();
        rows.delete_cf(self.0.family(Family::Outbox), effect_key(HELD, id));
        self.0.write_effects(rows)
    }

    /// The outcome that is kept of an effect.
    pub fn held_outcome(&self, id: &EffectId) -> Result<Option<HeldOutcome>, ReadError> {
        let key = effect_key(HELD, id);
        let Some(bytes) = self.0.get(Family::Outbox, &key)? else { return Ok(None) };
        parse(&bytes).map(Some).ok_or_else(|| mangled(&key))
    }

    /// Effects whose outcomes are kept, in the order of their ids.
    pub fn held_outcomes(&self) -> Result<Vec<EffectId>, ReadError> {
        let mut keys = self.0.keys(Family::Outbox, HELD.to_vec(), HELD_END.to_vec());
        let mut held = Vec::new();
        while let Some((key, _)) = keys.next_row()? {
            held.push(parse_key(HELD, key)?);
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Node;
    use super::super::{Batch, Write};
    use super::*;
    use swoosh_types::keys::SecretKey;

    fn id(text: &str) -> EffectId {
        text.parse().unwrap()
    }

    fn outcome(signer: u8) -> HeldOutcome {
        HeldOutcome {
            transition: Transition::IngestionBytesOk,
            inputs: Json::empty_object(),
            signer: SecretKey::from_bytes(&[signer; 32]).public(),
            proposal_hash: Hash::of(b"the proposal"),
            evidence: vec!["ucxl://ci:worker@a".parse().unwrap()],
            at: Hlc::new(7, 0).unwrap(),
        }
    }

    #[test]
    fn an_outcome_is_kept_over_a_start_until_its_effect_is_closed() {
        let mut node = Node::new();
        node.commit(&["a"]);
        let fetch = id("a/3/fetch");
        let opened = Write::EffectOpened { id: fetch.clone(), opened_at: Hlc::new(7, 0).unwrap() };
        node.journal.append(&Batch { entries: Vec::new(), writes: vec![opened] }).unwrap();
        node.journal.hold_outcome(&fetch, &outcome(1)).unwrap();
        let node = node.reopen();
        node.journal.recover().unwrap();
        assert_eq!(node.journal.held_outcome(&fetch).unwrap(), Some(outcome(1)));
        assert_eq!(node.journal.held_outcomes().unwrap(), std::slice::from_ref(&fetch));
        let closed = Write::EffectClosed { id: fetch.clone() };
        node.journal.append(&Batch { entries: Vec::new(), writes: vec![closed] }).unwrap();
        assert_eq!(node.journal.held_outcome(&fetch).unwrap(), None);
        assert_eq!(node.journal.held_outcomes().unwrap(), []);
    }

    #[test]
    fn the_same_outcome_of_another_signer_is_another() {
        let later = HeldOutcome { at: Hlc::new(9, 0).unwrap(), ..outcome(1) };
        assert!(outcome(1).is_same(&later));
        assert!(!outcome(1).is_same(&outcome(2)));
    }
}
