//! A page of another node's log: every record of it is checked, and what holds becomes a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swoosh_journal::{Batch, FoldError, Journal, LogEntry, ReadError, ReceiptSum, StoredRecord, Write, fingerprint};
use swoosh_machine::head::Head;
use swoosh_machine::replay::{Divergence, step};
use swoosh_sequencer::{Change, Derived, Handle, View, due_snapshots};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::feed::{FeedFact, FeedPage, FeedRecord};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::incarnation::onward;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::receipt::{EncodedSeal, ReceiptError};
use swoosh_types::record::{Linked, Record};
use swoosh_types::text::ProjectName;

/// Why a record of another node is not kept.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("expected record {expected}, found record {found}")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("record {index} does not follow the one before it: its link should be {expected} and is {found}")]
    Chain { index: u64, expected: Hash, found: Hash },
    #[error("the inputs of record {index} hash to {found}, the record says {expected}")]
    Inputs { index: u64, expected: Hash, found: Hash },
    #[error("the signature of record {index} is not that of its signer")]
    Signature { index: u64 },
    #[error("the seal of record {index} does not hold: {source}")]
    Seal { index: u64, source: ReceiptError },
    #[error("record {index} is sealed by {found}, and the log is that of {expected}")]
    Sealer { index: u64, expected: PublicKey, found: PublicKey },
    #[error("the fact {hash} of record {index} is not there, or is another one")]
    Fact { index: u64, hash: Hash },
    #[error("{0}; this program and the node reduce differently, or one of them was changed")]
    Diverged(#[from] Divergence),
    #[error("the local log cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("a project held here cannot be loaded: {0}")]
    Fold(#[from] FoldError),
}

/// The result of a page.
pub struct Taken {
    pub batch: Batch,
    pub heads: Vec<(ProjectName, View)>,
    pub last_index: u64,
    /// The clock of the newest snapshot in it.
    pub snapshot: Option<Hlc>,
}

/// Checks the records of a page that come after the last one held.
pub fn take(journal: &Journal, handle: &Handle, page: &FeedPage) -> Result<Taken, Flaw> {
    let mut taking = Taking::after(journal, handle, page);
    let held = taking.last_index;
    for entry in page.records.iter().filter(|entry| entry.record.index > held) {
        taking.record(entry)?;
    }
    Ok(taking.done())
}

struct Taking<'a> {
    journal: &'a Journal,
    handle: &'a Handle,
    facts: BTreeMap<Hash, &'a FeedFact>,
    /// Objects that the batch holds already.
    written: BTreeSet<Hash>,
    seal: Option<Arc<EncodedSeal>>,
    heads: BTreeMap<ProjectName, (Arc<Head>, u64)>,
    /// The records, their links and the heads after them.
    moved: Vec<(Record, Hash, Arc<Head>)>,
    batch: Batch,
    last_index: u64,
    last_chain: Hash,
}

