//! How long it takes until work goes on after a fault: from the fault until a receipt is in the hands of the client
//! that it struck, or of any client, where it struck the node or what is outside. In simulated time.

use std::collections::BTreeMap;

use super::faults::{Fault, Tally};

/// Numbers of milliseconds, rounded up to two digits, and how often each came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(BTreeMap<u64, u64>);

impl Times {
    fn note(&mut self, milliseconds: u64) {
        *self.0.entry(rounded(milliseconds)).or_default() += 1;
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Times) {
        other.0.iter().for_each(|(time, times)| *self.0.entry(*time).or_default() += times);
    }

    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The least time that at least so many of a hundred do not exceed, in milliseconds; 0 where there are none.
    pub fn percentile(&self, of_hundred: u64) -> u64 {
        let needed = (self.count() * of_hundred).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, times)| {
            seen += **times;
            seen >= needed
        });
        reached.map_or(0, |(time, _)| *time)
    }
}

/// Rounded up to two digits.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number.div_ceil(unit) * unit
}

/// Faults after which nothing has gone on yet.
#[derive(Debug, Default)]
pub struct Healing {
    waiting: Vec<(Fault, Option<usize>, u64)>,
}

impl Healing {
    /// Records a fault of one client, or of all if `client` is `None`.
    pub fn struck(&mut self, fault: Fault, client: Option<usize>, now_ms: u64) {
        self.waiting.push((fault, client, now_ms));
    }

    /// A client holds a receipt.
    pub fn went_on(&mut self, client: usize, now_ms: u64, tally: &mut Tally) {
        let concerns = |(_, struck, _): &mut (Fault, Option<usize>, u64)| struck.is_none_or(|struck| struck == client);
        for (fault, _, since_ms) in self.waiting.extract_if(.., concerns) {
            tally.healed.entry(fault).or_default().note(now_ms.saturating_sub(since_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_two_digits() {
        assert_eq!([0, 7, 99, 101, 1_234, 10_000].map(rounded), [0, 7, 99, 110, 1_300, 10_000]);
    }

    #[test]
    fn percentiles_are_of_all_that_were_noted() {
        let mut times = Times::default();
        assert_eq!(times.percentile(50), 0);
        (1..=100).for_each(|time| times.note(time * 100));
        assert_eq!((times.percentile(50), times.percentile(99), times.count()), (5_000, 9_900, 100));
    }

    #[test]
    fn a_fault_of_one_client_waits_for_that_client_and_any_other_for_the_first_client() {
        let (mut healing, mut tally) = (Healing::default(), Tally::default());
        healing.struck(Fault::DropAnswer, Some(1), 1_000);
        healing.struck(Fault::Kill, None, 1_000);
        healing.went_on(0, 1_040, &mut tally);
        healing.went_on(1, 1_900, &mut tally);
        let of = |fault| tally.healed.get(&fault).map(|times: &Times| times.percentile(50));
        assert_eq!((of(Fault::Kill), of(Fault::DropAnswer)), (Some(40), Some(900)));
        assert_eq!(healing.waiting, []);
    }
}
