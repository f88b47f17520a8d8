//! Removes surplus snapshots: the newest ones stay, and as many older ones as keep reads of the past cheap. A damaged
//! one is removed once a later good one exists, because it is never read then.

use super::error::ReadError;
use super::layout::{Family, parse_scoped, scope_end, scoped_key};
use super::prune::PruneError;
use super::read::mangled;
use super::store::WriteBatch;
use super::{Inner, Journal};
use swoosh_types::text::ProjectName;

/// Newest snapshots of a project that always stay: when one is damaged, the next one serves.
pub const GENERATIONS: usize = 2;
/// Of the older ones, one stays for so many records of the log: reading the past replays no more.
const THINNED_RECORDS: u64 = 10_000;

impl Journal {
    /// Removes what is too many of the snapshots of projects that got one since the last call; how many.
    pub fn thin_snapshots(&self) -> Result<u64, PruneError> {
        self.0.may_change()?;
        let projects = self.0.tail().unsnapshotted.take_snapshotted();
        let (mut removed, mut failed) = (0, None);
        for project in projects {
            match self.0.thin(&project) {
                Ok(count) => removed += count,
                // A damaged project keeps its snapshots and holds up no other one.
                Err(PruneError::Read(error)) if error.is_damage() => failed = Some(PruneError::Read(error)),
                Err(error) => return Err(error),
            }
        }
        failed.filter(|_| removed == 0).map_or(Ok(removed), Err)
    }
}

impl Inner {
    fn thin(&self, project: &ProjectName) -> Result<u64, PruneError> {
        let indexes = self.snapshot_indexes(project)?;
        let mut doomed = surplus(&indexes);
        doomed.extend(
            self.useless(project, &indexes)?.into_iter().filter(|index| !doomed.contains(index)).collect::<Vec<_>>(),
        );
        if doomed.is_empty() {
            return Ok(0);
        }
        let mut rows = WriteBatch::default();
        for index in &doomed {
            rows.delete_cf(self.family(Family::Snapshots), scoped_key(project, *index));
        }
        self.or_stop(self.write(rows, false))?;
        Ok(doomed.len() as u64)
    }

    /// The damaged ones among rising indexes, if the newest is good. A base of a pruned log is excluded: it is
    /// repaired from its other copy.
    fn useless(&self, project: &ProjectName, indexes: &[u64]) -> Result<Vec<u64>, ReadError> {
        let Some((newest, older)) = indexes.split_last().filter(|(_, older)| !older.is_empty()) else {
            return Ok(Vec::new());
        };
        let base = self.second_base(project)?.map_or(0, |(base, _)| base);
        if self.is_damaged(project, *newest)? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for &index in older.iter().filter(|index| **index > base) {
            if self.is_damaged(project, index)? {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// Whether a snapshot cannot be used. One whose record cannot be read is left alone: the record is what is wrong then.
    fn is_damaged(&self, project: &ProjectName, index: u64) -> Result<bool, ReadError> {
        let Some(bytes) = self.get(Family::Snapshots, &scoped_key(project, index))? else { return Ok(false) };
        Ok(self.check_snapshot(project, index, &bytes).is_ok_and(|checked| checked.is_err()))
    }

    /// Indexes of a project's snapshots, rising.
    pub(super) fn snapshot_indexes(&self, project: &ProjectName) -> Result<Vec<u64>, ReadError> {
        let mut keys = self.keys(Family::Snapshots, scoped_key(project, 0), scope_end(project));
        let mut indexes = Vec::new();
        while let Some((key, _)) = keys.next_row()? {
            indexes.push(parse_scoped(key).ok_or_else(|| mangled(project, Family::Snapshots))?.1);
        }
        Ok(indexes)
    }
}

/// Of rising indexes those that may go: not the newest, not the oldest, not the first of its stretch.
fn surplus(indexes: &[u64]) -> Vec<u64> {
    let old = indexes.len().saturating_sub(GENERATIONS);
    let mut stretch = None;
    let mut doomed = Vec::new();
    for &index in indexes.iter().take(old) {
        // This also keeps the oldest one, which is the base of a pruned project.
        if stretch.replace(index / THINNED_RECORDS) == Some(index / THINNED_RECORDS) {
            doomed.push(index);
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::surplus;

    #[test]
    fn the_newest_two_the_oldest_and_one_of_each_stretch_stay() {
        assert_eq!(surplus(&[]), [0; 0]);
        assert_eq!(surplus(&[3, 9]), [0; 0]);
        assert_eq!(surplus(&[3, 9, 11]), [0; 0]);
        assert_eq!(surplus(&[3, 9, 11, 12]), [9]);
        assert_eq!(surplus(&[3, 9, 9_999, 10_000, 10_001, 20_000, 20_001, 20_002]), [9, 9_999, 10_001]);
    }
}
