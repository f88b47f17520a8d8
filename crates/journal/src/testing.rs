//! A node in a temporary directory that appends valid records: the states are whatever the reducer makes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::new_without_default, reason = "it is for tests")]

pub mod member;

use std::collections::BTreeMap;
use std::sync::Arc;

use tempfile::TempDir;

use super::layout::wal_key;
use super::*;
use swoosh_machine::chart::Inputs;
use swoosh_machine::head::Head;
use swoosh_machine::reduce::{Stamp, reduce};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::decision::Wording;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::Transition;
use swoosh_types::proposal::Proposal;
use swoosh_types::receipt::{EncodedSeal, SealedBatch};
use swoosh_types::record::{GuardOutcome, Linked, Record};
use swoosh_types::text::ProjectName;

pub fn name(text: &str) -> ProjectName {
    text.parse().unwrap()
}

pub fn cluster() -> ClusterId {
    "testing".parse().unwrap()
}

pub fn node_key() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

pub fn options(path: &Path) -> JournalOptions {
    JournalOptions {
        path: path.to_path_buf(),
        node: node_key().public(),
        cluster: cluster(),
        snapshot_every: 4,
        durability: Durability::Sync,
        store: StoreLimits::default(),
        medium: None,
    }
}

/// A temporary directory that holds a journal and, beside it, its watermark.
pub struct Directory {
    _outer: TempDir,
    path: PathBuf,
}

