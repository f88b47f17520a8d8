//! Drives one project over HTTP: builds valid proposals, posts them, and reduces the accepted ones, which checks the
//! hash of every receipt.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use swoosh::machine::chart::{self, Inputs};
use swoosh::machine::head::Head;
use swoosh::machine::reduce::{Stamp, reduce};
use swoosh::machine::state::State;
use swoosh::types::backbeat::Schedule;
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::PublicKey;
use swoosh::types::names::Transition;
use swoosh::types::proposal::{Proposal, SignedProposal};
use swoosh::types::receipt::Receipt;
use swoosh::types::text::ProjectName;

use super::daemon::{Daemon, Site, now_ms};
use super::http::Answer;
use super::inputs::{self, Choice, Maker};
use super::route::{self, Goal};
use super::strict;
use super::world::Ask;

/// A number that no key of this process has had.
fn fresh_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Ask {
    pub fn by(mut self, name: &str) -> Ask {
        self.by = Some(name.to_owned());
        self
    }

    pub fn with(mut self, inputs: Value) -> Ask {
        self.inputs = Some(inputs);
        self
    }

    pub fn under(mut self, key: &str) -> Ask {
        self.key = Some(key.parse().unwrap());
        self
    }

    pub fn at(mut self, hlc: Hlc) -> Ask {
        self.hlc = Some(hlc);
        self
    }
}

/// The bytes that are posted.
pub fn bytes(signed: &SignedProposal) -> Vec<u8> {
    signed.to_json().unwrap().canonical()
}

/// A project as its caller sees it.
pub struct Project<'a> {
    pub site: &'a Site,
    pub name: ProjectName,
    /// Its head as far as it is known here.
    pub head: Head,
    /// The window schedule that holds for it.
    pub schedule: Schedule,
    alive: BTreeSet<PublicKey>,
}

impl<'a> Project<'a> {
    /// A project that nothing has happened to.
    pub fn new(site: &'a Site, name: &str) -> Project<'a> {
        let name: ProjectName = name.parse().unwrap();
        Project { site, head: Head::genesis(&name), name, schedule: site.schedule.clone(), alive: BTreeSet::new() }
    }

    /// Valid inputs for a transition now.
    pub fn valid(&self, transition: Transition) -> Value {
        inputs::valid(transition, &self.head, self.maker())
    }

    /// The maker of inputs for the project's present state.
    pub fn maker(&self) -> Maker<'_> {
        let (hands, cluster) = (&self.site.hands, &self.site.cluster);
        let bundle = (1, Hash::of(include_bytes!("../../../config/policies/default.cedar")));
        Maker { hands, cluster, alive: &self.alive, bundle, breach_inputs: None, choice: Choice::Fixed }
    }

    /// A clock reading after the last one.
    pub fn clock(&self) -> Hlc {
        let last = self.head.state().hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
        last.tick(now_ms()).unwrap()
    }

    /// Builds a proposal; whatever is not asked for is made to fit.
    pub fn proposal(&self, ask: &Ask) -> Proposal {
        let spec = chart::spec(ask.transition);
        let hands = &self.site.hands;
        let named = ask.by.as_ref().map(|name| hands.get(name));
        let signer = named.unwrap_or_else(|| inputs::signer(ask.transition, self.head.state(), hands));
        let inputs = strict(&ask.inputs.clone().unwrap_or_else(|| self.valid(ask.transition)));
        let hlc = ask.hlc.unwrap_or_else(|| self.clock());
        let position = self.schedule.position(hlc);
        let fitting = || {
            let (beat, number) = (position.beat, fresh_number());
            format!("goal-1:{beat}:{}:key-{number:08}", spec.op_class).parse().unwrap()
        };
        Proposal {
            project: Some(self.name.clone()),
            current_state_hash: ask.head.unwrap_or(self.head.hash()),
            transition: ask.transition,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs,
            signer: signer.key(),
            idem_key: ask.key.clone().unwrap_or_else(fitting),
            hlc,
            window_id: ask.window.unwrap_or(spec.window.map(|_| position.window_id)),
            evidence: ask.evidence.clone(),
        }
    }

    /// Signs with the signer's key.
    pub fn sign(&self, proposal: Proposal) -> SignedProposal {
        let hand = self.site.hands.of(&proposal.signer).unwrap();
        proposal.sign(&self.site.cluster, &hand.secret)
    }

    pub fn signed(&self, ask: &Ask) -> SignedProposal {
        self.sign(self.proposal(ask))
    }

    /// Posts what is asked; what is accepted becomes the head.
    #[track_caller]
    pub fn propose(&mut self, daemon: &Daemon, ask: &Ask) -> Answer {
        let signed = self.signed(ask);
        let answer = daemon.post(&bytes(&signed));
        if answer.status == 202 {
            self.advance(&signed.proposal, &answer.receipt());
        }
        answer
    }

    /// Posts a transition with everything made to fit, which must be accepted.
    #[track_caller]
    pub fn accept(&mut self, daemon: &Daemon, transition: Transition) -> Receipt {
        self.propose(daemon, &Ask::new(transition)).receipt()
    }

    /// Reduces what was accepted: the head must be the receipt's.
    #[track_caller]
    pub fn advance(&mut self, proposal: &Proposal, receipt: &Receipt) {
        let inputs = Inputs::decode(proposal.transition, &proposal.inputs.canonical()).unwrap();
        let stamp = Stamp { index: receipt.index, at: receipt.timestamp };
        let next = self.head.advance(reduce(&self.head, proposal, &inputs, stamp));
        assert_eq!(next.hash(), receipt.state_post_hash, "after {} at {}", proposal.transition, receipt.index);
        self.head = next;
    }

    /// Takes the head that a proposal will lead to, where that does not depend on when it is accepted.
    pub fn foresee(&mut self, proposal: &Proposal) {
        let inputs = Inputs::decode(proposal.transition, &proposal.inputs.canonical()).unwrap();
        let stamp = Stamp { index: 0, at: proposal.hlc };
        self.head = self.head.advance(reduce(&self.head, proposal, &inputs, stamp));
    }

    /// Takes the head that the node shows, which must hash as it says.
    #[track_caller]
    pub fn refresh(&mut self, daemon: &Daemon) {
        let answer = daemon.get(&format!("/state?project={}", self.name));
        if answer.status == 404 {
            self.head = Head::genesis(&self.name);
            return;
        }
        let shown = answer.json();
        let state: State = serde_json::from_value(shown["projection"].clone()).unwrap();
        self.head = Head::of(state);
        assert_eq!(shown["hash"], self.head.hash().to_string());
    }

    /// Walks to a goal with minimal valid proposals.
    #[track_caller]
    pub fn drive(&mut self, daemon: &Daemon, region: swoosh::types::names::Region, state: &str) {
        let goal = Goal::new(region, state);
        let mut steps = 0;
        while let Some(transition) = route::next(self.head.state(), goal) {
            steps += 1;
            assert!(steps < 100, "no way to {goal:?}");
            self.accept(daemon, transition);
        }
    }
}
