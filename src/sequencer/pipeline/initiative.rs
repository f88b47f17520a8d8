//! What the node proposes of its own accord: what follows from its facts, and quarantines.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Pipeline, Scene, Verdict};
use crate::machine::chart;
use crate::machine::facts::{FactBody, FactSet};
use crate::machine::guards::Case;
use crate::machine::judge;
use crate::sequencer::own::{Wish, cause, inputs, propose};
use crate::sequencer::{Trace, Verified};
use crate::types::fact::FactKind;
use crate::types::hlc::Hlc;
use crate::types::inputs::Breach;
use crate::types::names::Transition;
use crate::types::text::ProjectName;

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
        let scene = self.upgraded(project, scene);
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
        let trace = self.shared.tracing.then(|| Box::new(Trace::begin(None)));
        let Some(own) = self.build_own(project, &scene, transition, topic, document) else { return (scene, false) };
        match self.weigh(&scene, &own) {
            Verdict::Accepted(accepted) => {
                (self.push(project, scene, (own, trace), *accepted, None, Instant::now()), true)
            }
            Verdict::Refused(refused) => {
                self.note_refusal(project, transition, &refused.rejection, scene.stamp.at);
                (scene, false)
            }
            Verdict::Repeat(_) | Verdict::RepeatInFlight => (scene, false),
        }
    }

    /// Builds and signs a proposal of the node's own; `None` where it cannot be built, which the observer hears.
    fn build_own<T: serde::Serialize>(
        &self,
        project: &ProjectName,
        scene: &Scene,
        transition: Transition,
        topic: &'static str,
        document: &T,
    ) -> Option<Verified> {
        let beat = current_beat(scene.facts.set(), project, scene.stamp.at);
        let cause = cause(transition, &scene.head);
        let options = &self.shared.options;
        let own = inputs(document).and_then(|inputs| {
            let wish = Wish { project, transition, topic, inputs, cause, beat, evidence: Vec::new() };
            propose(wish, &scene.head, &options.cluster, &options.node_key, scene.stamp.at.physical_ms())
        });
        own.map_err(|error| self.shared.ports.observer.own_failed(project, transition, &error.to_string())).ok()
    }

    /// Puts a project into quarantine for what a policy calls a breach.
    pub(super) fn quarantine(&mut self, project: &ProjectName, scene: Scene, breach: Breach) {
        let rationale: String = breach.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        #[derive(serde::Serialize)]
        struct Document {
            rationale: String,
            breach: Breach,
        }
        let rationale = rationale.chars().take(400).collect();
        self.propose_own(project, scene, Transition::PolicyQuarantine, "policy", &Document { rationale, breach });
    }
}

fn current_beat(facts: &FactSet, project: &ProjectName, at: Hlc) -> u64 {
    match facts.get(FactKind::Windows, project).map(|fact| &fact.body) {
        Some(FactBody::Windows(schedule)) => schedule.position(at).beat,
        _ => 0,
    }
}
