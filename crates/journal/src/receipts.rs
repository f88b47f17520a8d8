//! Receipts behind idempotency keys: the rows of the `idem` family.
//!
//! ```text
//! 32 bytes fingerprint of the proposal, see `fingerprint`
//! 8 bytes  index of its record, big-endian
//! then     1 byte version, and the receipt's sum: the first 8 bytes of its sha256
//!   or     the whole receipt, which begins with `{`
//! ```
//!
//! ```text
//! repeat ──▶ row ── sum ───▶ frame of the record ──▶ receipt ── has the sum? ──▶ the bytes of the first answer
//!                └─ whole ──────────────────────────────────────────────────────▶ the same
//! ```
//!
//! A receipt follows from its record's frame, so a row stores its sum alone. The sum proves that the rebuilt receipt is
//! the one that was given, whatever happened to the frame. A receipt is stored whole if its record is pruned before its
//! key is forgotten. Before format 3, every receipt was stored whole; [`Journal::index_receipts`] rewrites such rows.

use serde::Deserialize;

use super::error::ReadError;
use super::frame::Frame;
use super::layout::{Family, idem_key, meta, parse_idem_key};
use super::prune::PruneError;
use super::read::mangled;
use super::store::{Scan, WriteBatch};
use super::{Inner, Journal};
use swoosh_types::hash::Hash;
use swoosh_types::ids::{DecisionId, IdemKey};
use swoosh_types::text::ProjectName;

const VERSION: u8 = 1;
/// Rows that are written at once.
const AT_ONCE: usize = 256;

/// Eight bytes that tell the bytes of one receipt from those of any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptSum([u8; 8]);

impl ReceiptSum {
    /// The sum of a receipt's canonical bytes.
    pub fn of(receipt: &[u8]) -> ReceiptSum {
        let [a, b, c, d, e, f, g, h, ..] = *Hash::of(receipt).as_bytes();
        ReceiptSum([a, b, c, d, e, f, g, h])
    }
}

/// The binding of an idempotency key. [`Journal::receipt`] gives its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundKey {
    /// Of the proposal that bound it, see [`super::fingerprint`].
    pub fingerprint: Hash,
    pub index: u64,
    pub(super) receipt: StoredReceipt,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredReceipt {
    /// In the record's frame.
    Sum(ReceiptSum),
    Whole(Vec<u8>),
}

impl BoundKey {
    pub(super) fn parse(row: &[u8]) -> Option<BoundKey> {
        let (fingerprint, rest) = row.split_first_chunk::<32>()?;
        let (index, rest) = rest.split_first_chunk::<8>()?;
        let receipt = match rest.split_first()? {
            (b'{', _) => StoredReceipt::Whole(rest.to_vec()),
            (&VERSION, sum) => StoredReceipt::Sum(ReceiptSum(sum.try_into().ok()?)),
            _ => return None,
        };
        Some(BoundKey { fingerprint: Hash::from_bytes(*fingerprint), index: u64::from_be_bytes(*index), receipt })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (fingerprint, index) = (self.fingerprint.as_bytes().as_slice(), self.index.to_be_bytes());
        match &self.receipt {
            StoredReceipt::Sum(sum) => [fingerprint, &index, &[VERSION], &sum.0].concat(),
            StoredReceipt::Whole(receipt) => [fingerprint, &index, receipt].concat(),
        }
    }

    /// Whether a receipt is the one that this binding stands for.
    pub(super) fn gives(&self, receipt: &[u8]) -> bool {
        match &self.receipt {
            StoredReceipt::Sum(sum) => *sum == ReceiptSum::of(receipt),
            StoredReceipt::Whole(whole) => whole == receipt,
        }
    }
}

/// The members of a canonical record that its receipt repeats. None of these texts has a character that JSON escapes.
#[derive(Deserialize)]
struct Members<'a> {
    project: &'a str,
    idem_key: &'a str,
    hlc: &'a str,
    state_post_hash: &'a str,
    state_pre_hash: &'a str,
    timestamp: &'a str,
    transition: &'a str,
}

/// A record's key, and the canonical bytes of its receipt.
pub(super) struct Rebuilt {
    pub(super) project: ProjectName,
    pub(super) key: IdemKey,
    pub(super) receipt: Vec<u8>,
}

