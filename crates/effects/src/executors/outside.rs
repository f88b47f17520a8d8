//! Effects that ask others: the MCP servers and the capacity.

use super::{Done, Workshop};
use crate::outcome::Report;
use crate::task::{Executor, Place};
use crate::worker::{Failed, Job, Work};
use swoosh_machine::state::State;
use swoosh_types::names::{EffectName, Transition};

/// Asks every pinned MCP server for its name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe;

impl Executor for Probe {
    const EFFECT: EffectName = EffectName::Probe;
    const PLACE: Place = Place::Nowhere;
    const IDEMPOTENT: bool = true;

    fn task(_: &State) -> Probe {
        Probe
    }

    fn run(&self, workshop: &Workshop, job: &Job, _: &Work<'_>) -> Done {
        match workshop.outside.tooling(&job.id.project) {
            Ok(servers) => Ok((Transition::CouncilMcpGreen, Report { servers: Some(servers), ..Report::default() })),
            Err(unreachable) => {
                let reasons: Vec<_> = unreachable.iter().map(|(name, why)| format!("{name}: {why}")).collect();
                let report = Report { unreachable: Some(unreachable), ..Report::default() };
                Err(Failed { reason: reasons.join("; "), again: true, report: report.into() })
            }
        }
    }
}

/// Checks that the capacity for the allocation is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocate;

impl Executor for Allocate {
    const EFFECT: EffectName = EffectName::Allocate;
    const PLACE: Place = Place::Nowhere;
    const IDEMPOTENT: bool = true;

    fn task(_: &State) -> Allocate {
        Allocate
    }

    fn run(&self, workshop: &Workshop, job: &Job, _: &Work<'_>) -> Done {
        workshop.outside.capacity(&job.id.project).map_err(Failed::passing)?;
        Ok((Transition::EnvironmentCapacityOk, Report::default()))
    }
}
