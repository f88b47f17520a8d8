//! Exporters over a real journal, with scripted sinks.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::Redaction;
use swoosh_journal::testing::Node;
use swoosh_types::json::Json;

const PACE: Pace = Pace { batch: 4, retry_min: Duration::from_millis(1), retry_max: Duration::from_millis(4) };
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("too much")]
    TooMuch,
    #[error("not now")]
    NotNow,
}

/// Requests to a sink and its answers; with no answer left, it takes everything.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    answers: VecDeque<Result<usize, Refusal>>,
    batches: Vec<Vec<u64>>,
    taken: Vec<u64>,
    last: Option<(u64, DecisionId)>,
    /// Never answers.
    stalled: bool,
}

impl Script {
    fn with(answers: impl IntoIterator<Item = Result<usize, Refusal>>) -> Script {
        let script = Script::default();
        script.0.lock().unwrap().answers = answers.into_iter().collect();
        script
    }

    fn taken(&self) -> Vec<u64> {
        self.0.lock().unwrap().taken.clone()
    }

    fn batches(&self) -> Vec<Vec<u64>> {
        self.0.lock().unwrap().batches.clone()
    }
}

impl Sink for Script {
    type Error = Refusal;

    async fn last_taken(&mut self) -> Result<Option<(u64, DecisionId)>, Refusal> {
        Ok(self.0.lock().unwrap().last.clone())
    }

    async fn take(&mut self, batch: &[Exported]) -> Result<usize, Refusal> {
        let indexes: Vec<u64> = batch.iter().map(|exported| exported.index).collect();
        let (answer, stalled) = {
            let mut shared = self.0.lock().unwrap();
            shared.batches.push(indexes.clone());
            (shared.answers.pop_front().unwrap_or(Ok(batch.len())), shared.stalled)
        };
        if stalled {
            std::future::pending::<()>().await;
        }
        let taken = answer?;
        self.0.lock().unwrap().taken.extend(&indexes[..taken]);
        Ok(taken)
    }

    fn is_too_much(error: &Refusal) -> bool {
        *error == Refusal::TooMuch
    }

    fn wait_for(_: &Refusal) -> Option<Duration> {
        None
    }
}

fn exporter<S: Sink>(node: &Node, position: u64, sink: S) -> Exporter<S> {
    let journal = node.journal.clone();
    let port: JournalPort = Arc::new(move || (journal.clone(), journal.last().0));
    Exporter::new("script", position, port, Arc::new(Redaction::default()), PACE, || 7, sink)
}

/// A node with so many records of two projects.
fn node(records: u64) -> Node {
    let mut node = Node::new();
    for index in 0..records {
        node.commit(&[["alpha", "beta"][index as usize % 2]]);
    }
    node
}

