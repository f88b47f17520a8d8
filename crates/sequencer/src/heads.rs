//! The speculative heads: each project's state after everything judged is durable.
//!
//! Only some heads are in memory. The others are loaded from the journal on demand. A head that is covered by a
//! snapshot is evicted after a long idle time or when there are too many.

use std::collections::BTreeMap;
use std::sync::Arc;

use swoosh_journal::{FoldError, Journal, RecoveredHead, SnapshotWarning};
use swoosh_machine::head::Head;
use swoosh_types::text::ProjectName;

/// Limit of remembered projects with a replay mismatch: remembering them avoids repeated replays.
const MOST_DAMAGED: usize = 1_024;
/// Heads that one batch puts out at most, so that it stays short.
pub(super) const EVICT_AT_ONCE: usize = 1_024;

/// How much of the heads is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Projects at most.
    pub projects: usize,
    /// Their bytes at most, as [`Head::weight_bytes`] estimates them.
    pub bytes: usize,
    /// Rounds of [`super::Handle::tidy`] without a use after which a head goes.
    pub idle_rounds: u64,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { projects: 100_000, bytes: 512 << 20, idle_rounds: 10 }
    }
}

/// One project's speculative head.
pub(super) struct Entry {
    pub head: Arc<Head>,
    /// Index of the project's last record.
    pub index: u64,
    /// Batch that its last record is in; 0 for what was read from the journal.
    pub batch: u64,
    used: u64,
    used_in_round: u64,
    weight_bytes: usize,
}

/// A project to drop from memory once its snapshot is durable.
pub(super) struct Evicted {
    pub project: ProjectName,
    pub head: Arc<Head>,
    pub index: u64,
}

pub(super) struct Found {
    pub head: Arc<Head>,
    /// The batch that it waits for.
    pub batch: u64,
    /// Set when it was not in memory before.
    pub came: Option<Came>,
}

/// A head that came into memory.
pub(super) struct Came {
    pub head: Arc<Head>,
    pub index: u64,
    /// Snapshots that were passed over while it was loaded.
    pub warnings: Vec<SnapshotWarning>,
}

/// The heads, and the order in which they were used.
pub(super) struct Heads {
    entries: BTreeMap<ProjectName, Entry>,
    order: BTreeMap<u64, ProjectName>,
    damaged: BTreeMap<ProjectName, FoldError>,
    clock: u64,
    round: u64,
    bytes: usize,
    memory: Memory,
}

impl Heads {
    pub fn new(memory: Memory) -> Heads {
        let (entries, order, damaged) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Heads { entries, order, damaged, clock: 0, round: 0, bytes: 0, memory }
    }

    /// The head that the next proposal of a project must name, and the batch it waits for. A project that
    /// does not exist has its genesis head, which is not kept.
    pub fn find(&mut self, journal: &Journal, project: &ProjectName) -> Result<Found, FoldError> {
        let mut came = None;
        if !self.entries.contains_key(project) {
            match self.load(journal, project)? {
                Some(found) => came = Some(self.take(journal, project, found)),
                None => return Ok(Found { head: Arc::new(Head::genesis(project)), batch: 0, came }),
            }
        }
        self.touch(project);
        let found = self.entries.get(project).map(|entry| (entry.head.clone(), entry.batch));
        let (head, batch) = found.unwrap_or_else(|| (Arc::new(Head::genesis(project)), 0));
        Ok(Found { head, batch, came })
    }

    /// Takes a head that another thread loaded, if it is not in memory and still the project's last one.
    pub fn offer(&mut self, journal: &Journal, project: &ProjectName, loaded: RecoveredHead) -> Option<Came> {
        if self.entries.contains_key(project) || journal.last_of(project).ok().flatten() != Some(loaded.index) {
            return None;
        }
        Some(self.take(journal, project, loaded))
    }

    fn take(&mut self, journal: &Journal, project: &ProjectName, found: RecoveredHead) -> Came {
        let RecoveredHead { head, index, warnings, .. } = found;
        if !warnings.is_empty() {
            journal.distrust_snapshot(project, index);
        }
        let head = Arc::new(head);
        self.put(project.clone(), head.clone(), index, 0);
        Came { head, index, warnings }
    }

    fn load(&mut self, journal: &Journal, project: &ProjectName) -> Result<Option<RecoveredHead>, FoldError> {
        if let Some(error) = self.damaged.get(project) {
            return Err(error.clone());
        }
        journal.latest_head(project).inspect_err(|error| {
            // An error that may pass is not remembered.
            if error.is_damage() && self.damaged.len() < MOST_DAMAGED {
                self.damaged.insert(project.clone(), error.clone());
            }
        })
    }

