//! One project's caller. It posts proposals that fit the state, some of them twice, in the wrong order, or without
//! waiting for the answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use swoosh::machine::state::State;
use swoosh::types::names::*;
use swoosh::types::proposal::SignedProposal;

use super::Stage;
use crate::support::daemon::Site;
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, Wire, proposal};
use crate::support::route::{self, Goal};
use crate::support::world::Ask;
use swoosh_testkit::random::Random;

/// Times that a connection is tried before the test gives up; the node is away for a moment at each kill.
const TRIES: usize = 12_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

pub(super) struct Caller<'a> {
    project: Project<'a>,
    stage: &'a Stage,
    random: Random,
    /// How often in a hundred something goes wrong on the way: 1 to 10.
    mischief: u64,
    wire: Option<Wire>,
    accepted: usize,
}

impl<'a> Caller<'a> {
    pub(super) fn new(site: &'a Site, stage: &'a Stage, number: usize, mut random: Random) -> Caller<'a> {
        let project = Project::new(site, &format!("replay-{number:02}"));
        let mischief = 1 + random.below(10);
        Caller { project, stage, random, mischief, wire: None, accepted: 0 }
    }

    /// Goes on until so many of its proposals are accepted.
    pub(super) fn run(mut self, quota: usize) {
        while self.accepted < quota {
            if self.random.happens(self.mischief, 100) && self.project.head.state().boot.phase == BootState::Licensed {
                self.post_in_the_wrong_order();
            } else {
                let transition = choose(&mut self.random, &self.project);
                let signed = self.project.signed(&Ask::new(transition));
                self.post(&signed);
            }
        }
    }

    /// Sends until there is an answer; the same bytes again are harmless.
    fn exchange(&mut self, signed: &SignedProposal) -> Answer {
        let request = proposal(&bytes(signed), &[]);
        let mut last = String::new();
        for _ in 0..TRIES {
            if self.wire.is_none() {
                let address = self.stage.address();
                match Wire::connect(address) {
                    Ok(wire) => self.wire = Some(wire),
                    Err(error) => last = format!("{address}: {error}"),
                }
            }
            match self.wire.as_mut().map(|wire| wire.exchange(&request)) {
                Some(Ok(answer)) if answer.status != 503 => return answer,
                Some(Ok(answer)) => last = answer.text(),
                Some(Err(error)) => {
                    last = error.to_string();
                    self.wire = None;
                }
                None => {}
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        panic!("there is no answer: {last}");
    }

    fn post(&mut self, signed: &SignedProposal) {
        if self.random.happens(self.mischief, 100) {
            self.send_and_hang_up(signed);
        }
        let answer = self.exchange(signed);
        if answer.status != 202 {
            // The cycle may end while a proposal is on its way, and a loop may be too fast for the next one.
            assert!(["guard_window", "guard_fresh_window"].contains(&answer.code().as_str()), "{}", answer.text());
            return;
        }
        self.take(signed, &answer);
        if self.random.happens(self.mischief, 100) {
            let again = self.exchange(signed);
            assert_eq!((again.status, &again.body), (202, &answer.body), "a duplicate");
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
        }
    }

    fn take(&mut self, signed: &SignedProposal, answer: &Answer) {
        let receipt = answer.receipt();
        assert_eq!(receipt.verify(&self.project.site.cluster), Ok(()));
        self.project.advance(&signed.proposal, &receipt);
        self.accepted += 1;
        self.stage.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A request whose client hangs up before the answer.
    fn send_and_hang_up(&self, signed: &SignedProposal) {
        let Ok(mut wire) = Wire::connect(self.stage.address()) else { return };
        let _ = wire.send(&proposal(&bytes(signed), &[]));
    }

    /// The second of two before the first: it names a head that is not there yet.
    fn post_in_the_wrong_order(&mut self) {
        let paused = self.project.head.state().control.paused;
        let pair = [Transition::ControlPause, Transition::ControlResume];
        let first = self.project.signed(&Ask::new(pair[usize::from(paused)]));
        let before = self.project.head.clone();
        self.project.foresee(&first.proposal);
        let second = self.project.signed(&Ask::new(pair[usize::from(!paused)]));
        self.project.head = before;
        let early = self.exchange(&second);
        assert_eq!(early.code(), "stale_head", "{}", early.text());
        let answer = self.exchange(&first);
        self.take(&first, &answer);
        let answer = self.exchange(&second);
        self.take(&second, &answer);
    }
}

/// A transition that fits the state: most of the time a step of the lifecycle and the loop.
pub(crate) fn choose(random: &mut Random, project: &Project<'_>) -> Transition {
    let state = project.head.state();
    if state.boot.phase != BootState::Licensed {
        return route::next(state, Goal::new(Region::Boot, "LICENSED")).unwrap();
    }
    if state.policy.phase == PolicyState::Quarantined {
        let flip = if state.control.paused { Transition::ControlResume } else { Transition::ControlPause };
        return random.pick([Transition::PolicyRelease, Transition::PolicyRelease, flip]);
    }
    if state.control.paused {
        return random.pick([Transition::ControlResume, Transition::ControlResume, Transition::BootIdentityGranted]);
    }
    let detours = detours(state);
    if random.happens(40, 100) { random.pick(&detours) } else { forward(random, project) }
}

/// Transitions beside the direct route.
fn detours(state: &State) -> Vec<Transition> {
    use Transition::*;
    let mut detours = vec![ControlPause, ControlPause, ControlPause, BootIdentityGranted, PolicyQuarantine];
    let between_beats = matches!(state.execution.phase, ExecutionState::Inactive | ExecutionState::Plan);
    let mut when = |holds: bool, transition| {
        if holds {
            detours.push(transition);
        }
    };
    when(between_beats && state.ingestion.phase == IngestionState::Ready, IngestionNewVersion);
    when(between_beats && state.council.phase == CouncilState::Ready, CouncilReElect);
    when(between_beats && state.council.phase == CouncilState::ToolingSync, CouncilMcpRed);
    when(between_beats && state.environment.phase == EnvironmentState::Ready, EnvironmentRecheck);
    when(between_beats && state.environment.phase == EnvironmentState::Healthcheck, EnvironmentHealthFailed);
    when(state.ingestion.effects.contains_key(&EffectName::Resolve), IngestionResolveFailed);
    when(state.ingestion.phase == IngestionState::Fetch, IngestionFetchFailed);
    when(state.ingestion.phase == IngestionState::Validate, IngestionValidateFailed);
    when(state.ingestion.phase == IngestionState::Index, IngestionIndexFailed);
    when(state.execution.phase == ExecutionState::Review, ExecutionRework);
    detours
}

/// A step towards REVERB, and round the loop again.
fn forward(random: &mut Random, project: &Project<'_>) -> Transition {
    let state = project.head.state();
    let goal = |region, name| route::next(state, Goal::new(region, name));
    match state.execution.phase {
        ExecutionState::Plan => {
            let lifecycle = [Region::Ingestion, Region::Council, Region::Environment];
            let unready = lifecycle.into_iter().find_map(|region| goal(region, "READY"));
            unready.unwrap_or_else(|| plan(state))
        }
        ExecutionState::Reverb => {
            let window = project.schedule.position(project.clock()).window_id;
            let full = state.execution.submissions.len() >= 60;
            match state.execution.window {
                Some(last) if window > last => Transition::ExecutionNextWindow,
                _ if full || random.happens(30, 100) => Transition::ControlPause,
                _ => Transition::ExecutionSubmit,
            }
        }
        _ => goal(Region::Execution, "REVERB").unwrap(),
    }
}

/// Everything is READY: is it at one version, and is the loop pinned to it?
fn plan(state: &State) -> Transition {
    let version = Some(state.ingestion.version);
    match () {
        () if state.council.version != version => Transition::CouncilReaffirm,
        () if state.environment.version != version => Transition::EnvironmentReaffirm,
        () if route::pin_moved(state) => Transition::ExecutionPlanChange,
        () => Transition::ExecutionPlanLocked,
    }
}
