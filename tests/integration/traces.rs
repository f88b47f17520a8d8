//! Spans of accepted transitions, against a collector that speaks OTLP over real sockets.

use std::time::Duration;

use serde_json::{Value, json};
use swoosh::platform::gate;
use swoosh::platform::otlp::{Collector as Way, Protocol, SendError};
use swoosh::telemetry::traces::resource;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::{Region, Transition};
use swoosh::types::receipt::Receipt;
use swoosh::types::secret::Secret;

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::http::proposal;
use crate::support::otlp::{Collector, Span};
use crate::support::sockets::{Counter, eventually};
use crate::support::world::Ask;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const EVIDENCE: &str = "ucxl://chorus:spec@council:roles/*^/notes";

fn traced(collector: impl std::fmt::Display, more: Value) -> Site {
    Site::with(always_open(), |settings| {
        settings["traces"] = json!({"collector": format!("http://{collector}"), "every_ms": 10});
        more.as_object().unwrap().iter().for_each(|(key, value)| settings["traces"][key] = value.clone());
    })
}

/// Proposes a pause under these header lines.
fn pause(project: &mut Project<'_>, daemon: &Daemon, headers: &[&str]) -> Receipt {
    let mut ask = Ask::new(Transition::ControlPause);
    ask.evidence = vec![EVIDENCE.parse().unwrap()];
    let signed = project.signed(&ask);
    let receipt = daemon.send(&proposal(&bytes(&signed), headers)).receipt();
    project.advance(&signed.proposal, &receipt);
    receipt
}

fn licensed<'a>(site: &'a Site, daemon: &Daemon) -> Project<'a> {
    let mut project = Project::new(site, "alpha");
    project.drive(daemon, Region::Boot, "LICENSED");
    project
}

/// The spans of a record, the whole one first, once they have come.
fn spans_of(collector: &Collector, index: u64) -> Vec<Span> {
    let mut found = Vec::new();
    eventually("the spans come", || {
        let spans = collector.spans();
        let root = spans.iter().find(|span| span.attributes.get("swoosh.index") == Some(&vec![index.to_string()]));
        found = root.into_iter().cloned().collect();
        let below = found.first().map(|root| root.span_id.clone());
        found.extend(spans.into_iter().filter(|span| Some(&span.parent_id) == below.as_ref()));
        found.len() > 1
    });
    found
}

fn a_transition_under_a_caller_s_span(protocol: &str) {
    let collector = Collector::start();
    let site = traced(collector.address, json!({"protocol": protocol}));
    let daemon = site.start();
    let mut project = licensed(&site, &daemon);
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
    let receipt = pause(&mut project, &daemon, &[&parent, "tracestate: vendor=1"]);
    let spans = spans_of(&collector, receipt.index);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["Control_Pause", "verify", "judge", "commit"]);
    let root = &spans[0];
    assert_eq!((root.trace_id.as_str(), root.parent_id.as_str(), root.state.as_str()), (TRACE, PARENT, "vendor=1"));
    for step in &spans[1..] {
        assert_eq!((&step.trace_id, &step.parent_id), (&root.trace_id, &root.span_id));
        assert!(root.times.0 <= step.times.0 && step.times.0 <= step.times.1 && step.times.1 <= root.times.1);
    }
    assert!(spans.windows(2).skip(1).all(|pair| pair[0].times.1 <= pair[1].times.0), "one step after the other");
    let attribute = |key: &str| root.attributes[key].clone();
    let reasons = attribute("swoosh.guard_reasons");
    assert!(reasons.contains(&"signature: the signature is the signer's".to_owned()), "{reasons:?}");
    assert_eq!(attribute("swoosh.evidence"), [EVIDENCE]);
    assert_eq!(attribute("swoosh.state_post_hash"), [receipt.state_post_hash.to_string()]);
    assert_eq!(attribute("swoosh.chain"), [receipt.chain.to_string()]);
    assert_eq!(root.resource["service.name"], ["swoosh"]);
    assert_eq!(root.resource["swoosh.cluster"], [site.cluster.to_string()]);
    let sent = |daemon: &Daemon| !daemon.measures("swoosh_trace_spans_sent_total 0");
    eventually("what was sent is counted", || sent(&daemon));
    assert!(daemon.measures("swoosh_trace_spans_dropped_total{reason=\"not_sent\"} 0"));
}

#[test]
fn an_accepted_transition_is_a_span_below_its_caller_s_by_grpc() {
    a_transition_under_a_caller_s_span("grpc");
}

#[test]
fn an_accepted_transition_is_a_span_below_its_caller_s_by_http() {
    a_transition_under_a_caller_s_span("http");
}

#[test]
fn a_trace_that_no_caller_began_follows_from_the_receipt_and_bad_headers_are_ignored() {
    let collector = Collector::start();
    let site = traced(collector.address, json!({}));
    let daemon = site.start();
    let mut project = licensed(&site, &daemon);
    let long = format!("traceparent: 00-{TRACE}-{PARENT}-01-more");
    let good = format!("traceparent: 00-{TRACE}-{PARENT}-01");
    let all: [&[&str]; 5] = [
        &[],
        &["traceparent: garbage"],
        &[&long],
        &[&good, &good],
        &["traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01"],
    ];
    for headers in all {
        let receipt = pause(&mut project, &daemon, headers);
        project.accept(&daemon, Transition::ControlResume);
        let root = &spans_of(&collector, receipt.index)[0];
        let chain = receipt.chain.short(48);
        assert_eq!((root.trace_id.as_str(), root.span_id.as_str()), (&chain[..32], &chain[32..]), "{headers:?}");
        assert_eq!(root.parent_id, "", "{headers:?}");
    }
    let own: Vec<_> = collector.spans().into_iter().filter(|span| span.parent_id.is_empty()).collect();
    let roots: std::collections::BTreeSet<_> = own.iter().map(|span| &span.attributes["swoosh.index"]).collect();
    assert_eq!(own.len(), roots.len(), "one for each transition");
}

