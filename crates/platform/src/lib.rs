//! Services of the operating system: time, randomness, signals, key files, secrets, and outside access.
//!
//! **Architecture invariant.** `platform` knows nothing of projects, HTTP or storage. It is the only source of time and
//! random bytes, so that a simulation can replace them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

#[cfg(feature = "node")]
pub mod agefile;
#[cfg(feature = "node")]
pub mod child;
pub mod clock;
#[cfg(feature = "node")]
pub mod descriptors;
#[cfg(feature = "node")]
pub mod entropy;
#[cfg(feature = "node")]
pub mod gate;
#[cfg(feature = "node")]
pub mod keyfile;
#[cfg(feature = "node")]
pub mod otlp;
#[cfg(feature = "node")]
pub mod outbound;
#[cfg(feature = "node")]
pub mod private;
#[cfg(feature = "node")]
pub mod secrets;
pub mod shutdown;
#[cfg(feature = "node")]
pub mod supervisor;
