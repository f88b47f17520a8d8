//! The machine against a second, naive model of the chart that shares no code with it.
//!
//! Both process random streams of proposals, facts and time. After every step they must agree on acceptance, on the
//! code and all failed guards of a rejection, and on the new state.

mod apply;
mod guards;
mod naive;
mod picture;
mod stream;
mod table;
mod tour;
mod twist;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use swoosh::machine::chart;
use swoosh::machine::head::Head;
use swoosh::machine::invariants::violations;
use swoosh::machine::judge::{Accepted, Refused};
use swoosh::types::proposal::Proposal;
use swoosh::types::rejection::Code;

use self::naive::{Asked, Model, Verdict};
use crate::support::world::World;

pub use self::stream::{Deed, deeds, perform, starts};

/// The machine and the model side by side.
#[derive(Clone)]
pub struct Pair {
    /// The machine's project.
    pub world: World,
    /// The model's.
    pub model: Model,
}

/// How often each outcome came up, to show that the tour reaches everything.
pub type Tally = RefCell<BTreeMap<String, u64>>;

fn verdict(judged: &Result<Accepted, Refused>) -> Verdict {
    match judged {
        Ok(_) => Verdict::Accepted,
        Err(refused) => {
            let failed = refused.rejection.guard_outcomes.iter().filter(|outcome| !outcome.ok);
            let names = failed.map(|outcome| outcome.guard.to_string()).collect::<BTreeSet<_>>();
            Verdict::Rejected(refused.rejection.code.to_string(), names)
        }
    }
}

impl Pair {
    /// A project that nothing has happened to.
    pub fn new() -> Pair {
        Pair { world: World::new(), model: Model::genesis() }
    }

    /// Puts one proposal to both.
    pub fn put(&mut self, proposal: Proposal, tally: &Tally) -> Result<bool, TestCaseError> {
        let judged = self.world.judge(&proposal);
        // Of the form of inputs, the model knows nothing.
        if judged.as_ref().is_err_and(|refused| refused.rejection.code == Code::Schema) {
            return Ok(false);
        }
        let stamp = self.world.next_stamp();
        let asked = Asked {
            inputs: serde_json::to_value(&proposal.inputs).unwrap(),
            line: table::named(proposal.transition.as_str()),
            outside: &self.world.outside,
            cluster: &self.world.cluster,
            at: stamp.at,
            index: stamp.index,
            head: self.world.head.hash(),
            proposal: &proposal,
        };
        let found = verdict(&judged);
        let expected = self.model.judge(&asked);
        if found != expected {
            let reasons = judged.err().map(|refused| refused.rejection.reasons);
            let said = format!("{}: machine {found:?} {reasons:?}, model {expected:?}", proposal.transition);
            return Err(TestCaseError::fail(format!("{said}; inputs {}", asked.inputs)));
        }
        if found == Verdict::Accepted {
            self.model.apply(&asked);
        }
        let outcome = match &found {
            Verdict::Accepted => proposal.transition.to_string(),
            Verdict::Rejected(code, _) => code.clone(),
        };
        *tally.borrow_mut().entry(outcome).or_default() += 1;
        self.settle(proposal, judged)
    }

    /// Keeps what was accepted and compares the states.
    fn settle(&mut self, proposal: Proposal, judged: Result<Accepted, Refused>) -> Result<bool, TestCaseError> {
        let before = self.world.head.clone();
        let transition = proposal.transition;
        let accepted = self.world.settle(proposal, &judged);
        if let Ok(accepted) = judged {
            let broken = violations(&before, &accepted.next, chart::spec(transition));
            proptest::prop_assert!(broken.is_empty(), "{transition} breaks {broken:?}");
            // Costly, so not every time; what was not hashed again stays wrong until the end, where it is asked again.
            let asked = self.world.records.len() % 4 == 0;
            let right = !asked || Head::of(accepted.next.state().clone()) == accepted.next;
            proptest::prop_assert!(right, "{transition} leaves a section that was not hashed again");
            let (machine, model) = (picture::of_machine(self.world.head.state()), picture::of_model(&self.model));
            proptest::prop_assert_eq!(machine, model, "after {}", transition);
        }
        Ok(accepted)
    }
}

/// Cases of each of the tests, which run side by side, and the length of each stream.
const CASES: u32 = 1_000;
const STEPS: usize = 60;

#[test]
fn the_machine_does_what_the_naive_model_does() {
    run_streams();
}

#[test]
fn the_machine_does_what_the_naive_model_does_in_other_streams() {
    run_streams();
}

fn run_streams() {
    let config = Config {
        cases: CASES,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let (tally, starts) = (Tally::default(), starts());
    let run = TestRunner::new(config).run(&deeds(STEPS), |(start, deeds)| {
        let mut pair = starts[start % starts.len()].clone();
        deeds.iter().try_for_each(|deed| perform(&mut pair, deed, &tally))?;
        let from_scratch = Head::of(pair.world.head.state().clone());
        proptest::prop_assert!(from_scratch == pair.world.head, "a section was not hashed again");
        Ok(())
    });
    match run {
        Err(TestError::Fail(why, stream)) => panic!("{why}\nin {stream:?}"),
        other => other.unwrap(),
    }
}
