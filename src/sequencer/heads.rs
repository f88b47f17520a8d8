//! The speculative heads: what each project's state will be once everything judged is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::{FoldError, Journal};
use crate::machine::head::Head;
use crate::types::text::ProjectName;

/// One project's speculative head.
pub(super) struct Entry {
    pub head: Arc<Head>,
    /// Index of the project's last record.
    pub index: u64,
    /// Batch that its last record is in; 0 for what was read from the journal.
    pub batch: u64,
    used: u64,
}

/// A project to drop from memory once its snapshot is durable.
pub(super) struct Evicted {
    pub project: ProjectName,
    pub head: Arc<Head>,
    pub index: u64,
}

/// The heads, and the order in which they were used.
pub(super) struct Heads {
    entries: BTreeMap<ProjectName, Entry>,
    order: BTreeMap<u64, ProjectName>,
    clock: u64,
    most: usize,
}

impl Heads {
    pub fn new(most: usize) -> Heads {
        Heads { entries: BTreeMap::new(), order: BTreeMap::new(), clock: 0, most }
    }

    /// The head that the next proposal of a project must name, and the batch it waits for. A project that
    /// does not exist has its genesis head, which is not kept.
    pub fn find(&mut self, journal: &Journal, project: &ProjectName) -> Result<(Arc<Head>, u64), FoldError> {
        if !self.entries.contains_key(project) {
            match journal.latest_head(project)? {
                Some(found) => self.put(project.clone(), Arc::new(found.head), found.index, 0),
                None => return Ok((Arc::new(Head::genesis(project)), 0)),
            }
        }
        self.touch(project);
        let found = self.entries.get(project).map(|entry| (entry.head.clone(), entry.batch));
        Ok(found.unwrap_or_else(|| (Arc::new(Head::genesis(project)), 0)))
    }

    fn touch(&mut self, project: &ProjectName) {
        if let Some(entry) = self.entries.get_mut(project) {
            self.order.remove(&entry.used);
            self.clock += 1;
            entry.used = self.clock;
            self.order.insert(self.clock, project.clone());
        }
    }

    pub fn put(&mut self, project: ProjectName, head: Arc<Head>, index: u64, batch: u64) {
        self.clock += 1;
        let entry = Entry { head, index, batch, used: self.clock };
        self.order.insert(self.clock, project.clone());
        if let Some(old) = self.entries.insert(project, entry) {
            self.order.remove(&old.used);
        }
    }

    /// Takes out the least recently used projects above the limit whose heads are durable.
    pub fn evict(&mut self, durable_batch: u64) -> Vec<Evicted> {
        let excess = self.entries.len().saturating_sub(self.most);
        let settled = |project: &&ProjectName| self.entries.get(*project).is_some_and(|e| e.batch <= durable_batch);
        let names: Vec<_> = self.order.values().take(excess).filter(settled).cloned().collect();
        names.into_iter().filter_map(|project| self.remove(project)).collect()
    }

    fn remove(&mut self, project: ProjectName) -> Option<Evicted> {
        let entry = self.entries.remove(&project)?;
        self.order.remove(&entry.used);
        Some(Evicted { project, head: entry.head, index: entry.index })
    }
}
