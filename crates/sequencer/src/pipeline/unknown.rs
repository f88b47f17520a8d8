//! Signers that are not known: an answer discloses nothing of the project, not even whether it exists.

use super::{Pipeline, Scene, answer};
use crate::inbox::Request;
use crate::{Outcome, Refusal};
use swoosh_machine::facts::FactBody;
use swoosh_machine::judge;
use swoosh_types::fact::FactKind;
use swoosh_types::rejection::{Code, Rejection};

impl Pipeline {
    /// Refuses a signer that neither the settings nor the project know, before anything of the project is disclosed or done.
    pub(super) fn refuse_unknown(&self, request: Request, scene: &Scene) {
        let proposal = request.verified.proposal();
        let (project, rejection) = (proposal.project(), judge::unknown(&proposal.signer));
        self.note_refusal(proposal, &rejection, scene.stamp.at);
        let refusal = Refusal { rejection, project, head: None, hlc_last: None, retry_after_ms: None };
        answer(request.reply, Outcome::Refused(Box::new(refusal)));
    }

    /// Refuses what cannot be judged because something cannot be read. The code is the same for all signers: damage is named, and
    /// never answered as a failed write. Only identities of the settings get the reason: the node cannot read which others it knows.
    pub(super) fn refuse_unread(&self, request: Request, rejection: Rejection) {
        let signer = &request.verified.proposal().signer;
        let facts = self.shared.ports.facts.facts();
        let is_trusted = match facts.set().at(FactKind::Settings, None).map(|fact| &fact.body) {
            Some(FactBody::Settings(settings)) => settings.identities.contains_key(signer),
            _ => false,
        };
        let names_project = matches!(rejection.code, Code::ProjectDamaged | Code::NotDurable) && !self.failed;
        if is_trusted || !names_project {
            return self.refuse_now(request, rejection);
        }
        let reason =
            "the rights of the signer cannot be read now; GET /health of the node says more to those who run it";
        self.refuse_now(request, Rejection::new(rejection.code, reason));
    }
}
