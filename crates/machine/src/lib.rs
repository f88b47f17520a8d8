//! The pure core: the statechart, the state document, guards and reducers.
//!
//! **Architecture invariant.** No clock, no randomness, no environment, no file, no network, no async,
//! no hash-ordered map decides anything here: the same records give the same states on every machine.
//! `machine` knows nothing of HTTP, of storage, and of who calls it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod authority;
pub mod beats;
pub mod blocks;
pub mod bounds;
pub mod chart;
pub mod election;
pub mod facts;
pub mod guards;
pub mod head;
pub mod identities;
pub mod invariants;
pub mod judge;
pub mod policy;
pub mod reduce;
pub mod replay;
pub mod state;
pub mod upgrade;
