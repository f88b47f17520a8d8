//! One project judged in-process: proposals go through `machine::judge` in the order of docs/design.md#order-of-checks, and
//! what is accepted becomes a chained record.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;
use swoosh::machine::beats::Beats;
use swoosh::machine::chart::{self, Inputs};
use swoosh::machine::facts::FactBody;
use swoosh::machine::guards::Case;
use swoosh::machine::head::Head;
use swoosh::machine::judge::{self, Accepted, Docket, Key, Refused};
use swoosh::machine::policy::engine_version;
use swoosh::machine::reduce::Stamp;
use swoosh::types::fact::{FactKind, Liveness};
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::ids::{IdemKey, WindowId};
use swoosh::types::inputs::Breach;
use swoosh::types::json::Json;
use swoosh::types::keys::PublicKey;
use swoosh::types::names::Transition;
use swoosh::types::proposal::{Proposal, SignedProposal};
use swoosh::types::record::Record;
use swoosh::types::rejection::Rejection;
use swoosh::types::text::{ClusterId, ProjectName};
use swoosh::types::ucxl::EvidenceRef;

use super::hands::Hands;
use super::inputs::{self, Choice, Maker};
use super::outside::{Outside, start_ms};
use super::route::{self, Goal};
use super::strict;

/// A proposal to make; omitted parts are filled in to be valid.
#[derive(Clone, Debug)]
pub struct Ask {
    pub transition: Transition,
    /// The name of the signer.
    pub by: Option<String>,
    pub inputs: Option<Value>,
    /// The head that is named.
    pub head: Option<Hash>,
    /// The proposal's clock.
    pub hlc: Option<Hlc>,
    /// The window named; `Some(None)` names none.
    pub window: Option<Option<WindowId>>,
    pub key: Option<IdemKey>,
    pub evidence: Vec<EvidenceRef>,
}

impl Ask {
    /// A transition with everything made to fit.
    pub fn new(transition: Transition) -> Ask {
        Ask { transition, by: None, inputs: None, head: None, hlc: None, window: None, key: None, evidence: Vec::new() }
    }
}

/// A record with what it takes to replay it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub record: Record,
    pub inputs: Json,
    /// Its link in the chain.
    pub chain: Hash,
}

/// A project, what is outside, and the node's clock.
#[derive(Clone, Debug)]
pub struct World {
    pub cluster: ClusterId,
    pub hands: Rc<Hands>,
    pub outside: Outside,
    pub head: Head,
    /// The wall clock, in milliseconds.
    pub now_ms: u64,
    /// Everything accepted.
    pub records: Vec<Kept>,
    /// Keys with a beat below this are refused.
    pub prune_floor: u64,
    /// The inputs of the last proposal that breached a policy.
    pub breach_inputs: Option<Value>,
    /// The breach of that proposal.
    pub breach: Option<Breach>,
    stamp: Hlc,
    keys: u64,
}

impl World {
    /// A project that nothing has happened to, in a world where all is well.
    pub fn new() -> World {
        let cluster: ClusterId = "test".parse().unwrap();
        let hands = Rc::new(Hands::new());
        let project: ProjectName = "default".parse().unwrap();
        World {
            outside: Outside::well(&cluster, hands.clone()),
            head: Head::genesis(&project),
            now_ms: start_ms(),
            records: Vec::new(),
            prune_floor: 0,
            breach_inputs: None,
            breach: None,
            stamp: Hlc::default(),
            keys: 0,
            cluster,
            hands,
        }
    }

    /// Index and time that the next record would get.
    pub fn next_stamp(&self) -> Stamp {
        Stamp { index: self.records.len() as u64 + 1, at: self.stamp.tick(self.now_ms).unwrap() }
    }

    /// The window of now.
    pub fn window(&self) -> Option<WindowId> {
        let fact = self.outside.facts().get(FactKind::Windows, &self.head.state().meta.project)?;
        let FactBody::Windows(schedule) = &fact.body else { return None };
        Some(schedule.position(self.next_stamp().at).window_id)
    }

    /// Members that count as alive, counted plainly (docs/design.md#quorum).
    pub fn alive(&self) -> BTreeSet<PublicKey> {
        let Some(said) = self.outside.said(FactKind::Liveness) else { return BTreeSet::new() };
        let liveness: Liveness = serde_json::from_value(said.body.clone()).unwrap();
        let recovering = self.head.state().control.recovery;
        let answers = |key: &PublicKey| {
            liveness.members.get(key).is_some_and(|pulse| {
                let lasted = self.next_stamp().at.physical_ms().saturating_sub(pulse.since.physical_ms());
                if recovering { pulse.alive && lasted >= 60_000 } else { pulse.alive || lasted < 30_000 }
            })
        };
        let state = self.head.state();
        let counts = |key: &&PublicKey| {
            let holder = inputs::holder(state, key);
            inputs::may_vote(state, &holder) && (answers(key) || answers(&holder))
        };
        state.council.members.keys().filter(counts).copied().collect()
    }

    /// Serial and hash of the bundle in force.
    pub fn bundle(&self) -> (u64, Hash) {
        match self.outside.facts().get(FactKind::Policy, &self.head.state().meta.project).map(|fact| &fact.body) {
            Some(FactBody::Policy(policies)) => (policies.serial(), policies.hash()),
            _ => (0, Hash::ZERO),
        }
    }

    /// Valid inputs for a transition now.
    pub fn valid(&self, transition: Transition) -> Value {
        let alive = self.alive();
        inputs::valid(transition, &self.head, self.maker(&alive))
    }

