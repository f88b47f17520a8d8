//! What a member checks of a leader's rows before it acknowledges them. It has no clock and no file of its own.
//!
//! ```text
//! append ──► rows that are known? ──► links, seal, hashes, facts ──► stamps ──► reduce, compare the hash ──► acknowledge
//!                                              └──────────── a row that fails, and all behind it: refused ──────────────┘
//! ```
//! A row that a majority cannot reproduce never commits. A member that checked after the commit would stop the majority for good.
//! Signatures of callers are not checked here: `verify`, `replay` and followers do that.

mod batch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use swoosh_machine::head::Head;
use swoosh_machine::replay::Divergence;
use swoosh_types::cluster::{Barrier, Body, Configuration, Position, Row};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::{ClusterId, ProjectName};

use crate::messages::Append;

/// How often a weighing begins again because rows were applied meanwhile.
const ATTEMPTS: usize = 64;

/// The log behind a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub at: Option<Position>,
    /// The last record up to it; 0 for none.
    pub record: u64,
    /// The record's link.
    pub chain: Hash,
    /// The record's stamp.
    pub stamp: Hlc,
}

/// Before the first row.
impl Default for End {
    fn default() -> End {
        End { at: None, record: 0, chain: Hash::ZERO, stamp: Hlc::default() }
    }
}

impl End {
    fn index(&self) -> u64 {
        self.at.map_or(0, |at| at.index)
    }

    fn term(&self) -> u64 {
        self.at.map_or(0, |at| at.term)
    }
}

/// The applied state and the log of this member.
pub trait Known {
    /// The applied row, and the configuration at it.
    fn applied(&self) -> Result<(End, Configuration), String>;

    /// A project's applied head and its last record. It may be newer than [`Known::applied`] said.
    fn head(&self, project: &ProjectName) -> Result<(Arc<Head>, u64), String>;

    fn has_object(&self, hash: &Hash) -> Result<bool, String>;

    /// Rows of this member's log with the indexes `from..to`. Missing ones are left out.
    fn rows(&self, from: u64, to: u64) -> Result<Vec<Row>, String>;
}

/// What all rows are checked by.
#[derive(Clone, Debug)]
pub struct Rules {
    pub cluster: ClusterId,
    pub incarnations: Vec<Incarnation>,
    /// A stamp so far ahead of this member's clock is not acknowledged.
    pub max_ahead_ms: u64,
}

/// Why a row is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It passes when the row commits or the clocks agree.
    #[error("the stamp {stamp} of record {index} is more than {max_ahead_ms} ms ahead of this member's clock")]
    Clock { index: u64, stamp: Hlc, max_ahead_ms: u64 },
    /// This member or the leader reduces otherwise, or one of them was changed.
    #[error("{0}; this member and the leader reduce differently")]
    Differs(#[from] Divergence),
    /// The row is not one that a sound leader makes.
    #[error("{0}")]
    Damaged(String),
    /// This member cannot read its own state.
    #[error("this member cannot check the row: {0}")]
    Unreadable(String),
}

/// How far rows may be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// All of them.
    Whole,
    /// The first `taken` ones; the row at `at` fails.
    Upto { taken: usize, at: Position, why: Why },
    /// The row before them is not in this member's log. Nothing was checked, so no row may be appended: the engine answers the leader
    /// without the rows.
    Elsewhere,
}

/// Who seals the batches of the newest term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealer {
    /// The barrier is not among the rows that were checked: any member's key holds.
    Unknown,
    /// The term has no barrier yet.
    None,
    /// The key of the member that the term's first barrier names, for the rest of the term: a leader may complete its own removal.
    Key(PublicKey),
}

/// A row that was checked and is not applied yet.
#[derive(Debug)]
struct Step {
    end: End,
    sealer: Sealer,
    /// The configuration, where the row changed it.
    members: Option<Configuration>,
    /// Heads of the projects that it has records of.
    heads: BTreeMap<ProjectName, Arc<Head>>,
    objects: BTreeSet<Hash>,
}

/// Why a row is not a step.
enum Stop {
    Refused(Why),
    /// The applied state went past the row meanwhile.
    Moved,
}

impl From<Why> for Stop {
    fn from(why: Why) -> Stop {
        Stop::Refused(why)
    }
}

fn damaged(what: impl Into<String>) -> Stop {
    Stop::Refused(Why::Damaged(what.into()))
}

fn unreadable(what: String) -> Stop {
    Stop::Refused(Why::Unreadable(what))
}

/// Checks rows on the heads that the rows before them lead to.
#[derive(Debug)]
pub struct Inspector {
    rules: Rules,
    /// The applied row that the steps follow.
    base: End,
    sealer: Sealer,
    members: Configuration,
    steps: VecDeque<Step>,
}

impl Inspector {
    pub fn new(rules: Rules) -> Inspector {
        let (base, members) = (End::default(), Configuration::default());
        Inspector { rules, base, sealer: Sealer::Unknown, members, steps: VecDeque::new() }
    }

    /// Weighs the rows of a message. `now_ms` is this member's clock. Rows that were weighed before, and rows that are applied, pass.
    pub fn weigh(&mut self, append: &Append, now_ms: u64, known: &dyn Known) -> Weighed {
        if append.rows.is_empty() {
            return Weighed::Whole;
        }
        for _ in 0..ATTEMPTS {
            match self.try_weigh(append, now_ms, known) {
                Ok(weighed) => return weighed,
                Err(Stop::Moved) => self.steps.clear(),
                Err(Stop::Refused(why)) => return refused_at(append, 0, why),
            }
        }
        refused_at(append, 0, Why::Unreadable("rows are applied faster than it checks them".to_owned()))
    }

