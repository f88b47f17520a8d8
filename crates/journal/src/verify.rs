//! Checking a data directory record by record, offline. It reduces nothing; `replay` does.

mod log;
mod scrub;
mod tables;

pub use scrub::{Finding, scrub};

use std::fmt;

use super::error::{ReadError, RecoverError};
use super::frame::{Frame, StoredRecord};
use super::read::Row;
use super::{Acceptance, Journal, JournalIdentity, Mark, WatermarkError, fingerprint, parallel};
use swoosh_types::canonical::{from_canonical, try_canonical_bytes};
use swoosh_types::decision::Decision;
use swoosh_types::hash::Hash;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::receipt::ReceiptError;
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

use super::fold::take_chunk;

/// Problems reported in full; the rest are counted.
pub const MAX_PROBLEMS: usize = 1000;

#[derive(Debug)]
pub struct VerifyReport {
    pub identity: JournalIdentity,
    /// Records that were looked at.
    pub records: u64,
    /// Index of the first record that is there: those before it are pruned.
    pub first_index: u64,
    pub last_index: u64,
    /// The stored chain value of the last record.
    pub last_chain: Hash,
    /// The problems, by record; at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many problems there are in all.
    pub problem_count: u64,
    /// Whether the WAL could be read to its end.
    pub complete: bool,
    /// Losses that a person accepted, the first one first. They are no problem, and they are not forgotten.
    pub acceptances: Vec<Acceptance>,
    /// How the incarnations after the first one began.
    pub incarnations: Vec<Incarnation>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.complete && self.problem_count == 0
    }
}

/// A flaw of a record, or of the watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub index: u64,
    pub flaw: Flaw,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flaw {
            // A watermark that says nothing is no fault of the last record.
            Flaw::Promise(error) if error.index().is_none() => write!(f, "{error}"),
            flaw => write!(f, "record {}: {flaw}", self.index),
        }
    }
}

impl std::error::Error for Problem {}

/// A way in which a record can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It cannot be read, or the chain breaks at it.
    #[error("{0}")]
    Read(ReadError),
    /// Its bytes are not its canonical ones.
    #[error("its bytes are not canonical")]
    NotCanonical,
    /// Inputs or a fact are missing.
    #[error("the object {0} is missing")]
    ObjectMissing(Hash),
    /// Inputs or a fact are not what their hash says.
    #[error("the object {expected} hashes to {found}")]
    ObjectMangled {
        /// The hash in its key.
        expected: Hash,
        found: Hash,
    },
    /// The caller did not sign the proposal.
    #[error("the signature is not the signer's over this proposal")]
    Signature,
    /// The receipt does not prove itself.
    #[error("the receipt does not hold: {0}")]
    Receipt(ReceiptError),
    /// Another node sealed the batch.
    #[error("the batch is sealed by {0}, which may not seal here")]
    Sealer(PublicKey),
    /// The decision record is missing.
    #[error("its decision record is missing")]
    DecisionMissing,
    /// The decision record does not tell the same.
    #[error("its decision record does not agree with it")]
    DecisionDiffers,
    /// The idempotency key is not bound, though it is not behind the prune floor.
    #[error("its idempotency key is not bound")]
    KeyMissing,
    /// The idempotency key is bound to something else, or stands for another receipt.
    #[error("its idempotency key is bound to something else")]
    KeyDiffers,
    /// The receipt of the last pruned record does not hold.
    #[error("the log begins after it, and its receipt does not hold: {0}")]
    PrunePoint(ReceiptError),
    /// The base of a project whose records are pruned.
    #[error("{0}")]
    Base(String),
    /// A promise of the watermark is not kept.
    #[error("{0}")]
    Promise(Box<RecoverError>),
    /// A snapshot cannot be used.
    #[error(
        "the snapshot of project {project} here is not used: {reason}; an older one and the records after it stand in for it"
    )]
    Snapshot { project: ProjectName, reason: String },
    /// A row of another table is not what belongs there.
    #[error("in the table {family}: {what}")]
    Table { family: &'static str, what: String },
}

