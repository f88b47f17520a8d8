//! The sequencer without threads: whoever holds it says when it judges and when it commits, so that every order of
//! the two can be tried. What it judges and commits with is what the daemon runs.

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

    /// Takes a proposal into the queue; where its answer comes, or what it is told at once.
    pub fn propose(&self, verified: Verified) -> Result<oneshot::Receiver<Outcome>, Outcome> {
        let proposal = verified.proposal();
        self.handle.is_open(&proposal.project(), proposal.transition)?;
        self.handle.enter((verified, None), Instant::now(), None, None)
    }

    /// Takes the outcome of an effect that the node ran; where its answer comes, or what it is told at once.
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
