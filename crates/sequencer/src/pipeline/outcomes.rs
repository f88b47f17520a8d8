//! Outcomes of effects that the node ran: signed with its own key, on the project's own head.

use super::{Pipeline, Scene, Verdict, answer};
use crate::inbox::{OwnRequest, Request};
use crate::own::{OwnOutcome, Wish, propose, violations};
use crate::{Outcome, Refusal, Trace, Verified};
use swoosh_types::names::Transition;
use swoosh_types::rejection::{Code, Rejection};

impl Pipeline {
    /// Judges the outcome of an effect that the node ran, on its own head.
    pub(super) fn weigh_outcome(&mut self, own: OwnRequest) {
        let OwnRequest { outcome, reply, arrived, loaded } = own;
        let project = outcome.effect.project.clone();
        if let Some(loaded) = loaded {
            self.offer(&project, *loaded);
        }
        let refuse = |rejection| {
            let refusal =
                Refusal { rejection, project: project.clone(), head: None, hlc_last: None, retry_after_ms: None };
            Outcome::Refused(Box::new(refusal))
        };
        let trace = self.shared.tracing.then(|| Box::new(Trace::begin(None)));
        let scene = self.scene(&project).and_then(|scene| self.upgraded(&project, scene));
        let scene = scene.and_then(|scene| self.behind_breach(&project, scene, outcome.transition));
        let built = scene.and_then(|scene| Ok((self.sign_outcome(&scene, &outcome)?, scene)));
        let (mut verified, scene) = match built {
            Ok(built) => built,
            Err(rejection) => return answer(reply, refuse(rejection)),
        };
        if let Some(worker) = &outcome.brought_by
            && let Err(rejection) = self.may_still_bring(&scene, &verified, worker)
        {
            // The loss of the right must be durable first, because a held outcome was acknowledged.
            if self.head(&project).is_ok_and(|(_, batch)| batch <= self.durable_batch) {
                self.drop_held(&outcome, worker, &rejection);
            }
            return answer(reply, refuse(rejection));
        }
        let mut verdict = self.weigh(&scene, &verified);
        let (scene, changed) = self.change_license(&project, scene, &verified, &verdict);
        if changed {
            verified = match self.sign_outcome(&scene, &outcome) {
                Ok(verified) => verified,
                Err(rejection) => return answer(reply, refuse(rejection)),
            };
            verdict = self.weigh(&scene, &verified);
        }
        if let Some((violation, accepted)) = self.violation(&scene, &outcome, &verdict) {
            (verified, verdict) = (violation, accepted);
        }
        self.act(&project, scene, Request { verified, reply, arrived, trace, loaded: None, trial: None }, verdict);
    }

    /// The outcome proposed in place of one that calls content good, where a policy calls it a breach.
    fn violation(&self, scene: &Scene, outcome: &OwnOutcome, verdict: &Verdict) -> Option<(Verified, Verdict)> {
        let Verdict::Refused(refused) = verdict else { return None };
        let breach = refused.breach.as_ref().filter(|_| outcome.transition == Transition::IngestionSchemaOk)?;
        violations(outcome, breach).iter().find_map(|violation| {
            let verified = self.sign_outcome(scene, violation).ok()?;
            let verdict = self.weigh(scene, &verified);
            matches!(verdict, Verdict::Accepted(_)).then_some((verified, verdict))
        })
    }

    pub(super) fn sign_outcome(&self, scene: &Scene, outcome: &OwnOutcome) -> Result<Verified, Rejection> {
        let wish = Wish {
            project: &outcome.effect.project,
            transition: outcome.transition,
            topic: "effect",
            inputs: outcome.inputs.clone(),
            cause: outcome.cause(),
            // The same whenever it is proposed: the key is the effect's.
            beat: 0,
            evidence: outcome.evidence.clone(),
        };
        let time = scene.facts.set().outside(&outcome.effect.project, scene.stamp.at);
        let (options, wall_ms) = (&self.shared.options, time.physical_ms());
        let own = propose(wish, &scene.head, &options.cluster, &options.node_key, wall_ms);
        own.map_err(|error| {
            let reason = error.to_string();
            self.shared.ports.observer.own_failed(&outcome.effect.project, outcome.transition, &reason);
            Rejection::new(Code::Schema, reason)
        })
    }
}
