//! SWOOSH: a deterministic orchestrator. Signed proposals are judged by pure guards, applied by a pure
//! reducer, and kept in a hash-chained write-ahead log.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "machine")]
pub mod machine;
pub mod types;
