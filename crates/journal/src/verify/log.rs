//! The cluster's log of a member: its rows, and the records that are not applied.

use super::{Flaw, VerifyReport, look};
use crate::error::{ReadError, RecoverError};
use crate::frame::Frame;
use crate::layout::Family;
use crate::{Inner, Journal, Mark};

impl VerifyReport {
    /// Checks every row, its place in the chain of rows and of records, and the records behind the applied one.
    pub(super) fn log(&mut self, journal: &Journal, mark: Option<&Mark>) {
        let inner = &*journal.0;
        let Some(member) = &inner.member else { return };
        if let Err(error) = inner.check_log(mark) {
            return self.note(error.index().unwrap_or(self.last_index), Flaw::Promise(Box::new(error)));
        }
        let ends = member.ends();
        for index in ends.purged.index() + 1..=ends.applied.index() {
            if let Err(error) = agrees(inner, index) {
                self.note(error.index().unwrap_or(self.last_index), Flaw::Promise(Box::new(error)));
            }
        }
        self.unapplied(journal, (ends.applied.record, ends.applied.chain));
    }

    fn unapplied(&mut self, journal: &Journal, (mut index, mut chain): (u64, swoosh_types::hash::Hash)) {
        for row in journal.0.logged_from(index + 1) {
            let row = match row {
                Ok(row) => row,
                Err(error) => return self.note(error.index().unwrap_or(index), Flaw::Read(error)),
            };
            let previous = journal.0.onward(index, chain);
            let flaws = look(journal, &row, &previous, false);
            flaws.into_iter().for_each(|flaw| self.note(row.index, flaw));
            (index, chain) = (row.index, Frame::parse(row.index, &row.value).map_or(previous, |frame| frame.chain));
        }
    }
}

/// Whether a row names the link of its last record. Records before the first one are pruned.
fn agrees(inner: &Inner, index: u64) -> Result<(), RecoverError> {
    let point = inner.logged_point(index)?.ok_or_else(|| fault(index, "is missing"))?;
    let record = point.record;
    if record + 1 < inner.first_index() || inner.chain_at(record)? == point.chain {
        return Ok(());
    }
    Err(fault(index, &format!("names another link of record {record} than the family {}", Family::Wal.name())))
}

fn fault(index: u64, what: &str) -> RecoverError {
    ReadError::Log { index, what: what.to_owned() }.into()
}