impl<'a> Taking<'a> {
    fn after(journal: &'a Journal, handle: &'a Handle, page: &'a FeedPage) -> Taking<'a> {
        let (last_index, last_chain) = journal.last();
        Taking {
            journal,
            handle,
            facts: page.facts.iter().map(|fact| (fact.hash, fact)).collect(),
            written: BTreeSet::new(),
            seal: None,
            heads: BTreeMap::new(),
            moved: Vec::new(),
            batch: Batch::default(),
            last_index,
            last_chain,
        }
    }

    fn record(&mut self, entry: &FeedRecord) -> Result<(), Flaw> {
        let record = &entry.record;
        let (index, expected) = (record.index, self.last_index + 1);
        if index != expected {
            return Err(Flaw::OutOfOrder { expected, found: index });
        }
        let linked = self.link(entry)?;
        let inputs = self.inputs(entry)?;
        let stored = self.seal(entry, linked.encoded().to_vec())?;
        self.facts(record)?;
        let (change, head) = self.reduce(entry)?;
        self.write(stored, Arc::new(linked), inputs, &entry.inputs, &change);
        self.moved.push((entry.record.clone(), entry.chain, head));
        Ok(())
    }

    fn link(&mut self, entry: &FeedRecord) -> Result<Linked, Flaw> {
        let index = entry.record.index;
        let previous = onward(self.journal.incarnations(), self.last_index, self.last_chain);
        let linked = Linked::of(previous, entry.record.encode());
        let (expected, found) = (linked.chain(), entry.chain);
        if expected != found {
            return Err(Flaw::Chain { index, expected, found });
        }
        (self.last_index, self.last_chain) = (index, found);
        Ok(linked)
    }

    /// The inputs' bytes, signed with the rest of the proposal.
    fn inputs(&self, entry: &FeedRecord) -> Result<Vec<u8>, Flaw> {
        let record = &entry.record;
        let (index, bytes) = (record.index, entry.inputs.canonical());
        let (expected, found) = (record.inputs_hash, Hash::of(&bytes));
        if expected != found {
            return Err(Flaw::Inputs { index, expected, found });
        }
        let message = record.proposal(entry.inputs.clone()).proposal.message(&self.journal.identity().cluster);
        match record.signer.verify(&message, &record.signature) {
            true => Ok(bytes),
            false => Err(Flaw::Signature { index }),
        }
    }

    fn seal(&self, entry: &FeedRecord, encoded: Vec<u8>) -> Result<StoredRecord, Flaw> {
        let identity = self.journal.identity();
        let stored = StoredRecord {
            record: entry.record.clone(),
            encoded,
            chain: entry.chain,
            seal: entry.seal.clone(),
            path: entry.path.clone(),
        };
        let index = stored.record.index;
        if !self.journal.seals(&stored.seal.node) {
            return Err(Flaw::Sealer { index, expected: identity.node, found: stored.seal.node });
        }
        stored.receipt().verify(&identity.cluster).map_err(|source| Flaw::Seal { index, source })?;
        Ok(stored)
    }

    fn facts(&mut self, record: &Record) -> Result<(), Flaw> {
        for hash in record.facts() {
            if self.written.contains(&hash) || self.journal.has_object(&hash)? {
                continue;
            }
            let fact = self.facts.get(&hash).map(|fact| fact.fact.canonical()).filter(|bytes| Hash::of(bytes) == hash);
            let bytes = fact.ok_or(Flaw::Fact { index: record.index, hash })?;
            self.written.insert(hash);
            self.batch.writes.push(Write::Object { hash, bytes });
        }
        Ok(())
    }

    fn reduce(&mut self, entry: &FeedRecord) -> Result<(Change, Arc<Head>), Flaw> {
        let (project, index) = (&entry.record.project, entry.record.index);
        let head = match self.heads.get(project) {
            Some((head, _)) => head.clone(),
            None => self.handle.view(project)?.head.clone(),
        };
        let next = Arc::new(step(&head, &entry.record, &entry.inputs)?);
        let change = Change::between(entry.record.transition, &head, &next);
        self.heads.insert(project.clone(), (next.clone(), index));
        Ok((change, next))
    }

    fn write(&mut self, stored: StoredRecord, linked: Arc<Linked>, bytes: Vec<u8>, inputs: &Json, change: &Change) {
        let record = &stored.record;
        let (project, index) = (record.project.clone(), record.index);
        if self.written.insert(record.inputs_hash) {
            self.batch.writes.push(Write::Object { hash: record.inputs_hash, bytes });
        }
        let derived = Derived {
            record,
            inputs,
            fingerprint: fingerprint(record.transition, &record.inputs_hash, &record.signer),
            change,
            receipt: ReceiptSum::of(&canonical_bytes(&stored.receipt())),
        };
        self.batch.writes.extend(self.handle.derive(&derived));
        let seal = match &self.seal {
            Some(known) if *known.seal() == stored.seal => known.clone(),
            _ => Arc::new(EncodedSeal::of(stored.seal.clone())),
        };
        self.seal = Some(seal.clone());
        self.batch.entries.push(LogEntry { index, project, linked, seal, path: stored.path });
    }

    fn done(mut self) -> Taken {
        let moved = self.moved.iter().map(|(record, chain, head)| (record, *chain, &**head));
        let due = due_snapshots(self.journal, moved);
        let snapshot = due.iter().map(|snapshot| snapshot.hlc).max();
        self.batch.writes.extend(due.into_iter().map(|snapshot| Write::Snapshot(Box::new(snapshot))));
        let heads = self.heads.into_iter().map(|(project, (head, index))| (project, View { head, index })).collect();
        Taken { batch: self.batch, heads, last_index: self.last_index, snapshot }
    }
}
