//! Side writes: rows in the `outbox` family that are acknowledged beside the records. They are held outcomes, and
//! notes that an attempt at an effect began. A caller with the answer `outcome_held` does not send again, and an
//! attempt with a lost note runs again. So a side write is as durable as a record, and its loss is detected like a
//! record's.
//!
//! ```text
//! hold, note ──► row and position, in one synced batch ──► watermark, synced ──► answer, or the attempt begins
//! start      ──► position found ≥ position promised, with the same link, or the start is refused
//! ```
//! The position counts side writes and links each to the one before. It is written to `meta` and to `outbox`, so that a
//! family that lost its tail shows it. Deleting a row is part of the record that closes the effect and needs no position.

use std::fmt;
use std::sync::{MutexGuard, PoisonError};

use super::effects::EffectRowError;
use super::error::{AppendError, RecoverError, StorageError};
use super::layout::{Family, meta};
use super::promise::Keeper;
use super::store::{Store, WriteBatch};
use super::watermark::Mark;
use super::{Inner, Mode, Stage};
use swoosh_types::hash::Hash;

const DOMAIN: &[u8] = b"swoosh/side/v1\n";

/// The row of `outbox` that holds the position as well.
pub(super) const POSITION: &[u8] = b"sides";

/// How many side writes there were, and the link of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// How many; 0 before the first one.
    pub number: u64,
    /// `sha256(domain ‖ link before ‖ number (8 bytes, big-endian) ‖ key ‖ 0x00 ‖ value)`; [`Hash::ZERO`] before the first.
    pub link: Hash,
}

impl Sides {
    /// Before the first side write.
    pub(super) const NONE: Sides = Sides { number: 0, link: Hash::ZERO };

    fn after(&self, key: &[u8], value: &[u8]) -> Sides {
        let number = self.number + 1;
        let (before, counted) = (self.link.as_bytes().as_slice(), number.to_be_bytes());
        let link = Hash::of_parts([DOMAIN, before, counted.as_slice(), key, b"\0".as_slice(), value]);
        Sides { number, link }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Sides> {
        let (number, link) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Sides { number: number.parse().ok()?, link: link.parse().ok()? })
    }

    /// The position that a directory shows: the earlier one where its two copies differ.
    pub(super) fn read(db: &Store) -> Result<Sides, StorageError> {
        let copies = [(Family::Meta, meta::SIDES), (Family::Outbox, POSITION)].map(|(family, key)| {
            let column =
                db.column(family).ok_or_else(|| StorageError(format!("no column family {}", family.name())))?;
            let Some(bytes) = db.get_cf(column, key)? else { return Ok(Sides::NONE) };
            let mangled = || StorageError(format!("the position of side writes in {} does not decode", family.name()));
            Sides::parse(&bytes).ok_or_else(mangled)
        });
        let [one, two] = copies;
        let (one, two): (Sides, Sides) = (one?, two?);
        let both = Hash::of_parts([one.link.as_bytes().as_slice(), two.link.as_bytes()]);
        Ok(match one.number.cmp(&two.number) {
            std::cmp::Ordering::Less => one,
            std::cmp::Ordering::Greater => two,
            std::cmp::Ordering::Equal if one.link == two.link => one,
            // Two side writes of one number: neither is the one that was promised.
            std::cmp::Ordering::Equal => Sides { number: one.number, link: both },
        })
    }

    /// Whether this position holds what was promised.
    pub(super) fn keep(&self, promised: &Sides) -> Result<(), SidesLost> {
        let whole = self.number > promised.number || self == promised;
        if whole { Ok(()) } else { Err(SidesLost { found: self.number, promised: promised.number }) }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.link)
    }
}

/// Side writes that were promised are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SidesLost {
    /// How many are there.
    pub found: u64,
    /// How many were promised.
    pub promised: u64,
}

impl fmt::Display for SidesLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SidesLost { found, promised } = self;
        let what = "held outcomes and notes of attempts at effects (side writes)";
        if found == promised {
            return write!(f, "of the {promised} {what} that the watermark promises, the last one is another one");
        }
        write!(f, "the watermark promises {promised} {what}, and the journal holds {found}")
    }
}

impl Inner {
    /// Writes a row of a side write; durable and promised by the watermark on return. After a disk error the journal
    /// accepts no writes until it is reopened, because the data on disk is unknown.
    pub(super) fn write_side(&self, key: &[u8], value: &[u8]) -> Result<(), EffectRowError> {
        self.takes_side_writes()?;
        // Held while the disk is waited for: the next side write links to this one.
        let mut sides = self.sides();
        let next = sides.after(key, value);
        let mut rows = WriteBatch::default();
        rows.put_cf(self.family(Family::Outbox), key, value);
        rows.put_cf(self.family(Family::Outbox), POSITION, next.to_string());
        rows.put_cf(self.family(Family::Meta), meta::SIDES, next.to_string());
        self.or_stop(self.write(rows, true))?;
        self.or_stop(self.promise_sides(next))?;
        *sides = next;
        Ok(())
    }

    fn takes_side_writes(&self) -> Result<(), AppendError> {
        if matches!(self.mode, Mode::ReadOnly) {
            return Err(AppendError::ReadOnly);
        }
        match self.tail().stage {
            Stage::Opened => Err(AppendError::NotRecovered),
            Stage::Stopped { full, corrupt } => Err(AppendError::Stopped { full, corrupt }),
            Stage::Recovered => Ok(()),
        }
    }

