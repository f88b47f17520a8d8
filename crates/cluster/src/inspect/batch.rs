//! The check of one batch: links, seal, hashes, facts, stamps, and each record reduced again.

use std::collections::BTreeMap;
use std::sync::Arc;

use swoosh_journal::StoredRecord;
use swoosh_machine::head::Head;
use swoosh_machine::replay::{StoredInputs, step};
use swoosh_types::cluster::Batch;
use swoosh_types::hash::Hash;
use swoosh_types::incarnation::onward;
use swoosh_types::record::{Linked, Record};
use swoosh_types::text::ProjectName;

use super::{Inspector, Known, Step, Stop, Why, damaged, unreadable};

type Objects<'b> = BTreeMap<Hash, &'b [u8]>;

impl Inspector {
    /// Moves `step`, whose end is that of the row before, behind the batch.
    pub(super) fn inspect_batch(
        &self,
        step: &mut Step,
        batch: &Batch,
        now_ms: Option<u64>,
        known: &dyn Known,
    ) -> Result<(), Stop> {
        let (first, before) = (step.end.record + 1, onward(&self.rules.incarnations, step.end.record, step.end.chain));
        if batch.first != first || batch.before != before {
            let (found, link) = (batch.first, batch.before);
            return Err(damaged(format!(
                "a batch begins with record {found} behind {link}; expected {first} behind {before}"
            )));
        }
        let objects = objects(batch)?;
        let mut chain = before;
        for (index, frame) in (first..).zip(&batch.frames) {
            let stored = StoredRecord::read(index, frame).map_err(|error| damaged(error.to_string()))?;
            chain = self.check_seal(step, batch, chain, &stored)?;
            let record = &stored.record;
            self.check_stamp(step, record, now_ms)?;
            self.check_facts(record, &objects, known)?;
            let next = self.reduce(step, record, &objects, known)?;
            step.heads.insert(record.project.clone(), next);
            (step.end.record, step.end.chain, step.end.stamp) = (index, chain, record.timestamp);
        }
        if batch.after != chain {
            return Err(damaged(format!("a batch ends with {}, and its records with {chain}", batch.after)));
        }
        step.objects.extend(objects.into_keys());
        Ok(())
    }

    /// Checks the link, and that the term's leader sealed it; returns the link.
    fn check_seal(&self, step: &Step, batch: &Batch, chain: Hash, stored: &StoredRecord) -> Result<Hash, Stop> {
        let (index, seal) = (stored.record.index, &stored.seal);
        let linked = Linked::of(chain, stored.encoded.clone()).chain();
        if stored.chain != linked {
            return Err(damaged(format!("the link of record {index} should be {linked} and is {}", stored.chain)));
        }
        if (seal.batch.first, seal.batch.last + 1) != (batch.first, batch.first + batch.count()) {
            return Err(damaged(format!("the seal of record {index} is of another batch")));
        }
        self.is_sealer(step.sealer, &seal.node)?;
        let sealed = stored.receipt().verify(&self.rules.cluster);
        sealed.map_err(|error| damaged(format!("the seal of record {index} does not hold: {error}")))?;
        Ok(linked)
    }

    /// A stamp ahead of the clock is taken where the log had it before: else one early stamp would stop the cluster.
    fn check_stamp(&self, step: &Step, record: &Record, now_ms: Option<u64>) -> Result<(), Stop> {
        let (index, stamp, max_ahead_ms) = (record.index, record.timestamp, self.rules.max_ahead_ms);
        if stamp < step.end.stamp {
            return Err(damaged(format!(
                "the stamp {stamp} of record {index} is earlier than that of the record before"
            )));
        }
        let is_ahead = now_ms.is_some_and(|now| stamp.physical_ms() > now.saturating_add(max_ahead_ms));
        if is_ahead && stamp.physical_ms() > step.end.stamp.physical_ms() {
            return Err(Why::Clock { index, stamp, max_ahead_ms }.into());
        }
        Ok(())
    }

    fn check_facts(&self, record: &Record, objects: &Objects<'_>, known: &dyn Known) -> Result<(), Stop> {
        for hash in record.facts() {
            let is_here = objects.contains_key(&hash) || self.steps.iter().any(|step| step.objects.contains(&hash));
            if !is_here && !known.has_object(&hash).map_err(unreadable)? {
                return Err(damaged(format!("the fact {hash} of record {} is missing", record.index)));
            }
        }
        Ok(())
    }

    fn reduce(&self, now: &Step, record: &Record, objects: &Objects<'_>, known: &dyn Known) -> Result<Arc<Head>, Stop> {
        let (index, hash) = (record.index, &record.inputs_hash);
        let bytes = objects.get(hash).ok_or_else(|| damaged(format!("the inputs of record {index} are missing")))?;
        let inputs = StoredInputs::read(record.transition, hash, bytes);
        let inputs =
            inputs.map_err(|error| damaged(format!("the inputs of record {index} cannot be read: {error}")))?;
        let head = self.head(now, &record.project, known)?;
        Ok(Arc::new(step(&head, record, inputs.json()).map_err(Why::from)?))
    }

    /// A project's head before a record.
    fn head(&self, now: &Step, project: &ProjectName, known: &dyn Known) -> Result<Arc<Head>, Stop> {
        let steps = self.steps.iter().rev().map(|step| &step.heads);
        if let Some(head) = std::iter::once(&now.heads).chain(steps).find_map(|heads| heads.get(project)) {
            return Ok(head.clone());
        }
        let (head, last) = known.head(project).map_err(unreadable)?;
        if last > self.base.record { Err(Stop::Moved) } else { Ok(head) }
    }
}

/// The objects of a batch, each under its own hash.
fn objects(batch: &Batch) -> Result<Objects<'_>, Stop> {
    let checked = |object: &'_ swoosh_types::cluster::Object| Hash::of(&object.bytes) == object.hash;
    if let Some(wrong) = batch.objects.iter().find(|object| !checked(object)) {
        return Err(damaged(format!("an object is stored under {} and has another hash", wrong.hash)));
    }
    Ok(batch.objects.iter().map(|object| (object.hash, object.bytes.as_slice())).collect())
}
