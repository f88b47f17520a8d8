//! Metrics of what the node knows of the world outside: facts, windows, the license, and who asks for them.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntGauge, Opts, Registry, exponential_buckets};

use super::register::{counters, gauge, gauges, histograms, keep, set};
use super::{
    ASKED, ASKED_IN_VAIN, ASKED_SECONDS, BEAT, FACT_AGE, FACT_LEFT, FACTS, FACTS_EXPIRED, LICENSE_LEFT, Name, PRESSURE,
    PROVIDERS, TOOLS, WINDOW_INDEX, WINDOW_OPEN,
};
use swoosh_types::fact::FactKind;
use swoosh_types::names::WindowClass;

/// How the facts of a kind stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactStanding {
    /// How many are held.
    pub held: u64,
    /// How many of them may not be believed any more.
    pub expired: u64,
    /// When the newest was observed, in milliseconds since 1970; none where none is held.
    pub observed_ms: Option<u64>,
    /// Until when it may be believed, in milliseconds since 1970.
    pub until_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowStanding {
    /// Beats since the epoch.
    pub beat: u64,
    /// Index of the cycle.
    pub cycle: u64,
    /// The tidal pressure, in thousandths.
    pub pressure_permille: u64,
    /// Classes of which a window is open.
    pub open: Vec<WindowClass>,
}

/// The metrics of the world outside.
pub struct World {
    license_left: Gauge,
    facts: Box<[IntGauge]>,
    facts_expired: Box<[IntGauge]>,
    fact_age: GaugeVec,
    fact_left: GaugeVec,
    window_open: Box<[IntGauge]>,
    window_index: IntGauge,
    beat: IntGauge,
    pressure: IntGauge,
    tools: Box<[IntGauge]>,
    asked: Box<[IntCounter]>,
    asked_in_vain: Box<[IntCounter]>,
    asked_seconds: Box<[Histogram]>,
}

impl World {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<World> {
        let kinds: Vec<&str> = FactKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let classes: Vec<&str> = WindowClass::ALL.iter().map(|class| class.as_str()).collect();
        // From 1 ms to 16 s: a question has a deadline of seconds.
        let seconds = exponential_buckets(0.001, 2.0, 15)?;
        Ok(World {
            license_left: keep(registry, Gauge::new(LICENSE_LEFT.name, LICENSE_LEFT.help)?)?,
            facts: gauges(registry, &FACTS, &kinds)?,
            facts_expired: gauges(registry, &FACTS_EXPIRED, &kinds)?,
            fact_age: family(registry, &FACT_AGE)?,
            fact_left: family(registry, &FACT_LEFT)?,
            window_open: gauges(registry, &WINDOW_OPEN, &classes)?,
            window_index: gauge(registry, &WINDOW_INDEX)?,
            beat: gauge(registry, &BEAT)?,
            pressure: gauge(registry, &PRESSURE)?,
            tools: gauges(registry, &TOOLS, &["up", "down"])?,
            asked: counters(registry, &ASKED, PROVIDERS.into_iter())?,
            asked_in_vain: counters(registry, &ASKED_IN_VAIN, PROVIDERS.into_iter())?,
            asked_seconds: histograms(registry, &ASKED_SECONDS, seconds, PROVIDERS.into_iter())?,
        })
    }

    /// The license and its grace run out in so many milliseconds; in none, where no license counts.
    pub fn set_license_left(&self, left_ms: u64) {
        self.license_left.set(seconds(left_ms));
    }

    /// The facts of a kind stand so at this moment, in milliseconds since 1970. A kind of which nothing is held has
    /// no age.
    pub fn set_facts(&self, kind: FactKind, standing: FactStanding, now_ms: u64) {
        let place = kind as usize;
        for (gauges, count) in [(&self.facts, standing.held), (&self.facts_expired, standing.expired)] {
            if let Some(gauge) = gauges.get(place) {
                set(gauge, count);
            }
        }
        let label = [kind.as_str()];
        let Some(observed_ms) = standing.observed_ms else {
            // An error says that there was no such series.
            let _ = self.fact_age.remove_label_values(&label);
            let _ = self.fact_left.remove_label_values(&label);
            return;
        };
        // A clock that was set back makes an age negative, as it then is.
        self.fact_age.with_label_values(&label).set(between(observed_ms, now_ms));
        self.fact_left.with_label_values(&label).set(between(now_ms, standing.until_ms));
    }

    /// Sets the schedule. Without a trusted schedule no window is open.
    pub fn set_windows(&self, standing: Option<&WindowStanding>) {
        let open = |class: &WindowClass| standing.is_some_and(|standing| standing.open.contains(class));
        WindowClass::ALL.iter().zip(&self.window_open).for_each(|(class, gauge)| gauge.set(open(class).into()));
        let Some(standing) = standing else { return };
        set(&self.window_index, standing.cycle);
        set(&self.beat, standing.beat);
        set(&self.pressure, standing.pressure_permille);
    }

    /// So many of the MCP servers that are probed count as up, and so many do not.
    pub fn set_tools(&self, up: u64, down: u64) {
        self.tools.iter().zip([up, down]).for_each(|(gauge, servers)| set(gauge, servers));
    }

    /// A provider, one of [`PROVIDERS`], asked outside, and got something or nothing.
    pub fn asked(&self, provider: &str, brought: bool, took: Duration) {
        let Some(place) = PROVIDERS.iter().position(|name| *name == provider) else { return };
        self.asked.get(place).into_iter().for_each(IntCounter::inc);
        if !brought && let Some(counter) = self.asked_in_vain.get(place) {
            counter.inc();
        }
        if let Some(histogram) = self.asked_seconds.get(place) {
            histogram.observe(took.as_secs_f64());
        }
    }
}

fn family(registry: &Registry, name: &Name) -> prometheus::Result<GaugeVec> {
    keep(registry, GaugeVec::new(Opts::new(name.name, name.help), &[name.label])?)
}

/// Seconds from one moment to another; negative where the other is earlier.
fn between(from_ms: u64, to_ms: u64) -> f64 {
    if to_ms >= from_ms { seconds(to_ms - from_ms) } else { -seconds(from_ms - to_ms) }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