    /// The position now.
    pub(super) fn sides(&self) -> MutexGuard<'_, Sides> {
        self.sides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promise_sides(&self, sides: Sides) -> Result<(), StorageError> {
        let Keeper::Writer(watermark) = &self.keeper else { return Ok(()) };
        let mut watermark = watermark.lock().unwrap_or_else(PoisonError::into_inner);
        let Mark { index, chain, .. } = watermark.mark();
        Ok(watermark.advance((index, chain), sides)?)
    }

    /// Whether the side writes that were promised are there.
    pub(super) fn keeps_sides(&self, promised: &Mark) -> Result<(), RecoverError> {
        Ok(self.sides().keep(&promised.sides)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Directory, Node, options};
    use super::super::verify::verify;
    use super::super::{Durability, Journal, OpenError};
    use super::*;
    use swoosh_types::hlc::Hlc;
    use swoosh_types::ids::EffectId;

    fn id() -> EffectId {
        "a/1/provision".parse().unwrap()
    }

    /// A node that noted an attempt, and its directory from before, under the watermark of after.
    fn lost(durability: Durability) -> (Node, Directory) {
        let mut node = Node::new();
        node.reopen_with(durability);
        node.commit(&["a"]);
        node.journal.sync().unwrap();
        let older = node.directory.copy();
        node.journal.note_effect(&id(), b"begun").unwrap();
        std::fs::copy(node.directory.watermark(), older.watermark()).unwrap();
        (node, older)
    }

    #[test]
    fn a_note_that_is_lost_is_noticed_by_a_start_and_by_verify_and_can_be_accepted() {
        for durability in [Durability::Sync, Durability::Interval(std::time::Duration::from_millis(1))] {
            let (_node, older) = lost(durability);
            let refused = Journal::open(options(older.path())).err();
            let expected = SidesLost { found: 0, promised: 1 };
            assert!(matches!(refused, Some(OpenError::SidesLost { lost, .. }) if lost == expected), "{refused:?}");
            let shown = Journal::open_read_only(older.path()).unwrap();
            let report = verify(&shown, &mut |_| ());
            assert!(report.problems[0].to_string().contains("promises 1 held outcomes"), "{:?}", report.problems);
            drop(shown);
            let loss = Journal::loss(older.path()).unwrap();
            assert_eq!((loss.last, loss.problem.clone()), (1, expected.into()));
            Journal::accept_end(older.path(), &loss, Hlc::default(), "ops: a test").unwrap();
            Journal::open(options(older.path())).unwrap().recover().unwrap();
        }
    }

    #[test]
    fn side_writes_go_on_over_a_start_and_every_one_is_promised() {
        let mut node = Node::new();
        node.commit(&["a"]);
        for (number, note) in [(1, b"one"), (2, b"two")] {
            node.journal.note_effect(&id(), note).unwrap();
            let promised = node.journal.0.keeper.promised().unwrap().unwrap();
            assert_eq!((promised.sides, promised.index), (*node.journal.0.sides(), 1));
            assert_eq!(promised.sides.number, number);
        }
        node.commit(&["a"]);
        let before = *node.journal.0.sides();
        let node = node.reopen();
        node.journal.recover().unwrap();
        assert_eq!(*node.journal.0.sides(), before);
        assert_eq!(node.journal.effect_note(&id()).unwrap(), Some(b"two".to_vec()));
        node.journal.note_effect(&id(), b"three").unwrap();
        assert_eq!(node.journal.0.sides().number, 3);
        assert!(verify(&node.journal, &mut |_| ()).complete);
    }

    /// The families reach their tables together, but a part of a directory can be put back from an older copy.
    #[test]
    fn a_family_that_lost_its_tail_shows_it_whichever_it_is() {
        for (family, key) in [(Family::Meta, meta::SIDES), (Family::Outbox, POSITION)] {
            let mut node = Node::new();
            node.commit(&["a"]);
            node.journal.note_effect(&id(), b"one").unwrap();
            let older = node.journal.0.sides().to_string();
            node.journal.note_effect(&id(), b"two").unwrap();
            node.overwrite(family, key, older.as_bytes());
            let (directory, _) = (node.directory.copy(), drop(node.journal));
            let refused = Journal::open(options(directory.path())).err();
            assert!(matches!(refused, Some(OpenError::SidesLost { .. })), "{refused:?}");
        }
    }

    #[test]
    fn another_side_write_in_the_place_of_the_promised_one_is_noticed() {
        let mut node = Node::new();
        node.commit(&["a"]);
        node.journal.note_effect(&id(), b"one").unwrap();
        let other = Sides::NONE.after(b"another key", b"one").to_string();
        node.overwrite(Family::Meta, meta::SIDES, other.as_bytes());
        node.overwrite(Family::Outbox, POSITION, other.as_bytes());
        let report = verify(&node.journal, &mut |_| ());
        assert!(report.is_good(), "what this process knows is whole: {:?}", report.problems);
        let directory = node.directory.copy();
        let refused = Journal::open(options(directory.path())).err();
        assert!(refused.is_some_and(|error| error.to_string().contains("the last one is another one")));
    }

    #[test]
    fn a_journal_that_was_not_recovered_or_is_only_looked_at_takes_no_side_write() {
        let mut node = Node::new();
        node.commit(&["a"]);
        let shown = Journal::open_read_only(node.directory.path()).unwrap();
        assert!(shown.note_effect(&id(), b"one").is_err());
        drop(shown);
        let node = node.reopen();
        assert!(node.journal.note_effect(&id(), b"one").is_err());
    }
}
