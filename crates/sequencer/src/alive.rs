//! Whether the sequencer works: for a service manager that would restart it otherwise, and for probes.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Mode;
use super::handle::Handle;
use swoosh_journal::Durability;

/// The runbook of a disk that does not answer.
const RUNBOOK: &str = "runbooks/stuck-disk.md";
/// Longest that a probe waits for the sequencer. After that the age of the work at hand decides.
const PROBE: Duration = Duration::from_millis(500);

impl Handle {
    /// Whether both threads run.
    pub fn is_alive(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        !threads.is_empty() && threads.iter().all(|thread| !thread.is_finished())
    }

    /// Whether both threads run, and the sequencer takes what it is given within this time.
    pub async fn works_within(&self, limit: Duration) -> bool {
        if !self.is_alive() {
            return false;
        }
        let (asking, answer) = oneshot::channel();
        self.shared.pulse.asked();
        self.inbox.ask(asking);
        matches!(tokio::time::timeout(limit, answer).await, Ok(Ok(())))
    }

    /// Asks the sequencer for a sign of life. Fails where a thread is gone, or where the work at hand is older than
    /// the silence that is allowed. Slower work than a probe waits for is a sign of life until then.
    pub async fn sign_of_life(&self) -> Result<(), String> {
        if matches!(self.status().mode, Mode::Following(_)) {
            // A follower has no sequencer; its loop ends the process when it fails.
            return self.overdue(self.limit(self.shared.options.patience.silence));
        }
        let answered = self.works_within(PROBE).await;
        if !answered && !self.is_alive() {
            return Err("a thread of the pipeline is gone; the node must be restarted".to_owned());
        }
        self.overdue(self.limit(self.shared.options.patience.silence))
    }

    /// Why the node counts as stalled, while it does.
    pub(super) fn stalled(&self) -> Option<String> {
        self.overdue(self.limit(self.shared.options.patience.stall)).err()
    }

    /// Marks work on the journal that no thread of the sequencer does, so that a stuck disk shows there too.
    pub fn at_work<T>(&self, work: impl FnOnce() -> T) -> T {
        self.shared.pulse.turn_begins();
        let done = work();
        self.shared.pulse.turn_ends();
        done
    }

    /// A commit that waits for its interval is no stall.
    fn limit(&self, limit: Duration) -> Duration {
        match self.shared.options.durability {
            Durability::Sync => limit,
            Durability::Interval(interval) => limit + interval,
        }
    }

    fn overdue(&self, limit: Duration) -> Result<(), String> {
        if self.shared.pulse.busy() < limit {
            return Ok(());
        }
        // Without the age, so that the same trouble has the same words.
        Err(format!(
            "a write or sync of the data directory has taken longer than {} ms and has not returned; look at the disk \
             ({RUNBOOK})",
            limit.as_millis()
        ))
    }
}
