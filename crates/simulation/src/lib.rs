//! The real machine, sequencer and journal over a simulated clock, disk, network and world outside, from one
//! seed, in one thread. See docs/chaos.md.
//!
//! **Architecture invariant.** It imports everything and is imported by `swoosh-lab` and tests alone. Chance comes from the seed and
//! from nowhere else, so that a run is a function of its script.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod chaos;
pub mod clients;
pub mod cluster;
mod disk;
mod effects;
mod faults;
mod healing;
mod invariants;
mod life;
mod liveness;
#[cfg(test)]
mod local_damage;
#[cfg(test)]
mod member_log;
mod network;
mod node;
mod operators;
mod oracle;
mod outside;
mod planted;
mod proposals;
mod receipts;
mod run;
mod runtime;
mod shrink;
mod trace;
mod well_formed;
mod workers;
mod world;

pub use faults::{Fault, Rates, RatesError, Tally};
pub use healing::Times;
pub use oracle::Violation;
pub use planted::Bug;
pub use run::{Ended, Failure, Plan, Progress, Report, Script, ScriptError, TURNS, replay, run};
