//! The laboratory: `demo`, `bench` and `chaos`, which start the program `swoosh` as a node and treat it as its users, its load and its
//! faults do. None of it is part of the program that is shipped.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod bench;
pub mod chaos;
pub mod demo;
mod program;
