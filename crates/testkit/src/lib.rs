//! Code that tests of several crates, the simulation and the laboratory share. The shipped program has none of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "test code")]

pub mod hands;
pub mod http;
pub mod inputs;
pub mod outside;
pub mod random;
pub mod route;
pub mod syscalls;
pub mod voters;
