//! Proposals that wait for their answers.

use tokio::sync::oneshot;

use super::Outcome;
use super::handle::Handle;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// A proposal in the queue.
pub struct Queued {
    pub(super) answer: oneshot::Receiver<Outcome>,
    pub(super) handle: Handle,
    pub(super) project: ProjectName,
    pub(super) transition: Transition,
    pub(super) signer: PublicKey,
}

impl Queued {
    /// Waits for an answer that is durable.
    pub async fn outcome(self) -> Outcome {
        let Queued { answer, handle, project, transition, signer } = self;
        let gone = "the node shut down before it could answer";
        let outcome = answer.await.unwrap_or_else(|_| handle.refuse(&project, transition, Code::Draining, gone));
        handle.shared.key_tables.answered(&signer, &outcome);
        outcome
    }
}
