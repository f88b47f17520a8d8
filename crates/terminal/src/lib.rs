//! Shared parts of commands: output as text and JSON, failures, progress, spans of time, interrupts, log files, paths of programs.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod failure;
pub mod interrupt;
pub mod known_nodes;
pub mod output;
pub mod programs;
pub mod progress;
pub mod time;
pub mod worklog;
