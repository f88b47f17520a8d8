//! Runs: many short worlds, each from a seed of its own that follows from the run's, one in [`LIVED_AGAIN`] lived
//! through twice.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use super::faults::{Fault, Rates, Tally};
use super::invariants;
use super::oracle::Violation;
use super::planted::Bug;
use super::shrink::shrunk;
use super::world::{PROJECTS, World};
use swoosh_testkit::random::Random;
use swoosh_types::hash::Hash;
use swoosh_types::keys::Remembering;
use swoosh_types::names::Transition;

/// Default number of turns of one world before its faults stop.
pub const TURNS: u64 = 1_500;

/// One world in so many, the first among them, is lived through twice and must leave the same trace.
pub const LIVED_AGAIN: u64 = 6;

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Accepted transitions at least.
    pub transitions: u64,
    /// Turns of one world, before its faults stop.
    pub turns: u64,
    /// How often each fault happens.
    pub rates: Rates,
    /// A bug that is planted, to see that it is found.
    pub bug: Option<Bug>,
    /// Turns that may be lived through to make a failing script short.
    pub shrinking: usize,
    /// Worlds that live side by side, each in one thread.
    pub side_by_side: usize,
}

/// Checks made during a world's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    /// Every invariant, at every transition, and the tools' own checks of the whole log.
    Closely,
    /// Whether it leaves the trace of a life that was looked at closely.
    AtTheTrace,
}

/// One world's life, to be lived again: its seed, its faults, and the turns that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The world's own seed.
    pub seed: u64,
    /// How often each fault happens.
    pub faults: Rates,
    /// A bug that was planted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<String>,
    /// The turns, by number: each draws from a sequence of its own.
    pub turns: Vec<u64>,
}

/// Why a script is not run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is not of this form.
    #[error("it is no script of `swoosh chaos sim`: {0}")]
    Form(#[from] serde_json::Error),
    /// Unknown planted bug.
    #[error("unknown bug {0:?}; `swoosh chaos sim --help` lists what can be planted")]
    Bug(String),
}

/// How one world ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub trace: Hash,
    pub tally: Tally,
    /// The violation, and the number of turns before it.
    pub broke: Option<(usize, Violation)>,
}

/// A run that broke an invariant.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub violation: Violation,
    /// The number of the world.
    pub world: u64,
    /// Turns until it broke.
    pub turns: usize,
    /// The shortest script that was found to break the same invariant.
    pub script: Script,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Accepted transitions so far.
    pub transitions: u64,
    /// Worlds that ended well.
    pub worlds: u64,
}

#[derive(Clone, Debug)]
pub struct Report {
    /// Worlds that were lived through.
    pub worlds: u64,
    /// Hash over the traces of all of them.
    pub trace: Hash,
    pub tally: Tally,
    /// Faults that were stated and never fired.
    pub never_fired: Vec<Fault>,
    pub failure: Option<Failure>,
}

impl Report {
    /// Worlds that were lived through twice.
    pub fn worlds_lived_again(&self) -> u64 {
        self.worlds.div_ceil(LIVED_AGAIN)
    }

    pub fn transitions(&self) -> u64 {
        self.tally.of("transitions")
    }

    /// Transitions of the chart that no world accepted.
    pub fn never_accepted(&self) -> Vec<&'static str> {
        let names = Transition::ALL.iter().map(|transition| transition.as_str());
        names.filter(|name| !self.tally.accepted.contains_key(name)).collect()
    }

    /// How often an invariant was asked of a transition.
    pub fn checks_of_transitions(&self) -> u64 {
        self.transitions() * invariants::ALL.len() as u64
    }

    /// Whether nothing broke and everything stated happened.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.never_fired.is_empty()
    }

    /// The names of everything that was checked.
    pub fn invariants() -> Vec<&'static str> {
        let asked = invariants::ALL.iter().map(|(name, _)| *name);
        asked.chain(invariants::OF_ANSWERS_AND_STARTS).collect()
    }
}

impl Script {
    /// The script of a run's world.
    fn of(plan: &Plan, world: u64) -> Script {
        let seed = Random::of(plan.seed, world).number();
        Script { seed, faults: plan.rates.clone(), planted: plan.bug.map(Bug::name), turns: (1..=plan.turns).collect() }
    }

    pub fn parse(bytes: &[u8]) -> Result<Script, ScriptError> {
        let script: Script = serde_json::from_slice(bytes)?;
        script.bug().map(|_| script.clone())
    }

    fn bug(&self) -> Result<Option<Bug>, ScriptError> {
        let named = |name: &String| Bug::of(name).ok_or_else(|| ScriptError::Bug(name.clone()));
        self.planted.as_ref().map(named).transpose()
    }

