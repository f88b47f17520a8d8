//! The projects that are held up, with the reasons: a row each in the `meta` family, written with the record that
//! changes it, and a copy in memory. They are counted without loading heads, also after a restart.
//!
//! ```text
//!  blocked/<project> → the names of what holds it up, separated by blanks; no row where nothing does
//! ```
//! The states of the projects decide. [`Journal::index_rows`] makes the rows again where a directory has none, or where
//! records were cut off.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::batch::Write;
use super::error::ReadError;
use super::layout::{Family, meta};
use super::store::WriteBatch;
use super::{Inner, Journal};
use swoosh_machine::blocks::{Block, Blocks};
use swoosh_types::text::ProjectName;

/// The projects that are held up.
pub(super) type Blocked = BTreeMap<ProjectName, Blocks>;

impl Journal {
    /// How many projects are held up by each, in the order of [`Block::ALL`].
    pub fn blocked(&self) -> [u64; Block::ALL.len()] {
        let blocked = self.0.blocked();
        Block::ALL.map(|block| blocked.values().filter(|blocks| blocks.has(block)).count() as u64)
    }
}

impl Inner {
    pub(super) fn blocked(&self) -> MutexGuard<'_, Blocked> {
        // Each change is one insertion or removal, so a panic leaves it whole.
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage_blocked(&self, rows: &mut WriteBatch, project: &ProjectName, blocks: Blocks) {
        let (family, key) = (self.family(Family::Meta), blocked_key(project));
        if blocks.is_empty() {
            rows.delete_cf(family, key);
        } else {
            rows.put_cf(family, key, blocks.text());
        }
    }

    /// Applies the written batch to the copy in memory.
    pub(super) fn note_blocked<'a>(&self, writes: impl IntoIterator<Item = &'a Write>) {
        for write in writes {
            if let Write::Blocked { project, blocks } = write {
                self.set_blocked(project, *blocks);
            }
        }
    }

    pub(super) fn set_blocked(&self, project: &ProjectName, blocks: Blocks) {
        let mut blocked = self.blocked();
        if blocks.is_empty() {
            blocked.remove(project);
        } else {
            blocked.insert(project.clone(), blocks);
        }
    }

    /// Reads the rows into memory.
    pub(super) fn load_blocked(&self) -> Result<(), ReadError> {
        let mut keys = self.keys(Family::Meta, meta::BLOCKED.to_vec(), meta::BLOCKED_END.to_vec());
        let mut found = Blocked::new();
        while let Some((key, value)) = keys.next_row()? {
            let row = parse(key, value).ok_or_else(|| ReadError::Row {
                project: String::from_utf8_lossy(key).into_owned(),
                family: Family::Meta.name(),
            })?;
            found.insert(row.0, row.1);
        }
        *self.blocked() = found;
        Ok(())
    }
}

fn blocked_key(project: &ProjectName) -> Vec<u8> {
    [meta::BLOCKED, project.as_str().as_bytes()].concat()
}

fn parse(key: &[u8], value: &[u8]) -> Option<(ProjectName, Blocks)> {
    let project = std::str::from_utf8(key.strip_prefix(meta::BLOCKED)?).ok()?.parse().ok()?;
    Some((project, Blocks::parse(std::str::from_utf8(value).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Node, name};
    use super::super::{Batch, Write};
    use super::*;

    fn blocked(project: &str, blocks: &str) -> Write {
        Write::Blocked { project: name(project), blocks: Blocks::parse(blocks).unwrap() }
    }

    fn write(node: &Node, writes: Vec<Write>) {
        node.journal.append(&Batch { entries: Vec::new(), writes }).unwrap();
    }

    #[test]
    fn projects_that_are_held_up_are_counted_until_they_go_on_and_after_a_restart() {
        let mut node = Node::new();
        node.commit(&["a", "b"]);
        write(&node, vec![blocked("a", "paused quarantined"), blocked("b", "quarantined")]);
        assert_eq!(node.journal.blocked(), [1, 0, 0, 0, 2]);
        write(&node, vec![blocked("a", "paused")]);
        let node = node.reopen();
        node.journal.recover_tail().unwrap();
        assert_eq!(node.journal.blocked(), [1, 0, 0, 0, 1]);
        write(&node, vec![blocked("a", ""), blocked("b", "")]);
        assert_eq!(node.journal.blocked(), [0; 5]);
    }

    #[test]
    fn the_states_decide_where_the_rows_are_made_again() {
        let mut node = Node::new();
        node.commit(&["a"]);
        write(&node, vec![blocked("a", "quarantined"), blocked("gone", "paused")]);
        assert_eq!(node.journal.index_rows().unwrap(), []);
        let blocks = Blocks::of(node.heads[&name("a")].state());
        assert_eq!(node.journal.blocked(), Block::ALL.map(|block| u64::from(blocks.has(block))));
    }
}