impl Frame<'_> {
    /// Rebuilds the receipt, byte for byte as [`super::StoredRecord::receipt`] is written canonically. Decodes neither
    /// guard outcomes nor the seal: the receipt's sum says whether they are whole.
    pub(super) fn rebuild(&self) -> Result<Rebuilt, ReadError> {
        let index = self.index;
        let mangled = |what: String| ReadError::Outline { index, what };
        let members: Members<'_> = serde_json::from_slice(self.record).map_err(|error| mangled(error.to_string()))?;
        let project: ProjectName = members.project.parse().map_err(|error| mangled(format!("{error}")))?;
        let key: IdemKey = members.idem_key.parse().map_err(|error| mangled(format!("{error}")))?;
        let decision = DecisionId::of(&project, index, &self.chain).to_string();
        let receipt = self.write_receipt(&members, &decision);
        Ok(Rebuilt { project, key, receipt })
    }

    /// Members in canonical order.
    fn write_receipt(&self, members: &Members<'_>, decision: &str) -> Vec<u8> {
        let index = self.index.to_string();
        let path = self.path.as_chunks::<32>().0;
        let mut receipt = Vec::with_capacity(1_024 + self.seal.len() + 75 * path.len());
        let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| receipt.extend_from_slice(part));
        push(&[b"{\"chain\":\"", &self.chain.to_text(), b"\",\"decision\":\"", decision.as_bytes()]);
        push(&[b"\",\"hlc\":\"", members.hlc.as_bytes(), b"\",\"idem_key\":\"", members.idem_key.as_bytes()]);
        push(&[b"\",\"index\":", index.as_bytes(), b",\"path\":["]);
        for (position, hash) in path.iter().enumerate() {
            push(&[if position == 0 { b"\"" } else { b",\"" }, &Hash::from_bytes(*hash).to_text(), b"\""]);
        }
        push(&[b"],\"project\":\"", members.project.as_bytes(), b"\",\"seal\":", self.seal]);
        push(&[b",\"state_post_hash\":\"", members.state_post_hash.as_bytes()]);
        push(&[b"\",\"state_pre_hash\":\"", members.state_pre_hash.as_bytes()]);
        push(&[b"\",\"timestamp\":\"", members.timestamp.as_bytes()]);
        push(&[b"\",\"transition\":\"", members.transition.as_bytes(), b"\"}"]);
        receipt
    }
}

impl Journal {
    /// The binding of an idempotency key in a project. Keys below the project's floor may be gone.
    pub fn bound_key(&self, project: &ProjectName, key: &IdemKey) -> Result<Option<BoundKey>, ReadError> {
        Ok(self.0.bound_key(project, key)?.filter(|bound| bound.index <= self.0.shown()))
    }

    /// The receipt of a bound key, byte for byte as it was given first; `None` if the key was forgotten meanwhile.
    pub fn receipt(&self, project: &ProjectName, key: &IdemKey, bound: BoundKey) -> Result<Option<Vec<u8>>, ReadError> {
        match self.0.receipt(project, key, bound) {
            // Its row had the whole receipt before the record was pruned.
            Err(ReadError::Pruned { index, .. }) => match self.0.bound_key(project, key)? {
                None => Ok(None),
                Some(BoundKey { receipt: StoredReceipt::Whole(receipt), .. }) => Ok(Some(receipt)),
                Some(_) => Err(stray(project, key, index, "which is pruned, and the receipt was not kept")),
            },
            found => found.map(Some),
        }
    }

    /// Replaces whole receipts, as programs before format 3 wrote them, by their sums where their records give the same
    /// bytes. Returns how many. It runs once in the life of a directory; between two stretches it asks `goes_on`.
    pub fn index_receipts(&self, goes_on: &dyn Fn() -> bool) -> Result<u64, PruneError> {
        self.0.may_change()?;
        if self.0.get(Family::Meta, meta::RECEIPTS)?.as_deref() == Some(meta::RECEIPTS_REBUILT) {
            return Ok(0);
        }
        let (mut from, mut replaced) = (Vec::new(), 0);
        while goes_on() {
            let (rows, behind) = self.0.index_some(&from)?;
            replaced += rows;
            let Some(next) = behind else { break };
            from = next;
        }
        Ok(replaced)
    }
}

