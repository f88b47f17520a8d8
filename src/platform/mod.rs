//! What the machine underneath gives: time, randomness, signals, key files.
//!
//! **Architecture invariant.** `platform` knows nothing of projects, HTTP or storage; whoever needs the
//! time or random bytes gets them from here and from nowhere else, so that a simulation can replace them.

pub mod clock;
pub mod descriptors;
pub mod entropy;
pub mod keyfile;
pub mod shutdown;
