//! Proposals that the node makes on its own: consequences of its facts, and quarantines.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Pipeline, Scene, Verdict};
use crate::own::{Wish, cause, inputs, propose};
use crate::{Trace, Verified};
use swoosh_machine::chart;
use swoosh_machine::facts::{FactBody, FactSet};
use swoosh_machine::guards::Case;
use swoosh_machine::judge;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

impl Pipeline {
    /// The project's license status follows its facts lazily: right before a proposal that would pass, or
    /// that nothing but the license holds back. The caller raced; its own proposal is then stale.
    /// Returns the scene to go on with, and whether the status changed.
    pub(super) fn change_license(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        verified: &Verified,
        verdict: &Verdict,
    ) -> (Scene, bool) {
        let ripe = match verdict {
            Verdict::Accepted(_) => true,
            Verdict::Refused(refused) => judge::held_by_license(scene.head.state(), &refused.rejection),
            Verdict::Repeat(_) | Verdict::RepeatInFlight => false,
        };
        let change = judge::license_change(&self.docket(&scene, verified).case()).filter(|_| ripe);
        let Some((transition, why)) = change else { return (scene, false) };
        let cause_text: String = why.chars().take(400).collect();
        let document = BTreeMap::from([("cause", cause_text)]);
        self.propose_own(project, scene, transition, "license", &document)
    }

    /// Proposes what the pulses of a project's elected set call for, without waiting for a caller.
    pub(super) fn follow_liveness(&mut self, project: &ProjectName) {
        let Ok(scene) = self.scene(project) else { return };
        let Ok(scene) = self.upgraded(project, scene) else { return };
        let spec = chart::spec(Transition::ControlQuorumLost);
        let (cluster, facts, at) = (&self.shared.options.cluster, scene.facts.set(), scene.stamp.at);
        let case = Case { cluster, head: &scene.head, facts, at, spec, asked: None };
        if let Some((transition, alive)) = judge::liveness_change(&case) {
            let document = BTreeMap::from([("alive", alive)]);
            self.propose_own(project, scene, transition, "liveness", &document);
        }
    }

    /// Puts a proposal of the node's own into the open batch, if it passes. Returns the scene to go on with, and whether
    /// the proposal passed.
    pub(super) fn propose_own<T: serde::Serialize>(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        transition: Transition,
        topic: &'static str,
        document: &T,
    ) -> (Scene, bool) {
        let (scene, passed) = self.try_propose_own(project, scene, transition, topic, document);
        (scene, passed.is_ok())
    }

    /// The same, with the reason why the proposal did not pass.
    pub(super) fn try_propose_own<T: serde::Serialize>(
        &mut self,
        project: &ProjectName,
        scene: Scene,
        transition: Transition,
        topic: &'static str,
        document: &T,
    ) -> (Scene, Result<(), String>) {
        let trace = self.shared.tracing.then(|| Box::new(Trace::begin(None)));
        let own = match self.build_own(project, &scene, transition, topic, document) {
            Ok(own) => own,
            Err(reason) => return (scene, Err(reason)),
        };
        match self.weigh(&scene, &own) {
            Verdict::Accepted(accepted) => {
                (self.push(project, scene, (own, trace), *accepted, None, Instant::now()), Ok(()))
            }
            Verdict::Refused(refused) => {
                self.note_refusal(own.proposal(), &refused.rejection, scene.stamp.at);
                (scene, Err(format!("{}: {}", refused.rejection.code, refused.rejection.reasons.join("; "))))
            }
            Verdict::Repeat(_) | Verdict::RepeatInFlight => (scene, Err("its key is bound already".to_owned())),
        }
    }

    /// Builds and signs a proposal of the node's own; where that fails, the observer hears why.
    fn build_own<T: serde::Serialize>(
        &self,
        project: &ProjectName,
        scene: &Scene,
        transition: Transition,
        topic: &'static str,
        document: &T,
    ) -> Result<Verified, String> {
        let time = scene.facts.set().outside(project, scene.stamp.at);
        let beat = current_beat(scene.facts.set(), project, time);
        let cause = cause(transition, &scene.head);
        let options = &self.shared.options;
        let own = inputs(document).and_then(|inputs| {
            let wish = Wish { project, transition, topic, inputs, cause, beat, evidence: Vec::new() };
            propose(wish, &scene.head, &options.cluster, &options.node_key, time.physical_ms())
        });
        own.map_err(|error| {
            let reason = error.to_string();
            self.shared.ports.observer.own_failed(project, transition, &reason);
            reason
        })
    }
}

fn current_beat(facts: &FactSet, project: &ProjectName, at: Hlc) -> u64 {
    match facts.get(FactKind::Windows, project).map(|fact| &fact.body) {
        Some(FactBody::Windows(schedule)) => schedule.position(at).beat,
        _ => 0,
    }
}
