//! Failures by who is charged for them: a token bucket for each, and one for all together.

use std::collections::BTreeMap;
use std::time::Instant;

/// How many times what one peer is forgiven is forgiven to all together.
const ALL_FACTOR: u64 = 20;
/// Peers whose failures are remembered; of more, those with the fewest are forgotten.
const REMEMBERED: usize = 65_536;
/// Thousandths in one failure.
pub(super) const ONE: u64 = 1_000;

/// Failures not forgiven yet, in thousandths, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Debt {
    milli: u64,
    at: Instant,
}

impl Debt {
    /// The remaining debt at `now`.
    fn left(&self, now: Instant, per_second: u64) -> u64 {
        let passed_ms = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.milli.saturating_sub(passed_ms.saturating_mul(per_second))
    }

    fn add(&mut self, milli: u64, now: Instant, per_second: u64) {
        self.milli = self.left(now, per_second).saturating_add(milli);
        self.at = now;
    }
}

/// Recent failures by who is charged. Those whose failures are all forgiven are forgotten.
pub(super) struct Failures<K> {
    debts: BTreeMap<K, Debt>,
    all: Debt,
    most: u64,
    per_second: u64,
}

impl<K: Ord + Copy> Failures<K> {
    /// A peer may have `most` failures that are not forgiven, and is forgiven `per_second` of them.
    pub fn new(most: u64, per_second: u64) -> Failures<K> {
        let all = Debt { milli: 0, at: Instant::now() };
        Failures { debts: BTreeMap::new(), all, most, per_second }
    }

    /// Adds to what a peer owes, in thousandths of a failure.
    pub fn charge(&mut self, who: K, milli: u64, now: Instant) {
        if !self.debts.contains_key(&who) && self.debts.len() >= REMEMBERED {
            self.forget(now);
        }
        let fresh = Debt { milli: 0, at: now };
        // No peer owes more than twice what shuts it out, so that it is not shut out for hours.
        let debt = self.debts.entry(who).or_insert(fresh);
        debt.add(milli, now, self.per_second);
        debt.milli = debt.milli.min(2 * self.most * ONE);
        self.all.add(milli, now, self.per_second * ALL_FACTOR);
        self.all.milli = self.all.milli.min(2 * ALL_FACTOR * self.most * ONE);
    }

    /// How long a peer has to wait, in milliseconds, when it may not ask now.
    pub fn wait_ms(&mut self, who: K, now: Instant) -> Option<u64> {
        let left = self.debts.get(&who)?.left(now, self.per_second);
        if left == 0 {
            self.debts.remove(&who);
            return None;
        }
        let flooded = self.all.left(now, self.per_second * ALL_FACTOR) > ALL_FACTOR * self.most * ONE;
        // While the total is over its bound, every caller with any debt waits until its own is paid off.
        let allowed = if flooded { 0 } else { self.most.saturating_sub(1) * ONE };
        let over = left.saturating_sub(allowed);
        (over > 0).then(|| over.div_ceil(self.per_second).max(1))
    }

    fn forget(&mut self, now: Instant) {
        let per_second = self.per_second;
        self.debts.retain(|_, debt| debt.left(now, per_second) > 0);
        let mut debts: Vec<u64> = self.debts.values().map(|debt| debt.left(now, per_second)).collect();
        // Half of the room must be free afterwards, or each newcomer would have all of them looked through.
        if debts.len() <= REMEMBERED / 2 {
            return;
        }
        let half = debts.len() / 2;
        let middle = *debts.select_nth_unstable(half).1;
        let mut to_go = half;
        self.debts.retain(|_, debt| {
            let goes = to_go > 0 && debt.left(now, per_second) <= middle;
            to_go -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Peer;

    fn peer(n: u32) -> Peer {
        Peer::of(std::net::Ipv4Addr::from(n).into())
    }

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_peer_is_shut_out_at_its_limit_and_forgiven_with_time() {
        let (mut failures, start) = (Failures::new(4, 2), Instant::now());
        (0..3).for_each(|_| failures.charge(peer(1), ONE, start));
        assert_eq!(failures.wait_ms(peer(1), start), None);
        failures.charge(peer(1), ONE, start);
        assert_eq!(failures.wait_ms(peer(1), start), Some(500));
        assert_eq!(failures.wait_ms(peer(2), start), None);
        assert_eq!(failures.wait_ms(peer(1), after(start, 499)), Some(1));
        assert_eq!(failures.wait_ms(peer(1), after(start, 500)), None);
        assert_eq!(failures.wait_ms(peer(1), after(start, 2_000)), None);
        assert!(failures.debts.is_empty(), "what is forgiven is forgotten");
    }

    #[test]
    fn failures_shut_out_only_for_a_while() {
        let (mut failures, start) = (Failures::new(4, 2), Instant::now());
        (0..1_000_000).for_each(|_| failures.charge(peer(1), ONE, start));
        assert_eq!(failures.wait_ms(peer(1), after(start, 2_500)), None);
    }

    #[test]
    fn a_distributed_flood_shuts_out_only_failing_callers() {
        let (mut failures, start) = (Failures::new(4, 2), Instant::now());
        (0..100).for_each(|n| failures.charge(peer(n), ONE, start));
        assert_eq!(failures.wait_ms(peer(1), start), Some(500));
        assert_eq!(failures.wait_ms(peer(1_000), start), None);
    }

    #[test]
    fn peers_without_number_take_bounded_memory_and_the_worst_is_remembered() {
        let (mut failures, start) = (Failures::new(4, 2), Instant::now());
        (0..4).for_each(|_| failures.charge(peer(0), ONE, start));
        (1..=2 * REMEMBERED as u32).for_each(|n| failures.charge(peer(n), ONE, start));
        assert!(failures.debts.len() <= REMEMBERED);
        assert!(failures.wait_ms(peer(0), start).is_some());
    }
}
