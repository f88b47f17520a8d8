//! Planted bugs, to prove that the simulation finds them. Each is a plausible mistake in a change to the node.
//!
//! They sit between the node and its ports, so the node's code does not know them.

use super::disk::Lies;
use swoosh_journal::{AppendError, Batch, Journal, Log, ReceiptSum, Write};
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::hash::Hash;
use swoosh_types::receipt::Receipt;
use swoosh_types::record::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Bug {
    /// Batches are answered for before they are written; each is written with the one after it.
    AnswersBeforeCommit,
    /// Syncs do nothing.
    SkipsSyncs,
    /// The watermark is not written.
    ForgetsWatermark,
    /// Idempotency keys are not bound.
    DropsKeys,
    /// Repeats get another receipt.
    ChangesReceipts,
    /// Idempotency keys are bound to the record before theirs.
    MisplacesKeys,
    /// Inputs are not stored.
    DropsInputs,
    /// The guards believe in a schedule whose windows are always open.
    OpensWindows,
    /// After a restart the floor of time is forgotten: stamps may go back.
    ForgetsTime,
    /// A sync that fails is taken for one that did not.
    IgnoresFailedSyncs,
    /// The watermark is truncated before it is rewritten.
    CutsWatermark,
    /// The guards believe in a license that never runs out.
    BelievesInLicenses,
    /// The guards believe in policies that permit everything.
    PermitsEverything,
}

impl Bug {
    pub const ALL: [Bug; 13] = [
        Bug::AnswersBeforeCommit,
        Bug::SkipsSyncs,
        Bug::ForgetsWatermark,
        Bug::DropsKeys,
        Bug::ChangesReceipts,
        Bug::MisplacesKeys,
        Bug::DropsInputs,
        Bug::OpensWindows,
        Bug::ForgetsTime,
        Bug::IgnoresFailedSyncs,
        Bug::CutsWatermark,
        Bug::BelievesInLicenses,
        Bug::PermitsEverything,
    ];

    /// The name on the command line.
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub fn of(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }

    pub fn lies(bug: Option<Bug>) -> Lies {
        Lies {
            skips_syncs: bug == Some(Bug::SkipsSyncs),
            ignores_failed_syncs: bug == Some(Bug::IgnoresFailedSyncs),
            forgets_watermark: bug == Some(Bug::ForgetsWatermark),
            cuts_watermark: bug == Some(Bug::CutsWatermark),
        }
    }
}

/// A journal to which batches are committed, carelessly where a bug is planted.
pub struct CarelessLog {
    journal: Journal,
    bug: Option<Bug>,
    held: Option<Batch>,
}

impl CarelessLog {
    /// The log over a journal.
    pub fn new(journal: Journal, bug: Option<Bug>) -> CarelessLog {
        CarelessLog { journal, bug, held: None }
    }

    fn held_back(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let held = self.held.replace(batch.clone());
        held.map_or(Ok(()), |held| self.journal.append(&held))
    }
}

impl Log for CarelessLog {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let keep = |wanted: &dyn Fn(&Write) -> bool| {
            let writes = batch.writes.iter().filter(|write| wanted(write)).cloned().collect();
            Batch { entries: batch.entries.clone(), writes }
        };
        match self.bug {
            Some(Bug::AnswersBeforeCommit) => self.held_back(batch),
            Some(Bug::DropsKeys) => self.journal.append(&keep(&|write| !matches!(write, Write::Key { .. }))),
            Some(Bug::DropsInputs) => self.journal.append(&keep(&|write| !matches!(write, Write::Object { .. }))),
            Some(Bug::ChangesReceipts) => self.journal.append(&with_longer_paths(batch)),
            Some(Bug::MisplacesKeys) => {
                let mut batch = batch.clone();
                for write in &mut batch.writes {
                    if let Write::Key { index, .. } = write {
                        *index = index.saturating_sub(1).max(1);
                    }
                }
                self.journal.append(&batch)
            }
            _ => self.journal.append(batch),
        }
    }

    fn reopened(&mut self, journal: &Journal) {
        self.journal = journal.clone();
        self.held = None;
    }
}

/// Stores every record with another path than its receipt has, and the sum of the receipt that follows from it.
fn with_longer_paths(batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    for entry in &mut batch.entries {
        entry.path.push(Hash::ZERO);
        let Ok(record) = from_canonical::<Record>(entry.linked.encoded()) else { continue };
        let changed = Receipt::of(&record, entry.linked.chain(), entry.path.clone(), entry.seal.seal().clone());
        for write in &mut batch.writes {
            if let Write::Key { index, receipt, .. } = write
                && *index == entry.index
            {
                *receipt = ReceiptSum::of(&canonical_bytes(&changed));
            }
        }
    }
    batch
}