impl Inner {
    pub(super) fn bound_key(&self, project: &ProjectName, key: &IdemKey) -> Result<Option<BoundKey>, ReadError> {
        let Some(row) = self.get(Family::Idem, &idem_key(project, key))? else { return Ok(None) };
        BoundKey::parse(&row).map(Some).ok_or_else(|| mangled(project, Family::Idem))
    }

    pub(super) fn receipt(&self, project: &ProjectName, key: &IdemKey, bound: BoundKey) -> Result<Vec<u8>, ReadError> {
        let (index, sum) = match bound.receipt {
            StoredReceipt::Whole(receipt) => return Ok(receipt),
            StoredReceipt::Sum(sum) => (bound.index, sum),
        };
        let bytes = self.frame_bytes(index)?.ok_or(ReadError::Missing { index })?;
        let rebuilt = Frame::parse(index, &bytes)?.rebuild()?;
        if (&rebuilt.project, &rebuilt.key) != (project, key) {
            return Err(stray(project, key, index, "which is of another key"));
        }
        if ReceiptSum::of(&rebuilt.receipt) != sum {
            return Err(stray(project, key, index, "which gives another receipt than the one that was answered"));
        }
        Ok(rebuilt.receipt)
    }

    /// Stores the receipts of records whole that are about to be pruned and whose keys are still bound. Nothing may
    /// replace them by sums until the records are gone: `ageing` is held.
    pub(super) fn keep_receipts(&self, first: u64, end: u64) -> Result<(), PruneError> {
        let keys = self.family(Family::Idem);
        let mut rows = WriteBatch::default();
        let mut passing = self.passing_from(first);
        while let Some(row) = passing.next_row() {
            let (index, bytes) = row?;
            if index >= end {
                break;
            }
            let Rebuilt { project, key, receipt } = Frame::parse(index, bytes)?.rebuild()?;
            let Some(bound) = self.bound_key(&project, &key)? else { continue };
            if bound.index != index || !bound.gives(&receipt) {
                let what = "and its record has another index or gives another receipt";
                return Err(stray(&project, &key, bound.index, what).into());
            }
            let whole = BoundKey { receipt: StoredReceipt::Whole(receipt), ..bound };
            rows.put_cf(keys, idem_key(&project, &key), whole.encode());
            if rows.len() >= AT_ONCE {
                self.or_stop(self.write(std::mem::take(&mut rows), false))?;
            }
        }
        Ok(self.or_stop(self.write(rows, false))?)
    }

    /// Replaces whole receipts in the next rows from a key on. Returns how many, and where the rows after them begin.
    fn index_some(&self, from: &[u8]) -> Result<(u64, Option<Vec<u8>>), PruneError> {
        let _none_is_kept_or_forgotten = self.ageing();
        let keys = self.family(Family::Idem);
        let (mut rows, mut behind) = (WriteBatch::default(), None);
        let mut walk = self.db.walk(keys, Scan { once: true, ..Scan::default() });
        walk.seek(from);
        for _ in 0..AT_ONCE {
            let Some((key, row)) = walk.item().map_err(ReadError::from)? else {
                behind = None;
                break;
            };
            if let Some(indexed) = self.indexed(key, row) {
                rows.put_cf(keys, key, indexed.encode());
            }
            behind = Some([key, &[0]].concat());
            walk.next();
        }
        let replaced = rows.len() as u64;
        if behind.is_none() {
            rows.put_cf(self.family(Family::Meta), meta::RECEIPTS, meta::RECEIPTS_REBUILT);
        }
        self.or_stop(self.write(rows, false))?;
        Ok((replaced, behind))
    }

    /// The row of a whole receipt with its sum; `None` unless its record gives the same bytes.
    fn indexed(&self, key: &[u8], row: &[u8]) -> Option<BoundKey> {
        let bound = BoundKey::parse(row)?;
        let StoredReceipt::Whole(whole) = &bound.receipt else { return None };
        let bytes = self.frame_bytes(bound.index).ok()??;
        let rebuilt = Frame::parse(bound.index, &bytes).ok()?.rebuild().ok()?;
        let same = rebuilt.receipt == *whole && parse_idem_key(key)? == (rebuilt.project, rebuilt.key);
        same.then(|| BoundKey { receipt: StoredReceipt::Sum(ReceiptSum::of(whole)), ..bound })
    }
}

fn stray(project: &ProjectName, key: &IdemKey, index: u64, what: &'static str) -> ReadError {
    ReadError::Binding { project: project.clone(), key: key.clone(), index, what }
}