    /// Lives it through; with `to_the_end` faults stop after the last turn, and everything must come to life.
    pub(super) fn live(&self, to_the_end: bool, looking: Looking) -> Ended {
        catch_unwind(AssertUnwindSafe(|| self.live_on(to_the_end, looking))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let what = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let violation = Violation { invariant: "no-panic", what: what.unwrap_or_else(|| "a panic".to_owned()) };
            Ended { trace: Hash::ZERO, tally: Tally::default(), broke: Some((self.turns.len(), violation)) }
        })
    }

    /// Size of the head cache: one in five worlds has fewer heads than projects, so that heads are evicted all the
    /// time; the others have one more, so that only idle heads are evicted.
    fn heads(&self) -> usize {
        if self.seed.is_multiple_of(5) { PROJECTS - 1 } else { PROJECTS + 1 }
    }

    fn live_on(&self, to_the_end: bool, looking: Looking) -> Ended {
        let mut world = World::new(self.faults.clone(), self.bug().ok().flatten(), self.heads(), looking);
        let mut broke = None;
        for (nth, turn) in self.turns.iter().enumerate() {
            world.turn = *turn;
            if let Err(violation) = world.take_turn(&mut Random::of(self.seed, *turn)) {
                broke = Some((nth + 1, violation));
                break;
            }
        }
        if broke.is_none() && to_the_end {
            let alive = world.come_to_life(&mut Random::of(self.seed, u64::MAX));
            broke = alive.err().map(|violation| (self.turns.len(), violation));
        }
        Ended { trace: world.trace.hash(), tally: world.counted(), broke }
    }
}

/// Runs a script twice; returns how it ended.
pub fn replay(script: &Script) -> Ended {
    twice(script)
}

fn once(script: &Script) -> Ended {
    let _remembering = Remembering::begin();
    script.live(true, Looking::Closely)
}

fn twice(script: &Script) -> Ended {
    let _remembering = Remembering::begin();
    let mut first = script.live(true, Looking::Closely);
    // Identical runs break the same invariants: the second run need not check them.
    let second = script.live(true, if first.broke.is_some() { Looking::Closely } else { Looking::AtTheTrace });
    if first.trace != second.trace || first.tally != second.tally || first.broke != second.broke {
        let differs = if first.tally == second.tally { "" } else { ", and other counts" };
        let what = format!("the same seed gave the traces {} and {}{differs}", first.trace, second.trace);
        first.broke = Some((script.turns.len(), Violation { invariant: "same-seed-same-trace", what }));
    }
    first
}

/// Worlds that ended, in their order.
#[derive(Default)]
struct Board {
    ended: BTreeMap<u64, Ended>,
}

impl Board {
    /// How far the worlds without a gap have come: how many, their transitions, and whether one of them broke.
    fn standing(&self) -> (Progress, bool) {
        let mut progress = Progress { transitions: 0, worlds: 0 };
        for (number, ended) in &self.ended {
            if *number != progress.worlds {
                break;
            }
            if ended.broke.is_some() {
                return (progress, true);
            }
            progress.transitions += ended.tally.of("transitions");
            progress.worlds += 1;
        }
        (progress, false)
    }
}

/// Runs worlds until there are enough transitions, or one breaks.
pub fn run(plan: &Plan, tell: &(dyn Fn(Progress) + Sync)) -> Report {
    let (board, next, done) = (Mutex::new(Board::default()), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..plan.side_by_side.max(1) {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let number = next.fetch_add(1, Ordering::AcqRel);
                    let script = Script::of(plan, number);
                    let again = number.is_multiple_of(LIVED_AGAIN);
                    let ended = if again { twice(&script) } else { once(&script) };
                    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                    board.ended.insert(number, ended);
                    let (progress, broke) = board.standing();
                    tell(progress);
                    if broke || progress.transitions >= plan.transitions {
                        done.store(true, Ordering::Release);
                    }
                }
            });
        }
    });
    report(plan, board.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Counts the worlds in their order, as many as the plan asks for, so that a run does not depend on how many live side
/// by side.
fn report(plan: &Plan, board: Board) -> Report {
    let mut report =
        Report { worlds: 0, trace: Hash::ZERO, tally: Tally::default(), never_fired: Vec::new(), failure: None };
    for (number, ended) in board.ended {
        if report.transitions() >= plan.transitions || report.failure.is_some() {
            break;
        }
        report.tally.add(&ended.tally);
        report.trace = Hash::of_parts([report.trace.as_bytes().as_slice(), ended.trace.as_bytes()]);
        report.worlds += 1;
        report.failure = ended.broke.map(|(turns, violation)| {
            let script = shrunk(Script::of(plan, number), turns, &violation, plan.shrinking);
            Failure { violation, world: number, turns, script }
        });
    }
    let fired = |fault: &Fault| report.tally.fired.get(fault).is_some_and(|times| *times > 0);
    report.never_fired = plan.rates.stated().filter(|fault| !fired(fault)).collect();
    report
}
