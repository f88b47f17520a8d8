//! Makes and registers metrics of each kind, with a handle for every label.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::Name;

pub(super) fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

pub(super) fn keep<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

pub(super) fn gauge(registry: &Registry, name: &Name) -> prometheus::Result<IntGauge> {
    keep(registry, IntGauge::new(name.name, name.help)?)
}

pub(super) fn counter(registry: &Registry, name: &Name) -> prometheus::Result<IntCounter> {
    keep(registry, IntCounter::new(name.name, name.help)?)
}

pub(super) fn gauges(registry: &Registry, name: &Name, labels: &[&str]) -> prometheus::Result<Box<[IntGauge]>> {
    let vec = keep(registry, IntGaugeVec::new(Opts::new(name.name, name.help), &[name.label])?)?;
    labels.iter().map(|label| vec.get_metric_with_label_values(&[label])).collect()
}

pub(super) fn histogram(registry: &Registry, name: &Name, buckets: Vec<f64>) -> prometheus::Result<Histogram> {
    keep(registry, Histogram::with_opts(HistogramOpts::new(name.name, name.help).buckets(buckets))?)
}

pub(super) fn counters<'a>(
    registry: &Registry,
    name: &Name,
    labels: impl Iterator<Item = &'a str>,
) -> prometheus::Result<Box<[IntCounter]>> {
    let vec = keep(registry, IntCounterVec::new(Opts::new(name.name, name.help), &[name.label])?)?;
    labels.map(|label| vec.get_metric_with_label_values(&[label])).collect()
}

pub(super) fn histograms<'a>(
    registry: &Registry,
    name: &Name,
    buckets: Vec<f64>,
    labels: impl Iterator<Item = &'a str>,
) -> prometheus::Result<Box<[Histogram]>> {
    let options = HistogramOpts::new(name.name, name.help).buckets(buckets);
    let vec = keep(registry, HistogramVec::new(options, &[name.label])?)?;
    labels.map(|label| vec.get_metric_with_label_values(&[label])).collect()
}
