use std::time::SystemTime;

use opentelemetry::trace::{SpanId, SpanKind};

use super::*;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::record::GuardOutcome;

fn record(index: u64) -> Record {
    let key = SecretKey::from_bytes(&[1; 32]);
    let hlc = "2025-10-19T01:23:45.678+00:00#1234".parse().unwrap();
    let reasons = vec!["7 of 9 voted".to_owned(), "9 candidates".to_owned()];
    Record {
        index,
        project: "default".parse().unwrap(),
        project_implied: false,
        state_pre_hash: Hash::of(b"before"),
        transition: Transition::CouncilQuorumCert,
        inputs_hash: Hash::of(b"{}"),
        signer: key.public(),
        idem_key: "goal-7:42:council:0b8e7a52".parse().unwrap(),
        hlc,
        window_id: None,
        guard_outcomes: vec![GuardOutcome { guard: GuardName::Quorum, ok: true, reasons, facts: vec![], grant: None }],
        policy_engine: "none".into(),
        evidence: vec!["ucxl://chorus:spec@council/*^/notes".parse().unwrap()],
        signature: key.sign(b""),
        timestamp: hlc,
        state_post_hash: Hash::of(b"after"),
    }
}

fn way(index: u64, parent: Option<&str>) -> Way {
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    Way {
        record: record(index),
        chain: Hash::of(&index.to_be_bytes()),
        region: Region::Council,
        parent: parent.map(|header| TraceParent::read(header.as_bytes()).unwrap().with_state("a=b")),
        began,
        verify: Some((at(1), at(2))),
        judge: Some((at(3), at(4))),
        commit: (at(5), at(7)),
    }
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn rules(queue: usize, batch: usize) -> Rules {
    Rules { sample_permille: 1_000, queue, batch, every: Duration::from_millis(1) }
}

fn shown(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

fn dropped(metrics: &Metrics, reason: &str) -> String {
    let text = shown(metrics);
    let series = format!("swoosh_trace_spans_dropped_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().to_owned()
}

fn moment() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) }
}

#[test]
fn a_transition_is_one_span_with_a_span_for_each_step_below_it() {
    let way = way(7, Some(SAMPLED));
    let spans = spans(&way, &moment());
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["Council_QuorumCert", "verify", "judge", "commit"]);
    assert_eq!(spans.len() as u64, way.spans());
    let root = &spans[0];
    assert_eq!(root.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(root.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(root.span_context.trace_state().get("a"), Some("b"));
    assert!(root.parent_span_is_remote && root.span_kind == SpanKind::Server);
    for step in &spans[1..] {
        assert_eq!(step.parent_span_id, root.span_context.span_id());
        assert_eq!(step.span_context.trace_id(), root.span_context.trace_id());
        assert!(root.start_time <= step.start_time && step.end_time <= root.end_time);
    }
    let lengths: Vec<_> = spans.iter().map(|span| span.end_time.duration_since(span.start_time).unwrap()).collect();
    assert_eq!(lengths, [7, 1, 1, 2].map(Duration::from_millis));
}

#[test]
fn a_span_tells_reasons_and_evidence() {
    let root = spans(&way(7, None), &moment()).remove(0);
    let attribute = |key: &str| root.attributes.iter().find(|pair| pair.key.as_str() == key).unwrap().value.to_string();
    assert_eq!(attribute("swoosh.guard_reasons"), r#"["quorum: 7 of 9 voted","quorum: 9 candidates"]"#);
    assert_eq!(attribute("swoosh.evidence"), r#"["ucxl://chorus:spec@council/*^/notes"]"#);
    assert_eq!(attribute("swoosh.index"), "7");
    assert_eq!(attribute("swoosh.region"), "council");
    assert_eq!(attribute("swoosh.window_id"), "");
}

#[test]
fn a_trace_without_parent_is_named_after_the_record() {
    let way = way(7, None);
    let root = spans(&way, &moment()).remove(0);
    let chain = way.chain.short(48);
    assert_eq!(root.span_context.trace_id().to_string(), chain[..32]);
    assert_eq!(root.span_context.span_id().to_string(), chain[32..48]);
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    let own = Way { verify: None, ..way };
    let spans = spans(&own, &moment());
    assert_eq!((spans.len() as u64, own.spans()), (3, 3));
    assert_eq!(spans[0].span_kind, SpanKind::Internal);
}

#[test]
fn a_caller_decides_about_its_trace_and_the_ratio_about_the_others() {
    let taken = |permille| (0..4_000).filter(|&index| takes(permille, &way(index, None))).count();
    assert_eq!((taken(0), taken(1_000)), (0, 4_000));
    let quarter = taken(250);
    assert!((900..1_100).contains(&quarter), "{quarter}");
    assert!(takes(0, &way(1, Some(SAMPLED))) && !takes(1_000, &way(1, Some(UNSAMPLED))));
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted() {
    let metrics = Arc::new(Metrics::new());
    let traces = Traces::new(rules(10, 1_000), metrics.clone());
    (1..=5).for_each(|index| traces.put(way(index, None)));
    assert!(shown(&metrics).contains("swoosh_trace_spans_waiting 8\n"));
    assert_eq!(dropped(&metrics, "queue_full"), "12");
    let taken = traces.take().await.unwrap();
    assert_eq!(taken.iter().map(|way| way.record.index).collect::<Vec<_>>(), [1, 2], "the first are kept");
    assert!(shown(&metrics).contains("swoosh_trace_spans_waiting 0\n"));
    traces.put(way(6, None));
    traces.drop_rest("stopping");
    assert_eq!(dropped(&metrics, "stopping"), "4");
    assert!(shown(&metrics).contains("swoosh_trace_spans_waiting 0\n"));
}

#[tokio::test]
async fn a_stop_gives_what_is_left_and_then_nothing() {
    let traces = Traces::new(Rules { every: Duration::from_secs(3_600), ..rules(1_000, 8) }, Arc::default());
    (1..=3).for_each(|index| traces.put(way(index, None)));
    assert_eq!(traces.take().await.unwrap().len(), 2, "a batch");
    traces.stop();
    assert_eq!(traces.take().await.unwrap().len(), 1);
    assert!(traces.take().await.is_none());
}

#[tokio::test]
async fn a_full_batch_wakes_the_exporter() {
    let traces = Arc::new(Traces::new(Rules { every: Duration::from_secs(3_600), ..rules(1_000, 4) }, Arc::default()));
    let waiting = tokio::spawn({
        let traces = traces.clone();
        async move { traces.take().await }
    });
    traces.put(way(1, None));
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}