/// Runs an exporter until a condition holds.
async fn run_until<S: Sink + 'static>(exporter: Exporter<S>, done: impl Fn(&Progress) -> bool) -> Arc<Progress> {
    let (progress, began) = (exporter.progress(), Instant::now());
    let task = tokio::spawn(exporter.run());
    while !done(&progress) {
        assert!(began.elapsed() < PATIENCE, "{progress:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task.abort();
    let _ = task.await;
    progress
}

/// Whether everything up to here was delivered and the journal has the position, which is written afterwards.
fn noted(node: &Node, progress: &Progress, index: u64) -> bool {
    let positions = node.journal.export_positions().unwrap();
    progress.position() == index && positions.first().is_some_and(|position| position.index == index)
}

#[tokio::test]
async fn every_record_leaves_once_and_in_order_and_a_restart_goes_on_where_it_was() {
    let (mut node, sink) = (node(10), Script::default());
    let position = node.journal.begin_exports(&["script"]).unwrap()[0];
    run_until(exporter(&node, position, sink.clone()), |progress| noted(&node, progress, 10)).await;
    assert_eq!(sink.taken(), (1..=10).collect::<Vec<_>>());
    assert!(sink.batches().iter().all(|batch| batch.len() <= PACE.batch));
    node.commit(&["alpha", "beta"]);
    let position = node.journal.begin_exports(&["script"]).unwrap()[0];
    assert_eq!(position, 10);
    run_until(exporter(&node, position, sink.clone()), |progress| progress.position() == 12).await;
    assert_eq!(sink.taken(), (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_sink_takes_in_part_or_refuses_comes_again_and_nothing_is_left_out() {
    let script = [Err(Refusal::NotNow), Ok(2), Ok(0), Err(Refusal::NotNow), Ok(1)];
    let (node, sink) = (node(7), Script::with(script));
    let progress = run_until(exporter(&node, 0, sink.clone()), |progress| noted(&node, progress, 7)).await;
    assert_eq!(sink.taken(), (1..=7).collect::<Vec<_>>());
    assert_eq!(progress.failures(), 3);
    assert_eq!(node.journal.export_positions().unwrap()[0].index, 7);
}

#[tokio::test]
async fn a_batch_that_is_too_much_is_halved_until_it_is_taken() {
    let (node, sink) = (node(9), Script::with([Err(Refusal::TooMuch), Err(Refusal::TooMuch), Ok(1)]));
    run_until(exporter(&node, 0, sink.clone()), |progress| progress.position() == 9).await;
    let sizes: Vec<usize> = sink.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 2, 1, 2, 4, 2]);
}

#[tokio::test]
async fn a_stalled_sink_shows_as_lag_and_holds_neither_the_log_nor_memory() {
    let (mut node, sink) = (node(5), Script::default());
    sink.0.lock().unwrap().stalled = true;
    let exporter = exporter(&node, 0, sink.clone());
    let (progress, task) = (exporter.progress(), tokio::spawn(exporter.run()));
    let began = Instant::now();
    while sink.batches().is_empty() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (0..50).for_each(|_| drop(node.commit(&["alpha"])));
    assert_eq!((node.journal.last().0, progress.position()), (55, 0));
    assert_eq!(sink.batches(), [[1, 2, 3, 4]]);
    task.abort();
}

#[tokio::test]
async fn nothing_leaves_that_is_not_durable_yet() {
    let (node, sink, durable) = (node(5), Script::default(), Arc::new(AtomicU64::new(2)));
    let (journal, seen) = (node.journal.clone(), durable.clone());
    let port: JournalPort = Arc::new(move || (journal.clone(), seen.load(Ordering::Acquire)));
    let exporter = Exporter::new("script", 0, port, Arc::default(), PACE, || 7, sink.clone());
    let task = tokio::spawn(exporter.run());
    let began = Instant::now();
    while sink.taken().len() < 2 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    durable.store(4, Ordering::Release);
    while sink.taken().len() < 4 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task.abort();
    assert_eq!(sink.batches(), [[1, 2], [3, 4]]);
}

#[tokio::test]
async fn a_sink_that_took_more_than_was_noted_is_believed_for_this_log_alone() {
    let node = node(6);
    let id = |index| {
        let stored = node.journal.record(index).unwrap().unwrap();
        DecisionId::of(&stored.record.project, index, &stored.chain)
    };
    let of_another_log = DecisionId { digest: "0123456789abcdef".into(), ..id(4) };
    for (last, first) in [((4, id(4)), 5), ((4, of_another_log), 1), ((9, id(4)), 1)] {
        let sink = Script::default();
        sink.0.lock().unwrap().last = Some(last);
        run_until(exporter(&node, 0, sink.clone()), |progress| progress.position() == 6).await;
        assert_eq!(sink.taken(), (first..=6).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_position_that_cannot_be_noted_makes_no_record_leave_twice() {
    let (node, sink) = (node(9), Script::default());
    // It takes no notes.
    let shown = Journal::open_read_only(node.directory.path()).unwrap();
    let port: JournalPort = Arc::new(move || (shown.clone(), 9));
    let exporter = Exporter::new("script", 0, port, Arc::default(), PACE, || 7, sink.clone());
    let progress = run_until(exporter, |progress| progress.failures() > 5).await;
    assert_eq!(sink.taken(), (1..=4).collect::<Vec<_>>());
    assert_eq!((progress.position(), progress.problem().is_some()), (4, true));
}

#[test]
fn pauses_double_up_to_the_longest_and_differ() {
    let pace = Pace { batch: 1, retry_min: Duration::from_millis(100), retry_max: Duration::from_millis(1_000) };
    let longest = |failures| pace.pause(failures, None, 0).as_millis();
    assert_eq!([1, 2, 3, 4, 5, 90, u32::MAX].map(longest), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
    for random in [1, 50, 51, u64::MAX] {
        let pause = pace.pause(1, None, random).as_millis();
        assert!((50..=100).contains(&pause), "{pause}");
    }
    assert_eq!(pace.pause(1, Some(Duration::from_millis(700)), 0).as_millis(), 700);
    assert_eq!(pace.pause(1, Some(Duration::from_secs(3600)), 0).as_millis(), 1_000);
}

fn indexes(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let index = |line: &str| match Json::parse(line.as_bytes()).unwrap().as_object().unwrap()["index"] {
        Json::Integer(index) => index,
        _ => panic!("{line}"),
    };
    text.lines().map(index).collect()
}

async fn run_jsonl(node: &Node, position: u64, path: &Path) {
    let last = node.journal.last().0;
    let jsonl = exporter(node, position, Jsonl::new(path.to_owned()));
    run_until(jsonl, |progress| progress.position() == last).await;
}

#[tokio::test]
async fn a_torn_line_goes_and_what_was_written_but_not_noted_is_not_written_twice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.jsonl");
    let mut node = node(3);
    run_jsonl(&node, 0, &path).await;
    assert_eq!(indexes(&path), [1, 2, 3]);
    node.commit(&["alpha", "beta"]);
    // As after a kill: the file is ahead of the position, and ends in half a line.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &whole[..40]].concat()).unwrap();
    run_jsonl(&node, 1, &path).await;
    assert_eq!(indexes(&path), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_file_that_was_rotated_or_is_of_another_log_goes_on_after_the_position() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.jsonl");
    let mut first = node(3);
    run_jsonl(&first, 0, &path).await;
    std::fs::rename(&path, directory.path().join("decisions.jsonl.1")).unwrap();
    first.commit(&["alpha"]);
    run_jsonl(&first, 3, &path).await;
    assert_eq!(indexes(&path), [4]);
    std::fs::write(&path, "\n").unwrap();
    run_jsonl(&first, 3, &path).await;
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("\n{"));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later/decisions.jsonl");
    let node = node(2);
    let jsonl = exporter(&node, 0, Jsonl::new(path.clone()));
    let (progress, task) = (jsonl.progress(), tokio::spawn(jsonl.run()));
    let began = Instant::now();
    while progress.problem().is_none() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(progress.problem().unwrap().starts_with("cannot open"), "{progress:?}");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    while progress.position() < 2 || progress.problem().is_some() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task.abort();
    assert_eq!(indexes(&path), [1, 2]);
}

/// A server with a scripted reply.
struct Scripted(Reply);

impl Post for Scripted {
    async fn post(&self, _: Vec<u8>) -> Result<Reply, String> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn only_what_the_server_names_counts_as_taken() {
    let node = node(2);
    let exporter = exporter(&node, 0, Script::default());
    let batch = exporter.next_batch().await.unwrap();
    let ask = async |status, body: String| {
        let reply = Reply { status, body: body.into_bytes(), retry_after: None };
        Bubble::new(Scripted(reply)).take(&batch).await
    };
    let accept = |accepted: u64, last: &str| format!(r#"{{"accepted": {accepted}, "last": "{last}"}}"#);
    let (first, second) = (batch[0].id.to_string(), batch[1].id.to_string());
    assert_eq!(ask(200, accept(2, &second)).await, Ok(2));
    assert_eq!(ask(202, accept(1, &first)).await, Ok(1));
    for (status, body) in [
        (200, "<html>welcome to the hotel</html>".to_owned()),
        (200, String::new()),
        (200, accept(2, &first)),
        (200, accept(3, &second)),
        (200, r#"{"accepted": 2}"#.to_owned()),
        (200, r#"{"accepted": -1, "last": null}"#.to_owned()),
    ] {
        assert!(matches!(ask(status, body.clone()).await, Err(BubbleError::Garbage(_))), "{body}");
    }
    for status in [204, 301, 400, 404, 413, 429, 500, 503] {
        assert!(matches!(ask(status, accept(2, &second)).await, Err(BubbleError::Refused { .. })), "{status}");
    }
    let denied = ask(401, "canary".into()).await.unwrap_err();
    assert_eq!(denied, BubbleError::Denied { status: 401 });
    assert!(!denied.to_string().contains("canary"));
    assert_eq!(ask(200, accept(0, &first)).await, Ok(0));
}
