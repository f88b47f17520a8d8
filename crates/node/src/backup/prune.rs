//! Retention: old backups go, and with them the files that no other backup names.

use super::Manifest;
use super::origin::Origin;
use super::repository::Repository;
use swoosh_terminal::time;
use swoosh_types::hlc::Hlc;

/// Which backups stay. One stays when either says so; the newest one always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// As many of the newest.
    pub newest: u64,
    /// Those that are younger than this, in milliseconds.
    pub younger_than_ms: u64,
}

impl Keep {
    fn since_ms(&self, now: Hlc) -> u64 {
        now.physical_ms().saturating_sub(self.younger_than_ms)
    }
}

/// The removed backups and files.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    pub backups: Vec<String>,
    pub kept: u64,
    pub files: u64,
}

/// Removes what need not stay; the newest are those that hold the latest records, whatever their names say. Removes nothing
/// while a manifest cannot be read: it may name any file. `wall` is the wall clock.
pub fn prune(repository: &Repository, keep: Keep, wall: Hlc) -> anyhow::Result<Pruned> {
    let lock = repository.lock()?;
    let all = repository.all()?;
    if let Some(forged) = all.iter().find(|manifest| manifest.origin() == Origin::Forged) {
        anyhow::bail!("{}; take it away, then prune again", forged.doubt().unwrap_or_default());
    }
    let alike = |other: &&Manifest| all.first().is_some_and(|first| first.node != other.node);
    if let Some(other) = all.iter().find(alike) {
        anyhow::bail!("the backup {} is of another node, {}; take it away, then prune again", other.id, other.node);
    }
    let old = all.len().saturating_sub(usize::try_from(keep.newest.max(1)).unwrap_or(usize::MAX));
    let (recorded, wall) = (keep.since_ms(now(&all, wall)), keep.since_ms(wall));
    let goes = |(place, manifest): &(usize, &Manifest)| {
        let taken_ms = manifest.taken_at.physical_ms();
        // The wall clock alone removes only a backup whose records a newer one holds, or those of an idle node pile up.
        let again = || all.iter().skip(place + 1).any(|newer| newer.holds_as_much_as(manifest));
        taken_ms < recorded || (taken_ms < wall && again())
    };
    let goes: Vec<&Manifest> = all.iter().enumerate().take(old).filter(goes).map(|(_, manifest)| manifest).collect();
    let mut pruned = Pruned::default();
    for manifest in goes {
        repository.forget(&manifest.id, &lock)?;
        pruned.backups.push(manifest.id.clone());
    }
    pruned.kept = (all.len() - pruned.backups.len()) as u64;
    pruned.files = repository.collect(&lock)?;
    Ok(pruned)
}

/// The time by which backups age: the wall clock, but never later than the newest backup's last record. A clock that is
/// ahead removes nothing.
fn now(all: &[Manifest], wall: Hlc) -> Hlc {
    let newest = all.last().map(|manifest| manifest.last_stamp.unwrap_or(manifest.taken_at));
    newest.map_or(wall, |newest| time::may_delete(wall, newest))
}

#[cfg(test)]
mod tests {
    use super::super::FORMAT;
    use super::*;
    use swoosh_types::hash::Hash;
    use swoosh_types::keys::SecretKey;

    const DAY_MS: u64 = 86_400_000;
    const NOW_MS: u64 = 1_000 * DAY_MS;

    fn at(ms: u64) -> Hlc {
        Hlc::new(ms, 0).unwrap()
    }

    /// A backup that ends at a record of this stamp, made by a clock that showed this.
    fn backup(incarnation: u64, last_index: u64, stamp_ms: u64, taken_ms: u64) -> Manifest {
        Manifest {
            format: FORMAT,
            id: Repository::name(at(taken_ms), last_index),
            version: String::new(),
            journal_format: 1,
            node: SecretKey::from_bytes(&[1; 32]).public(),
            cluster: "test".parse().unwrap(),
            incarnation,
            incarnations: Vec::new(),
            first_index: 1,
            last_index,
            last_chain: Hash::of(&last_index.to_be_bytes()),
            last_stamp: Some(at(stamp_ms)),
            taken_at: at(taken_ms),
            recipients: Vec::new(),
            files: Vec::new(),
            seal: None,
        }
    }

    /// The last records of the backups that are left.
    fn left(backups: &[Manifest], keep: Keep, wall_ms: u64) -> Vec<(u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::at(folder.path());
        let lock = repository.lock().unwrap();
        backups.iter().for_each(|backup| repository.add(backup, &lock).unwrap());
        drop(lock);
        prune(&repository, keep, at(wall_ms)).unwrap();
        repository.all().unwrap().iter().map(|backup| (backup.incarnation, backup.last_index)).collect()
    }

    /// A process that is being started has a copy of each descriptor for a moment. The next writer was refused then.
    #[test]
    fn a_lock_is_released_although_a_copy_of_its_descriptor_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::at(folder.path());
        let lock = repository.lock().unwrap();
        let copy = lock.copy().unwrap();
        assert!(repository.lock().is_err());
        drop(lock);
        assert!(repository.lock().is_ok());
        drop(copy);
    }

    /// The wall clock aged backups: one round with a clock a year ahead removed all but the newest.
    #[test]
    fn a_clock_that_is_ahead_ages_no_backup() {
        let keep = Keep { newest: 1, younger_than_ms: 2 * DAY_MS };
        let backups = [3, 1, 0].map(|days| backup(1, 10 - days, NOW_MS - days * DAY_MS, NOW_MS - days * DAY_MS));
        assert_eq!(left(&backups, keep, NOW_MS), [(1, 9), (1, 10)]);
        assert_eq!(left(&backups, keep, NOW_MS + 365 * DAY_MS), [(1, 9), (1, 10)]);
        assert_eq!(left(&backups, keep, NOW_MS - DAY_MS).len(), 3, "a clock that is behind removes less");
    }

    /// The newest were those with the latest names: backups made while the clock was ahead stayed, and better ones were removed.
    #[test]
    fn the_newest_are_those_with_the_latest_records() {
        let keep = Keep { newest: 2, younger_than_ms: 0 };
        let ahead = NOW_MS + 365 * DAY_MS;
        let backups = [
            backup(1, 5, NOW_MS - 9, ahead),
            backup(1, 6, NOW_MS - 8, ahead + 1),
            backup(1, 7, NOW_MS - 7, NOW_MS - 7),
            backup(2, 4, NOW_MS - 6, NOW_MS - 6),
        ];
        assert_eq!(left(&backups, keep, ahead + 2), [(1, 5), (1, 6), (1, 7), (2, 4)], "young by the records' time");
        let stale = [
            backup(1, 5, NOW_MS - 9, NOW_MS - 2),
            backup(1, 7, NOW_MS - 7, NOW_MS - 7),
            backup(2, 4, NOW_MS, NOW_MS - 6),
        ];
        assert_eq!(left(&stale, keep, NOW_MS), [(1, 7), (2, 4)]);
    }

    /// No record ages the backups of an idle node; they hold the same, and must not pile up.
    #[test]
    fn backups_of_an_idle_node_do_not_pile_up() {
        let keep = Keep { newest: 2, younger_than_ms: DAY_MS };
        let backups: Vec<_> = (0..9).map(|days| backup(1, 7, NOW_MS, NOW_MS + days * DAY_MS)).collect();
        assert_eq!(left(&backups, keep, NOW_MS + 8 * DAY_MS).len(), 2);
    }
}
