//! What a record writes beside the log.
//!
//! ```text
//! leader:    judged heads ──┐
//! follower:  reduced heads ─┼─► Change ─► derive ─► decision, key, effects, blocks      due_snapshots ─► snapshots
//! `follow`:  reduced heads ─┘
//! ```
//! One function for all of them, so that nodes with the same records have the same rows. The state hash needs no rule of its own:
//! the caller that reduces compares it with that of the record ([`swoosh_machine::replay::step`]).

use std::collections::BTreeSet;

use super::{Describe, Handle};
use swoosh_journal::{Journal, ReceiptSum, Snapshot, Write};
use swoosh_machine::blocks::Blocks;
use swoosh_machine::chart;
use swoosh_machine::head::Head;
use swoosh_machine::reduce::Delta;
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::names::Transition;
use swoosh_types::record::Record;

/// The effects and reasons that a record changes: the difference of the heads before and after it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Effects that it opens and ends.
    pub effects: Delta,
    /// The reasons that hold the project up after it, if they changed.
    pub blocks: Option<Blocks>,
}

impl Change {
    pub fn between(transition: Transition, before: &Head, after: &Head) -> Change {
        let blocks = Blocks::of(after.state());
        let blocks = (blocks != Blocks::of(before.state())).then_some(blocks);
        Change { effects: effects(transition, before, after), blocks }
    }
}

/// The effects that a transition opened and ended. Most touch none, which costs nothing.
fn effects(transition: Transition, before: &Head, after: &Head) -> Delta {
    let spec = chart::spec(transition);
    if spec.opens.is_empty() && spec.cancels.is_empty() && spec.closes.is_none() {
        return Delta::default();
    }
    Delta::between(before.state(), after.state())
}

/// A record with everything that its rows follow from.
#[derive(Clone, Copy, Debug)]
pub struct Derived<'a> {
    pub record: &'a Record,
    pub inputs: &'a Json,
    /// See [`swoosh_journal::fingerprint`].
    pub fingerprint: Hash,
    pub change: &'a Change,
    /// Of the receipt's canonical bytes.
    pub receipt: ReceiptSum,
}

/// The rows of a record beside the log, without its objects, which are part of the log, and without snapshots.
pub fn derive(describe: &dyn Describe, derived: &Derived<'_>) -> impl Iterator<Item = Write> {
    let Derived { record, inputs, fingerprint, change, receipt } = *derived;
    let (project, index, opened_at) = (&record.project, record.index, record.timestamp);
    let blocked = change.blocks.map(|blocks| Write::Blocked { project: project.clone(), blocks });
    let opened = change.effects.opened.iter().cloned().map(move |id| Write::EffectOpened { id, opened_at });
    let closed = change.effects.closed.iter().cloned().map(|id| Write::EffectClosed { id });
    let wording = describe.describe(record, inputs);
    let decision = Write::Decision { project: project.clone(), index, wording };
    let key = Write::Key { project: project.clone(), key: record.idem_key.clone(), fingerprint, index, receipt };
    blocked.into_iter().chain(opened).chain(closed).chain([decision, key])
}

/// A record, its link and the head after it.
pub type Moved<'a> = (&'a Record, Hash, &'a Head);

/// Snapshots that are due after the records of a batch: of a project that has as many records since its last one as it may have,
/// where a loop ends, and where what comes after is of a newer statechart.
pub fn due_snapshots<'a>(journal: &Journal, records: impl DoubleEndedIterator<Item = Moved<'a>>) -> Vec<Snapshot> {
    let (mut taken, mut due) = (BTreeSet::new(), Vec::new());
    for (record, chain, head) in records.rev() {
        let marked =
            matches!(record.transition, Transition::ExecutionApprovalsThreshold | Transition::BootChartUpgraded);
        if (marked || journal.is_snapshot_due(&record.project)) && taken.insert(&record.project) {
            due.push(Snapshot::of(record, chain, head.state()));
        }
    }
    due
}

impl Handle {
    /// The rows of a record beside the log, with this node's words for its decision.
    pub fn derive(&self, derived: &Derived<'_>) -> Vec<Write> {
        derive(&*self.shared.ports.describe, derived).collect()
    }
}
