//! What operators see: metrics and the log.
//!
//! **Architecture invariant.** Telemetry only tells: nothing is decided by a metric or a log line, and
//! neither holds the pipeline back. Every metric name stands in `metrics` and nowhere else.

pub mod log;
pub mod metrics;

pub use metrics::Metrics;
