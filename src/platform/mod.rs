//! What the machine underneath gives: time, randomness, signals, key files, secrets, and the
//! way outside.
//!
//! **Architecture invariant.** `platform` knows nothing of projects, of what HTTP serves, or of storage; whoever needs the
//! time or random bytes gets them from here and from nowhere else, so that a simulation can replace them.

pub mod agefile;
pub mod child;
pub mod clock;
pub mod descriptors;
pub mod entropy;
pub mod gate;
pub mod keyfile;
pub mod otlp;
pub mod outbound;
pub mod private;
pub mod secrets;
pub mod shutdown;
pub mod supervisor;
