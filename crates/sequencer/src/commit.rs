//! The committer: seals a batch, writes it with everything it leads to, and answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::derive::{Change, Derived, derive, due_snapshots};
use super::handle::{Shared, View};
use super::heads::Evicted;
use super::inbox::{Done, Inbox, Reply};
use super::mend::Failure;
use super::pipeline::{answer, not_durable};
use super::{Outcome, Trace, Traced, Verified};
use swoosh_facts::FactsNow;
use swoosh_journal::{Batch, Durability, JournalOptions, Log, LogEntry, ReadError, ReceiptSum, Snapshot, Write};
use swoosh_machine::head::Head;
use swoosh_types::hash::Hash;
use swoosh_types::receipt::{EncodedSeal, Receipt, SealedBatch};
use swoosh_types::record::{Linked, Record};
use swoosh_types::text::ProjectName;

/// A record that waits to be made durable.
pub(super) struct Pending {
    pub record: Record,
    pub linked: Arc<Linked>,
    pub verified: Verified,
    /// The facts that it was judged by.
    pub facts: Arc<FactsNow>,
    pub head: Arc<Head>,
    /// The effects and reasons that it changes.
    pub change: Change,
    pub reply: Option<Reply>,
    pub arrived: Instant,
    /// Trace of the proposal, if spans are recorded.
    pub trace: Option<Box<Trace>>,
}

pub(super) struct Job {
    pub number: u64,
    pub records: Vec<Pending>,
    pub evicted: Vec<Evicted>,
}

/// Facts that are remembered as stored: providers say new ones for as long as the node runs.
pub(super) const STORED_FACTS: usize = 8_192;
/// Projects that one sweep takes snapshots of at most, so that a batch stays short.
const SWEEP_PROJECTS: usize = 64;

/// A built batch: the rows, and the receipts in its order.
struct Built {
    batch: Batch,
    receipts: Vec<Arc<[u8]>>,
}

/// The committer thread's own state.
pub(super) struct Committer<L> {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) log: L,
    /// Facts that are in the journal for certain.
    pub(super) stored_facts: BTreeSet<Hash>,
    /// Collections of objects that there were when these were stored.
    collections: u64,
    last_sync: Instant,
    /// The last record that was answered for, and its chain value.
    pub(super) acknowledged: (u64, Hash),
    /// Whether the log failed in a way that passes.
    pub(super) mending: bool,
    /// The options for reopening the journal, while it is closed.
    pub(super) wanted: Option<JournalOptions>,
    /// The error of a compaction that read a damaged block, since the start.
    pub(super) corruption: Option<String>,
}

