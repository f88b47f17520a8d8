//! A cluster of three to five nodes: one replicated log, one leader in each term.
//!
//! [`ports`] has the interfaces of the journal, the wire and the sequencer. [`messages`] has the messages between members. [`engine`]
//! connects them to openraft. [`inspect`] checks rows before a follower acknowledges them. docs/decisions/consensus.md has the decision, and docs/decisions/consensus-engine.md notes on the engine.
//!
//! **Architecture invariant.** `engine` alone names openraft; no type of the engine reaches disk, wire or another crate. [`Runtime`] is
//! the exception: the simulation brings its own.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod directory;
pub mod engine;
pub mod inspect;
pub mod messages;
pub mod peer;
pub mod ports;
pub mod wire;

pub use openraft_rt::AsyncRuntime as Runtime;
pub use swoosh_types::cluster as types;