    fn touch(&mut self, project: &ProjectName) {
        if let Some(entry) = self.entries.get_mut(project) {
            self.order.remove(&entry.used);
            self.clock += 1;
            (entry.used, entry.used_in_round) = (self.clock, self.round);
            self.order.insert(self.clock, project.clone());
        }
    }

    pub fn put(&mut self, project: ProjectName, head: Arc<Head>, index: u64, batch: u64) {
        self.clock += 1;
        let weight_bytes = head.weight_bytes();
        let entry = Entry { head, index, batch, used: self.clock, used_in_round: self.round, weight_bytes };
        self.order.insert(self.clock, project.clone());
        self.bytes += weight_bytes;
        if let Some(old) = self.entries.insert(project, entry) {
            self.bytes -= old.weight_bytes;
            self.order.remove(&old.used);
        }
    }

    /// Heads in memory, and their estimated bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Whether there are more than may be.
    pub fn are_too_many(&self) -> bool {
        self.entries.len() > self.memory.projects || self.bytes > self.memory.bytes
    }

    /// Begins a round. Projects that failed to load are tried again.
    pub fn next_round(&mut self) {
        self.round += 1;
        self.damaged.clear();
    }

    /// Evicts the least recently used projects above the limits, and those that are idle for too long and unwatched,
    /// as far as they are durable.
    pub fn evict(&mut self, durable_batch: u64, watched: impl Fn(&Head) -> bool) -> Vec<Evicted> {
        let (mut projects, mut bytes) = (self.entries.len(), self.bytes);
        let (mut names, mut kept) = (Vec::new(), Vec::new());
        for project in self.order.values().take(EVICT_AT_ONCE) {
            let Some(entry) = self.entries.get(project) else { continue };
            let over = projects > self.memory.projects || bytes > self.memory.bytes;
            let idle = self.round - entry.used_in_round >= self.memory.idle_rounds;
            if !over && !idle {
                break;
            }
            if !over && watched(&entry.head) {
                kept.push(project.clone());
            } else if entry.batch <= durable_batch {
                projects -= 1;
                bytes -= entry.weight_bytes;
                names.push(project.clone());
            }
        }
        // Counts as used, so that it is not looked at again with every batch.
        kept.iter().for_each(|project| self.touch(project));
        names.into_iter().filter_map(|project| self.remove(project)).collect()
    }

    fn remove(&mut self, project: ProjectName) -> Option<Evicted> {
        let entry = self.entries.remove(&project)?;
        self.order.remove(&entry.used);
        self.bytes -= entry.weight_bytes;
        Some(Evicted { project, head: entry.head, index: entry.index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProjectName {
        text.parse().unwrap()
    }

    fn heads(memory: Memory) -> Heads {
        let mut heads = Heads::new(memory);
        for (number, project) in ["a", "b", "c"].into_iter().enumerate() {
            heads.put(name(project), Arc::new(Head::genesis(&name(project))), number as u64 + 1, number as u64 + 1);
        }
        heads
    }

    fn evicted(heads: &mut Heads, durable_batch: u64) -> Vec<String> {
        heads.evict(durable_batch, |_| false).into_iter().map(|evicted| evicted.project.to_string()).collect()
    }

    #[test]
    fn too_many_heads_push_out_those_used_longest_ago_once_they_are_durable() {
        let mut heads = heads(Memory { projects: 1, ..Memory::default() });
        heads.touch(&name("a"));
        assert_eq!(evicted(&mut heads, 0), [""; 0]);
        assert_eq!(evicted(&mut heads, 2), ["b", "a"]);
        assert_eq!(heads.size().0, 1);
    }

    #[test]
    fn too_many_bytes_push_out_heads_too() {
        let each = Head::genesis(&name("a")).weight_bytes();
        let mut heads = heads(Memory { bytes: 2 * each, ..Memory::default() });
        assert_eq!(heads.size(), (3, 3 * each));
        assert_eq!(evicted(&mut heads, 3), ["a"]);
        assert_eq!(heads.size(), (2, 2 * each));
    }

    #[test]
    fn idle_heads_are_evicted_and_others_stay() {
        let mut heads = heads(Memory { idle_rounds: 2, ..Memory::default() });
        heads.next_round();
        heads.touch(&name("b"));
        assert_eq!(evicted(&mut heads, 3), [""; 0]);
        heads.next_round();
        assert_eq!(evicted(&mut heads, 3), ["a", "c"]);
        heads.next_round();
        assert!(heads.evict(3, |_| true).is_empty(), "it is watched");
        heads.next_round();
        heads.next_round();
        assert_eq!(evicted(&mut heads, 3), ["b"]);
        assert_eq!(heads.size(), (0, 0));
    }
}
