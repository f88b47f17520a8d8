//! Begin and end of each step of a proposal, for spans. Without an observer of traces the cost is one branch.

use std::time::Instant;

use super::Handle;
use swoosh_types::hash::Hash;
use swoosh_types::record::Record;
use swoosh_types::trace::TraceParent;

/// A step's beginning and end.
pub type Step = (Instant, Instant);

/// The way of a proposal so far. It travels beside the proposal.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The caller's span, where it named one.
    pub parent: Option<TraceParent>,
    /// When the request arrived, or the node began a proposal of its own.
    pub began: Instant,
    /// Reading and checking its signature; not of the node's own.
    pub verify: Option<Step>,
    /// Judging and reducing it.
    pub judge: Option<Step>,
    /// When the step began that is under way.
    since: Instant,
}

impl Trace {
    /// Begins now.
    pub(super) fn begin(parent: Option<TraceParent>) -> Trace {
        let now = Instant::now();
        Trace { parent, began: now, verify: None, judge: None, since: now }
    }

    /// A step begins now.
    pub fn step(&mut self) {
        self.since = Instant::now();
    }

    /// The proposal is verified.
    pub fn verified(&mut self) {
        self.verify = Some((self.since, Instant::now()));
    }

    /// The proposal is judged, and its state reduced.
    pub(super) fn judged(&mut self) {
        self.judge = Some((self.since, Instant::now()));
    }
}

/// An accepted transition that is durable, and its whole way.
#[derive(Debug)]
pub struct Traced {
    pub record: Record,
    /// Its link in the chain.
    pub chain: Hash,
    /// Its way until it was judged.
    pub trace: Trace,
    /// Sealing, writing and syncing its batch.
    pub commit: Step,
}

impl Handle {
    /// Begins a proposal's trace, if spans are recorded. `parent` reads the caller's trace.
    pub fn trace(&self, parent: impl FnOnce() -> Option<TraceParent>) -> Option<Box<Trace>> {
        self.shared.tracing.then(|| Box::new(Trace::begin(parent())))
    }
}
