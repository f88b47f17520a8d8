//! Effects that the node runs itself. It proposes their outcomes ahead of queued requests, and again after a lost
//! answer, with the same result or another.

use tokio::sync::oneshot::error::TryRecvError;

use super::clients::{self, Ask, Twist};
use super::faults::{Fault, RATE_SCALE};
use super::oracle::Violation;
use super::world::{RESTLESS, World};
use swoosh_sequencer::{Outcome, OwnOutcome};
use swoosh_testkit::random::Random;
use swoosh_types::canonical::from_slice;
use swoosh_types::ids::EffectId;
use swoosh_types::receipt::Receipt;

impl World {
    /// The executor is done with an effect, or with one that has ended already.
    pub(super) fn run_effect(&mut self, random: &mut Random) {
        let repeats = random.happens(self.rates.of(Fault::EffectRepeat), RATE_SCALE);
        let client = random.index(super::world::PROJECTS);
        if !repeats && random.below(2) != 0 {
            return;
        }
        let Some(outcome) = self.outcome(client, repeats, random) else { return };
        let Some(node) = &self.node else { return };
        let effect = outcome.effect.clone();
        let answer = node.single.propose_outcome(outcome);
        if repeats {
            self.fired(Fault::EffectRepeat, Some(client));
        }
        self.tally.count("outcomes of the node's own");
        if let Ok(answer) = answer {
            self.own.push((effect, answer));
        }
    }

    fn outcome(&self, client: usize, repeats: bool, random: &mut Random) -> Option<OwnOutcome> {
        let project = self.project(client)?;
        let head = self.durable_head(&project)?;
        // An executor keeps the outcomes of a project that is blocked, and asks now and then.
        if !repeats && clients::is_blocked(head.state()) && random.below(RESTLESS) != 0 {
            return None;
        }
        let open: Vec<&EffectId> = head.state().open_effects().map(|open| &open.id).collect();
        let effect = match repeats {
            true => self.oracle.ended_effect(&project, random)?,
            false => (*open.get(random.index(open.len()))?).clone(),
        };
        let transition = clients::outcome_of(effect.effect, random);
        let ask = Ask { transition, twist: Twist::Effect(effect.clone()), number: 0, breach_inputs: None };
        let inputs = clients::inputs_of(&head, &ask, &self.common(), random);
        Some(OwnOutcome { effect, transition, inputs, evidence: Vec::new(), brought_by: None })
    }

    /// Processes the answers to the executor's proposals.
    pub(super) fn outcomes_answered(&mut self) -> Result<(), Violation> {
        for (effect, mut answer) in std::mem::take(&mut self.own) {
            match answer.try_recv() {
                Ok(Outcome::Accepted { receipt, .. }) => self.outcome_accepted(&effect, &receipt)?,
                Ok(Outcome::Refused(refusal)) => self.trace.event(&refusal.rejection.code.to_string()),
                Err(TryRecvError::Empty) => self.own.push((effect, answer)),
                Err(TryRecvError::Closed) => self.tally.count("answers never given"),
            }
        }
        Ok(())
    }

    fn outcome_accepted(&mut self, effect: &EffectId, bytes: &std::sync::Arc<[u8]>) -> Result<(), Violation> {
        let wrong = |what: String| Violation { invariant: "receipts-prove-themselves", what };
        let receipt: Receipt = from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        self.trace.answer(&receipt.idem_key, bytes);
        if receipt.project != effect.project {
            return Err(wrong(format!("the receipt for {effect} is of {}", receipt.project)));
        }
        self.receipt_given(&receipt.project, &receipt.idem_key, bytes)
    }
}
