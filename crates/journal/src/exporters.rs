//! Positions of the exporters of decision records, in the `outbox` family: pruning keeps the records that an exporter
//! has not sent yet.

use super::error::{ReadError, StorageError};
use super::layout::{Family, exporter_key, exporter_name};
use super::store::WriteBatch;
use super::{AppendError, Inner, Journal};

/// An exporter, and the last record whose decision it has delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPosition {
    pub name: String,
    /// Index of the last record that it delivered; 0 before the first one.
    pub index: u64,
    /// Whether the node runs it now. One that rests keeps its position, but holds no pruning back.
    pub active: bool,
}

/// Why a position is not known or not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The journal takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the position of an exporter cannot be kept: {0}")]
    Storage(#[from] StorageError),
}

impl Journal {
    /// Names the exporters that run from now on; all others rest. Returns the positions of those named, in
    /// their order.
    pub fn begin_exports(&self, names: &[&str]) -> Result<Vec<u64>, ExportError> {
        self.begin_exports_beside(names, &[])
    }

    /// The same, but the exporters of `others` neither rest nor begin.
    pub fn begin_exports_beside(&self, names: &[&str], others: &[&str]) -> Result<Vec<u64>, ExportError> {
        self.0.may_change()?;
        let held = self.export_positions()?;
        // After a loss that was accepted, what comes in the place of what is gone is to be delivered as well.
        let last = self.last().0;
        let index = |name: &str| held.iter().find(|held| held.name == name).map_or(0, |held| held.index.min(last));
        let is_meant = |name: &str| names.contains(&name) || others.contains(&name);
        let resting = held.iter().filter(|position| !is_meant(&position.name));
        let resting = resting.map(|position| ExportPosition { active: false, ..position.clone() });
        let running =
            names.iter().map(|name| ExportPosition { name: (*name).to_owned(), index: index(name), active: true });
        let mut rows = WriteBatch::default();
        let changed = resting.chain(running).filter(|position| !held.contains(position));
        changed.for_each(|position| self.0.stage_position(&mut rows, &position));
        // A start without changes writes nothing, so that it also works on a full disk.
        if !rows.is_empty() {
            self.0.or_stop(self.0.write(rows, true))?;
        }
        Ok(names.iter().map(|name| index(name)).collect())
    }

    /// Notes that an exporter has delivered everything up to a record. A crash of the machine may take the last
    /// notes back, never the log: then an exporter delivers twice, and never too little.
    pub fn note_exported(&self, name: &str, index: u64) -> Result<(), ExportError> {
        self.0.may_change()?;
        let mut rows = WriteBatch::default();
        self.0.stage_position(&mut rows, &ExportPosition { name: name.to_owned(), index, active: true });
        Ok(self.0.or_stop(self.0.write(rows, false))?)
    }

    /// Lets an exporter rest, or run again, where it is. One that has no position yet gets none.
    pub fn rest_exporter(&self, name: &str, rests: bool) -> Result<(), ExportError> {
        self.0.may_change()?;
        let held = self.export_positions()?.into_iter().find(|held| held.name == name);
        let Some(held) = held.filter(|held| held.active == rests) else { return Ok(()) };
        let mut rows = WriteBatch::default();
        self.0.stage_position(&mut rows, &ExportPosition { active: !rests, ..held });
        Ok(self.0.write(rows, true)?)
    }

    /// Every exporter that ever ran here, by name.
    pub fn export_positions(&self) -> Result<Vec<ExportPosition>, ReadError> {
        let (from, end) = (exporter_key(""), super::layout::exporters_end());
        let mut keys = self.0.keys(Family::Outbox, from, end);
        let mut positions = Vec::new();
        while let Some((key, value)) = keys.next_row()? {
            positions.push(parse(key, value).ok_or_else(mangled)?);
        }
        Ok(positions)
    }

    /// The last record that every running exporter has delivered: nothing after it may be pruned. `None` where none
    /// runs.
    pub fn export_floor(&self) -> Result<Option<u64>, ReadError> {
        let positions = self.export_positions()?;
        Ok(positions.into_iter().filter(|position| position.active).map(|position| position.index).min())
    }
}

