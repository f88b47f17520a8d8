//! A project of an older statechart goes over to this program's before anything else happens to it.

use super::{Pipeline, Scene};
use swoosh_machine::upgrade;
use swoosh_types::names::Transition;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

impl Pipeline {
    /// The scene after the barrier, where the project needs one. The caller raced; its own proposal is then stale. Nothing
    /// is judged by rules that the barrier ends: where it does not pass, the project's proposals are refused.
    pub(super) fn upgraded(&mut self, project: &ProjectName, scene: Scene) -> Result<Scene, Rejection> {
        let Some(inputs) = upgrade::barrier(scene.head.state()) else { return Ok(scene) };
        let (scene, passed) = self.try_propose_own(project, scene, Transition::BootChartUpgraded, "chart", &inputs);
        let (from, to) = (inputs.from_version, inputs.to_version);
        passed.map_err(|reason| {
            let advice = "nothing of the project passes before it does (docs/upgrade.md)";
            Rejection::new(
                Code::Blocked,
                format!("the barrier from statechart {from} to {to} fails: {reason}; {advice}"),
            )
        })?;
        if !self.trying {
            self.shared.ports.observer.upgraded(project, from, to);
        }
        Ok(scene)
    }
}