impl<L: Log> Committer<L> {
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>, log: L, acknowledged: (u64, Hash)) -> Committer<L> {
        let (stored_facts, last_sync) = (BTreeSet::new(), Instant::now());
        Committer {
            shared,
            inbox,
            log,
            stored_facts,
            collections: 0,
            last_sync,
            acknowledged,
            mending: false,
            wanted: None,
            corruption: None,
        }
    }

    /// Commits a batch and answers its callers.
    pub fn take(&mut self, job: Job) -> Done {
        let number = job.number;
        let result = self.commit(job);
        self.shared.pulse.batch_ends(number);
        self.mending = result.as_ref().is_err_and(|failure| failure.passes);
        if let Some(failure) = result.as_ref().err().filter(|failure| failure.corrupt) {
            self.corruption = Some(failure.to_string());
        }
        Done { number, result }
    }

    /// Commits a batch and answers its callers; returns the receipts in the batch's order.
    fn commit(&mut self, mut job: Job) -> Result<Vec<Arc<[u8]>>, Failure> {
        let began = Instant::now();
        let journal = self.shared.journal();
        // Objects that the batch counts on are pinned until it is written.
        let pin = journal.pin_objects();
        if std::mem::replace(&mut self.collections, pin.collections()) != pin.collections() {
            self.stored_facts.clear();
        }
        let replies: Vec<_> = job.records.iter_mut().map(|pending| pending.reply.take()).collect();
        let Built { batch, receipts } = match self.build(&job) {
            Ok(built) => built,
            Err(reason) => return Err(self.refuse_all(replies, Failure::for_good(&reason))),
        };
        let empty = batch.entries.is_empty() && batch.writes.is_empty();
        // A batch of nothing learns what befell the journal.
        if (!empty || journal.is_stopped())
            && let Err(failure) = self.write(&batch)
        {
            return Err(self.refuse_all(replies, failure));
        }
        drop(pin);
        self.acknowledged =
            job.records.last().map_or(self.acknowledged, |last| (last.record.index, last.linked.chain()));
        self.publish(&job);
        let snapshots = batch
            .writes
            .iter()
            .filter_map(|write| if let Write::Snapshot(taken) = write { Some(taken.hlc) } else { None });
        if let Some(at) = snapshots.max() {
            self.shared.note_snapshot(at);
        }
        for (reply, receipt) in replies.into_iter().zip(&receipts) {
            if let Some(reply) = reply {
                answer(reply, Outcome::Accepted { receipt: receipt.clone(), replayed: false });
            }
        }
        self.watch(job, began);
        Ok(receipts)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let began = Instant::now();
        self.log.append(batch).map_err(|error| Failure::of_append(&error))?;
        let mut took = began.elapsed();
        if let Durability::Interval(interval) = self.shared.options.durability {
            std::thread::sleep(interval.saturating_sub(self.last_sync.elapsed()));
            let began = Instant::now();
            self.shared.journal().sync().map_err(|error| Failure::for_good(&error))?;
            self.last_sync = Instant::now();
            took += began.elapsed();
        }
        self.shared.ports.observer.synced(took);
        Ok(())
    }

    /// Everything the batch writes, as values.
    fn build(&mut self, job: &Job) -> Result<Built, String> {
        let options = &self.shared.options;
        let chains: Vec<_> = job.records.iter().map(|pending| pending.linked.chain()).collect();
        if chains.is_empty() {
            let mut batch = Batch::default();
            self.push_snapshots(&mut batch, job);
            return Ok(Built { batch, receipts: Vec::new() });
        }
        let first = job.records.first().map_or(0, |pending| pending.record.index);
        let sealed =
            SealedBatch::seal(&options.cluster, &options.node_key, first, &chains).ok_or("the batch is empty")?;
        let seal = Arc::new(EncodedSeal::of(sealed.seal.clone()));
        let mut batch = Batch::default();
        let mut receipts = Vec::with_capacity(job.records.len());
        for (position, pending) in job.records.iter().enumerate() {
            let (record, path) = (&pending.record, sealed.path(position));
            let receipt: Arc<[u8]> = Receipt::encode(record, &pending.linked.chain(), &path, &seal).into();
            let (index, project) = (record.index, record.project.clone());
            batch.entries.push(LogEntry { index, project, linked: pending.linked.clone(), seal: seal.clone(), path });
            self.push_objects(&mut batch, pending);
            let derived = Derived {
                record,
                inputs: &pending.verified.proposal().inputs,
                fingerprint: pending.verified.fingerprint(),
                change: &pending.change,
                receipt: ReceiptSum::of(&receipt),
            };
            batch.writes.extend(derive(&*self.shared.ports.describe, &derived));
            receipts.push(receipt);
        }
        self.push_snapshots(&mut batch, job);
        Ok(Built { batch, receipts })
    }

    /// Inputs, and facts that are not in the journal for certain.
    fn push_objects(&mut self, batch: &mut Batch, pending: &Pending) {
        let record = &pending.record;
        batch.writes.push(Write::Object { hash: record.inputs_hash, bytes: pending.verified.inputs_bytes().to_vec() });
        for hash in record.facts() {
            // To write one again does no harm.
            if self.stored_facts.len() >= STORED_FACTS {
                self.stored_facts.clear();
            }
            if self.stored_facts.insert(hash)
                && let Some(bytes) = pending.facts.bytes(&hash)
            {
                batch.writes.push(Write::Object { hash, bytes: bytes.to_vec() });
            }
        }
    }

    /// Snapshots: those that are due after the records, those before eviction, and those of the sweep.
    fn push_snapshots(&self, batch: &mut Batch, job: &Job) {
        let moved = job.records.iter().map(|pending| (&pending.record, pending.linked.chain(), &*pending.head));
        let due = due_snapshots(&self.shared.journal(), moved);
        let mut taken: BTreeSet<_> = due.iter().map(|snapshot| snapshot.project.clone()).collect();
        batch.writes.extend(due.into_iter().map(|snapshot| Write::Snapshot(Box::new(snapshot))));
        for evicted in &job.evicted {
            // A covered record needs no new snapshot.
            if !self.shared.journal().is_covered(&evicted.project) && taken.insert(evicted.project.clone()) {
                self.push_snapshot(batch, &evicted.project, &evicted.head, evicted.index, job);
            }
        }
        for candidate in
            self.shared.journal().sweep_candidates(self.shared.options.sweep_every).into_iter().take(SWEEP_PROJECTS)
        {
            let moved = job.records.iter().any(|pending| pending.record.project == candidate.project);
            let view = self.shared.cached_view(&candidate.project).filter(|_| !moved);
            if let Some(view) = view.filter(|_| taken.insert(candidate.project.clone())) {
                self.push_snapshot(batch, &candidate.project, &view.head, view.index, job);
            }
        }
    }

    /// Adds a snapshot of a project to a batch. A batch never fails for want of one: other projects' records are in it.
    fn push_snapshot(&self, batch: &mut Batch, project: &ProjectName, head: &Head, index: u64, job: &Job) {
        match self.snapshot(head, index, job) {
            Ok(snapshot) => batch.writes.extend(snapshot.map(|taken| Write::Snapshot(Box::new(taken)))),
            Err(error) => {
                self.shared.damaged_read(Some(project), &error);
                self.shared.journal().set_aside(project);
            }
        }
    }

    /// The snapshot of a head; `None` if the project has a base of that record already.
    fn snapshot(&self, head: &Head, index: u64, job: &Job) -> Result<Option<Snapshot>, ReadError> {
        if let Some(pending) = job.records.iter().find(|pending| pending.record.index == index) {
            return Ok(Some(Snapshot::of(&pending.record, pending.linked.chain(), head.state())));
        }
        match self.shared.journal().record(index) {
            Ok(Some(stored)) => Ok(Some(Snapshot::of(&stored.record, stored.chain, head.state()))),
            Ok(None) => Err(ReadError::Missing { index }),
            Err(ReadError::Pruned { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rejects the whole batch. The mode changes first, so that a caller that gets the answer finds the node
    /// refusing.
    fn refuse_all(&self, replies: Vec<Option<Reply>>, failure: Failure) -> Failure {
        let reason = failure.to_string();
        self.shared.set_mode(failure.mode());
        replies.into_iter().flatten().for_each(|reply| answer(reply, not_durable(&reason)));
        failure
    }

    /// Readers see durable heads only: from here on.
    fn publish(&self, job: &Job) {
        let mut views = self.shared.views_mut();
        for evicted in &job.evicted {
            views.remove(&evicted.project);
        }
        for pending in &job.records {
            let view = View { head: pending.head.clone(), index: pending.record.index };
            views.insert(pending.record.project.clone(), Arc::new(view));
        }
        drop(views);
        if let Some(last) = job.records.last() {
            self.shared.note_durable(last.record.index);
        }
        self.shared.pulse.batch_ends(job.number);
    }

    fn watch(&self, job: Job, began: Instant) {
        let ended = Instant::now();
        let observer = &self.shared.ports.observer;
        if !job.evicted.is_empty() {
            observer.evicted(job.evicted.len());
        }
        for pending in &job.records {
            observer.accepted(&pending.record, pending.arrived.elapsed());
        }
        if let Some(last) = job.records.last() {
            observer.committed(job.records.len(), began.elapsed(), last.record.index);
        }
        if self.shared.tracing {
            let way = |pending: Pending| {
                let (record, chain, commit) = (pending.record, pending.linked.chain(), (began, ended));
                pending.trace.map(|trace| Traced { record, chain, trace: *trace, commit })
            };
            job.records.into_iter().filter_map(way).for_each(|traced| observer.traced(traced));
        }
    }
}

/// Upper bound of [`Durability::Interval`].
pub(super) const MAX_INTERVAL: Duration = Duration::from_secs(10);
