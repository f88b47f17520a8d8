//! The projects with records that no snapshot covers, and the first index of these.

use std::collections::{BTreeMap, BTreeSet};

use swoosh_types::text::ProjectName;

/// A project whose oldest record without a snapshot lies far back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepCandidate {
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
    /// Projects that cannot be loaded: they hold the floor, and the sweep skips them.
    aside: BTreeSet<(u64, ProjectName)>,
    /// Projects that got a snapshot and were not thinned since.
    snapshotted: BTreeSet<ProjectName>,
}

impl Unsnapshotted {
    pub(super) fn new(snapshot_every: u64) -> Unsnapshotted {
        let (spans, by_age, aside) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let snapshotted = BTreeSet::new();
        Unsnapshotted { snapshot_every: snapshot_every.max(1), spans, by_age, aside, snapshotted }
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
        self.snapshotted.insert(project.clone());
        let Some(span) = self.spans.get_mut(project) else { return };
        if index < span.oldest {
            return;
        }
        let place = (span.oldest, project.clone());
        self.by_age.remove(&place);
        self.aside.remove(&place);
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
        let oldest = self.by_age.first().into_iter().chain(self.aside.first()).map(|(oldest, _)| *oldest).min();
        oldest.map_or(last_index, |oldest| oldest.saturating_sub(1))
    }

    /// A project cannot be loaded: no look for old records finds it until a snapshot covers some of them.
    pub(super) fn set_aside(&mut self, project: &ProjectName) {
        let Some(span) = self.spans.get(project) else { return };
        let place = (span.oldest, project.clone());
        if self.by_age.remove(&place) {
            self.aside.insert(place);
        }
    }

    /// Whether a project has as many records since its last snapshot as it may have.
    pub(super) fn is_due(&self, project: &ProjectName) -> bool {
        self.spans.get(project).is_some_and(|span| span.count >= self.snapshot_every)
    }

    /// Projects that got a snapshot since the last call.
    pub(super) fn take_snapshotted(&mut self) -> BTreeSet<ProjectName> {
        std::mem::take(&mut self.snapshotted)
    }

    /// Whether a project has a record that no snapshot covers.
    pub(super) fn has(&self, project: &ProjectName) -> bool {
        self.spans.contains_key(project)
    }

    /// Projects with records at or before `index` that no snapshot covers, the oldest first.
    pub(super) fn older_than(&self, index: u64, limit: usize) -> Vec<SweepCandidate> {
        let old = self.by_age.iter().take_while(|(oldest, _)| *oldest <= index).take(limit);
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
        assert_eq!(spans.older_than(4, 9), [SweepCandidate { project: name("a"), oldest: 4 }]);
        spans.snapshot(&name("a"), 2);
        assert_eq!(spans.floor(5), 3, "a snapshot of long ago changes nothing");
        spans.snapshot(&name("a"), 5);
        spans.record(&name("c"), 6);
        spans.set_aside(&name("c"));
        assert_eq!((spans.floor(6), spans.older_than(6, 9)), (5, vec![]), "it holds the floor all the same");
        spans.snapshot(&name("c"), 6);
        assert_eq!((spans.floor(5), spans.older_than(5, 9)), (5, vec![]));
    }
}
