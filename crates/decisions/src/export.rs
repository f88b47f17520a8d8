//! Exporters: every decision record, in order and at least once, to a sink, from where the last run ended.
//!
//! An exporter reads the journal beside the pipeline, a batch at a time, and waits for its sink. It holds at most one
//! batch in memory and delays no other thread: a sink that stalls shows as lag.
//!
//! **Architecture invariant.** Nothing here knows the sequencer, HTTP clients or clocks. The journal comes through a
//! function, because no handle of it may be kept, and a sink brings its own way to send.

mod bubble;
mod jsonl;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use bubble::{Bubble, BubbleError, MEDIA_TYPE, Post, Reply};
pub use jsonl::{Jsonl, JsonlError};

use super::recompute::{RecomputeError, recompute};
use super::redaction::{Exported, Redaction};
use swoosh_journal::{ExportError, Journal, ReadError, StoredRecord};
use swoosh_types::back_off::BackOff;
use swoosh_types::canonical::from_canonical;
use swoosh_types::decision::Decision;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::JsonError;

/// How long an exporter waits for new records when there are none.
const IDLE: Duration = Duration::from_millis(100);
/// The most bytes that are sent at once, but for a single record that is larger.
const BATCH_BYTES: usize = 1 << 20;

/// Where decision records go.
pub trait Sink: Send + Sync {
    /// Why nothing, or not everything, was taken.
    type Error: std::error::Error + Send;

    /// The record that the sink took last, where it can tell; asked once, before anything is sent.
    fn last_taken(&mut self) -> impl Future<Output = Result<Option<(u64, DecisionId)>, Self::Error>> + Send;

    /// Takes a batch; returns how many records it took, from the first on. Those are durable in the sink.
    fn take(&mut self, batch: &[Exported]) -> impl Future<Output = Result<usize, Self::Error>> + Send;

    /// Whether an error may be due to the size of the batch.
    fn is_too_much(error: &Self::Error) -> bool;

    /// How long the sink asks to be left alone.
    fn wait_for(error: &Self::Error) -> Option<Duration>;
}

/// How an exporter works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The most records that are sent at once.
    pub batch: usize,
    /// The first pause after a failure.
    pub retry_min: Duration,
    /// The longest pause.
    pub retry_max: Duration,
}

impl Pace {
    /// The pause after so many failures in a row: doubled each time up to the longest, less a random part of up to
    /// half, so that many nodes do not come back at once. `random` is any number.
    fn pause(&self, failures: u32, asked: Option<Duration>, random: u64) -> Duration {
        let longest = self.retry_max.max(self.retry_min);
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let policy = BackOff { first_ms: ms(self.retry_min), longest_ms: ms(longest), jitter_permille: 500 };
        Duration::from_millis(policy.wait_ms(failures, random)).max(asked.unwrap_or_default().min(longest))
    }
}