    /// The maker of inputs for the present state.
    pub fn maker<'a>(&'a self, alive: &'a BTreeSet<PublicKey>) -> Maker<'a> {
        Maker {
            hands: &self.hands,
            cluster: &self.cluster,
            alive,
            bundle: self.bundle(),
            breach_inputs: self.breach_inputs.as_ref(),
            choice: Choice::Fixed,
        }
    }

    /// Builds a proposal; whatever is not asked for is made to fit.
    pub fn proposal(&mut self, ask: &Ask) -> Proposal {
        self.keys += 1;
        let spec = chart::spec(ask.transition);
        let state = self.head.state();
        let signer = match &ask.by {
            Some(name) => self.hands.get(name),
            None => inputs::signer(ask.transition, state, &self.hands),
        };
        let inputs = strict(&ask.inputs.clone().unwrap_or_else(|| self.valid(ask.transition)));
        let (facts, at) = (self.outside.facts(), self.next_stamp().at);
        let beat = Beats::known(facts, &state.meta.project, at, self.prune_floor).now;
        let goal = if signer.name == "node" { "swoosh.test" } else { "goal-1" };
        let fitting = || format!("{goal}:{beat}:{}:key-{:08}", spec.op_class, self.keys).parse().unwrap();
        let last = state.hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
        Proposal {
            project: None,
            current_state_hash: ask.head.unwrap_or(self.head.hash()),
            transition: ask.transition,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs,
            signer: signer.key(),
            idem_key: ask.key.clone().unwrap_or_else(fitting),
            hlc: ask.hlc.unwrap_or_else(|| last.tick(self.now_ms).unwrap()),
            window_id: ask.window.unwrap_or(spec.window.and(self.window())),
            evidence: ask.evidence.clone(),
        }
    }

    /// Signs a proposal with its signer's key.
    pub fn sign(&self, proposal: Proposal) -> SignedProposal {
        let hand = self.hands.of(&proposal.signer).unwrap();
        proposal.sign(&self.cluster, &hand.secret)
    }

    /// Judges a proposal in the order of docs/design.md#order-of-checks and changes nothing.
    pub fn judge(&self, proposal: &Proposal) -> Result<Accepted, Refused> {
        self.judge_with(proposal, &Key::Free { floor: &|| Ok(self.prune_floor) })
    }

    /// The same with another binding of its key.
    pub fn judge_with(&self, proposal: &Proposal, key: &Key<'_>) -> Result<Accepted, Refused> {
        let inputs = Inputs::decode(proposal.transition, &proposal.inputs.canonical())
            .map_err(|error| Rejection::new(swoosh::types::rejection::Code::Schema, error.to_string()))?;
        let docket = Docket {
            cluster: &self.cluster,
            head: &self.head,
            facts: self.outside.facts(),
            proposal,
            inputs: &inputs,
            stamp: self.next_stamp(),
        };
        judge::judge(&docket, key)
    }

    /// Proposes: what is accepted becomes the head and a record.
    pub fn propose(&mut self, ask: &Ask) -> Result<Accepted, Refused> {
        let proposal = self.proposal(ask);
        let judged = self.judge(&proposal);
        self.settle(proposal, &judged);
        judged
    }

    /// Keeps what was accepted, and what breached a policy; says whether it was accepted.
    pub fn settle(&mut self, proposal: Proposal, judged: &Result<Accepted, Refused>) -> bool {
        match judged {
            Ok(accepted) => self.keep(proposal, accepted),
            Err(refused) if refused.breach.is_some() => {
                self.breach_inputs = Some(serde_json::to_value(&proposal.inputs).unwrap());
                self.breach = refused.breach.as_deref().cloned();
            }
            Err(_) => {}
        }
        judged.is_ok()
    }

    fn keep(&mut self, proposal: Proposal, accepted: &Accepted) {
        let stamp = self.next_stamp();
        let signed = self.sign(proposal);
        let proposal = signed.proposal;
        let record = Record {
            index: stamp.index,
            project: proposal.project(),
            project_implied: proposal.project.is_none(),
            state_pre_hash: self.head.hash(),
            transition: proposal.transition,
            inputs_hash: proposal.inputs_hash,
            signer: proposal.signer,
            idem_key: proposal.idem_key,
            hlc: proposal.hlc,
            window_id: proposal.window_id,
            guard_outcomes: accepted.outcomes.clone(),
            policy_engine: engine_version().to_owned(),
            evidence: proposal.evidence,
            signature: signed.signature,
            timestamp: stamp.at,
            state_post_hash: accepted.next.hash(),
        };
        let previous = self.records.last().map_or(Hash::ZERO, |kept| kept.chain);
        let chain = Record::chain(&previous, &record.encode());
        self.records.push(Kept { record, inputs: proposal.inputs, chain });
        self.stamp = stamp.at;
        self.head = accepted.next.clone();
    }

    /// The License_* transition that the facts call for, and why.
    pub fn license_change(&self) -> Option<(Transition, String)> {
        let spec = chart::spec(Transition::LicenseRenewed);
        let (at, facts) = (self.next_stamp().at, self.outside.facts());
        judge::license_change(&Case { cluster: &self.cluster, head: &self.head, facts, at, spec, asked: None })
    }

    /// Walks to a goal with minimal valid inputs; returns the transitions taken.
    pub fn drive(&mut self, goal: Goal<'_>) -> Vec<Transition> {
        let mut taken = Vec::new();
        while let Some(transition) = route::next(self.head.state(), goal) {
            assert!(taken.len() < 100, "no way to {goal:?} after {taken:?}");
            if transition == Transition::ExecutionNextWindow {
                self.now_ms += 60_000;
            }
            if let Err(refused) = self.propose(&Ask::new(transition)) {
                panic!("on the way to {goal:?}: {transition} is refused: {:?}", refused.rejection);
            }
            taken.push(transition);
        }
        taken
    }
}
