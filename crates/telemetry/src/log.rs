//! The log: JSON lines (or text) on standard output, and optionally in a file. A thread of its own writes them, so a
//! slow reader of the log never blocks the pipeline. Lines that do not fit into the thread's queue are dropped and
//! counted; a line of its own reports the count.

mod clean;
mod straight;
mod targets;
mod text;
mod throttle;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use clean::{Cleaner, clean_with};
use swoosh_types::names::GuardName;
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::Rejection;
use throttle::Throttle;

/// Lines that may wait to be written.
const QUEUED_LINES: usize = 65_536;
/// Target of the line that reports dropped lines.
const TARGET: &str = "swoosh::telemetry";
/// How long the thread waits for more lines once some are there.
const GATHERING: Duration = Duration::from_millis(2);
/// How long the end of the process waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, every field at its top level.
    Json,
    /// Text for people.
    Text,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("the log level {filter:?} cannot be read: {source}; write a level such as info")]
    Filter { filter: String, source: ParseError },
    /// There is no thread to write it.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// There is a log already.
    #[error("the log is open already: {0}")]
    Twice(#[from] TryInitError),
}

/// Opens the log of the process on standard output, and in a file besides. Keep the guard until the end.
pub fn open(filter: &str, format: Format, file: Option<Box<dyn Write + Send>>) -> Result<LogGuard, LogError> {
    let (filter, changeable) = reload::Layer::new(parse(filter)?);
    let (writer, guard) = queue(Both { out: io::stdout(), file }, format)?;
    tracing_subscriber::registry().with(filter).with(layer(format, writer.clone())).try_init()?;
    // There is one log in a process, so it is set once.
    let _ = FILTER.set(changeable);
    let _ = OPENED.set(guard.lines.clone());
    if format == Format::Json {
        let _ = STRAIGHT.set(writer);
    }
    Ok(guard)
}

/// Changes what the open log takes: a level, or levels by module, as [`open`] takes them. Without an open log only the
/// filter is checked.
pub fn set_filter(filter: &str) -> Result<(), LogError> {
    let parsed = parse(filter)?;
    // It cannot fail: the subscriber is there until the process ends.
    let _ = FILTER.get().map(|changeable| changeable.reload(parsed));
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let parsed = EnvFilter::builder().parse(targets::by_crate(filter));
    parsed.map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// The filter of the open log.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Where lines that are written for each transition go straight to: the formatter's visitors cost as much as
/// a section of the state takes to be hashed.
static STRAIGHT: OnceLock<LineQueue> = OnceLock::new();

/// The layer that writes lines of a format, for building a subscriber.
pub fn layer<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Json => Box::new(layer.json().flatten_event(true).with_current_span(false).with_span_list(false)),
        Format::Text => Box::new(layer.event_format(text::Text)),
    }
}

/// Standard output, and a file that gets the same.
struct Both {
    out: io::Stdout,
    file: Option<Box<dyn Write + Send>>,
}

