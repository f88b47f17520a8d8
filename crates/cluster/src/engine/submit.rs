//! Submissions, and how the engine's answers settle them.

use futures::channel::oneshot;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;

use openraft_rt::Mutex as _;

use super::Raft;
use super::config::{Answer, Command, Content, Term, Types};
use super::convert;
use crate::Runtime;
use crate::ports::{Reign, Settled, SubmitError, Waiter};

/// The reign that may submit. Its lock is held until a submission is in the engine's queue, so that no late batch of a reign is put
/// behind the barrier of the next one: term and leader are the same, and the engine would take it.
pub(super) struct Gate<R: Runtime>(R::Mutex<Option<Reign>>);

impl<R: Runtime> Gate<R> {
    pub(super) fn new() -> Gate<R> {
        Gate(openraft_rt::Mutex::new(None))
    }

    pub(super) async fn open(&self, reign: Reign) {
        *self.0.lock().await = Some(reign);
    }

    pub(super) async fn close(&self) {
        *self.0.lock().await = None;
    }

    /// Submits a batch of a reign; `None` if that reign is over.
    pub(super) async fn submit(
        &self,
        raft: &Raft<R>,
        reign: Reign,
        content: Content,
        waiter: Waiter,
    ) -> Result<Option<oneshot::Receiver<()>>, SubmitError> {
        let current = self.0.lock().await;
        if *current != Some(reign) {
            waiter(Settled::Refused { leader: None });
            return Ok(None);
        }
        submit(raft, reign.term, content, waiter).await.map(Some)
    }

    /// Closes the gate and submits a barrier behind all batches that passed.
    pub(super) async fn submit_barrier(&self, raft: &Raft<R>, term: u64, content: Content, waiter: Waiter) {
        let mut current = self.0.lock().await;
        *current = None;
        // The notice of the append is for batches; the barrier waits for its commit. An ended instance calls the waiter.
        drop(submit(raft, term, content, waiter).await);
    }
}

/// Returns once the engine has the submission in its queue. The receiver ends when it is appended, or without a value when it is not.
async fn submit<R: Runtime>(
    raft: &Raft<R>,
    term: u64,
    content: Content,
    waiter: Waiter,
) -> Result<oneshot::Receiver<()>, SubmitError> {
    let (command, appended) = Command::submitted(content);
    let answer = Answer::new(move |result| waiter(settled::<R>(result)));
    let write = raft.write(command).with_leader(Term::new(term)).responder(answer);
    write.await.map_err(|_| SubmitError::Ended)?;
    Ok(appended)
}

fn settled<R: Runtime>(result: Option<ClientWriteResult<Types<R>>>) -> Settled {
    match result {
        Some(Ok(response)) => Settled::Applied(convert::position(&response.log_id)),
        Some(Err(ClientWriteError::ForwardToLeader(forward))) => Settled::Refused { leader: forward.leader_id },
        Some(Err(ClientWriteError::LogEntryDiscarded(_))) => Settled::Discarded,
        // Of changes of members alone.
        Some(Err(ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_))) | None => {
            Settled::Unknown
        }
    }
}
