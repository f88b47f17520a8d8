//! Traces: accepted transitions with the time of each step wait here to be sent to a collector as spans.
//!
//! ```text
//!  committer ── put ──▶ bounded queue ── take ──▶ exporter ── spans ──▶ collector
//!                │ full: dropped, counted
//! ```
//! Putting costs one short lock and wakes the exporter only for a full batch. The exporter builds the spans.

mod spans;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::metrics::Metrics;
pub use spans::{Now, resource, spans};
use swoosh_types::hash::Hash;
use swoosh_types::names::Region;
use swoosh_types::record::Record;
use swoosh_types::trace::TraceParent;

/// A step's beginning and end.
pub type Step = (Instant, Instant);

/// An accepted transition and its way.
#[derive(Clone, Debug)]
pub struct Way {
    pub record: Record,
    /// Its link in the chain, which names its spans.
    pub chain: Hash,
    pub region: Region,
    /// The caller's span, where it named one.
    pub parent: Option<TraceParent>,
    /// When it began.
    pub began: Instant,
    /// Reading it and checking its signature; not of the node's own.
    pub verify: Option<Step>,
    /// Judging and reducing it.
    pub judge: Option<Step>,
    /// Sealing, writing and syncing its batch; its end is that of the whole.
    pub commit: Step,
}

impl Way {
    /// How many spans it is drawn as.
    pub fn spans(&self) -> u64 {
        2 + u64::from(self.verify.is_some()) + u64::from(self.judge.is_some())
    }

    /// The trace: the caller's, or one that follows from the record, so that a receipt leads to it.
    pub fn trace_id(&self) -> [u8; 16] {
        let own = || self.chain.as_bytes().first_chunk().copied().unwrap_or_default();
        self.parent.as_ref().map_or_else(own, |parent| parent.trace_id)
    }
}

/// Sampling, and limits of the queue and of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many of a thousand traces are sent that no caller began; of those of callers, all that they record.
    pub sample_permille: u64,
    /// Spans that may wait.
    pub queue: usize,
    /// Spans that are sent at once.
    pub batch: usize,
    /// Longest wait of a span for its batch.
    pub every: Duration,
}

/// Why spans are dropped, as metrics name it.
pub const DROP_REASONS: [&str; 3] = ["queue_full", "not_sent", "stopping"];

#[derive(Default)]
struct Waiting {
    ways: VecDeque<Way>,
    spans: u64,
}

/// The queue of what waits to be sent.
pub struct Traces {
    rules: Rules,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    wake: Notify,
    stopping: AtomicBool,
    stopped: Notify,
}

impl Traces {
    /// An empty queue.
    pub fn new(rules: Rules, metrics: Arc<Metrics>) -> Traces {
        let (waiting, wake) = (Mutex::default(), Notify::new());
        Traces { rules, metrics, waiting, wake, stopping: AtomicBool::new(false), stopped: Notify::new() }
    }

    /// A transition is durable. Never waits: a trace without room is dropped and counted.
    pub fn put(&self, way: Way) {
        if !takes(self.rules.sample_permille, &way) {
            return;
        }
        let spans = way.spans();
        let mut waiting = self.lock();
        if waiting.spans + spans > self.rules.queue as u64 {
            drop(waiting);
            return self.metrics.spans().dropped("queue_full", spans);
        }
        let before = waiting.spans;
        waiting.spans += spans;
        waiting.ways.push_back(way);
        self.metrics.spans().set_waiting(waiting.spans);
        drop(waiting);
        let batch = self.rules.batch as u64;
        if before < batch && before + spans >= batch {
            self.wake.notify_one();
        }
    }

    /// Waits until a batch is there, or for a while, and takes up to a batch; none, once it is stopped and empty.
    pub async fn take(&self) -> Option<Vec<Way>> {
        loop {
            if !self.is_stopping() && self.lock().spans < self.rules.batch as u64 {
                // Woken or timed out, it checks the queue.
                let _ = tokio::time::timeout(self.rules.every, self.wake.notified()).await;
            }
            let stopping = self.is_stopping();
            let ways = self.batch();
            if !ways.is_empty() {
                return Some(ways);
            }
            if stopping {
                return None;
            }
        }
    }

    fn batch(&self) -> Vec<Way> {
        let mut waiting = self.lock();
        let (mut ways, mut spans) = (Vec::new(), 0);
        while spans < self.rules.batch as u64
            && let Some(way) = waiting.ways.pop_front()
        {
            spans += way.spans();
            ways.push(way);
        }
        waiting.spans -= spans;
        self.metrics.spans().set_waiting(waiting.spans);
        ways
    }

    /// Nothing more comes: [`Traces::take`] gives what is left, and then nothing.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_one();
        self.stopped.notify_one();
    }

    /// Waits until the producer stops. For the exporter; there is one.
    pub async fn until_stopping(&self) {
        while !self.is_stopping() {
            self.stopped.notified().await;
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Drops what is left, for this reason, one of [`DROP_REASONS`].
    pub fn drop_rest(&self, reason: &str) {
        let rest = std::mem::take(&mut *self.lock());
        self.metrics.spans().set_waiting(0);
        self.metrics.spans().dropped(reason, rest.spans);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Both members are changed together, and nothing between them panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a transition is sent: as its caller records its own span or not; where no caller does, so many of a
/// thousand, by the trace's name alone.
fn takes(sample_permille: u64, way: &Way) -> bool {
    if let Some(parent) = &way.parent {
        return parent.sampled;
    }
    let random = way.chain.as_bytes().last_chunk().copied().map_or(0, u64::from_be_bytes);
    u128::from(random) * 1_000 < u128::from(sample_permille) << 64
}

#[cfg(test)]
mod tests;
