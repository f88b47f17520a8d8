//! Metrics as text, with or without series that name projects.

use prometheus::{Encoder, TextEncoder};

use super::{Metrics, sources};

impl Metrics {
    /// All metrics in Prometheus text format; see [`CONTENT_TYPE`](super::CONTENT_TYPE).
    pub fn render(&self) -> Vec<u8> {
        self.render_for(&|_| true)
    }

    /// The same, without series of projects that may not be shown.
    pub fn render_for(&self, may_show: &dyn Fn(&str) -> bool) -> Vec<u8> {
        let mut families = self.registry.gather();
        sources::hide(&mut families, may_show);
        let mut text = Vec::with_capacity(32 * 1024);
        // Writing to memory does not fail; a metric that cannot be written is left out.
        let _ = TextEncoder::new().encode(&families, &mut text);
        text
    }
}
