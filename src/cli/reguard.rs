//! Judging recorded transitions again, by nothing but the facts that were recorded with them.
//!
//! **Architecture invariant.** Reads the journal and nothing else: no clock, no settings, no fact table. What
//! a record's guards say again must be what the record says they said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::count;
use crate::journal::{Journal, ReadError, StoredRecord};
use crate::machine::chart::Inputs;
use crate::machine::facts::{FactError, FactSet, KnownFact};
use crate::machine::head::Head;
use crate::machine::judge::{self, Accepted, Docket, Key, Refused};
use crate::machine::policy::engine_version;
use crate::machine::reduce::Stamp;
use crate::machine::upgrade;
use crate::types::canonical::{DecodeError, from_slice};
use crate::types::fact::Fact;
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::names::GuardName;
use crate::types::record::{GuardOutcome, Record};

/// Mismatches that are shown in full; the rest are counted.
pub const MAX_MISMATCHES: usize = 1000;
/// Facts, and sets of facts, that are kept parsed. Compiling policies is what takes long.
const CACHED: usize = 1024;

/// A record whose guards judge otherwise now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Which record.
    pub index: u64,
    /// The differences, one sentence each.
    pub differences: Vec<String>,
}

/// The result of judging again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReguardReport {
    /// Records that were judged again.
    pub judged: u64,
    /// Records whose policies another engine judged. Their policy guard is not compared: a difference there is
    /// the engine's, and no mismatch.
    pub engine_differs: u64,
    /// The first of those records, and its engine.
    pub other_engine: Option<(u64, String)>,
    /// The differences, the first record first; at most [`MAX_MISMATCHES`].
    pub mismatches: Vec<Mismatch>,
    /// How many records differ in all.
    pub mismatch_count: u64,
}

impl ReguardReport {
    /// Whether every record was judged as before.
    pub fn is_good(&self) -> bool {
        self.mismatch_count == 0
    }
}

/// Why the facts of a record cannot be had.
#[derive(Debug, thiserror::Error)]
enum FactsError {
    #[error("the journal: {0}")]
    Journal(#[from] ReadError),
    #[error("the fact {0} is missing")]
    Missing(Hash),
    #[error("the fact {0} does not decode: {1}")]
    Form(Hash, DecodeError),
    #[error("the fact {0} cannot be used: {1}")]
    Body(Hash, FactError),
}

/// Judges records again, one after the other.
pub struct Reguard<'a> {
    journal: &'a Journal,
    engine: String,
    facts: BTreeMap<Hash, KnownFact>,
    sets: BTreeMap<Vec<Hash>, FactSet>,
    report: ReguardReport,
}

