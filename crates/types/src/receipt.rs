//! Receipts of accepted proposals: the same bytes for every repeat.
//!
//! A receipt proves its index and its chain value: the node signs one Merkle root per committed batch, and the receipt carries
//! the path from its own record's chain value to that root. Leaves are sha256(0x00 ‖ chain), nodes
//! sha256(0x01 ‖ left ‖ right), and an odd node moves up unpaired (RFC 9162 §2.1.1).

use std::fmt::Display;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::canonical::{canonical_bytes, try_canonical_bytes};
use super::hash::{Hash, TEXT_LENGTH};
use super::hlc::Hlc;
use super::ids::{DecisionId, IdemKey};
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::names::Transition;
use super::record::Record;
use super::text::{ClusterId, ProjectName};

/// The document that the node signs for a batch (beside the domain line and the cluster).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRoot {
    /// Index of the batch's first record.
    pub first: u64,
    /// Index of its last record.
    pub last: u64,
    /// Root over the records' chain values.
    pub root: Hash,
    /// Term of the cluster's leader that sealed it; absent where a node runs alone. Without it, two honest seals of one leader at
    /// one index, of which one was truncated, would look like a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
}

/// A batch's root, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSeal {
    pub batch: BatchRoot,
    pub node: PublicKey,
    /// The node's signature.
    pub signature: Signature,
}

/// Receipt of an accepted proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub project: ProjectName,
    /// Index of the record in the WAL.
    pub index: u64,
    pub transition: Transition,
    /// Under which key.
    pub idem_key: IdemKey,
    /// Head before.
    pub state_pre_hash: Hash,
    /// Hash of the head after the transition, which the next proposal must name.
    pub state_post_hash: Hash,
    /// The caller's clock: the next proposal's must be later.
    pub hlc: Hlc,
    /// When the node accepted it.
    pub timestamp: Hlc,
    /// The record's link in the chain.
    pub chain: Hash,
    /// The decision record.
    pub decision: DecisionId,
    /// Path from the record's leaf to the batch's root, from the bottom up.
    pub path: Vec<Hash>,
    /// The batch's signed root.
    pub seal: BatchSeal,
}

/// Why a receipt does not prove what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The index lies outside the batch.
    #[error("the receipt's index lies outside its batch")]
    OutsideBatch,
    /// The path does not lead to the root.
    #[error("the path does not lead from the record to the batch's root")]
    Path,
    /// The node did not sign the root.
    #[error("the signature over the batch's root is not the node's")]
    Signature,
}

fn leaf(chain: &Hash) -> Hash {
    Hash::of_parts([&[0u8][..], chain.as_bytes()])
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts([&[1u8][..], left.as_bytes(), right.as_bytes()])
}

/// The levels of the Merkle tree over `chains`, leaves first; the last level is the root alone.
fn levels(chains: &[Hash]) -> Vec<Vec<Hash>> {
    let mut levels = vec![chains.iter().map(leaf).collect::<Vec<_>>()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let next =
            level.chunks(2).map(|pair| if let [left, right] = pair { parent(left, right) } else { pair[0] }).collect();
        levels.push(next);
    }
    levels
}

/// Seals batches and hands out the paths of their records.
pub struct SealedBatch {
    levels: Vec<Vec<Hash>>,
    /// The signed root.
    pub seal: BatchSeal,
}

/// A seal with its canonical bytes, which every frame and every receipt of its batch repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSeal {
    seal: BatchSeal,
    bytes: Vec<u8>,
}

impl EncodedSeal {
    pub fn of(seal: BatchSeal) -> EncodedSeal {
        let bytes = canonical_bytes(&seal);
        EncodedSeal { seal, bytes }
    }

