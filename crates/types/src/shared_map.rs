//! A sorted map whose clones share what they have in common.
//!
//! The entries lie in chunks behind `Arc`s, sorted. A clone costs one pointer per chunk, an insert copies the chunk that
//! it falls into. A `BTreeMap` that is cloned before each change costs as much as it is long.

use std::sync::Arc;

/// Entries in a chunk at most; one more splits it in half.
const CHUNK: usize = 128;

/// A map in the order of its keys.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    /// None is empty.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    length: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> SharedMap<K, V> {
        SharedMap { chunks: Vec::new(), length: 0 }
    }
}

impl<K, V> SharedMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The entries, by rising key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// The values, by rising key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The chunk that holds a key, if any does; the last one for a key after all others.
    fn chunk_of(&self, key: &K) -> usize {
        let ends_before = |chunk: &Arc<Vec<(K, V)>>| chunk.last().is_some_and(|(last, _)| last < key);
        self.chunks.partition_point(ends_before).min(self.chunks.len().saturating_sub(1))
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let place = chunk.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        chunk.get(place).map(|(_, value)| value)
    }

    /// Puts a value in; the one that was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(number) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            self.length = 1;
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => return Some(std::mem::replace(&mut chunk[place].1, value)),
            Err(place) => chunk.insert(place, (key, value)),
        }
        self.length += 1;
        if chunk.len() > CHUNK {
            let second = chunk.split_off(chunk.len() / 2);
            self.chunks.insert(number + 1, Arc::new(second));
        }
        None
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let number = self.chunk_of(key);
        let chunk = self.chunks.get_mut(number)?;
        let place = chunk.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(number);
        }
        self.length -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Numbers in a scattered order, without a source of randomness.
    fn scattered(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)
    }

    #[test]
    fn it_holds_what_a_plain_map_holds() {
        let (mut shared, mut plain) = (SharedMap::default(), BTreeMap::new());
        for (n, key) in scattered(5_000).enumerate() {
            assert_eq!(shared.insert(key, n), plain.insert(key, n));
            if n % 3 == 0 {
                let gone = scattered(5_000).nth(n / 2).unwrap();
                assert_eq!(shared.remove(&gone), plain.remove(&gone));
            }
        }
        assert_eq!(shared.len(), plain.len());
        assert!(shared.iter().eq(plain.iter()));
        assert!(scattered(6_000).all(|key| shared.get(&key) == plain.get(&key)));
        let keys: Vec<u64> = plain.keys().copied().collect();
        keys.iter().for_each(|key| _ = shared.remove(key));
        assert!(shared.is_empty() && shared.chunks.is_empty());
    }

    #[test]
    fn a_clone_shares_all_chunks_but_the_one_that_changed() {
        let mut one: SharedMap<u64, u64> = SharedMap::default();
        (0..65_536).for_each(|n| _ = one.insert(n, n));
        let mut other = one.clone();
        other.insert(30_000, 1);
        let shared = one.chunks.iter().zip(&other.chunks).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
        assert_eq!(shared, one.chunks.len() - 1);
        assert_eq!((one.get(&30_000), other.get(&30_000)), (Some(&30_000), Some(&1)));
    }
}