impl<'a> Reguard<'a> {
    /// Judges by the facts of this journal.
    pub fn new(journal: &'a Journal) -> Reguard<'a> {
        let (facts, sets) = (BTreeMap::new(), BTreeMap::new());
        Reguard { journal, engine: engine_version().to_owned(), facts, sets, report: ReguardReport::default() }
    }

    /// Judges one record on the head before it.
    pub fn visit(&mut self, stored: &StoredRecord, head: &Head, inputs: &Json) {
        let record = &stored.record;
        let same_engine = record.policy_engine == self.engine;
        self.report.judged += 1;
        if !same_engine {
            self.report.engine_differs += 1;
            self.report.other_engine.get_or_insert_with(|| (record.index, record.policy_engine.clone()));
        }
        let differences = match self.judge(record, head, inputs) {
            Ok(judged) => differences(record, judged, same_engine),
            Err(reason) => vec![reason],
        };
        if !differences.is_empty() {
            self.report.mismatch_count += 1;
            if self.report.mismatches.len() < MAX_MISMATCHES {
                self.report.mismatches.push(Mismatch { index: record.index, differences });
            }
        }
    }

    pub fn report(self) -> ReguardReport {
        self.report
    }

    fn judge(&mut self, record: &Record, head: &Head, inputs: &Json) -> Result<Result<Accepted, Refused>, String> {
        let facts = self.facts(record).map_err(|error| error.to_string())?;
        let typed = Inputs::decode(record.transition, &inputs.canonical());
        let typed = typed.map_err(|error| format!("the inputs cannot be read: {error}"))?;
        let proposal = record.proposal(inputs.clone()).proposal;
        // A project begins under the chart of the program that wrote its first record.
        let head = &*upgrade::begun(head, &proposal.current_state_hash);
        let docket = Docket {
            cluster: &self.journal.identity().cluster,
            head,
            facts: &facts,
            proposal: &proposal,
            inputs: &typed,
            stamp: Stamp { index: record.index, at: record.timestamp },
        };
        Ok(judge::judge(&docket, &Key::Recorded))
    }

    /// The facts that the record names, and no others.
    fn facts(&mut self, record: &Record) -> Result<FactSet, FactsError> {
        let hashes = record.facts();
        if let Some(set) = self.sets.get(&hashes) {
            return Ok(set.clone());
        }
        let mut set = FactSet::default();
        for hash in &hashes {
            set.insert(self.fact(hash)?);
        }
        keep(&mut self.sets, hashes, set.clone());
        Ok(set)
    }

    fn fact(&mut self, hash: &Hash) -> Result<KnownFact, FactsError> {
        if let Some(known) = self.facts.get(hash) {
            return Ok(known.clone());
        }
        let bytes = self.journal.object(hash)?.ok_or(FactsError::Missing(*hash))?;
        let fact: Fact = from_slice(&bytes).map_err(|error| FactsError::Form(*hash, error))?;
        let known = KnownFact::read(fact).map_err(|error| FactsError::Body(*hash, error))?;
        keep(&mut self.facts, *hash, known.clone());
        Ok(known)
    }
}

/// Remembers a value; a full memory is emptied, because what comes next needs what came last.
fn keep<K: Ord, V>(cache: &mut BTreeMap<K, V>, key: K, value: V) {
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(key, value);
}

/// Differences from the record.
fn differences(record: &Record, judged: Result<Accepted, Refused>, same_engine: bool) -> Vec<String> {
    match judged {
        Ok(accepted) => {
            let mut found = outcomes(&record.guard_outcomes, &accepted.outcomes, same_engine);
            let (next, said) = (accepted.next.hash(), record.state_post_hash);
            found.extend((next != said).then(|| format!("it leads to {next}, the record says {said}")));
            found
        }
        // Another engine may refuse what the recorded one let pass; every other guard must judge as before.
        Err(refused) if !same_engine && !refused.rejection.guard_outcomes.is_empty() => {
            outcomes(&record.guard_outcomes, &refused.rejection.guard_outcomes, same_engine)
        }
        Err(refused) => {
            vec![format!("it would be refused: {}: {}", refused.rejection.code, refused.rejection.reasons.join("; "))]
        }
    }
}

fn outcomes(recorded: &[GuardOutcome], judged: &[GuardOutcome], same_engine: bool) -> Vec<String> {
    let names = |outcomes: &[GuardOutcome]| outcomes.iter().map(|outcome| outcome.guard.as_str()).collect::<Vec<_>>();
    if names(recorded) != names(judged) {
        let (was, is) = (names(recorded).join(", "), names(judged).join(", "));
        return vec![format!("the guards {was} were asked, now it is {is}")];
    }
    let compared = recorded.iter().zip(judged).filter(|(was, _)| same_engine || was.guard != GuardName::Policy);
    compared.filter(|(was, is)| was != is).map(|(was, is)| difference(was, is)).collect()
}

fn difference(was: &GuardOutcome, is: &GuardOutcome) -> String {
    let say = |outcome: &GuardOutcome| {
        let verdict = if outcome.ok { "passed" } else { "failed" };
        format!("{verdict} ({}; {})", outcome.reasons.join("; "), count(outcome.facts.len() as u64, "fact"))
    };
    format!("guard {}: it {}, now it {}", was.guard, say(was), say(is))
}

#[cfg(test)]
mod tests;
