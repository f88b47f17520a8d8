//! The way from one state to another: which transition comes next. A pure function of the state.

use swoosh_machine::state::State;
use swoosh_types::names::*;

/// Where a region shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal<'a> {
    pub region: Region,
    /// The state's name in the chart.
    pub state: &'a str,
}

impl<'a> Goal<'a> {
    pub fn new(region: Region, state: &'a str) -> Goal<'a> {
        Goal { region, state }
    }
}

/// The next transition towards a goal; `None` when it is reached.
pub fn next(state: &State, goal: Goal<'_>) -> Option<Transition> {
    if state.region_state(goal.region) == goal.state {
        return None;
    }
    if goal.region != Region::Boot && state.boot.phase != BootState::Licensed {
        return boot(state.boot.phase);
    }
    match goal.region {
        Region::Boot => boot(state.boot.phase),
        Region::Ingestion => Some(ingestion(state)),
        Region::Council => Some(council(state, goal.state)),
        Region::Environment => Some(environment(state, goal.state)),
        Region::Execution => Some(execution(state)),
        Region::Control => Some(Transition::ControlTerminate),
        Region::Policy => Some(match (state.policy.phase, goal.state) {
            (PolicyState::Clear, _) => Transition::PolicyQuarantine,
            (_, "CLEAR") => Transition::PolicyRelease,
            _ => Transition::PolicyConfirmedBlock,
        }),
    }
}

fn boot(phase: BootState) -> Option<Transition> {
    match phase {
        BootState::Uninitialized => Some(Transition::BootConfigOk),
        BootState::LicenseCheck => Some(Transition::BootLicensed),
        BootState::Licensed => None,
    }
}

fn ingestion(state: &State) -> Transition {
    match state.ingestion.phase {
        IngestionState::Discover if state.ingestion.effects.is_empty() => Transition::IngestionRetry,
        IngestionState::Discover => Transition::IngestionSourcesResolved,
        IngestionState::Fetch => Transition::IngestionBytesOk,
        IngestionState::Validate => Transition::IngestionSchemaOk,
        IngestionState::Index => Transition::IngestionCorpusBuilt,
        IngestionState::Ready => Transition::IngestionNewVersion,
    }
}

fn council(state: &State, goal: &str) -> Transition {
    match (state.council.phase, goal) {
        (CouncilState::PlanRoles, _) => Transition::CouncilProfilesLoaded,
        (_, "PLAN_ROLES") => Transition::CouncilReplan,
        // So many were ejected that those who are left make no council.
        (CouncilState::Elect, _) if !can_elect(state) => Transition::CouncilReplan,
        (CouncilState::Elect, _) => Transition::CouncilQuorumCert,
        (CouncilState::ToolingSync, "READY") => Transition::CouncilMcpGreen,
        (CouncilState::ToolingSync | CouncilState::Ready, _) => Transition::CouncilReElect,
    }
}

/// Whether candidates who may vote are enough for a council and for its quorum.
fn can_elect(state: &State) -> bool {
    let (voters, council) = (crate::voters::electorate(state).len() as u64, &state.council);
    voters >= council.rules.min_members && voters >= council.rules.quorum.votes_needed(council.candidates.len() as u64)
}

fn environment(state: &State, goal: &str) -> Transition {
    use EnvironmentState::*;
    match (state.environment.phase, goal) {
        (Allocate, _) if state.environment.effects.contains_key(&EffectName::Release) => {
            Transition::EnvironmentReleased
        }
        (Allocate, _) if state.environment.rests() => Transition::EnvironmentDeprovision,
        (Allocate, _) => Transition::EnvironmentCapacityOk,
        (_, "ALLOCATE") => Transition::EnvironmentDeprovision,
        (Provision, _) => Transition::EnvironmentInstalled,
        (_, "PROVISION") => Transition::EnvironmentDeprovision,
        (Healthcheck, "DEGRADED") => Transition::EnvironmentAmber,
        (Healthcheck, _) => Transition::EnvironmentGreen,
        (Ready | Degraded, _) => Transition::EnvironmentRecheck,
    }
}

/// The transition that makes council and environment ready for the loop.
fn ready_again(state: &State) -> Option<Transition> {
    [Region::Council, Region::Environment].iter().find_map(|&region| next(state, Goal::new(region, "READY")))
}

fn execution(state: &State) -> Transition {
    use ExecutionState::{Reverb, Review, Work};
    if matches!(state.execution.phase, Work | Review | Reverb)
        && let Some(step) = ready_again(state)
    {
        return step;
    }
    match state.execution.phase {
        ExecutionState::Inactive => make_ready(state).unwrap_or(Transition::ExecutionAllReady),
        ExecutionState::Plan if matches_pin(state) => Transition::ExecutionPlanLocked,
        ExecutionState::Plan => make_ready(state).unwrap_or(Transition::ExecutionPlanChange),
        ExecutionState::Work => Transition::ExecutionBeatReviewGate,
        ExecutionState::Review
            if (crate::voters::approved(state).len() as u64) < state.execution.approval_threshold =>
        {
            Transition::ExecutionApprove
        }
        ExecutionState::Review => Transition::ExecutionApprovalsThreshold,
        ExecutionState::Reverb => Transition::ExecutionNextWindow,
    }
}

/// The transition that makes the lifecycle regions READY at one version.
fn make_ready(state: &State) -> Option<Transition> {
    let lifecycle = [Region::Ingestion, Region::Council, Region::Environment];
    let step = lifecycle.iter().find_map(|&region| next(state, Goal::new(region, "READY")));
    step.or_else(|| reaffirm(state))
}

/// Whether the version or a hash that execution is pinned to is another now.
pub fn pin_moved(state: &State) -> bool {
    state.execution.pin.as_ref().is_none_or(|pin| {
        (pin.version, Some(pin.content_hash)) != (state.ingestion.version, state.ingestion.content_hash)
            || !holds(state)
    })
}

/// Whether members and assets are those that are pinned.
fn holds(state: &State) -> bool {
    state.execution.pin.as_ref().is_some_and(|pin| {
        (state.council.member_set_hash, state.environment.assets_hash)
            == (Some(pin.member_set_hash), Some(pin.assets_hash))
    })
}

/// Whether council and environment are READY at the version that execution is pinned to.
fn matches_pin(state: &State) -> bool {
    let pinned = state.execution.pin.as_ref().map(|pin| pin.version);
    let ready = (state.council.phase, state.environment.phase) == (CouncilState::Ready, EnvironmentState::Ready);
    ready && (state.council.version, state.environment.version) == (pinned, pinned) && holds(state)
}

fn reaffirm(state: &State) -> Option<Transition> {
    let version = Some(state.ingestion.version);
    if state.ingestion.phase != IngestionState::Ready {
        return None;
    }
    if state.council.version != version {
        return Some(Transition::CouncilReaffirm);
    }
    (state.environment.version != version).then_some(Transition::EnvironmentReaffirm)
}
