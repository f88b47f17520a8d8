//! What the machine underneath gives: time, randomness, signals, key files, secrets, and the
//! way outside.
//!
//! **Architecture invariant.** `platform` knows nothing of projects, of what HTTP serves, or of storage; whoever needs the
//! time or random bytes gets them from here and from nowhere else, so that a simulation can replace them.

#[cfg(feature = "server")]
pub mod agefile;
#[cfg(feature = "server")]
pub mod child;
pub mod clock;
#[cfg(feature = "server")]
pub mod descriptors;
#[cfg(feature = "server")]
pub mod entropy;
#[cfg(feature = "server")]
pub mod gate;
#[cfg(feature = "server")]
pub mod keyfile;
#[cfg(feature = "server")]
pub mod otlp;
#[cfg(feature = "server")]
pub mod outbound;
#[cfg(feature = "server")]
pub mod private;
#[cfg(feature = "server")]
pub mod secrets;
pub mod shutdown;
#[cfg(feature = "server")]
pub mod supervisor;
