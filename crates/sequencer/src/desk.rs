//! The commit of a batch: on the committer's thread while the next batch is judged, or on the sequencer's own for a
//! lone caller with nothing to judge meanwhile. The second saves that caller two thread switches.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::commit::{Committer, Job};
use super::inbox::Done;
use super::mend::MEND_INTERVAL;
use swoosh_journal::Log;

/// The committer. The mutex allows one batch at a time.
pub(super) struct Desk<L>(Mutex<Committer<L>>);

/// Commits a batch at once. Gives it back while another batch is being committed or the log is being reopened.
pub(super) type CommitNow = Box<dyn Fn(Job) -> Result<Done, Box<Job>> + Send>;

impl<L: Log> Desk<L> {
    pub fn new(committer: Committer<L>) -> Desk<L> {
        Desk(Mutex::new(committer))
    }

    /// See [`CommitNow`].
    pub fn commit_now(&self, job: Job) -> Result<Done, Box<Job>> {
        match self.0.try_lock() {
            Ok(mut committer) if !committer.mending => Ok(committer.take(job)),
            _ => Err(Box::new(job)),
        }
    }

    /// Commits batches until all senders are gone. Checks now and then whether the log must be reopened, or has
    /// stopped.
    pub fn run(&self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(MEND_INTERVAL) {
                Ok(job) => self.commit(job),
                Err(RecvTimeoutError::Timeout) => self.mend(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Commits a batch and tells the sequencer.
    pub fn commit(&self, job: Job) {
        let mut committer = self.lock();
        let done = committer.take(job);
        committer.inbox.push_done(done);
    }

    /// One try to mend the log, where it needs it. Where a side write stopped the journal, the sequencer hears of it, so
    /// that the node says so and goes on again, also while no proposal comes.
    pub fn mend(&self) {
        let mut committer = self.lock();
        if committer.mending {
            committer.mend();
        } else if committer.shared.journal().is_stopped() && committer.shared.is_accepting() {
            committer.inbox.push_stopped();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Committer<L>> {
        // The sequencer died while it committed: it takes nothing more, and what it left is not looked at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