/// Verifies every record: frame, chain, canonical bytes, objects, the caller's signature, the batch's seal and path,
/// the decision record and the idempotency key; in a pruned log also the prune point and the bases. Then every
/// snapshot, every idempotency key, and every row of the outbox. Writes nothing. `progress` receives the last index now and then. A damaged
/// record does not end the run, unless RocksDB cannot read on.
pub fn verify(journal: &Journal, progress: &mut dyn FnMut(u64)) -> VerifyReport {
    let mut report = VerifyReport {
        identity: journal.identity().clone(),
        records: 0,
        first_index: journal.first_index(),
        last_index: journal.first_index() - 1,
        last_chain: Hash::ZERO,
        problems: Vec::new(),
        problem_count: 0,
        complete: false,
        acceptances: Vec::new(),
        incarnations: journal.incarnations().to_vec(),
    };
    match journal.acceptances() {
        Ok(acceptances) => report.acceptances = acceptances,
        Err(error) => report.note(0, Flaw::Read(error)),
    }
    let promised = journal.0.keeper.promised();
    report.ground(journal);
    let mut rows = journal.0.rows_from(report.first_index);
    loop {
        let (chunk, fault) = take_chunk(&mut rows);
        let end = chunk.is_empty();
        report.chunk(journal, chunk);
        progress(report.last_index);
        if let Some(error) = fault {
            report.note(error.index().unwrap_or(report.last_index), Flaw::Read(error));
            return report;
        }
        if end {
            report.complete = true;
            report.tables(journal);
            report.log(journal, promised.as_ref().ok().and_then(Option::as_ref));
            report.promise(journal, promised);
            return report;
        }
    }
}

impl VerifyReport {
    /// Holds what was found against the watermark.
    fn promise(&mut self, journal: &Journal, promised: Result<Option<Mark>, WatermarkError>) {
        let kept =
            promised.map_err(RecoverError::from).and_then(|mark| journal.0.keeps(mark.as_ref(), self.last_index));
        if let Err(error) = kept {
            self.note(error.index().unwrap_or(self.last_index), Flaw::Promise(Box::new(error)));
        }
    }

    /// Looks at the prune point and at every base, and begins the chain there.
    fn ground(&mut self, journal: &Journal) {
        let Some(point) = journal.prune_point() else { return };
        self.last_chain = point.receipt.chain;
        let identity = journal.identity();
        if let Err(error) = point.receipt.verify(&identity.cluster) {
            self.note(point.receipt.index, Flaw::PrunePoint(error));
        }
        if !journal.seals(&point.receipt.seal.node) {
            self.note(point.receipt.index, Flaw::Sealer(point.receipt.seal.node));
        }
        let bases = journal.0.based_projects();
        let flaws = bases.and_then(|projects| projects.iter().map(|project| journal.0.base_flaws(project)).collect());
        match flaws {
            Ok(flaws) => {
                let flaws: Vec<Vec<String>> = flaws;
                flaws.into_iter().flatten().for_each(|flaw| self.note(point.receipt.index, Flaw::Base(flaw)));
            }
            Err(error) => self.note(point.receipt.index, Flaw::Read(error)),
        }
    }

    fn note(&mut self, index: u64, flaw: Flaw) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { index, flaw });
        }
    }

    fn chunk(&mut self, journal: &Journal, chunk: Vec<Row>) {
        let linked: Vec<(Row, Hash)> = chunk
            .into_iter()
            .map(|row| {
                let previous = journal.0.onward(self.last_index, self.last_chain);
                self.last_index = row.index;
                self.last_chain = Frame::parse(row.index, &row.value).map_or(previous, |frame| frame.chain);
                (row, previous)
            })
            .collect();
        self.records += linked.len() as u64;
        let applied = |(row, previous): (Row, Hash)| (row.index, look(journal, &row, &previous, true));
        for (index, flaws) in parallel::map(linked, applied) {
            flaws.into_iter().for_each(|flaw| self.note(index, flaw));
        }
    }
}

