//! The sequencer without threads: its owner decides when it judges and when it commits, so that tests can try every
//! order of the two. The judge and the committer are those of the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use tokio::sync::oneshot;

use super::commit::Job;
use super::desk::Desk;
use super::handle::{Assembled, assemble};
use super::pipeline::Pipeline;
use super::{Handle, Options, Outcome, OwnOutcome, Ports, Verified};
use swoosh_journal::{Journal, Log, Recovered};

/// Judging and committing, step by step, over any log.
pub struct Single<L> {
    handle: Handle,
    pipeline: Pipeline,
    desk: Arc<Desk<L>>,
    jobs: Receiver<Job>,
    at_once: Arc<AtomicBool>,
}

impl<L: Log + 'static> Single<L> {
    /// Goes on from what was recovered. `journal` is what is read, `log` what batches are committed to.
    pub fn new(options: Options, ports: Ports, journal: Journal, recovered: Recovered, log: L) -> Single<L> {
        let at_once = Arc::new(AtomicBool::new(true));
        let allowed = at_once.clone();
        let commit = move |desk: &Desk<L>, job| match allowed.load(Ordering::Relaxed) {
            true => desk.commit_now(job),
            false => Err(Box::new(job)),
        };
        let Assembled { handle, pipeline, desk, jobs } = assemble(options, ports, journal, recovered, log, commit);
        Single { handle, pipeline, desk, jobs, at_once }
    }

    /// Durable heads, and whatever else can be asked. Its `propose`, `propose_outcome` and `stop` wait for turns of others.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Queues a proposal. Returns the receiver of its answer, or an immediate answer.
    pub fn propose(&self, verified: Verified) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        let proposal = verified.proposal();
        self.handle.is_open(&proposal.project(), proposal.transition)?;
        self.handle.enter((verified, None), Instant::now(), None, None)
    }

    /// Queues the outcome of an effect that the node ran. Returns the receiver of its answer, or an immediate answer.
    pub fn propose_outcome(&self, outcome: OwnOutcome) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        self.handle.is_open(&outcome.effect.project, outcome.transition)?;
        Ok(self.handle.enter_own(outcome, Instant::now(), None))
    }

    /// One turn of the sequencer: judges what waits and hands a batch over. A lone caller's batch is committed in
    /// the same turn where `at_once` is set. Whether there was anything to do.
    pub fn judge(&mut self, at_once: bool) -> bool {
        self.at_once.store(at_once, Ordering::Relaxed);
        self.pipeline.try_turn()
    }

    /// One turn of the committer: makes a batch durable and answers. Whether there was one.
    pub fn commit(&mut self) -> bool {
        self.jobs.try_recv().map(|job| self.desk.commit(job)).is_ok()
    }

    /// One try to mend the log, where it failed in a way that passes.
    pub fn mend(&mut self) {
        self.desk.mend();
    }
}