    /// The end of the rows that were checked.
    pub fn end(&self) -> End {
        self.steps.back().map_or(self.base, |step| step.end)
    }

    fn try_weigh(&mut self, append: &Append, now_ms: u64, known: &dyn Known) -> Result<Weighed, Stop> {
        self.rebase(known)?;
        let previous = append.previous.filter(|previous| previous.index > self.base.index());
        if let Some(previous) = previous
            && !self.reaches(previous, known)?
        {
            return Ok(Weighed::Elsewhere);
        }
        for (taken, row) in append.rows.iter().enumerate() {
            if row.at.index <= self.base.index() || self.step_at(row.at.index).is_some_and(|at| at == row.at) {
                continue;
            }
            self.cut(row.at.index);
            match self.inspect(row, Some(now_ms), known) {
                Ok(step) => self.steps.push_back(step),
                Err(Stop::Moved) => return Err(Stop::Moved),
                Err(Stop::Refused(why)) => return Ok(refused_at(append, taken, why)),
            }
        }
        Ok(Weighed::Whole)
    }

    /// Lets steps go that are applied, and all where the applied row is none of them.
    fn rebase(&mut self, known: &dyn Known) -> Result<(), Stop> {
        let (base, members) = known.applied().map_err(unreadable)?;
        if base.at == self.base.at && !self.steps.is_empty() {
            return Ok(());
        }
        let found = self.steps.iter().position(|step| step.end.at == base.at);
        self.sealer = match found {
            Some(position) => {
                let step = self.steps.drain(..=position).next_back();
                step.map_or(Sealer::Unknown, |step| step.sealer)
            }
            None if base.at == self.base.at => self.sealer,
            None => {
                self.steps.clear();
                Sealer::Unknown
            }
        };
        (self.base, self.members) = (base, members);
        Ok(())
    }

    fn step_at(&self, index: u64) -> Option<Position> {
        let offset = index.checked_sub(self.base.index() + 1)?;
        self.steps.get(usize::try_from(offset).ok()?)?.end.at
    }

    /// Lets the steps from an index on go.
    fn cut(&mut self, index: u64) {
        let kept = index.saturating_sub(self.base.index() + 1);
        self.steps.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    /// Whether this member's log has the row. The rows up to it are checked again where they are no steps: this member appended them as
    /// the leader, or before it started.
    fn reaches(&mut self, previous: Position, known: &dyn Known) -> Result<bool, Stop> {
        if self.step_at(previous.index) == Some(previous) {
            return Ok(true);
        }
        let held = known.rows(self.base.index() + 1, previous.index + 1).map_err(unreadable)?;
        if held.last().is_none_or(|row| row.at != previous) {
            return Ok(false);
        }
        for row in &held {
            if self.step_at(row.at.index) != Some(row.at) {
                self.cut(row.at.index);
                let step = self.inspect(row, None, known)?;
                self.steps.push_back(step);
            }
        }
        Ok(true)
    }

    fn sealer(&self) -> Sealer {
        self.steps.back().map_or(self.sealer, |step| step.sealer)
    }

    fn members(&self) -> &Configuration {
        self.steps.iter().rev().find_map(|step| step.members.as_ref()).unwrap_or(&self.members)
    }

    /// Checks the row behind the last step. Rows of this member's own log are not compared with its clock.
    fn inspect(&self, row: &Row, now_ms: Option<u64>, known: &dyn Known) -> Result<Step, Stop> {
        let end = self.end();
        if row.at.index != end.index() + 1 || row.at.term < end.term() {
            return Err(damaged(format!("the row {} does not follow the one before it", row.at)));
        }
        let sealer = if row.at.term > end.term() { Sealer::None } else { self.sealer() };
        let mut step = Step {
            end: End { at: Some(row.at), ..end },
            sealer,
            members: None,
            heads: BTreeMap::new(),
            objects: BTreeSet::new(),
        };
        match &row.body {
            Body::Blank => {}
            Body::Barrier(barrier) => step.sealer = Sealer::Key(self.key_of(barrier, sealer)?),
            Body::Members(configuration) => step.members = Some(configuration.clone()),
            Body::Batch(batch) => self.inspect_batch(&mut step, batch, now_ms, known)?,
        }
        Ok(step)
    }

    fn key_of(&self, barrier: &Barrier, sealer: Sealer) -> Result<PublicKey, Stop> {
        let member = self.members().members.get(&barrier.member);
        match (sealer, member) {
            (Sealer::Key(key), Some(member)) if key != member.key => {
                Err(damaged(format!("member {} begins a reign in a term of another member", barrier.member)))
            }
            // It removed itself in this term.
            (Sealer::Key(key), _) => Ok(key),
            (_, Some(member)) => Ok(member.key),
            (_, None) => Err(damaged(format!("member {} begins a reign and is no member", barrier.member))),
        }
    }

    fn is_sealer(&self, sealer: Sealer, key: &PublicKey) -> Result<(), Stop> {
        match sealer {
            Sealer::Key(held) if held == *key => Ok(()),
            Sealer::Unknown if self.members().members.values().any(|member| member.key == *key) => Ok(()),
            Sealer::None => Err(damaged("a batch is before the barrier of its term")),
            Sealer::Key(_) | Sealer::Unknown => {
                Err(damaged(format!("a batch is sealed by {key}, which does not lead its term")))
            }
        }
    }
}

fn refused_at(append: &Append, taken: usize, why: Why) -> Weighed {
    match append.rows.get(taken) {
        Some(row) => Weighed::Upto { taken, at: row.at, why },
        None => Weighed::Whole,
    }
}
