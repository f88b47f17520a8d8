//! SWOOSH: a deterministic orchestrator. Signed proposals are judged by pure guards, applied by a pure
//! reducer, and kept in a hash-chained write-ahead log.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// The small command uses a part of what commands share.
#[cfg(feature = "upstreams")]
#[cfg_attr(not(feature = "server"), allow(dead_code))]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod decisions;
#[cfg(feature = "server")]
pub mod effects;
#[cfg(feature = "server")]
pub mod facts;
#[cfg(feature = "upstreams")]
pub mod hybridcore;
#[cfg(feature = "server")]
pub mod ingress;
#[cfg(feature = "server")]
pub mod journal;
#[cfg(feature = "machine")]
pub mod machine;
#[cfg(feature = "server")]
pub mod migration;
#[cfg(feature = "upstreams")]
pub mod platform;
#[cfg(feature = "server")]
pub mod sequencer;
#[cfg(feature = "server")]
pub mod settings;
#[cfg(feature = "server")]
pub mod simulation;
#[cfg(feature = "server")]
pub mod telemetry;
pub mod types;
#[cfg(feature = "upstreams")]
pub mod upstreams;
#[cfg(feature = "machine")]
pub mod verify;
