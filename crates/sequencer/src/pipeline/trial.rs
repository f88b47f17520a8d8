//! Dry runs: they take the way of every proposal up to the decision, and change nothing.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Pipeline, Scene, following};
use crate::DryRun;
use crate::inbox::{Reply, Request};
use swoosh_machine::judge::Accepted;
use swoosh_machine::reduce::Stamp;
use swoosh_types::hlc::Hlc;

use swoosh_types::proposal::Proposal;
use swoosh_types::rejection::Rejection;
use swoosh_types::text::ProjectName;

/// An acceptance that a dry run found on a head which is not durable yet.
pub(super) struct Forecast {
    batch: u64,
    trial: oneshot::Sender<DryRun>,
    found: DryRun,
    pub reply: Reply,
}

/// The scene after a proposal that a dry run accepted and did not push.
pub(super) fn after_trial(scene: Scene, accepted: Accepted) -> Scene {
    let stamp = Stamp { index: scene.stamp.index + 1, ..scene.stamp };
    Scene { head: Arc::new(accepted.next), facts: scene.facts, stamp: following(stamp) }
}

impl Pipeline {
    /// Reports what a dry run would be accepted as, once the head that it rests on is durable.
    pub(super) fn forecast(&mut self, project: &ProjectName, request: Request, accepted: Accepted) {
        let Request { reply, trial: Some(trial), .. } = request else { return };
        let found = DryRun::Accepted { state_post_hash: accepted.next.hash(), outcomes: accepted.outcomes };
        match self.head(project) {
            Ok((_, batch)) if batch > self.durable_batch => {
                self.forecasts.push(Forecast { batch, trial, found, reply });
            }
            // A caller that is gone needs no answer.
            _ => drop(trial.send(found)),
        }
    }

    /// Reports the acceptances that rest on heads which are durable now.
    pub(super) fn report_forecasts(&mut self, durable_batch: u64) {
        let found = self.forecasts.extract_if(.., |forecast| forecast.batch <= durable_batch);
        found.for_each(|forecast| drop(forecast.trial.send(forecast.found)));
    }

    /// Remembers and counts a refusal, but of a dry run.
    pub(super) fn note_refusal(&self, proposal: &Proposal, rejection: &Rejection, at: Hlc) {
        if !self.trying {
            self.shared.note_refusal(proposal, rejection, at);
        }
    }
}
