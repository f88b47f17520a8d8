//! Receipts are rebuilt from the records of the log: as they were given first, at once and ever after.

use std::sync::Arc;

use super::oracle::Violation;
use super::world::World;
use swoosh_testkit::random::Random;
use swoosh_types::ids::IdemKey;
use swoosh_types::text::ProjectName;

impl World {
    /// A receipt was given. Its repeat must give the same bytes from here on.
    pub(super) fn receipt_given(
        &mut self,
        project: &ProjectName,
        key: &IdemKey,
        receipt: &Arc<[u8]>,
    ) -> Result<(), Violation> {
        self.oracle.given(project, key, receipt)?;
        self.is_rebuilt(project, key, receipt).map(drop)
    }

    /// Asks again for up to `most` earlier receipts, from any client.
    pub(super) fn ask_again(&mut self, most: usize, random: &mut Random) -> Result<(), Violation> {
        for (project, key, receipt) in self.oracle.some_receipts(most, random) {
            let forgotten = !self.is_rebuilt(&project, &key, &receipt)?;
            let Some(node) = self.node.as_ref().filter(|_| forgotten) else { continue };
            self.oracle.may_forget(&key, &receipt)?;
            // Nor is a key taken for one that never was while the floor cannot be read.
            let floor = node.single.handle().journal().key_floor(&project);
            if floor.is_ok_and(|floor| key.beat >= floor) {
                let what = format!("the key {key} of {project} is bound to no receipt");
                return Err(Violation { invariant: "receipts-never-change", what });
            }
        }
        Ok(())
    }

    /// Compares the receipt that a repeat would get with the first one. Returns whether the key is still bound; an error
    /// of the disk says neither.
    fn is_rebuilt(&self, project: &ProjectName, key: &IdemKey, first: &[u8]) -> Result<bool, Violation> {
        let Some(node) = &self.node else { return Ok(true) };
        let journal = node.single.handle().journal();
        let bound = journal.bound_key(project, key);
        let again = bound.and_then(|bound| match bound {
            Some(bound) => journal.receipt(project, key, bound),
            None => Ok(None),
        });
        let what = match again {
            Ok(None) => return Ok(false),
            Ok(Some(again)) if again[..] == *first => return Ok(true),
            Ok(Some(_)) => format!("the key {key} of {project} gives another receipt than before"),
            // Damage gives an error, never another receipt.
            Err(_) if self.is_excused() => return Ok(true),
            Err(error) => format!("the receipt of the key {key} of {project} is not rebuilt: {error}"),
        };
        Err(Violation { invariant: "receipts-are-rebuilt", what })
    }
}
