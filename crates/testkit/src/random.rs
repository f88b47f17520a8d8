//! A sequence of numbers that follows from its seed: SplitMix64, the same on every machine.

/// The step of SplitMix64: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The sequence of one of many things under a seed, practically independent of the others.
    pub fn of(seed: u64, number: u64) -> Random {
        let mut random = Random(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        random.number();
        random
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// An index into something of this length; 0 if that is 0.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Whether something happens that happens `times` in `of`.
    pub fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// One of several, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, from: impl AsRef<[T]>) -> T {
        let from = from.as_ref();
        from[self.index(from.len())]
    }

    /// One of several; `None` if there are none.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.index(from.len());
        from.get(at)
    }

    pub fn shuffle<T>(&mut self, several: &mut [T]) {
        for last in (1..several.len()).rev() {
            let other = self.index(last + 1);
            several.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the reference implementation. A seed of a failed run must mean the same run later.
    #[test]
    fn a_seed_gives_the_numbers_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.number()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn two_seeds_and_two_numbers_of_a_seed_give_different_sequences() {
        let take = |mut random: Random| (0..9).map(|_| random.number()).collect::<Vec<_>>();
        assert_eq!(take(Random::of(7, 1)), take(Random::of(7, 1)));
        assert_ne!(take(Random::of(7, 1)), take(Random::of(7, 2)));
        assert_ne!(take(Random::of(7, 1)), take(Random::of(8, 1)));
    }

    #[test]
    fn bounds_are_kept_and_an_empty_choice_is_none() {
        let mut random = Random::new(5);
        assert!((0..99).all(|_| (3..=5).contains(&random.between(3, 5))));
        assert_eq!((random.below(0), random.index(0), random.choose::<u8>(&[])), (0, 0, None));
        assert!(!random.happens(0, 100) && random.happens(100, 100));
        assert!([1, 2].contains(&random.pick([1, 2])));
    }

    #[test]
    fn a_shuffle_keeps_all_elements() {
        let mut numbers: Vec<u32> = (0..50).collect();
        Random::new(3).shuffle(&mut numbers);
        assert_ne!(numbers, (0..50).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
}
