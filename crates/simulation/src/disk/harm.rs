//! Damage to single rows, and the loss of side writes.

use super::Disk;

impl Disk {
    /// Makes one row unreadable; whether it is there.
    pub fn spoil(&self, family: &'static str, key: &[u8]) -> bool {
        let contents = &mut *self.contents();
        let is_there = contents.rows.families.get(family).is_some_and(|rows| rows.contains_key(key));
        is_there && contents.unreadable.insert((family, key.into()))
    }

    /// Whether the older copy of the directory holds a journal, and not what was there before a node made one.
    pub fn has_copy_of_a_journal(&self) -> bool {
        let older = self.contents().older.as_ref().and_then(|image| image.families.get("meta").map(|rows| rows.len()));
        older.is_some_and(|rows| rows > 0)
    }

    /// Restores every flipped row of the directory.
    pub fn mend_rows(&self) {
        self.contents().rows.mend();
    }

    /// Loses the log's tail behind the last record: side writes, synced as they are. Whether there were any.
    pub fn lose_side_writes(&self) -> bool {
        let contents = &mut *self.contents();
        let behind = std::mem::take(&mut contents.behind);
        if behind.is_empty() || contents.newest.is_some() {
            return false;
        }
        contents.newest = Some(contents.rows.clone());
        behind.into_iter().rev().for_each(|batch| contents.undo(batch));
        contents.unsynced.clear();
        true
    }
}
