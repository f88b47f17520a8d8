//! Stack for Cedar, which recurses once for each level of a policy.
//!
//! A thread may have less stack than a policy needs, and a stack that overflows ends the process. So whatever hands a policy
//! to Cedar does it here: where less is left than the policy's depth may need, the work runs on a stack of that size.
//! A test holds that half of it is enough at the greatest depth, for every shape that recurses.

/// Stack that a call needs beside its levels: values of 32 levels, Cedar's own reserve of 100 KiB, and the frames of
/// its surface.
const BASE: usize = 1 << 20;
/// The most that one level takes when a text is read, written as JSON or validated.
const READING: usize = 40 << 10;
/// The most that one level takes when policies are asked.
const ASKING: usize = 16 << 10;

/// Runs what reads, converts or validates policies of a depth.
pub(super) fn reading<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    let bytes = reading_bytes(depth);
    stacker::maybe_grow(bytes, bytes, work)
}

pub(super) fn reading_bytes(depth: usize) -> usize {
    BASE + depth * READING
}

pub(super) fn asking_bytes(depth: usize) -> usize {
    BASE + depth * ASKING
}

/// Runs what asks policies of a depth.
pub(super) fn asking<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    let bytes = asking_bytes(depth);
    stacker::maybe_grow(bytes, bytes, work)
}
