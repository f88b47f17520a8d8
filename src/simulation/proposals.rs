//! What clients propose: what their projects need next, outcomes of work, and what is wrong on purpose.

use std::sync::Arc;

use super::clients::{self, Ask, Twist};
use super::faults::Fault;
use super::random::Random;
use super::well_formed::text;
use super::world::{RESTLESS, World};
use crate::machine::state::TopPhase;
use crate::sequencer::Verified;
use crate::types::canonical::canonical_bytes;
use crate::types::ids::IdemKey;
use crate::types::names::Transition;
use crate::types::text::ProjectName;
use crate::verify::{Headers, verify};

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
        let misplaced = random.often(self.rates.of(Fault::Misplaced));
        let repeats = random.often(self.rates.of(Fault::EffectRepeat));
        let repeated = if repeats { self.oracle.ended_effect(project, random) } else { None };
        let common = self.common();
        let old = random.often(self.rates.of(Fault::OldWorker)).then(|| self.workers.taken(project, random)).flatten();
        let answers = old.clone().or(repeated).or_else(|| clients::answers_while_blocked(state, random));
        // Few proposals are made while a project is paused.
        let bars = state.control.paused && random.often(8 * self.rates.of(Fault::WorkerBarred));
        let (transition, twist) = match (answers, random.below(16)) {
            _ if bars => (Transition::BootIdentityGranted, Twist::Worker(false)),
            (Some(effect), _) => (clients::outcome_of(effect.effect, random), Twist::Effect(effect)),
            (None, 0) => (clients::plausible(state, random)?, Twist::None),
            (None, _) => {
                let forward = clients::forward(state, &common, random);
                // Whoever waits for a window does something else meanwhile; whoever is held up, now and then.
                let waits = forward.is_none() && (!clients::is_held_up(state) || random.below(RESTLESS) == 0);
                (if waits { clients::plausible(state, random) } else { forward }?, Twist::None)
            }
        };
        let twist = if misplaced { Twist::Misplaced(random.next()) } else { twist };
        let twist = if twist == Twist::None { clients::twist_of(transition, state, &common) } else { twist };
        let fired = match twist {
            Twist::Misplaced(_) => Some(Fault::Misplaced),
            Twist::Effect(_) if old.is_some() => Some(Fault::OldWorker),
            Twist::Effect(_) if repeats => Some(Fault::EffectRepeat),
            Twist::Worker(false) => Some(Fault::WorkerBarred),
            Twist::None | Twist::Effect(_) | Twist::Worker(true) => None,
        };
        let breach_inputs = self.clients.get(number).and_then(|client| client.breach_inputs.clone());
        let ask = Ask { transition, twist, number: self.numbers + 1, breach_inputs };
        let signed = clients::build(&head, &ask, &common, random);
        let bytes = canonical_bytes(&signed);
        self.numbers += 1;
        fired.into_iter().for_each(|fault| self.fired(fault, Some(number)));
        let key = signed.proposal.idem_key.clone();
        if let Some(effect) = clients::effect_of(&signed.proposal) {
            // Whoever brings it took the work up when this record had opened it.
            let opened_by = if old.is_some() { self.workers.took(&effect) } else { self.oracle.opened_by(&effect) };
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
        let decode = crate::machine::chart::Inputs::decode;
        verify(&bytes, &Headers::default(), &self.site.cluster, decode).ok()
    }

    /// What a project needs next.
    pub(super) fn wants(&self, project: &ProjectName, random: &mut Random) -> Option<Transition> {
        clients::forward(self.durable_head(project)?.state(), &self.common(), random)
    }
}
