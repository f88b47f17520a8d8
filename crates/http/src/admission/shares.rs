//! How much each has of something.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Amounts by holder. A holder of nothing takes no memory.
pub(super) struct Shares<K: Ord + Copy> {
    held: Mutex<BTreeMap<K, usize>>,
}

/// An amount that a holder has until this is dropped.
pub(super) struct Share<K: Ord + Copy> {
    shares: Arc<Shares<K>>,
    holder: K,
    amount: usize,
}

impl<K: Ord + Copy> Shares<K> {
    pub fn new() -> Arc<Shares<K>> {
        Arc::new(Shares { held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing yet for a holder.
    pub fn none(self: &Arc<Self>, holder: K) -> Share<K> {
        Share { shares: self.clone(), holder, amount: 0 }
    }

    /// An amount for a holder, unless it would then have more than `most`.
    pub fn take(self: &Arc<Self>, holder: K, amount: usize, most: usize) -> Option<Share<K>> {
        let mut share = self.none(holder);
        share.grow(amount, most).then_some(share)
    }

    /// How much a holder has.
    pub fn amount(&self, holder: K) -> usize {
        self.lock().get(&holder).copied().unwrap_or(0)
    }

    #[cfg(test)]
    pub fn holders(&self) -> usize {
        self.lock().len()
    }
}

impl<K: Ord + Copy> Share<K> {
    /// Takes more, unless the holder would then have more than `most`.
    pub fn grow(&mut self, more: usize, most: usize) -> bool {
        let mut held = self.shares.lock();
        let has = held.get(&self.holder).copied().unwrap_or(0);
        let fits = has.saturating_add(more) <= most;
        if fits && more > 0 {
            held.insert(self.holder, has + more);
            self.amount += more;
        }
        fits
    }
}

impl<K: Ord + Copy> Drop for Share<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut held = self.shares.lock();
        match held.get_mut(&self.holder) {
            Some(has) if *has > self.amount => *has -= self.amount,
            _ => drop(held.remove(&self.holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_bound_and_a_drop_frees_its_share() {
        let shares = Shares::new();
        let first = shares.take(1, 2, 3).unwrap();
        assert!(shares.take(1, 2, 3).is_none());
        let mut second = shares.take(1, 1, 3).unwrap();
        assert!(!second.grow(1, 3) && shares.take(2, 3, 3).is_some());
        drop(first);
        assert!(second.grow(2, 3) && !second.grow(1, 3));
        drop(second);
        assert_eq!(shares.holders(), 0);
    }
}
