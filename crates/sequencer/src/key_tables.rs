//! Precomputed tables of the keys whose proposals are accepted most, shared by all threads that check signatures.
//!
//! A table costs as much time as 30 to 60 checks and takes 30 KiB, so a key must earn it: only accepted proposals count,
//! which a key without a role cannot make. All other keys are checked by `verify_strict`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Outcome;
use swoosh_types::keys::{KeyTable, PublicKey};

/// Tables that are kept: 7.5 MiB.
const TABLES: usize = 256;
/// Accepted proposals after which a key gets a table; by then its checks have cost as much as the table.
const EARNED: u32 = 64;
/// Keys whose accepted proposals are counted, 100 bytes each.
const COUNTED: usize = 4_096;
/// A table leaves for another one if none of so many accepted proposals was its key's. More busy keys than tables would
/// otherwise replace each other's tables for ever.
const IDLE: u64 = TABLES as u64 * EARNED as u64;

/// A table and its last use.
struct Kept {
    table: Arc<KeyTable>,
    /// Number of the accepted proposal that used it last.
    used: AtomicU64,
}

#[derive(Default)]
pub(super) struct KeyTables {
    tables: RwLock<BTreeMap<PublicKey, Kept>>,
    /// Accepted proposals of keys without a table.
    counts: Mutex<BTreeMap<PublicKey, u32>>,
    /// Accepted proposals in all.
    accepted: AtomicU64,
}

impl KeyTables {
    pub fn get(&self, key: &PublicKey) -> Option<Arc<KeyTable>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(key).map(|kept| kept.table.clone())
    }

    /// Notes the answer to a proposal, and makes a table if its signer has earned one by it.
    pub fn answered(&self, signer: &PublicKey, outcome: &Outcome) {
        if let Outcome::Accepted { .. } = outcome {
            let now = self.accepted.fetch_add(1, Ordering::Relaxed);
            if !self.used(signer, now) && self.has_earned(signer) && self.has_room(now) {
                self.make(signer, now);
            }
        }
    }

    /// Notes a use of the key's table; whether it has one.
    fn used(&self, key: &PublicKey, now: u64) -> bool {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(key).map(|kept| kept.used.store(now, Ordering::Relaxed)).is_some()
    }

    /// Counts an accepted proposal. Begins again at every [`EARNED`], so that a key which found no room asks seldom.
    fn has_earned(&self, key: &PublicKey) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED && !counts.contains_key(key) {
            counts.clear();
        }
        let count = counts.entry(*key).or_default();
        *count += 1;
        let earned = *count >= EARNED;
        if earned {
            counts.remove(key);
        }
        earned
    }

    /// Whether one more table fits, or an idle one can leave for it.
    fn has_room(&self, now: u64) -> bool {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.len() < TABLES || tables.values().any(|kept| kept.is_idle(now))
    }

    /// Makes a table without holding a lock, then puts it in the place of the table that was idle for longest.
    fn make(&self, key: &PublicKey, now: u64) {
        let Some(table) = KeyTable::of(*key) else { return };
        let kept = Kept { table: Arc::new(table), used: AtomicU64::new(now) };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if tables.len() >= TABLES && !tables.contains_key(key) {
            let idle = tables.iter().filter(|(_, kept)| kept.is_idle(now));
            let Some(oldest) = idle.min_by_key(|(_, kept)| kept.used.load(Ordering::Relaxed)).map(|(key, _)| *key)
            else {
                return;
            };
            tables.remove(&oldest);
        }
        tables.insert(*key, kept);
    }
}

impl Kept {
    fn is_idle(&self, now: u64) -> bool {
        now.saturating_sub(self.used.load(Ordering::Relaxed)) >= IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use swoosh_types::keys::SecretKey;
    use swoosh_types::rejection::{Code, Rejection};

    fn key(number: u32) -> PublicKey {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&seed).public()
    }

    fn accepted() -> Outcome {
        Outcome::Accepted { receipt: Arc::from(&b"{}"[..]), replayed: false }
    }

    fn refused() -> Outcome {
        let rejection = Rejection::new(Code::IdentityUnknown, "unknown");
        let project = swoosh_types::proposal::default_project();
        Outcome::Refused(Box::new(Refusal { rejection, project, head: None, hlc_last: None, retry_after_ms: None }))
    }

    fn kept(tables: &KeyTables) -> usize {
        tables.tables.read().unwrap().len()
    }

    fn earn(tables: &KeyTables, key: &PublicKey) {
        (0..EARNED).for_each(|_| tables.answered(key, &accepted()));
    }

    #[test]
    fn a_key_earns_its_table_by_accepted_proposals_alone() {
        let (tables, key) = (KeyTables::default(), key(1));
        for _ in 0..4 * EARNED {
            tables.answered(&key, &refused());
        }
        assert!(tables.get(&key).is_none() && tables.counts.lock().unwrap().is_empty());
        for _ in 1..EARNED {
            tables.answered(&key, &accepted());
            assert!(tables.get(&key).is_none());
        }
        tables.answered(&key, &accepted());
        assert_eq!(tables.get(&key).unwrap().key(), key);
    }

    /// More busy keys than tables: nothing is made for keys that would have to take a table in use.
    #[test]
    fn tables_are_bounded_and_an_idle_one_leaves_first() {
        let tables = KeyTables::default();
        let keys: Vec<PublicKey> = (0..TABLES as u32 + 2).map(key).collect();
        let (filling, late) = keys.split_at(TABLES);
        for key in filling {
            earn(&tables, key);
        }
        earn(&tables, &late[0]);
        assert!(kept(&tables) == TABLES && tables.get(&late[0]).is_some(), "the first one was idle since it was made");
        assert!(tables.get(&filling[0]).is_none() && tables.get(&filling[1]).is_some());
        let now = tables.accepted.load(Ordering::Relaxed);
        assert!(filling[1..].iter().all(|key| tables.used(key, now)));
        earn(&tables, &late[1]);
        assert!(kept(&tables) == TABLES && tables.get(&late[1]).is_none(), "all tables are in use");
        for _ in 0..IDLE {
            tables.answered(&filling[1], &accepted());
        }
        earn(&tables, &late[1]);
        assert!(kept(&tables) == TABLES && tables.get(&late[1]).is_some() && tables.get(&filling[1]).is_some());
    }

    #[test]
    fn the_counts_of_keys_are_bounded() {
        let tables = KeyTables::default();
        let mut counted = 0;
        for number in 0..COUNTED as u32 + 8 {
            tables.answered(&key(number), &accepted());
            counted = counted.max(tables.counts.lock().unwrap().len());
        }
        assert_eq!((counted, kept(&tables)), (COUNTED, 0));
    }
}
