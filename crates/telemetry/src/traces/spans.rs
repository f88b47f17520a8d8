//! Spans of an accepted transition: one for the whole, and one for each step below it.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use super::{Step, Way};
use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;
use swoosh_types::record::Record;
use swoosh_types::text::ClusterId;

/// One moment on both clocks, which converts monotonic readings to wall-clock times.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the monotone clock.
    pub instant: Instant,
    /// By the wall clock.
    pub wall: SystemTime,
}

impl Now {
    fn wall_at(&self, moment: Instant) -> SystemTime {
        let wall = match self.instant.checked_duration_since(moment) {
            Some(ago) => self.wall.checked_sub(ago),
            None => self.wall.checked_add(moment.saturating_duration_since(self.instant)),
        };
        wall.unwrap_or(self.wall)
    }
}

/// Attributes shared by all spans of a node.
pub fn resource(cluster: &ClusterId, node: &PublicKey) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "swoosh"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node.to_string()),
            KeyValue::new("swoosh.cluster", cluster.as_str().to_owned()),
        ])
        .build()
}

/// The spans of a transition.
pub fn spans(way: &Way, now: &Now) -> Vec<SpanData> {
    let root_id = SpanId::from_bytes(root_id(&way.chain));
    let trace = Trace { way, now, trace_id: TraceId::from_bytes(way.trace_id()) };
    let parent = way.parent.as_ref().map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id));
    let mut root = trace.span(way.record.transition.as_str().into(), root_id, parent, (way.began, way.commit.1));
    root.parent_span_is_remote = way.parent.is_some();
    root.span_kind = if way.verify.is_some() { SpanKind::Server } else { SpanKind::Internal };
    root.attributes = attributes(way);
    let steps = [("verify", way.verify), ("judge", way.judge), ("commit", Some(way.commit))];
    let below = steps.into_iter().filter_map(|(name, step)| {
        let id = Hash::of_parts([way.chain.as_bytes().as_slice(), name.as_bytes()]);
        Some(trace.span(name.into(), SpanId::from_bytes(*id.as_bytes().first_chunk()?), root_id, step?))
    });
    std::iter::once(root).chain(below.collect::<Vec<_>>()).collect()
}

/// The name of a transition's own span: the part after the trace's name in the record's link.
fn root_id(chain: &Hash) -> [u8; 8] {
    chain.as_bytes().get(16..24).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

struct Trace<'a> {
    way: &'a Way,
    now: &'a Now,
    trace_id: TraceId,
}

impl Trace<'_> {
    fn span(&self, name: Cow<'static, str>, id: SpanId, parent: SpanId, (begin, end): Step) -> SpanData {
        let state = self.way.parent.as_ref().and_then(|parent| parent.state.parse::<TraceState>().ok());
        let context = SpanContext::new(self.trace_id, id, TraceFlags::SAMPLED, false, state.unwrap_or_default());
        SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time: self.now.wall_at(begin),
            end_time: self.now.wall_at(end),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("swoosh")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

/// Attributes of a transition's span: names, hashes, reasons and addresses, never its inputs.
fn attributes(way: &Way) -> Vec<KeyValue> {
    let record = &way.record;
    let text = |key: &'static str, value: String| KeyValue::new(key, value);
    let window_id = record.window_id.map(|window| window.to_string()).unwrap_or_default();
    vec![
        text("swoosh.project", record.project.to_string()),
        KeyValue::new("swoosh.index", i64::try_from(record.index).unwrap_or(i64::MAX)),
        text("swoosh.transition", record.transition.to_string()),
        text("swoosh.region", way.region.as_str().to_owned()),
        text("swoosh.state_pre_hash", record.state_pre_hash.to_string()),
        text("swoosh.state_post_hash", record.state_post_hash.to_string()),
        text("swoosh.chain", way.chain.to_string()),
        text("swoosh.hlc", record.hlc.to_string()),
        text("swoosh.window_id", window_id),
        text("swoosh.signer", record.signer.to_string()),
        text("swoosh.idem_key", record.idem_key.to_string()),
        KeyValue::new("swoosh.guard_reasons", texts(reasons(record))),
        KeyValue::new("swoosh.evidence", texts(record.evidence.iter().map(ToString::to_string))),
    ]
}

/// Each guard's reasons, with the guard's name before them.
fn reasons(record: &Record) -> impl Iterator<Item = String> {
    let of = |outcome: &swoosh_types::record::GuardOutcome| {
        let guard = outcome.guard;
        outcome.reasons.iter().map(|reason| format!("{guard}: {reason}")).collect::<Vec<_>>()
    };
    record.guard_outcomes.iter().flat_map(of)
}

fn texts(all: impl Iterator<Item = String>) -> Value {
    Value::Array(Array::String(all.map(StringValue::from).collect()))
}
