//! Canonical encodings and SHA-256 calls of a thread, for tests that bound what a transition costs.
//!
//! The feature `counting` compiles it, which only tests and the simulation enable.

use std::cell::Cell;
use std::ops::Sub;

/// Calls and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Documents that were written canonically.
    pub encodings: u64,
    pub encoded_bytes: u64,
    /// SHA-256 calls.
    pub hashes: u64,
    pub hashed_bytes: u64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { encodings: 0, encoded_bytes: 0, hashes: 0, hashed_bytes: 0 }) };
}

/// The counts of this thread since it began.
pub fn counts() -> Counts {
    COUNTS.get()
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, before: Counts) -> Counts {
        Counts {
            encodings: self.encodings - before.encodings,
            encoded_bytes: self.encoded_bytes - before.encoded_bytes,
            hashes: self.hashes - before.hashes,
            hashed_bytes: self.hashed_bytes - before.hashed_bytes,
        }
    }
}

pub(crate) fn encoded(bytes: usize) {
    let counts = COUNTS.get();
    COUNTS.set(Counts {
        encodings: counts.encodings + 1,
        encoded_bytes: counts.encoded_bytes + bytes as u64,
        ..counts
    });
}

pub(crate) fn hashed(bytes: usize) {
    let counts = COUNTS.get();
    COUNTS.set(Counts { hashes: counts.hashes + 1, hashed_bytes: counts.hashed_bytes + bytes as u64, ..counts });
}
