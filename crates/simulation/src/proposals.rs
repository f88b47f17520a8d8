//! Clients' proposals: the next step of their projects, outcomes of work, and deliberate faults.

use std::sync::Arc;

use super::clients::{self, Ask, Twist};
use super::faults::{Fault, RATE_SCALE};
use super::well_formed::text;
use super::world::{RESTLESS, World};
use swoosh_machine::state::{State, TopPhase};
use swoosh_sequencer::Verified;
use swoosh_testkit::random::Random;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::names::{BootState, Transition};
use swoosh_types::text::ProjectName;
use swoosh_types::verify::{Headers, verify};

impl World {
    /// Builds what a client's project needs next, on the head that its client knows of.
    pub(super) fn propose(&mut self, number: usize, random: &mut Random) -> Option<(IdemKey, Arc<[u8]>)> {
        let project = &self.clients.get(number)?.project;
        let head = self.durable_head(project)?;
        let state = head.state();
        if state.phase() == TopPhase::Terminated {
            // A new project takes its place.
            let client = self.clients.get_mut(number)?;
            client.lives += 1;
            client.project = text(&format!("p{number}-{}", client.lives));
            return None;
        }
        let (transition, twist, old) = self.intent(number, state, random)?;
        let fired = match twist {
            Twist::Misplaced(_) => Some(Fault::Misplaced),
            Twist::Effect(_) if old => Some(Fault::OldWorker),
            Twist::Effect(ref effect) if !state.open_effects().any(|open| open.id == *effect) => {
                Some(Fault::EffectRepeat)
            }
            Twist::Worker(false) => Some(Fault::WorkerBarred),
            Twist::None | Twist::Effect(_) | Twist::Worker(true) => None,
        };
        let common = self.common();
        let breach_inputs = self.clients.get(number).and_then(|client| client.breach_inputs.clone());
        let ask = Ask { transition, twist, number: self.numbers + 1, breach_inputs };
        let signed = clients::build(&head, &ask, &common, random);
        let bytes = canonical_bytes(&signed);
        self.numbers += 1;
        fired.into_iter().for_each(|fault| self.fired(fault, Some(number)));
        let key = signed.proposal.idem_key.clone();
        if let Some(effect) = clients::effect_of(&signed.proposal) {
            // The worker took the effect when this record had opened it.
            let opened_by = if old { self.workers.took(&effect) } else { self.oracle.opened_by(&effect) };
            if let Some(opened_by) = opened_by {
                self.oracle.meant(&signed.proposal.project(), &key, opened_by);
                self.workers.takes(&effect, opened_by);
            }
            self.brings.insert(key.clone(), effect);
        }
        if transition == Transition::ExecutionSubmit
            && let Some(client) = self.clients.get_mut(number)
        {
            client.breach_inputs = serde_json::to_value(&signed.proposal.inputs).ok();
        }
        Some((key, bytes.into()))
    }

    /// A client's proposal in this state, its deliberate fault, and whether it is the outcome of work that was taken
    /// up some time ago.
    fn intent(&mut self, number: usize, state: &State, random: &mut Random) -> Option<(Transition, Twist, bool)> {
        let misplaced =
            random.happens(self.rates.of(Fault::Misplaced), RATE_SCALE).then(|| Twist::Misplaced(random.number()));
        if let Some((transition, twist)) = self.bars(number, state, random) {
            return Some((transition, misplaced.unwrap_or(twist), false));
        }
        let project = &state.meta.project;
        let repeats = random.happens(self.rates.of(Fault::EffectRepeat), RATE_SCALE);
        let repeated = if repeats { self.oracle.ended_effect(project, random) } else { None };
        let old = self.old_work(state, random);
        let is_old = old.is_some();
        let common = self.common();
        let answers = old.or(repeated).or_else(|| clients::answers_while_blocked(state, random));
        let (transition, twist) = match (answers, random.below(16)) {
            (Some(effect), _) => (clients::outcome_of(effect.effect, random), Twist::Effect(effect)),
            (None, nth) if nth != 0 && self.moods.asks_again.is_some() => {
                (self.asked_again(state, random)?, Twist::None)
            }
            (None, 0) => (clients::plausible(state, random)?, Twist::None),
            (None, _) => {
                let forward = clients::forward(state, &common, random);
                // A client that waits for a window does something else meanwhile; one that is held up does so rarely.
                let waits = forward.is_none() && (!clients::is_held_up(state) || random.below(RESTLESS) == 0);
                (if waits { clients::plausible(state, random) } else { forward }?, Twist::None)
            }
        };
        let twist = if twist == Twist::None { clients::twist_of(transition, state, &common) } else { twist };
        Some((transition, misplaced.unwrap_or(twist), is_old))
    }

    /// An effect that a worker took up some time ago, or before a loss.
    fn old_work(&self, state: &State, random: &mut Random) -> Option<EffectId> {
        let rate = self.rates.of(Fault::OldWorker);
        let lost = if rate > 0 && random.below(4) == 0 { self.lost_work(state) } else { None };
        lost.or_else(|| {
            random.happens(rate, RATE_SCALE).then(|| self.workers.taken(&state.meta.project, random)).flatten()
        })
    }

    /// The worker of a project loses its role while the project is paused. It may bring outcomes before.
    fn bars(&mut self, number: usize, state: &State, random: &mut Random) -> Option<(Transition, Twist)> {
        let strikes = random.happens(self.rates.of(Fault::WorkerBarred), RATE_SCALE);
        let client = self.clients.get_mut(number)?;
        client.bars |= strikes && state.boot.phase == BootState::Licensed && !clients::is_held_up(state);
        match (client.bars, state.control.paused) {
            (false, _) => None,
            (true, false) => Some((Transition::ControlPause, Twist::None)),
            (true, true) if random.below(2) == 0 => None,
            (true, true) => {
                client.bars = false;
                Some((Transition::BootIdentityGranted, Twist::Worker(false)))
            }
        }
    }

    /// Builds a proposal for a project and posts it, without a network between.
    pub(super) fn post(&mut self, number: usize, transition: Transition, random: &mut Random) -> Option<Verified> {
        let client = self.clients.get(number)?;
        let head = self.durable_head(&client.project)?;
        let breach_inputs = client.breach_inputs.clone();
        let twist = clients::twist_of(transition, head.state(), &self.common());
        let ask = Ask { transition, twist, number: self.numbers + 1, breach_inputs };
        let signed = clients::build(&head, &ask, &self.common(), random);
        self.numbers += 1;
        let bytes = canonical_bytes(&signed);
        let decode = swoosh_machine::chart::Inputs::decode;
        verify(&bytes, &Headers::default(), &self.site.cluster, decode).ok()
    }

    /// A project's next transition.
    pub(super) fn wants(&self, project: &ProjectName, random: &mut Random) -> Option<Transition> {
        clients::forward(self.durable_head(project)?.state(), &self.common(), random)
    }
}
