//! Metrics of what becomes of spans.

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, gauge, keep, set};
use super::{SPANS_DROPPED, SPANS_SENT, SPANS_WAITING};
use crate::traces::DROP_REASONS;

/// The metrics of spans.
pub struct Spans {
    sent: IntCounter,
    dropped: Box<[IntCounter]>,
    waiting: IntGauge,
}

impl Spans {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Spans> {
        Ok(Spans {
            sent: keep(registry, IntCounter::new(SPANS_SENT.name, SPANS_SENT.help)?)?,
            dropped: counters(registry, &SPANS_DROPPED, DROP_REASONS.into_iter())?,
            waiting: gauge(registry, &SPANS_WAITING)?,
        })
    }

    /// The trace collector took so many.
    pub fn sent(&self, spans: u64) {
        self.sent.inc_by(spans);
    }

    /// So many were dropped, for one of [`DROP_REASONS`].
    pub fn dropped(&self, reason: &str, spans: u64) {
        let place = DROP_REASONS.iter().position(|name| *name == reason);
        if let Some(counter) = place.and_then(|place| self.dropped.get(place)) {
            counter.inc_by(spans);
        }
    }

    /// So many wait to be sent.
    pub fn set_waiting(&self, spans: u64) {
        set(&self.waiting, spans);
    }
}
