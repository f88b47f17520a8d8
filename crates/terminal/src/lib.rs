//! Shared parts of commands: output as text and JSON, progress, spans of time, interrupts, log files.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod interrupt;
pub mod known_nodes;
pub mod output;
pub mod progress;
pub mod time;
pub mod worklog;
