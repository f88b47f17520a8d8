//! What a member's directory holds: rows, vote, and the state that the applied rows made.

use std::collections::BTreeMap;

use swoosh_cluster::types::{Applied, Ballot, Barrier, Body, LogEnds, PlacedConfiguration, Position, Row};
use swoosh_types::hash::Hash;

/// The state of the simulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) applied: Applied,
    /// Hash of all applied rows.
    pub(super) rows: Hash,
    /// Index and link of the last record.
    pub(super) record: u64,
    pub(super) link: Hash,
    /// The newest applied barrier and its term.
    pub(super) barrier: Option<(u64, Barrier)>,
}

impl Default for State {
    fn default() -> State {
        State { applied: Applied::default(), rows: Hash::ZERO, record: 0, link: Hash::ZERO, barrier: None }
    }
}

impl State {
    pub(super) fn at(&self) -> Option<Position> {
        self.applied.at
    }

    pub(super) fn index(&self) -> u64 {
        self.at().map_or(0, |at| at.index)
    }

    /// Applies one row. A batch that does not follow is an error, and so is a hole.
    pub(super) fn apply(&mut self, row: &Row) -> Result<(), String> {
        if self.at().is_some_and(|at| row.at.index != at.index + 1 || row.at.term < at.term) {
            return Err(format!("row {} is applied after {:?}", row.at, self.at()));
        }
        match &row.body {
            Body::Blank => {}
            Body::Barrier(barrier) => self.barrier = Some((row.at.term, *barrier)),
            Body::Batch(batch) => {
                if (batch.first, batch.before) != (self.record + 1, self.link) {
                    return Err(format!("the {} at {} does not follow record {}", row.body, row.at, self.record));
                }
                (self.record, self.link) = (self.record + batch.count(), batch.after);
            }
            Body::Members(configuration) => {
                self.applied.members = PlacedConfiguration { at: Some(row.at), configuration: configuration.clone() };
            }
        }
        self.applied.at = Some(row.at);
        let text = format!("{} {} {:?}", row.at, row.body, self.link);
        self.rows = Hash::of_parts([self.rows.to_text().as_slice(), text.as_bytes()]);
        Ok(())
    }
}

/// The whole content of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) ballot: Option<Ballot>,
    pub(super) committed: Option<Position>,
    pub(super) purged: Option<Position>,
    pub(super) state: State,
}

impl Content {
    pub(super) fn last(&self) -> Option<Position> {
        self.rows.values().next_back().map(|row| row.at).or(self.purged)
    }

    pub(super) fn ends(&self) -> LogEnds {
        LogEnds { purged: self.purged, last: self.last(), ballot: self.ballot, committed: self.committed }
    }

    /// Whether it has a row at this position, or had it before a purge.
    pub(super) fn has(&self, at: Position) -> bool {
        self.purged.is_some_and(|purged| purged.index >= at.index)
            || self.rows.get(&at.index).is_some_and(|row| row.at == at)
    }

    /// The newest configuration in the log, committed or not.
    pub(super) fn newest_members(&self) -> PlacedConfiguration {
        let in_log = self.rows.values().rev().find_map(|row| match &row.body {
            Body::Members(configuration) => {
                Some(PlacedConfiguration { at: Some(row.at), configuration: configuration.clone() })
            }
            _ => None,
        });
        in_log.unwrap_or_else(|| self.state.applied.members.clone())
    }

    pub(super) fn append(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows.into_iter().map(|row| (row.at.index, row)));
    }

    pub(super) fn truncate(&mut self, last: Option<Position>) {
        drop(self.rows.split_off(&last.map_or(0, |last| last.index + 1)));
    }

    pub(super) fn purge(&mut self, upto: Position) {
        self.rows = self.rows.split_off(&(upto.index + 1));
        self.purged = Some(upto);
    }
}