impl Inner {
    fn stage_position(&self, rows: &mut WriteBatch, position: &ExportPosition) {
        let word = if position.active { "active" } else { "resting" };
        let value = format!("{word} {}", position.index);
        rows.put_cf(self.family(Family::Outbox), exporter_key(&position.name), value);
    }
}

pub(super) fn parse(key: &[u8], value: &[u8]) -> Option<ExportPosition> {
    let name = exporter_name(key)?.to_owned();
    let (word, index) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let active = match word {
        "active" => true,
        "resting" => false,
        _ => return None,
    };
    Some(ExportPosition { name, index: index.parse().ok()?, active })
}

fn mangled() -> ReadError {
    ReadError::Row { project: "exporters".to_owned(), family: Family::Outbox.name() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    #[test]
    fn positions_are_kept_and_the_slowest_running_exporter_says_what_may_be_pruned() {
        let mut node = Node::new();
        node.commit(&["a", "a", "a"]);
        assert_eq!(node.journal.export_floor().unwrap(), None);
        assert_eq!(node.journal.begin_exports(&["file", "server"]).unwrap(), [0, 0]);
        assert_eq!(node.journal.export_floor().unwrap(), Some(0));
        node.journal.note_exported("file", 3).unwrap();
        node.journal.note_exported("server", 2).unwrap();
        assert_eq!(node.journal.export_floor().unwrap(), Some(2));
        let node = node.reopen();
        node.journal.recover().unwrap();
        assert_eq!(node.journal.begin_exports(&["server", "file"]).unwrap(), [2, 3]);
    }

    #[test]
    fn an_exporter_that_rests_holds_nothing_back_and_goes_on_where_it_was() {
        let mut node = Node::new();
        node.commit(&["a", "a", "a"]);
        node.journal.begin_exports(&["file", "server"]).unwrap();
        node.journal.note_exported("file", 3).unwrap();
        node.journal.note_exported("server", 1).unwrap();
        assert_eq!(node.journal.begin_exports(&["file"]).unwrap(), [3]);
        assert_eq!(node.journal.export_floor().unwrap(), Some(3));
        assert_eq!(node.journal.begin_exports(&["server"]).unwrap(), [1]);
        assert!(node.journal.begin_exports_beside(&[], &["server"]).unwrap().is_empty());
        assert_eq!(node.journal.export_floor().unwrap(), Some(1), "it is neither rested nor begun");
        node.journal.rest_exporter("server", true).unwrap();
        assert_eq!(node.journal.export_floor().unwrap(), None);
        node.journal.rest_exporter("server", false).unwrap();
        node.journal.rest_exporter("unknown", false).unwrap();
        assert_eq!(node.journal.export_floor().unwrap(), Some(1));
    }

    #[test]
    fn an_exporter_that_is_beyond_the_log_s_end_takes_the_records_that_come() {
        let mut node = Node::new();
        node.commit(&["a", "a"]);
        node.overwrite(Family::Outbox, &exporter_key("file"), b"active 9");
        let report = crate::verify::verify(&node.journal, &mut |_| ());
        assert!(report.problems[0].to_string().contains("sent record 9, and the log ends at record 2"));
        assert_eq!(node.journal.begin_exports(&["file"]).unwrap(), [2]);
        assert!(crate::verify::verify(&node.journal, &mut |_| ()).is_good());
    }

    #[test]
    fn a_journal_that_is_only_looked_at_takes_no_position() {
        let mut node = Node::new();
        node.commit(&["a"]);
        node.journal.begin_exports(&["file"]).unwrap();
        let shown = Journal::open_read_only(node.directory.path()).unwrap();
        assert_eq!(shown.export_floor().unwrap(), Some(0));
        assert!(matches!(shown.note_exported("file", 1), Err(ExportError::Append(AppendError::ReadOnly))));
        node.overwrite(Family::Outbox, &exporter_key("file"), b"running 1");
        assert!(node.journal.export_floor().is_err());
    }
}