impl Write for Both {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // The file first: the reader of standard output may be gone.
        let filed = self.file.as_mut().map_or(Ok(()), |file| file.write_all(lines));
        self.out.write_all(lines).and(filed).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Logs one accepted transition, with the five fields that every such line has (docs/design.md#observability) and where it
/// happened. Without a window, `window_id` is empty.
pub fn transition_accepted(record: &Record) {
    match STRAIGHT.get() {
        Some(queue) if tracing::enabled!(target: "swoosh::transition", tracing::Level::INFO) => {
            queue.0.put(|line| straight::transition_accepted(record, line));
        }
        Some(_) => {}
        None => tell_accepted(record),
    }
}

/// By way of the subscriber.
fn tell_accepted(record: &Record) {
    let window_id = record.window_id.map(|window| window.to_string()).unwrap_or_default();
    tracing::info!(
        target: "swoosh::transition",
        project = record.project.as_str(),
        index = record.index,
        transition = record.transition.as_str(),
        state_pre_hash = %record.state_pre_hash,
        state_post_hash = %record.state_post_hash,
        hlc = %record.hlc,
        window_id,
        signer = %record.signer,
        "transition accepted"
    );
}

/// Logs a refused proposal at INFO, with the fields of an accepted one as far as they are known: its head is the one that
/// the caller named, and there is none after it. At most ten lines a second; `left_out` counts the others since.
pub fn proposal_refused(proposal: &Proposal, rejection: &Rejection) {
    let Some(left_out) = REFUSALS.pass() else { return };
    tracing::info!(
        target: "swoosh::refusal",
        project = proposal.project().as_str(),
        transition = proposal.transition.as_str(),
        state_pre_hash = %proposal.current_state_hash,
        state_post_hash = "",
        hlc = %proposal.hlc,
        window_id = proposal.window_id.map(|window| window.to_string()).unwrap_or_default(),
        signer = %proposal.signer,
        code = %rejection.code,
        guard = rejection.guard().map_or("", GuardName::as_str),
        reasons = shorten(&rejection.reasons.join("; ")),
        left_out,
        "proposal refused"
    );
}

/// Logs a request that was refused before its signature was verified, at the same rate. Its own claims are not shown,
/// since they are unverified.
pub fn request_refused(guard: GuardName, rejection: &Rejection) {
    let Some(left_out) = REFUSALS.pass() else { return };
    tracing::info!(
        target: "swoosh::refusal",
        project = "",
        transition = "",
        state_pre_hash = "",
        state_post_hash = "",
        hlc = "",
        window_id = "",
        code = %rejection.code,
        guard = guard.as_str(),
        reasons = shorten(&rejection.reasons.join("; ")),
        left_out,
        "proposal refused"
    );
}

/// The beginning of a text that a caller may have chosen.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

const REASON_CHARS: usize = 500;
static REFUSALS: LazyLock<Throttle> = LazyLock::new(|| Throttle::new(10));

/// Log lines of this process that found no room so far.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Lines of the process's log, whichever queue they were meant for: there is one.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Queued lines, and flags for the writer thread.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: usize,
    dropped: u64,
    /// Whether the thread sleeps until it is woken.
    idle: bool,
    stopping: bool,
}

struct Lines {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Lines that may wait.
    most: usize,
    /// Whether the thread is done.
    ended: AtomicBool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while a line is written leaves at most half a line.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line down and wakes the thread where it sleeps.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.lock();
        if waiting.lines >= self.most {
            waiting.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        write(&mut waiting.bytes);
        waiting.lines += 1;
        if std::mem::take(&mut waiting.idle) {
            self.wake.notify_one();
        }
    }

    fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_one();
    }
}

/// Hands lines to the thread that writes them.
#[derive(Clone)]
pub struct LineQueue(Arc<Lines>);

/// Writes what waits when it is dropped, at the end of the process.
pub struct LogGuard {
    lines: Arc<Lines>,
    done: Receiver<()>,
}

/// A queue of lines and the thread that writes them to `out`.
pub fn queue(out: impl Write + Send + 'static, format: Format) -> io::Result<(LineQueue, LogGuard)> {
    queue_of(out, format, QUEUED_LINES)
}

fn queue_of(out: impl Write + Send + 'static, format: Format, most: usize) -> io::Result<(LineQueue, LogGuard)> {
    let lines =
        Arc::new(Lines { waiting: Mutex::default(), wake: Condvar::new(), most, ended: AtomicBool::new(false) });
    let (finished, done) = mpsc::channel();
    let guard = LogGuard { lines: lines.clone(), done };
    let queue = LineQueue(lines.clone());
    thread::Builder::new().name("log".into()).spawn(move || {
        write_lines(out, format, &lines);
        lines.ended.store(true, Ordering::Release);
        let _ = finished.send(());
    })?;
    Ok((queue, guard))
}

/// The lines of the process's log.
static OPENED: OnceLock<Arc<Lines>> = OnceLock::new();

