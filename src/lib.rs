//! SWOOSH: a deterministic orchestrator. Signed proposals are judged by pure guards, applied by a pure
//! reducer, and kept in a hash-chained write-ahead log.
//!
//! This package holds the commands; the parts are crates of their own under `crates/`, and are named here once more.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod cli;

pub use swoosh_client as client;
pub use swoosh_decisions as decisions;
pub use swoosh_effects as effects;
pub use swoosh_facts as facts;
pub use swoosh_files as files;
pub use swoosh_http as ingress;
pub use swoosh_hybridcore as hybridcore;
pub use swoosh_hybridcore::upstreams;
pub use swoosh_journal as journal;
pub use swoosh_machine as machine;
pub use swoosh_migration as migration;
pub use swoosh_platform as platform;
pub use swoosh_sequencer as sequencer;
pub use swoosh_settings as settings;
pub use swoosh_telemetry as telemetry;
pub use swoosh_types as types;
pub use swoosh_types::verify;
