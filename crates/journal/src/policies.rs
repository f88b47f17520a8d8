//! The latest policy bundle that judged a record, of all projects' bundles and of each project's own, in `meta`.
//!
//! Bundles come into force as facts, outside of the log: a follower that is promoted, or a node whose files or settings were
//! changed, may hold an older one. The row is written with the batch of the first record that a bundle judged, on a
//! follower too, and the bundle itself is among the objects. So a start can see that its policies would fall.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::batch::{Batch, Write};
use super::error::ReadError;
use super::layout::{Family, meta};
use super::store::WriteBatch;
use super::{Inner, Journal};
use swoosh_types::canonical::{canonical_bytes, from_canonical, from_json};
use swoosh_types::fact::{Fact, FactKind, PolicyBundle};
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::names::GuardName;
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// Records at the log's end that are looked at besides: directories of older programs have no rows.
const LOOKED_BACK: u64 = 1_000;
/// How the canonical bytes of a fact begin. Inputs may begin so too; only what a record's guard read counts.
const FACT: &[u8] = b"{\"claim\":{\"body\":{";

/// A policy bundle that judged a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedBy {
    /// The project; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    pub serial: u64,
    /// The fact that says it, which is among the objects.
    pub fact: Hash,
}

impl JudgedBy {
    fn of(hash: Hash, bytes: &[u8]) -> Option<JudgedBy> {
        let fact: Fact = from_json(&Json::parse(bytes).ok()?).ok()?;
        let claim = fact.claim;
        let bundle: PolicyBundle = from_json(&claim.body).ok()?;
        (claim.kind == FactKind::Policy).then_some(JudgedBy {
            project: claim.project,
            serial: bundle.serial,
            fact: hash,
        })
    }

    fn key(&self) -> Vec<u8> {
        [meta::POLICY, self.project.as_ref().map_or("", |project| project.as_str()).as_bytes()].concat()
    }
}

impl Journal {
    /// The latest bundles that judged records, as far as rows and the last records show them.
    pub fn judged_by(&self) -> Result<Vec<JudgedBy>, ReadError> {
        let mut latest: BTreeMap<Option<ProjectName>, JudgedBy> = BTreeMap::new();
        let mut found = self.0.policy_rows()?;
        found.extend(self.last_policies()?);
        for one in found {
            if latest.get(&one.project).is_none_or(|known| known.serial < one.serial) {
                latest.insert(one.project.clone(), one);
            }
        }
        Ok(latest.into_values().collect())
    }

    /// The bundles that judged the last records. Damaged ones are reported elsewhere and skipped here.
    fn last_policies(&self) -> Result<Vec<JudgedBy>, ReadError> {
        let last = self.last().0;
        let first = last.saturating_sub(LOOKED_BACK).max(self.first_index());
        let mut named = BTreeSet::new();
        for index in first..=last {
            if let Ok(Some(stored)) = self.record(index) {
                named.extend(policies_of(&stored.record));
            }
        }
        let object = |hash| self.object(&hash).ok().flatten().and_then(|bytes| JudgedBy::of(hash, &bytes));
        Ok(named.into_iter().filter_map(object).collect())
    }
}

/// The policy facts that judged a record.
fn policies_of(record: &Record) -> impl Iterator<Item = Hash> + '_ {
    let outcomes = record.guard_outcomes.iter().filter(|outcome| outcome.guard == GuardName::Policy);
    outcomes.flat_map(|outcome| outcome.facts.iter().copied())
}

impl Inner {
    fn policy_rows(&self) -> Result<Vec<JudgedBy>, ReadError> {
        let mut keys = self.keys(Family::Meta, meta::POLICY.to_vec(), meta::POLICY_END.to_vec());
        let mut rows = Vec::new();
        while let Some((_, value)) = keys.next_row()? {
            // A mangled row keeps no node from starting: the last records tell the same.
            rows.extend(from_canonical::<JudgedBy>(value).ok());
        }
        Ok(rows)
    }

    /// Adds a row for each bundle that judges its first record here. Facts are written with the first record that names
    /// them, so only a batch that brings one is looked at.
    pub(super) fn stage_batch_policies(&self, rows: &mut WriteBatch, batch: &Batch) -> Result<(), ReadError> {
        let brought = brought(batch.writes.iter().filter_map(object));
        if brought.is_empty() {
            return Ok(());
        }
        let records = batch.entries.iter().filter_map(|entry| from_canonical::<Record>(entry.linked.encoded()).ok());
        self.stage_policies(rows, brought, records)
    }

    /// Adds a row for each bundle that one of these records was judged by.
    pub(super) fn stage_policies(
        &self,
        rows: &mut WriteBatch,
        brought: Vec<JudgedBy>,
        records: impl Iterator<Item = Record>,
    ) -> Result<(), ReadError> {
        let named: BTreeSet<Hash> = records.flat_map(|record| policies_of(&record).collect::<Vec<_>>()).collect();
        for one in brought.into_iter().filter(|one| named.contains(&one.fact)) {
            let known = self.get(Family::Meta, &one.key())?;
            let known = known.and_then(|row| from_canonical::<JudgedBy>(&row).ok());
            if known.is_none_or(|known| known.serial <= one.serial) {
                rows.put_cf(self.family(Family::Meta), one.key(), canonical_bytes(&one));
            }
        }
        Ok(())
    }
}

/// The policy bundles among objects.
pub(super) fn brought<'a>(objects: impl Iterator<Item = (&'a Hash, &'a [u8])>) -> Vec<JudgedBy> {
    let facts = objects.filter(|(_, bytes)| bytes.starts_with(FACT));
    facts.filter_map(|(hash, bytes)| JudgedBy::of(*hash, bytes)).collect()
}

fn object(write: &Write) -> Option<(&Hash, &[u8])> {
    match write {
        Write::Object { hash, bytes } => Some((hash, bytes)),
        Write::Decision { .. }
        | Write::Key { .. }
        | Write::EffectOpened { .. }
        | Write::EffectClosed { .. }
        | Write::Blocked { .. }
        | Write::Snapshot(_) => None,
    }
}