/// Everything that is wrong with one record. One that is not applied has neither decision nor key.
fn look(journal: &Journal, row: &Row, previous: &Hash, applied: bool) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let stored = Frame::parse(row.index, &row.value).and_then(|frame| {
        flaws.extend(frame.check_link(previous).err().map(Flaw::Read));
        frame.stored(frame.decode_record()?)
    });
    let checked = stored.and_then(|stored| {
        if try_canonical_bytes(&stored.record).ok().as_ref() != Some(&stored.encoded) {
            flaws.push(Flaw::NotCanonical);
        }
        objects(journal, &stored.record, &mut flaws)?;
        seal(journal, &stored, &mut flaws);
        if !applied {
            return Ok(());
        }
        decision(journal, &stored, &mut flaws)?;
        key(journal, &stored, &mut flaws)
    });
    flaws.extend(checked.err().map(Flaw::Read));
    flaws
}

fn objects(journal: &Journal, record: &Record, flaws: &mut Vec<Flaw>) -> Result<(), ReadError> {
    for expected in std::iter::once(record.inputs_hash).chain(record.facts()) {
        match journal.object(&expected) {
            Ok(Some(_)) => {}
            Ok(None) => flaws.push(Flaw::ObjectMissing(expected)),
            Err(ReadError::ObjectMangled { expected, found }) => flaws.push(Flaw::ObjectMangled { expected, found }),
            Err(error) => return Err(error),
        }
    }
    if flaws.is_empty() {
        let signed = record.proposal(journal.0.inputs(record)?);
        let message = signed.proposal.message(&journal.identity().cluster);
        if !record.signer.verify(&message, &record.signature) {
            flaws.push(Flaw::Signature);
        }
    }
    Ok(())
}

fn seal(journal: &Journal, stored: &StoredRecord, flaws: &mut Vec<Flaw>) {
    let identity = journal.identity();
    flaws.extend(stored.receipt().verify(&identity.cluster).err().map(Flaw::Receipt));
    if !journal.seals(&stored.seal.node) {
        flaws.push(Flaw::Sealer(stored.seal.node));
    }
}

fn decision(journal: &Journal, stored: &StoredRecord, flaws: &mut Vec<Flaw>) -> Result<(), ReadError> {
    let record = &stored.record;
    let Some(bytes) = journal.decision(&record.project, record.index)? else {
        flaws.push(Flaw::DecisionMissing);
        return Ok(());
    };
    let agrees = |decision: Decision| {
        decision.id == stored.receipt().decision
            && decision.chain == stored.chain
            && decision.transition == record.transition
            && decision.state_post_hash == record.state_post_hash
            && decision.guard_outcomes == record.guard_outcomes
            && decision.signer == record.signer
    };
    if !from_canonical(&bytes).is_ok_and(agrees) {
        flaws.push(Flaw::DecisionDiffers);
    }
    Ok(())
}

fn key(journal: &Journal, stored: &StoredRecord, flaws: &mut Vec<Flaw>) -> Result<(), ReadError> {
    let record = &stored.record;
    let expected = fingerprint(record.transition, &record.inputs_hash, &record.signer);
    match journal.bound_key(&record.project, &record.idem_key)? {
        None if record.idem_key.beat < journal.key_floor(&record.project)? => {}
        None => flaws.push(Flaw::KeyMissing),
        Some(bound) => {
            let same = bound.fingerprint == expected && bound.index == record.index;
            if !same || !try_canonical_bytes(&stored.receipt()).is_ok_and(|receipt| bound.gives(&receipt)) {
                flaws.push(Flaw::KeyDiffers);
            }
        }
    }
    Ok(())
}