#[test]
fn a_caller_decides_about_its_trace_whatever_the_ratio() {
    let collector = Collector::start();
    let site = traced(collector.address, json!({"sample_permille": 0}));
    let daemon = site.start();
    let mut project = licensed(&site, &daemon);
    let kept = format!("traceparent: 00-{TRACE}-{PARENT}-01");
    let passed = format!("traceparent: 00-{TRACE}-{PARENT}-00");
    pause(&mut project, &daemon, &[&passed]);
    project.accept(&daemon, Transition::ControlResume);
    let receipt = pause(&mut project, &daemon, &[&kept]);
    assert_eq!(spans_of(&collector, receipt.index).len(), 4);
    daemon.terminate();
    assert_eq!(collector.spans().len(), 4, "{:#?}", collector.spans());
}

#[test]
fn a_collector_that_is_down_costs_spans_alone_and_is_used_once_it_is_up() {
    let address = Collector::start().address;
    let site = traced(address, json!({"queue": 64, "batch": 8, "timeout_ms": 100}));
    let daemon = site.start();
    let mut project = licensed(&site, &daemon);
    for _ in 0..20 {
        project.accept(&daemon, Transition::ControlPause);
        project.accept(&daemon, Transition::ControlResume);
    }
    for reason in ["queue_full", "not_sent"] {
        let none = format!("swoosh_trace_spans_dropped_total{{reason=\"{reason}\"}} 0");
        eventually(reason, || {
            project.accept(&daemon, Transition::ControlPause);
            project.accept(&daemon, Transition::ControlResume);
            !daemon.measures(&none)
        });
    }
    let collector = Collector::start_at(address);
    eventually("it is used again", || {
        project.accept(&daemon, Transition::ControlPause);
        project.accept(&daemon, Transition::ControlResume);
        !collector.spans().is_empty()
    });
    let log = daemon.terminate();
    let lines_with = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines_with("spans are lost until the trace collector takes them"), 1, "{log:#?}");
    assert_eq!(lines_with("the trace collector takes spans again"), 1);
}

#[test]
fn a_collector_that_never_answers_holds_up_neither_transitions_nor_the_end() {
    for protocol in ["grpc", "http"] {
        let silent = Counter::start();
        let more = json!({"protocol": protocol, "timeout_ms": 60_000, "batch": 8, "queue": 64});
        let site = traced(silent.address, more);
        let daemon = site.start();
        let mut project = licensed(&site, &daemon);
        eventually("it is tried", || silent.connections() > 0);
        project.accept(&daemon, Transition::ControlPause);
        daemon.kill();
    }
    let silent = Counter::start();
    let site = traced(silent.address, json!({"timeout_ms": 100}));
    let daemon = site.start();
    licensed(&site, &daemon);
    eventually("it is tried", || silent.connections() > 0);
    daemon.terminate();
}

#[test]
fn grpc_to_an_address_with_tls_is_refused_at_the_start_with_what_to_set() {
    let site = Site::with(always_open(), |settings| {
        settings["traces"] = json!({"collector": "https://collector.example:4317"});
    });
    let (code, said) = site.start_refused();
    assert!(code == Some(1) && said.contains("traces.collector"), "{said}");
    assert!(said.contains("set traces.protocol to http"), "{said}");
    site.change_settings(|settings| settings["traces"]["protocol"] = json!("http"));
    site.start().terminate();
}

#[test]
fn waiting_spans_are_sent_before_shutdown() {
    let collector = Collector::start();
    let site = traced(collector.address, json!({"every_ms": 60_000}));
    let daemon = site.start();
    let mut project = licensed(&site, &daemon);
    let receipt = project.accept(&daemon, Transition::ControlPause);
    daemon.terminate();
    assert_eq!(spans_of(&collector, receipt.index).len(), 4);
}

#[test]
fn without_a_collector_nothing_is_drawn() {
    let site = Site::new();
    let daemon = site.start();
    licensed(&site, &daemon);
    for line in ["swoosh_trace_spans_waiting 0", "swoosh_trace_spans_sent_total 0"] {
        assert!(daemon.measures(line));
    }
}

#[test]
fn the_token_is_sent_with_every_batch_and_a_closed_gate_lets_none_out() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::start();
        let (keeper, gate) = gate::closed("no license yet");
        let address = format!("http://{}", collector.address).parse().unwrap();
        let token = Some(Secret::new("canary".to_owned()));
        let resource = resource(&"test".parse().unwrap(), &SecretKey::from_bytes(&[1; 32]).public());
        let way_out = Way::new(gate, (protocol, address), Duration::from_secs(60), token, resource);
        let send = || runtime.block_on(way_out.send(Vec::new()));
        assert!(matches!(send(), Err(SendError::Closed(_))));
        keeper.open();
        send().unwrap();
        assert_eq!(collector.bearers(), ["Bearer canary"], "{protocol:?}");
        assert!(!format!("{way_out:?}").contains("canary"));
        keeper.close("the license ran out");
        assert!(matches!(send(), Err(SendError::Closed(_))));
        assert_eq!(collector.bearers().len(), 1);
    }
}
