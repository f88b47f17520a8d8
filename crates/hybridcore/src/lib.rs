//! The orchestration library `hybridcore`: sources, configuration, templates, provisioners,
//! packer, and the state and logs they share. It knows nothing of the daemon and works from the command
//! line alone; the daemon's effects call the same functions.
//!
//! ```text
//! sources ─────────────────────────┐
//! config ── templates ── provisioners ── packer ── state
//!                                            └───── logs
//! ```
//!
//! Everything here blocks: callers that must not wait give it a thread. Every child process is run by
//! [`process`], and everything that goes outside asks its [`leave::Leave`] first and goes on asking.
//!
//! Architecture invariant: `hybridcore` imports `types` and nothing else of ours.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod config;
pub mod definitions;
pub mod documents;
pub mod leave;
pub mod logs;
pub mod packer;
pub mod paths;
pub mod prepare;
pub mod process;
pub mod provisioners;
pub mod retry;
pub mod sources;
pub mod state;
pub mod templates;
pub mod upstreams;
