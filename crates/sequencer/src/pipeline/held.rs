//! Outcomes of effects that callers bring while their project is blocked: kept on disk, and proposed by the node when the
//! project goes on.

use super::{Pipeline, Scene};
use crate::inbox::{Reply, Request};
use crate::{OwnOutcome, Verified};
use swoosh_journal::HeldOutcome;
use swoosh_machine::judge::{self, Docket};
use swoosh_types::canonical::canonical_hash;
use swoosh_types::ids::EffectId;
use swoosh_types::keys::PublicKey;
use swoosh_types::proposal::{Proposal, SignedProposal};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// An outcome that meets a block whose batch is not settled yet. The committer answers for a batch before the sequencer
/// hears of it, so a caller that was answered for the pause may be here first.
pub(super) struct Early {
    batch: u64,
    request: Request,
}

impl Early {
    /// Where its answer goes.
    pub fn reply(self) -> Reply {
        self.request.reply
    }
}

impl Pipeline {
    /// The batch that an outcome must wait for, before it can be kept.
    pub(super) fn is_early(&mut self, project: &ProjectName, scene: &Scene, request: &Request) -> Option<u64> {
        let id = request.verified.inputs().effect()?;
        let (_, batch) = self.head(project).ok()?;
        let holds = batch > self.durable_batch && self.shared.options.external.contains(&id.effect);
        (holds && judge::held_by_block(&self.docket(scene, &request.verified))).then_some(batch)
    }

    /// Puts an outcome aside until a batch is settled.
    pub(super) fn wait_to_hold(&mut self, batch: u64, request: Request) {
        self.early.push(Early { batch, request });
    }

    /// Judges the outcomes again that waited for a batch.
    pub(super) fn hold_early(&mut self, durable_batch: u64) {
        let ready: Vec<_> = self.early.extract_if(.., |early| early.batch <= durable_batch).collect();
        ready.into_iter().for_each(|early| self.weigh_and_act(early.request));
    }

    /// Keeps the outcome of an effect that nothing but the block holds back, and says so in the rejection.
    pub(super) fn hold(
        &mut self,
        project: &ProjectName,
        scene: &Scene,
        verified: &Verified,
        rejection: &mut Rejection,
    ) {
        let Some(id) = verified.inputs().effect().cloned() else { return };
        if !self.shared.options.external.contains(&id.effect) || !self.may_hold(project, scene, verified) {
            return;
        }
        match self.keep(&id, verified, scene) {
            Ok(Some(false)) => {
                rejection.reasons.push(format!("another outcome of {id} is kept already, and that one counts"));
            }
            Ok(kept) => {
                rejection.code = Code::OutcomeHeld;
                let reason = "is kept and is recorded when the project goes on; it need not be sent again";
                rejection.reasons.push(format!("the outcome of {id} {reason}"));
                if kept.is_none() && !self.trying {
                    self.shared.ports.observer.held(project);
                }
            }
            Err(reason) => {
                // The node says so at once, if the journal takes nothing more.
                self.probing |= self.shared.journal().is_stopped();
                rejection.reasons.push(format!("the outcome of {id} is not kept: {reason}; send it again"));
            }
        }
    }

    /// Whether it would pass but for the block. Only on a durable head: the record that opens an effect drops what is
    /// kept of one of that id.
    fn may_hold(&mut self, project: &ProjectName, scene: &Scene, verified: &Verified) -> bool {
        let is_durable = self.head(project).is_ok_and(|(_, batch)| batch <= self.durable_batch);
        is_durable && judge::held_by_block(&self.docket(scene, verified))
    }

    /// Whether the worker that brought an outcome may still bring it on the head that the node signs it for. Since it
    /// was held, the worker may have lost its key, role, delegation or permission.
    pub(super) fn may_still_bring(
        &self,
        scene: &Scene,
        verified: &Verified,
        worker: &PublicKey,
    ) -> Result<(), Rejection> {
        let proposal = Proposal { signer: *worker, ..verified.proposal().clone() };
        let docket = Docket { proposal: &proposal, ..self.docket(scene, verified) };
        judge::may_bring(&docket, verified.proposal())
    }

    /// Drops the outcome that is kept of an effect, unless another worker's took its place; another one may be brought.
    pub(super) fn drop_held(&self, outcome: &OwnOutcome, worker: &PublicKey, rejection: &Rejection) {
        let (id, observer, journal) = (&outcome.effect, &self.shared.ports.observer, self.shared.journal());
        if journal.held_outcome(id).is_ok_and(|kept| kept.is_some_and(|kept| kept.signer != *worker)) {
            return;
        }
        let reason = rejection.reasons.join("; ");
        observer.held_dropped(id, worker, &reason);
        if let Err(error) = journal.drop_held(id) {
            // It is refused again the next time.
            observer.own_failed(&id.project, outcome.transition, &format!("it cannot be dropped: {error}"));
        }
    }

    /// Why a kept outcome does not count any more: the node would drop it when the project goes on.
    fn is_void(&self, id: &EffectId, kept: &HeldOutcome, scene: &Scene) -> Option<Rejection> {
        let own = OwnOutcome {
            effect: id.clone(),
            transition: kept.transition,
            inputs: kept.inputs.clone(),
            evidence: kept.evidence.clone(),
            brought_by: Some(kept.signer),
        };
        let signed = self.sign_outcome(scene, &own).ok()?;
        self.may_still_bring(scene, &signed, &kept.signer).err()
    }

    /// Keeps an outcome, unless one is kept that counts: whether that is the same.
    fn keep(&self, id: &EffectId, verified: &Verified, scene: &Scene) -> Result<Option<bool>, String> {
        let proposal = verified.proposal().clone();
        let outcome = HeldOutcome {
            transition: proposal.transition,
            inputs: proposal.inputs.clone(),
            signer: proposal.signer,
            evidence: proposal.evidence.clone(),
            proposal_hash: canonical_hash(&SignedProposal { proposal, signature: verified.signature() }),
            at: scene.stamp.at,
        };
        let journal = self.shared.journal();
        if journal.is_stopped() {
            // A row that is there may not be promised.
            return Err("the journal takes nothing more".to_owned());
        }
        if let Some(kept) = journal.held_outcome(id).map_err(|error| error.to_string())? {
            let Some(void) = self.is_void(id, &kept, scene) else { return Ok(Some(kept.is_same(&outcome))) };
            if !self.trying {
                self.shared.ports.observer.held_dropped(id, &kept.signer, &void.reasons.join("; "));
            }
        }
        if !self.trying {
            journal.hold_outcome(id, &outcome).map_err(|error| error.to_string())?;
        }
        Ok(None)
    }
}
