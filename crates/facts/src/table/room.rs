//! The bounds of a fact table.

use std::collections::BTreeSet;

use super::{FactRefusal, FactTable, FactsNow, Ledger};
use crate::store::{MOST_BYTES, MOST_FACTS};
use swoosh_machine::facts::KnownFact;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

/// How much of facts about single projects is held. A fact about all projects always has room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Places, of a kind and a project each.
    pub places: usize,
    /// Bytes of their facts.
    pub bytes: usize,
}

/// Twice of what the store of pushed facts takes, so that a node's own providers find room beside it.
pub(super) const ROOM: Room = Room { places: 2 * MOST_FACTS, bytes: 2 * MOST_BYTES as usize };
/// From one search for facts that ended to the next.
const SEARCH_INTERVAL_MS: u64 = 60_000;

impl FactTable {
    /// Counts a fact about a single project in, or refuses it where there is no room.
    pub(super) fn make_room(
        &self,
        known: &KnownFact,
        ledger: &mut Ledger,
        next: &mut FactsNow,
    ) -> Result<(), FactRefusal> {
        let claim = &known.fact.claim;
        let Some(project) = &claim.project else { return Ok(()) };
        let (before, after) = (next.size(claim.kind, project), canonical_bytes(&known.fact).len());
        let fits = |ledger: &Ledger| {
            let places = ledger.since_ms.len() + usize::from(before == 0);
            places <= self.room.places && ledger.bytes + after - before <= self.room.bytes
        };
        if !fits(ledger) {
            self.forget_ended((claim.kind, project), ledger, next);
        }
        if !fits(ledger) {
            return Err(FactRefusal::Full { places: ledger.since_ms.len(), bytes: ledger.bytes });
        }
        ledger.bytes = ledger.bytes + after - before;
        Ok(())
    }

    /// Forgets facts about single projects, but one, that ended so long ago that no fact of an earlier moment could be
    /// believed in their place: who took one back must not see it return.
    fn forget_ended(&self, but: (FactKind, &ProjectName), ledger: &mut Ledger, next: &mut FactsNow) {
        let now_ms = self.clock.now().wall_ms;
        if ledger.searched_ms.is_some_and(|then_ms| now_ms.saturating_sub(then_ms) < SEARCH_INTERVAL_MS) {
            return;
        }
        ledger.searched_ms = Some(now_ms);
        let Ledger { newest, since_ms, bytes, .. } = ledger;
        let over = |kind: FactKind, seen: &Hlc| seen.physical_ms().saturating_add(kind.max_effect_ms()) < now_ms;
        let mut recent = BTreeSet::new();
        newest.retain(|(kind, project, _), seen| {
            let stays = project.is_none() || !over(*kind, seen);
            if stays {
                recent.insert((*kind, project.clone()));
            }
            stays
        });
        since_ms.retain(|place, _| {
            let (kind, project) = place;
            let Some(project) = project.as_ref().filter(|project| (*kind, *project) != but) else { return true };
            if recent.contains(place) {
                return true;
            }
            *bytes -= next.size(*kind, project);
            next.remove(*kind, project);
            false
        });
    }
}
