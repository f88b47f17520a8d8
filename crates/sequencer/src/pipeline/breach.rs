//! Breaches of policies: the project is put under quarantine, and until that is durable nothing else of it passes.

use std::collections::BTreeMap;

use super::{Pipeline, Scene};
use crate::own::rationale;
use swoosh_types::inputs::Breach;
use swoosh_types::names::{PolicyState, Transition};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// A breach whose quarantine is not durable yet.
pub(super) struct Unrecorded {
    breach: Breach,
    /// The batch that holds its quarantine; none where it could not be proposed.
    batch: Option<u64>,
    /// Why it could not be proposed the last time.
    reason: String,
}

impl Unrecorded {
    fn refusal(&self) -> Rejection {
        let reason = format!(
            "a policy breach of this project could not be recorded, and nothing passes before it is: {}; see \
             runbooks/quarantine-release.md",
            self.reason
        );
        Rejection::new(Code::Blocked, reason)
    }
}

pub(super) type Breaches = BTreeMap<ProjectName, Unrecorded>;

impl Pipeline {
    /// Puts a project into quarantine for what a policy calls a breach. Where that cannot be proposed, the breach is
    /// kept and tried again before anything else of the project.
    pub(super) fn quarantine(&mut self, project: &ProjectName, scene: Scene, breach: Breach) -> Scene {
        let (scene, recorded) = self.propose_quarantine(project, scene, &breach);
        let (batch, reason) = match recorded {
            Ok(()) => (Some(self.open_number), String::new()),
            Err(reason) => (None, reason),
        };
        let before = self.breaches.insert(project.clone(), Unrecorded { breach, batch, reason: reason.clone() });
        if batch.is_none() && before.is_none_or(|before| before.reason != reason) {
            self.shared.ports.observer.quarantine_failed(project, &reason);
        }
        self.count_unrecorded();
        scene
    }

    /// Names the breach, so that a newer bundle may lift it. A breach under a bundle that is not in force any more cannot
    /// be named; then a human alone lifts the quarantine.
    fn propose_quarantine(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        breach: &Breach,
    ) -> (Scene, Result<(), String>) {
        #[derive(serde::Serialize)]
        struct Document<'a> {
            rationale: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            breach: Option<&'a Breach>,
        }
        let named = Document { rationale: rationale(breach), breach: Some(breach) };
        let (scene, recorded) = self.try_propose_own(project, scene, Transition::PolicyQuarantine, "policy", &named);
        let Err(reason) = recorded else { return (scene, Ok(())) };
        let declared = Document { breach: None, ..named };
        let (scene, again) = self.try_propose_own(project, scene, Transition::PolicyQuarantine, "policy", &declared);
        (scene, again.map_err(|_| reason))
    }

    /// The scene in which a proposal is judged. An unrecorded breach of its project is recorded first; where that
    /// fails, the proposal is rejected. A quarantine declared by hand records the breach itself.
    pub(super) fn behind_breach(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        transition: Transition,
    ) -> Result<Scene, Rejection> {
        let Some(unrecorded) = self.breaches.get(project) else { return Ok(scene) };
        if unrecorded.batch.is_some() || transition == Transition::PolicyQuarantine {
            return Ok(scene);
        }
        // A dry run changes nothing: it is refused as the proposal was the last time.
        if scene.head.state().policy.phase == PolicyState::Clear && self.trying {
            return Err(unrecorded.refusal());
        }
        if scene.head.state().policy.phase != PolicyState::Clear {
            if self.trying {
                return Ok(scene);
            }
            let (_, batch) = self.head(project)?;
            self.breaches.entry(project.clone()).and_modify(|it| it.batch = Some(batch));
            self.count_unrecorded();
            return Ok(scene);
        }
        let breach = unrecorded.breach.clone();
        let scene = self.quarantine(project, scene, breach);
        match self.breaches.get(project).filter(|it| it.batch.is_none()) {
            None => Ok(scene),
            Some(unrecorded) => Err(unrecorded.refusal()),
        }
    }

    /// A batch is durable: breaches recorded in it are settled.
    pub(super) fn breaches_settled(&mut self, durable_batch: u64) {
        if !self.breaches.is_empty() {
            self.breaches.retain(|_, it| it.batch.is_none_or(|batch| batch > durable_batch));
        }
    }

    /// Breaches that were not durable are lost with the log: they are recorded again before anything else.
    pub(super) fn breaches_lost(&mut self) {
        self.breaches.values_mut().for_each(|it| it.batch = None);
        self.count_unrecorded();
    }

    fn count_unrecorded(&self) {
        let count = self.breaches.values().filter(|it| it.batch.is_none()).count();
        self.shared.ports.observer.breaches_unrecorded(count);
    }
}
