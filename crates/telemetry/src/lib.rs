//! Output for operators: metrics, the log, and traces.
//!
//! **Architecture invariant.** Telemetry only reports: no metric or log line influences a decision or blocks the
//! pipeline. All metric names are defined in `metrics`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod log;
pub mod metrics;
pub mod traces;

pub use metrics::Metrics;