/// Writes what waits and closes the log, for a process that is about to abort: nothing is dropped then.
pub fn close() {
    let Some(lines) = OPENED.get() else { return };
    lines.stop();
    let began = Instant::now();
    while !lines.ended.load(Ordering::Acquire) && began.elapsed() < LAST_WORDS {
        thread::sleep(GATHERING);
    }
}

/// Writes lines until it is stopped. A failure to write the log cannot be reported anywhere, so errors are ignored.
fn write_lines(mut out: impl Write, format: Format, lines: &Lines) {
    let mut taken = Waiting::default();
    while !taken.stopping {
        take_lines(lines, &mut taken);
        let _ = out.write_all(&taken.bytes);
        tell_dropped(&mut out, format, taken.dropped);
        let _ = out.flush();
    }
}

/// Waits for lines, and then a little for more, so that a busy node wakes the thread seldom: a thread that is woken
/// for each line takes the processor from who writes the next.
fn take_lines(lines: &Lines, taken: &mut Waiting) {
    taken.bytes.clear();
    let mut waiting = lines.lock();
    while waiting.lines == 0 && !waiting.stopping {
        waiting.idle = true;
        waiting = lines.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
    waiting.idle = false;
    let more = lines.wake.wait_timeout_while(waiting, GATHERING, |waiting| !waiting.stopping);
    let mut waiting = more.unwrap_or_else(PoisonError::into_inner).0;
    (taken.stopping, taken.dropped) = (waiting.stopping, std::mem::take(&mut waiting.dropped));
    waiting.lines = 0;
    std::mem::swap(&mut waiting.bytes, &mut taken.bytes);
}

fn tell_dropped(out: &mut impl Write, format: Format, count: u64) {
    let _ = match (count, format) {
        (0, _) => Ok(()),
        (_, Format::Json) => writeln!(
            out,
            r#"{{"timestamp":"{}","level":"WARN","message":"log lines dropped","dropped":{count},"target":"{TARGET}"}}"#,
            text::now()
        ),
        (_, Format::Text) => writeln!(out, "[{}] WARN {TARGET}: log lines dropped dropped={count}", text::now()),
    };
}

impl Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber writes each line in one piece.
        self.0.put(|bytes| clean::append(line, bytes));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineQueue {
    type Writer = LineQueue;
    fn make_writer(&self) -> LineQueue {
        self.clone()
    }
}

impl std::fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogGuard")
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.lines.stop();
        // A thread that does not end is blocked on a log without reader; the log's end is lost then.
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::hash::Hash;
    use swoosh_types::keys::SecretKey;
    use swoosh_types::names::Transition;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(window: Option<&str>) -> Record {
        let key = SecretKey::from_bytes(&[1; 32]);
        let hlc = "2025-10-19T01:23:45.678+00:00#1234".parse().unwrap();
        Record {
            index: 7,
            project: "default".parse().unwrap(),
            project_implied: false,
            state_pre_hash: Hash::of(b"before"),
            transition: Transition::CouncilQuorumCert,
            inputs_hash: Hash::of(b"{}"),
            signer: key.public(),
            idem_key: "goal-7:42:council:0b8e7a52".parse().unwrap(),
            hlc,
            window_id: window.map(|window| window.parse().unwrap()),
            guard_outcomes: vec![],
            policy_engine: "none".into(),
            evidence: vec![],
            signature: key.sign(b""),
            timestamp: hlc,
            state_post_hash: Hash::of(b"after"),
        }
    }

    /// Waits for the last line, however long it takes.
    fn finish(guard: &LogGuard) {
        guard.lines.stop();
        guard.done.recv().unwrap();
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let (writer, guard) = queue(memory.clone(), format).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(format, writer));
        tracing::subscriber::with_default(subscriber, log);
        finish(&guard);
        memory.text()
    }

    #[test]
    fn an_accepted_transition_is_one_json_object_with_its_fields_at_the_top() {
        let text = logged(Format::Json, || {
            tell_accepted(&record(Some("backbeat:W-2025-10-19-01")));
            tell_accepted(&record(None));
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [with_window, without] = &lines[..] else { panic!("{text}") };
        assert_eq!(with_window["state_pre_hash"], Hash::of(b"before").to_string());
        assert_eq!(with_window["state_post_hash"], Hash::of(b"after").to_string());
        assert_eq!(with_window["transition"], "Council_QuorumCert");
        assert_eq!(with_window["hlc"], "2025-10-19T01:23:45.678+00:00#1234");
        assert_eq!(with_window["window_id"], "backbeat:W-2025-10-19-01");
        assert_eq!((&with_window["project"], &with_window["index"]), (&"default".into(), &7.into()));
        assert_eq!(with_window["message"], "transition accepted");
        assert_eq!(without["window_id"], "");
    }

    #[test]
    fn what_is_written_straight_is_what_the_subscriber_writes() {
        for window in [Some("backbeat:W-2025-10-19-01"), None] {
            let record = record(window);
            let mut straight = Vec::new();
            straight::transition_accepted(&record, &mut straight);
            let straight = String::from_utf8(straight).unwrap();
            let subscribed = logged(Format::Json, || tell_accepted(&record));
            let without_time = |line: &str| line.split_once(r#"Z","#).unwrap().1.to_owned();
            assert_eq!(without_time(&straight), without_time(&subscribed));
            let time =
                |line: &str| line.replace(|c: char| c.is_ascii_digit(), "0").split_once("Z\",").unwrap().0.to_owned();
            assert_eq!(time(&straight), time(&subscribed));
        }
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(Format::Text, || tracing::info!(answer = 42, "hello"));
        let (time, rest) = text.split_once("] ").unwrap();
        assert!(time.strip_prefix('[').is_some_and(|time| time.ends_with("+00:00")), "{text}");
        assert_eq!(rest, format!("INFO {}: hello answer=42\n", module_path!()));
    }

    /// A reader that says when it is asked to take something, and then takes nothing until it is let go.
    struct Stuck {
        asked: mpsc::Sender<()>,
        let_go: mpsc::Receiver<()>,
        memory: Memory,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.asked.send(());
            let _ = self.let_go.recv();
            self.memory.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that counts how often it is given something.
    struct Counting(Arc<std::sync::atomic::AtomicUsize>);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_follow_each_other_closely_are_written_together() {
        let writes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (mut writer, guard) = queue(Counting(writes.clone()), Format::Json).unwrap();
        // Rounds, as a busy machine may hold this thread up for longer than lines are gathered: one round is enough.
        let together = (0..200).any(|_| {
            let before = writes.load(Ordering::Relaxed);
            for _ in 0..50 {
                writer.write_all(b"{}\n").unwrap();
                // Long enough for a thread that was woken by the line to write it.
                thread::sleep(Duration::from_micros(50));
            }
            writes.load(Ordering::Relaxed) - before <= 15
        });
        finish(&guard);
        assert!(together, "{} writes", writes.load(Ordering::Relaxed));
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_never_holds_the_writer() {
        let memory = Memory::default();
        let (asked, was_asked) = mpsc::channel();
        let (go, let_go) = mpsc::channel();
        let (mut writer, guard) = queue_of(Stuck { asked, let_go, memory: memory.clone() }, Format::Json, 2).unwrap();
        writer.write_all(b"{}\n").unwrap();
        was_asked.recv().unwrap();
        for _ in 0..99 {
            writer.write_all(b"{}\n").unwrap();
        }
        drop(go);
        finish(&guard);
        let dropped = r#""level":"WARN","message":"log lines dropped","dropped":97,"target":"swoosh::telemetry"}"#;
        let text = memory.text();
        let last = text.strip_prefix("{}\n{}\n{}\n{\"timestamp\":").unwrap();
        assert!(last.ends_with(&format!("{dropped}\n")) && last.lines().count() == 1, "{text}");
    }
}
