//! What the tests of several crates share. Only a `[dev-dependencies]` section may name this crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "test code")]

pub mod syscalls;