impl Directory {
    pub fn new() -> Directory {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("journal");
        std::fs::create_dir(&path).unwrap();
        Directory { _outer: outer, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, as the journal names it.
    #[cfg(test)]
    pub(crate) fn place(&self) -> Place {
        Place::directory(self.path())
    }

    /// The watermark beside it.
    pub fn watermark(&self) -> PathBuf {
        watermark::beside(&self.path)
    }

    /// A copy of the directory, as a crash would leave it.
    pub fn copy(&self) -> Directory {
        let copy = Directory::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        std::fs::copy(self.watermark(), copy.watermark()).unwrap();
        copy
    }
}

/// The node. `heads` and `history` are what it knows without the journal.
pub struct Node {
    pub directory: Directory,
    pub journal: Journal,
    pub heads: BTreeMap<ProjectName, Head>,
    /// Project and head after each record, from index 1.
    pub history: Vec<(ProjectName, Head)>,
    pub chain: Hash,
    /// The beats that keys name, by index, where they are not the index.
    pub beats: BTreeMap<u64, u64>,
    /// The key that seals batches, and the term of the cluster's leader that it is.
    pub sealer: (SecretKey, Option<u64>),
    signer: SecretKey,
}

impl Node {
    pub fn new() -> Node {
        let directory = Directory::new();
        let journal = Journal::open(options(directory.path())).unwrap();
        journal.recover().unwrap();
        let signer = SecretKey::from_bytes(&[2; 32]);
        let (heads, beats) = (BTreeMap::new(), BTreeMap::new());
        let (sealer, chain) = ((node_key(), None), Hash::ZERO);
        Node { directory, journal, heads, history: Vec::new(), chain, beats, sealer, signer }
    }

    pub fn last(&self) -> u64 {
        self.history.len() as u64
    }

    /// Appends one batch with a record of each of these projects, in this order.
    pub fn commit(&mut self, projects: &[&str]) -> Vec<Record> {
        let (batch, records) = self.batch(projects);
        self.journal.append(&batch).unwrap();
        records
    }

    /// Makes a batch without appending it.
    pub fn batch(&mut self, projects: &[&str]) -> (Batch, Vec<Record>) {
        let first = self.last() + 1;
        let records: Vec<_> = projects.iter().map(|project| self.judge(&name(project))).collect();
        let mut linked = Vec::new();
        for (record, _) in &records {
            let next = Arc::new(Linked::of(self.chain, record.encode()));
            self.chain = next.chain();
            linked.push(next);
        }
        let chains: Vec<Hash> = linked.iter().map(|linked| linked.chain()).collect();
        let (key, term) = &self.sealer;
        let sealed = SealedBatch::seal_in(&cluster(), key, *term, first, &chains).unwrap();
        let seal = Arc::new(EncodedSeal::of(sealed.seal.clone()));
        let mut batch = Batch::default();
        for (position, (record, inputs)) in records.iter().enumerate() {
            let path = sealed.path(position);
            let (encoded, chain, seal) = (record.encode(), chains[position], seal.clone());
            let stored =
                StoredRecord { record: record.clone(), encoded, chain, seal: seal.seal().clone(), path: path.clone() };
            batch.writes.extend(writes(&stored, inputs));
            let (index, project) = (record.index, record.project.clone());
            batch.entries.push(LogEntry { index, project, linked: linked[position].clone(), seal, path });
        }
        (batch, records.into_iter().map(|(record, _)| record).collect())
    }

    /// Forgets every record after one, whose link is given: a log that was cut goes on from there.
    pub fn forget_after(&mut self, last: u64, chain: Hash) {
        self.history.truncate(last as usize);
        self.heads = self.history.iter().cloned().collect();
        self.chain = chain;
    }

    fn judge(&mut self, project: &ProjectName) -> (Record, Json) {
        let index = self.last() + 1;
        let head = self.heads.entry(project.clone()).or_insert_with(|| Head::genesis(project)).clone();
        let transition = if index.is_multiple_of(3) { Transition::ControlResume } else { Transition::ControlPause };
        let inputs = Json::Object([("rationale".to_owned(), Json::String(format!("reason {index}")))].into());
        let clock = Hlc::new(1_760_000_000_000 + index, 0).unwrap();
        let beat = self.beats.get(&index).copied().unwrap_or(index);
        let proposal = Proposal {
            project: Some(project.clone()),
            current_state_hash: head.hash(),
            transition,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs: inputs.clone(),
            signer: self.signer.public(),
            idem_key: format!("goal:{beat}:control:uuid-{index:08}").parse().unwrap(),
            hlc: clock,
            window_id: None,
            evidence: Vec::new(),
        };
        let typed = Inputs::decode(transition, &inputs.canonical()).unwrap();
        let next = head.advance(reduce(&head, &proposal, &typed, Stamp { index, at: clock }));
        let signed = proposal.sign(&cluster(), &self.signer);
        let record = Record {
            index,
            project: project.clone(),
            project_implied: false,
            state_pre_hash: head.hash(),
            transition,
            inputs_hash: signed.proposal.inputs_hash,
            signer: signed.proposal.signer,
            idem_key: signed.proposal.idem_key.clone(),
            hlc: clock,
            window_id: None,
            guard_outcomes: Vec::<GuardOutcome>::new(),
            policy_engine: "none".to_owned(),
            evidence: Vec::new(),
            signature: signed.signature,
            timestamp: clock,
            state_post_hash: next.hash(),
        };
        self.heads.insert(project.clone(), next.clone());
        self.history.push((project.clone(), next));
        (record, inputs)
    }

    /// The snapshot of a project as a record left it.
    pub fn snapshot(&self, index: u64) -> Snapshot {
        let stored = self.journal.record(index).unwrap().unwrap();
        let (project, head) = &self.history[index as usize - 1];
        assert_eq!(*project, stored.record.project);
        Snapshot::of(&stored.record, stored.chain, head.state())
    }

    /// The head that a project had after the record at `index`, as the node knows it.
    pub fn head_then(&self, project: &ProjectName, index: u64) -> Head {
        let before = &self.history[..index as usize];
        let found = before.iter().rev().find(|(of, _)| of == project);
        found.map_or_else(|| Head::genesis(project), |(_, head)| head.clone())
    }

    /// Closes the journal and opens it again, without recovering it. One that has less than was promised is
    /// opened to be looked at.
    pub fn reopen(self) -> Node {
        let Node { directory, journal, heads, history, chain, beats, sealer, signer } = self;
        drop(journal);
        let journal = match Journal::open(options(directory.path())) {
            Err(OpenError::Lost { .. }) => Journal::open_read_only(directory.path()),
            opened => opened,
        };
        let journal = journal.unwrap_or_else(|error| panic!("{error}"));
        Node { directory, journal, heads, history, chain, beats, sealer, signer }
    }

    /// Prunes the keys of records that are this many milliseconds older than the last one; each record is a
    /// millisecond younger than the one before.
    pub fn prune_keys(&self, horizon_ms: u64) -> PruneReport {
        self.journal.prune_keys(horizon_ms, &|_| u64::MAX, &|| true).unwrap()
    }

    /// Opens the journal again with another durability, and recovers it.
    pub fn reopen_with(&mut self, durability: Durability) {
        let wanted = JournalOptions { durability, ..options(self.directory.path()) };
        self.journal = Journal::open_read_only(self.directory.path()).unwrap();
        self.journal = Journal::open(wanted).unwrap();
        self.journal.recover().unwrap();
    }

    /// Writes everything to tables.
    pub fn flush(&self) {
        let families = self.journal.0.families().into_iter().map(|family| self.journal.0.family(family).inside());
        let families: Vec<_> = families.collect();
        self.journal.0.db.inside().flush_cfs_opt(&families, &rocksdb::FlushOptions::default()).unwrap();
    }

    /// Puts other bytes in the place of a row.
    pub(crate) fn overwrite(&self, family: Family, key: &[u8], bytes: &[u8]) {
        self.journal.0.db.inside().put_cf(self.journal.0.family(family).inside(), key, bytes).unwrap();
    }

    /// Flips the lowest bit of a byte of the frame at `index`, counted from its start or, if negative, its end.
    pub fn flip(&self, index: u64, at: isize) {
        let mut bytes = self.journal.0.frame_bytes(index).unwrap().unwrap();
        let position = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
        bytes[position] ^= 1;
        self.overwrite(Family::Wal, &wal_key(index), &bytes);
    }

    /// How many rows a family has.
    #[cfg(test)]
    pub(crate) fn rows(&self, family: Family) -> usize {
        self.journal
            .0
            .db
            .inside()
            .iterator_cf(self.journal.0.family(family).inside(), rocksdb::IteratorMode::Start)
            .count()
    }
}

fn writes(stored: &StoredRecord, inputs: &Json) -> Vec<Write> {
    let record = &stored.record;
    let (project, index) = (record.project.clone(), record.index);
    vec![
        Write::Object { hash: record.inputs_hash, bytes: inputs.canonical() },
        Write::Decision { project: project.clone(), index, wording: wording() },
        Write::Key {
            project,
            key: record.idem_key.clone(),
            fingerprint: fingerprint(record.transition, &record.inputs_hash, &record.signer),
            index,
            receipt: ReceiptSum::of(&canonical_bytes(&stored.receipt())),
        },
    ]
}

fn wording() -> Wording {
    Wording { summary: "a test".to_owned(), justification: "a test".to_owned(), ucxl: Vec::new() }
}
