//! A project of an older statechart goes over to this program's before anything else happens to it.

use super::{Pipeline, Scene};
use crate::machine::upgrade;
use crate::types::names::Transition;
use crate::types::text::ProjectName;

impl Pipeline {
    /// The scene after the barrier, where the project needs one and it may pass; what blocks the project lets it wait.
    /// The caller raced; its own proposal is then stale.
    pub(super) fn upgraded(&mut self, project: &ProjectName, scene: Scene) -> Scene {
        let Some(inputs) = upgrade::barrier(scene.head.state()) else { return scene };
        let (scene, passed) = self.propose_own(project, scene, Transition::BootChartUpgraded, "chart", &inputs);
        if passed && !self.trying {
            self.shared.ports.observer.upgraded(project, inputs.from_version, inputs.to_version);
        }
        scene
    }
}
