//! What operators see: metrics, the log, and traces.
//!
//! **Architecture invariant.** Telemetry only tells: nothing is decided by a metric or a log line, and
//! none holds the pipeline back. Every metric name stands in `metrics` and nowhere else.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod log;
pub mod metrics;
pub mod traces;

pub use metrics::Metrics;