    pub fn seal(&self) -> &BatchSeal {
        &self.seal
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl SealedBatch {
    /// Seals the records from `first` on with these chain values; `None` when there are none.
    pub fn seal(cluster: &ClusterId, key: &SecretKey, first: u64, chains: &[Hash]) -> Option<SealedBatch> {
        SealedBatch::seal_in(cluster, key, None, first, chains)
    }

    /// The same by the leader of a term.
    pub fn seal_in(
        cluster: &ClusterId,
        key: &SecretKey,
        term: Option<u64>,
        first: u64,
        chains: &[Hash],
    ) -> Option<SealedBatch> {
        let levels = levels(chains);
        let root = *levels.last()?.first()?;
        let batch = BatchRoot { first, last: first + chains.len() as u64 - 1, root, term };
        let signature = key.sign(&keys::message(domain::BATCH, cluster, &canonical_bytes(&batch)));
        Some(SealedBatch { levels, seal: BatchSeal { batch, node: key.public(), signature } })
    }

    /// The path of the batch's `position`-th record.
    pub fn path(&self, position: usize) -> Vec<Hash> {
        let below_root = &self.levels[..self.levels.len() - 1];
        below_root
            .iter()
            .enumerate()
            .filter_map(|(height, level)| level.get((position >> height) ^ 1))
            .copied()
            .collect()
    }
}

/// Appends `before`, then a text. Writing into memory cannot fail.
fn push_text(out: &mut Vec<u8>, before: &[u8], text: impl Display) {
    out.extend_from_slice(before);
    let _infallible = write!(out, "{text}");
}

impl Receipt {
    /// The receipt of a record: `chain` is its link, `path` leads from its leaf to the root that `seal` signs.
    pub fn of(record: &Record, chain: Hash, path: Vec<Hash>, seal: BatchSeal) -> Receipt {
        Receipt {
            project: record.project.clone(),
            index: record.index,
            transition: record.transition,
            idem_key: record.idem_key.clone(),
            state_pre_hash: record.state_pre_hash,
            state_post_hash: record.state_post_hash,
            hlc: record.hlc,
            timestamp: record.timestamp,
            chain,
            decision: DecisionId::of(&record.project, record.index, &chain),
            path,
            seal,
        }
    }

    /// The canonical bytes of [`Receipt::of`], written in their order around those of the seal. No text of these types has a
    /// character that JSON escapes.
    pub fn encode(record: &Record, chain: &Hash, path: &[Hash], seal: &EncodedSeal) -> Vec<u8> {
        let Record { project, index, transition, idem_key, hlc, timestamp, state_pre_hash, state_post_hash, .. } =
            record;
        let mut out = Vec::with_capacity(1_024 + seal.bytes.len() + (TEXT_LENGTH + 3) * path.len());
        push_text(&mut out, b"{\"chain\":\"", chain);
        push_text(&mut out, b"\",\"decision\":\"", DecisionId::of(project, *index, chain));
        push_text(&mut out, b"\",\"hlc\":\"", hlc);
        push_text(&mut out, b"\",\"idem_key\":\"", idem_key);
        push_text(&mut out, b"\",\"index\":", index);
        out.extend_from_slice(b",\"path\":[");
        for (position, hash) in path.iter().enumerate() {
            push_text(&mut out, if position == 0 { b"\"" } else { b",\"" }, hash);
            out.push(b'"');
        }
        push_text(&mut out, b"],\"project\":\"", project);
        out.extend_from_slice(b"\",\"seal\":");
        out.extend_from_slice(&seal.bytes);
        push_text(&mut out, b",\"state_post_hash\":\"", state_post_hash);
        push_text(&mut out, b"\",\"state_pre_hash\":\"", state_pre_hash);
        push_text(&mut out, b"\",\"timestamp\":\"", timestamp);
        push_text(&mut out, b"\",\"transition\":\"", transition);
        out.extend_from_slice(b"\"}");
        #[cfg(feature = "counting")]
        crate::counts::encoded(out.len());
        out
    }

    /// Checks that the node committed to the record at this index. The caller must know that `seal.node` is the
    /// node's key.
    pub fn verify(&self, cluster: &ClusterId) -> Result<(), ReceiptError> {
        let batch = &self.seal.batch;
        if self.index < batch.first || self.index > batch.last {
            return Err(ReceiptError::OutsideBatch);
        }
        // A number that has no canonical form cannot have been signed.
        let bytes = try_canonical_bytes(batch).map_err(|_| ReceiptError::Signature)?;
        if self.root() != Some(batch.root) {
            return Err(ReceiptError::Path);
        }
        let message = keys::message(domain::BATCH, cluster, &bytes);
        if self.seal.node.verify(&message, &self.seal.signature) { Ok(()) } else { Err(ReceiptError::Signature) }
    }

    /// The root that the path leads to; `None` when the path has the wrong length.
    fn root(&self) -> Option<Hash> {
        let mut position = self.index - self.seal.batch.first;
        let mut size = self.seal.batch.last - self.seal.batch.first + 1;
        let mut hash = leaf(&self.chain);
        let mut path = self.path.iter();
        while size > 1 {
            let unpaired = position == size - 1 && position.is_multiple_of(2);
            if !unpaired {
                let sibling = path.next()?;
                hash = if position.is_multiple_of(2) { parent(&hash, sibling) } else { parent(sibling, &hash) };
            }
            position /= 2;
            size = size.div_ceil(2);
        }
        path.next().is_none().then_some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(sealed: &SealedBatch, first: u64, position: usize, chain: Hash) -> Receipt {
        Receipt {
            project: "default".parse().unwrap(),
            index: first + position as u64,
            transition: Transition::ControlPause,
            idem_key: "g:1:control:abcdefgh".parse().unwrap(),
            state_pre_hash: Hash::ZERO,
            state_post_hash: Hash::ZERO,
            hlc: Hlc::default(),
            timestamp: Hlc::default(),
            chain,
            decision: DecisionId::of(&"default".parse().unwrap(), 1, &chain),
            path: sealed.path(position),
            seal: sealed.seal.clone(),
        }
    }

    #[test]
    fn every_record_of_every_batch_size_is_proven_and_no_other() {
        let (cluster, key) = ("c".parse().unwrap(), SecretKey::from_bytes(&[1; 32]));
        for size in 1..20usize {
            let chains: Vec<_> = (0..size).map(|n| Hash::of(&[n as u8])).collect();
            let sealed = SealedBatch::seal(&cluster, &key, 5, &chains).unwrap();
            for (position, &chain) in chains.iter().enumerate() {
                let good = receipt(&sealed, 5, position, chain);
                assert_eq!(good.verify(&cluster), Ok(()), "{position} of {size}");
                let other = Receipt { chain: Hash::of(b"other"), ..good.clone() };
                assert_eq!(other.verify(&cluster), Err(ReceiptError::Path));
                let outside = Receipt { index: 5 + size as u64, ..good.clone() };
                assert_eq!(outside.verify(&cluster), Err(ReceiptError::OutsideBatch));
                assert_eq!(good.verify(&"d".parse().unwrap()), Err(ReceiptError::Signature));
            }
        }
    }

    /// A leader that lost its term sealed a record that was truncated, and later another one at the same index. Without the term in
    /// the seal, both seals together looked like the proof of a fork.
    #[test]
    fn the_term_is_part_of_a_leaders_seal_and_a_node_alone_seals_the_bytes_of_before() {
        let (cluster, key) = ("c".parse().unwrap(), SecretKey::from_bytes(&[1; 32]));
        let alone = SealedBatch::seal(&cluster, &key, 5, &[Hash::ZERO]).unwrap();
        let text = String::from_utf8(canonical_bytes(&alone.seal)).unwrap();
        assert!(!text.contains("term"), "{text}");
        let sealed = SealedBatch::seal_in(&cluster, &key, Some(3), 5, &[Hash::ZERO]).unwrap();
        let good = receipt(&sealed, 5, 0, Hash::ZERO);
        assert_eq!(good.verify(&cluster), Ok(()));
        for term in [None, Some(4)] {
            let mut other = good.clone();
            other.seal.batch.term = term;
            assert_eq!(other.verify(&cluster), Err(ReceiptError::Signature), "{term:?}");
        }
    }

    #[test]
    fn bounds_beyond_all_numbers_are_no_proof_and_no_panic() {
        let (cluster, key) = ("c".parse().unwrap(), SecretKey::from_bytes(&[1; 32]));
        let sealed = SealedBatch::seal(&cluster, &key, 5, &[Hash::ZERO]).unwrap();
        let mut wide = receipt(&sealed, 5, 0, Hash::ZERO);
        (wide.seal.batch.first, wide.seal.batch.last) = (0, u64::MAX);
        assert_eq!(wide.verify(&cluster), Err(ReceiptError::Signature));
    }
}
