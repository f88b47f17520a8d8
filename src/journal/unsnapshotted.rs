//! Which projects have records that no snapshot covers, and from which index on.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::text::ProjectName;

/// A project whose oldest record without a snapshot lies far back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepCandidate {
    /// The project.
    pub project: ProjectName,
    /// Every record that no snapshot covers has this index or a later one.
    pub oldest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    oldest: u64,
    newest: u64,
    count: u64,
}

/// Keeps the replay floor: the index up to which snapshots cover every record.
#[derive(Debug)]
pub(super) struct Unsnapshotted {
    snapshot_every: u64,
    spans: BTreeMap<ProjectName, Span>,
    by_age: BTreeSet<(u64, ProjectName)>,
}

impl Unsnapshotted {
    pub(super) fn new(snapshot_every: u64) -> Unsnapshotted {
        Unsnapshotted { snapshot_every: snapshot_every.max(1), spans: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// One that knows of no records yet.
    pub(super) fn emptied(&self) -> Unsnapshotted {
        Unsnapshotted::new(self.snapshot_every)
    }

    /// A project has one more record.
    pub(super) fn record(&mut self, project: &ProjectName, index: u64) {
        if let Some(span) = self.spans.get_mut(project) {
            span.newest = index;
            span.count += 1;
            return;
        }
        self.spans.insert(project.clone(), Span { oldest: index, newest: index, count: 1 });
        self.by_age.insert((index, project.clone()));
    }

    /// A snapshot covers the project's records up to `index`.
    pub(super) fn snapshot(&mut self, project: &ProjectName, index: u64) {
        let Some(span) = self.spans.get_mut(project) else { return };
        if index < span.oldest {
            return;
        }
        self.by_age.remove(&(span.oldest, project.clone()));
        if index >= span.newest {
            self.spans.remove(project);
            return;
        }
        // Where the first record after the snapshot lies is not known here; it lies no earlier than this.
        span.oldest = index + 1;
        span.count = (span.newest - index).min(span.count);
        self.by_age.insert((span.oldest, project.clone()));
    }

    /// The index up to which every record is covered, given the last one.
    pub(super) fn floor(&self, last_index: u64) -> u64 {
        self.by_age.first().map_or(last_index, |(oldest, _)| oldest.saturating_sub(1))
    }

    /// Whether a project has as many records since its last snapshot as it may have.
    pub(super) fn is_due(&self, project: &ProjectName) -> bool {
        self.spans.get(project).is_some_and(|span| span.count >= self.snapshot_every)
    }

    /// Projects with records at or before `index` that no snapshot covers, the oldest first.
    pub(super) fn older_than(&self, index: u64) -> Vec<SweepCandidate> {
        let old = self.by_age.iter().take_while(|(oldest, _)| *oldest <= index);
        old.map(|(oldest, project)| SweepCandidate { project: project.clone(), oldest: *oldest }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProjectName {
        text.parse().unwrap()
    }

    #[test]
    fn the_floor_stays_below_the_oldest_uncovered_record() {
        let mut spans = Unsnapshotted::new(3);
        assert_eq!(spans.floor(0), 0);
        for (project, index) in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)] {
            spans.record(&name(project), index);
        }
        assert_eq!(spans.floor(5), 0);
        assert!(spans.is_due(&name("a")) && !spans.is_due(&name("b")));
        spans.snapshot(&name("a"), 3);
        assert_eq!(spans.floor(5), 1);
        spans.snapshot(&name("b"), 4);
        assert_eq!(spans.floor(5), 3);
        assert_eq!(spans.older_than(4), [SweepCandidate { project: name("a"), oldest: 4 }]);
        spans.snapshot(&name("a"), 2);
        assert_eq!(spans.floor(5), 3, "a snapshot of long ago changes nothing");
        spans.snapshot(&name("a"), 5);
        assert_eq!((spans.floor(5), spans.older_than(5)), (5, vec![]));
    }
}