/// Status of an exporter; shared with its readers.
#[derive(Debug, Default)]
pub struct Progress {
    position: AtomicU64,
    failures: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Progress {
    /// Index of the last record that was delivered.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Failures since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Why the exporter does not come on, while it does not.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// Why an exporter does not come on.
#[derive(Debug, thiserror::Error)]
enum Stuck<E> {
    #[error("{0}")]
    Sink(E),
    #[error(transparent)]
    Journal(#[from] ExportError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Recompute(#[from] RecomputeError),
    #[error("decision record {index} cannot be written as JSON: {source}")]
    Form { index: u64, source: JsonError },
    #[error("the reading of the journal ended early")]
    Task,
    #[error("the sink took none of the records")]
    TookNone,
}

/// Access to the open journal, with the index of the last durable record: later records may yet be lost and must not
/// be exported.
pub type JournalPort = Arc<dyn Fn() -> (Journal, u64) + Send + Sync>;

pub struct Exporter<S> {
    name: &'static str,
    journal: JournalPort,
    redaction: Arc<Redaction>,
    pace: Pace,
    random: fn() -> u64,
    sink: S,
    progress: Arc<Progress>,
    /// How many records are sent at once now: fewer after a refusal that size may explain.
    batch: usize,
    begun: bool,
    /// The position that the journal has.
    noted: u64,
}

impl<S: Sink> Exporter<S> {
    /// An exporter that goes on after `position`, as returned by `Journal::begin_exports`. `random` makes pauses
    /// differ.
    pub fn new(
        name: &'static str,
        position: u64,
        journal: JournalPort,
        redaction: Arc<Redaction>,
        pace: Pace,
        random: fn() -> u64,
        sink: S,
    ) -> Exporter<S> {
        let progress = Arc::new(Progress::default());
        progress.position.store(position, Ordering::Release);
        Exporter {
            name,
            journal,
            redaction,
            pace,
            random,
            sink,
            progress,
            batch: pace.batch,
            begun: false,
            noted: position,
        }
    }

    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Exports for ever; run it in a task and abort that to stop.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            let pause = match self.step().await {
                Ok(sent) => {
                    self.recovered(failures);
                    failures = 0;
                    if sent { continue } else { IDLE }
                }
                Err(stuck) => {
                    failures = u32::saturating_add(failures, 1);
                    self.failed(&stuck, failures)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn recovered(&mut self, failures: u32) {
        if failures > 0 {
            tracing::info!(exporter = self.name, position = self.progress.position(), "decision records leave again");
            self.progress.set_problem(None);
        }
    }

    fn failed(&mut self, stuck: &Stuck<S::Error>, failures: u32) -> Duration {
        let problem = stuck.to_string();
        if self.progress.problem().as_deref() != Some(&problem) {
            tracing::warn!(exporter = self.name, position = self.progress.position(), problem, "decision records wait");
        }
        self.progress.set_problem(Some(problem));
        self.progress.failures.fetch_add(1, Ordering::AcqRel);
        let sink_error = if let Stuck::Sink(error) = stuck { Some(error) } else { None };
        if sink_error.is_some_and(S::is_too_much) {
            self.batch = (self.batch / 2).max(1);
        }
        self.pace.pause(failures, sink_error.and_then(S::wait_for), (self.random)())
    }

    /// Sends one batch; whether there was one.
    async fn step(&mut self) -> Result<bool, Stuck<S::Error>> {
        if !self.begun {
            self.begin().await?;
            self.begun = true;
        }
        // A position that could not be stored is stored later, without sending its records again.
        if self.noted < self.progress.position() {
            self.note().await?;
        }
        let batch = self.next_batch().await?;
        if batch.is_empty() {
            return Ok(false);
        }
        let taken = self.sink.take(&batch).await.map_err(Stuck::Sink)?;
        let last = batch.iter().take(taken).next_back().ok_or(Stuck::TookNone)?.index;
        self.progress.position.store(last, Ordering::Release);
        self.batch = self.batch.saturating_mul(2).min(self.pace.batch);
        self.note().await?;
        Ok(true)
    }

    /// A sink may have taken more than the stored position before a crash; its answer counts if it is of this log.
    async fn begin(&mut self) -> Result<(), Stuck<S::Error>> {
        let Some((index, id)) = self.sink.last_taken().await.map_err(Stuck::Sink)? else { return Ok(()) };
        if index <= self.progress.position() {
            return Ok(());
        }
        let known = self.read(move |journal, _| {
            let stored = match journal.record(index) {
                Err(ReadError::Pruned { .. }) => None,
                found => found?,
            };
            Ok(stored.map(|stored| DecisionId::of(&stored.record.project, index, &stored.chain)))
        });
        if known.await? == Some(id) {
            self.progress.position.store(index, Ordering::Release);
        }
        Ok(())
    }

    async fn note(&mut self) -> Result<(), Stuck<S::Error>> {
        let (name, index) = (self.name, self.progress.position());
        self.read(move |journal, _| Ok(journal.note_exported(name, index)?)).await?;
        self.noted = index;
        Ok(())
    }

    async fn next_batch(&self) -> Result<Vec<Exported>, Stuck<S::Error>> {
        let (from, most, redaction) = (self.progress.position() + 1, self.batch, self.redaction.clone());
        self.read(move |journal, durable| {
            // An exporter that is new to a pruned log has missed what is gone.
            let from = from.max(journal.first_index());
            let (mut batch, mut bytes) = (Vec::new(), 0);
            let there = usize::try_from((durable + 1).saturating_sub(from)).unwrap_or(usize::MAX);
            for stored in journal.records_from(from).take(most.min(there)) {
                let stored = stored?;
                let index = stored.record.index;
                let decision = stored_decision(journal, &stored)?;
                let exported = redaction.apply(&decision).map_err(|source| Stuck::Form { index, source })?;
                bytes += exported.bytes.len();
                if bytes > BATCH_BYTES && !batch.is_empty() {
                    break;
                }
                batch.push(exported);
            }
            Ok(batch)
        })
        .await
    }

    /// Works on the journal off the runtime's workers.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal, u64) -> Result<T, Stuck<ReadOnlyError>> + Send + 'static,
    ) -> Result<T, Stuck<S::Error>> {
        let journal = self.journal.clone();
        let done = tokio::task::spawn_blocking(move || {
            let (journal, durable) = journal();
            work(&journal, durable)
        })
        .await;
        match done {
            Err(_) => Err(Stuck::Task),
            Ok(result) => result.map_err(Stuck::widen),
        }
    }
}

/// No sink is asked while the journal is read.
type ReadOnlyError = std::convert::Infallible;

impl Stuck<ReadOnlyError> {
    fn widen<E>(self) -> Stuck<E> {
        match self {
            Stuck::Sink(never) => match never {},
            Stuck::Journal(error) => Stuck::Journal(error),
            Stuck::Read(error) => Stuck::Read(error),
            Stuck::Recompute(error) => Stuck::Recompute(error),
            Stuck::Form { index, source } => Stuck::Form { index, source },
            Stuck::Task => Stuck::Task,
            Stuck::TookNone => Stuck::TookNone,
        }
    }
}

/// The decision as written with its record; recomputed where that is missing or unreadable.
fn stored_decision(journal: &Journal, stored: &StoredRecord) -> Result<Decision, RecomputeError> {
    let record = &stored.record;
    let bytes = match journal.decision(&record.project, record.index) {
        Err(ReadError::Row { .. }) => None,
        found => found?,
    };
    let decision = bytes.and_then(|bytes| from_canonical::<Decision>(&bytes).ok());
    decision.map_or_else(|| recompute(journal, stored), Ok)
}

#[cfg(test)]
mod tests;
