//! The stages of a batch apart: in this process and one thread, over the real journal, without HTTP, metrics and log lines.
//!
//! ```text
//! verify ─ judge ─────────── build ────────────── write ──────────── sync ─────────────── publish
//! bodies   guards, reducer,  seal, receipts,      rows to RocksDB's  RocksDB's log, then  heads and answers
//!          records, chain    decisions, objects   log                the watermark
//! ```
//! The sequencer and the journal are the daemon's. One batch follows the other, so that no stage waits for a processor that another
//! stage has; a busy daemon overlaps judging with writing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::fill::{Size, fill};
use super::story;
use super::world::World;
use swoosh_journal::{AppendError, Batch, Durability, Journal, JournalOptions, Log, StoreLimits, Written};
use swoosh_machine::chart::Inputs;
use swoosh_machine::head::Head;
use swoosh_node::node::{believe, fact_files, options};
use swoosh_platform::clock::{Clock, Safety};
use swoosh_platform::keyfile;
use swoosh_sequencer::{self as sequencer, Outcome, Ports, Single};
use swoosh_settings::Settings;
use swoosh_types::decision::Wording;
use swoosh_types::json::Json;
use swoosh_types::names::Transition;
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::Rejection;
use swoosh_types::text::ProjectName;
use swoosh_types::verify::{Headers, verify};

/// Steps of a project that are signed at a time, outside of what is measured.
const SIGNED_AHEAD: usize = 16;
/// The stages, in their order.
const STAGES: [&str; 6] = ["verify", "judge", "build", "write", "sync", "publish"];

/// Batches of one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CommitRow {
    /// Records in each batch, each of a project of its own.
    pub records: usize,
    pub batches: u64,
    /// The stages in their order, then all of them together.
    pub stages: Vec<StageRow>,
}

/// One stage of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StageRow {
    pub stage: String,
    pub batch: Quantiles,
    /// The same divided by the records of a batch.
    pub transition: Quantiles,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Measures batches of each size for some time.
pub(super) fn measure(
    world: &Arc<World>,
    directory: &Path,
    sizes: &[usize],
    measured: Duration,
) -> anyhow::Result<Vec<CommitRow>> {
    let projects = sizes.iter().copied().max().unwrap_or(0);
    let size = Size { projects, records: story::LIFECYCLE };
    let mut heads = fill(world, directory, size, &(0..projects).collect::<Vec<_>>())?;
    let settings = world.settings(directory)?;
    let mut bed = Bed::open(world.clone(), &settings)?;
    let largest = settings.sequencer.batch_max;
    let fitting = sizes.iter().copied().filter(|records| *records <= largest);
    fitting.map(|records| bed.row(heads.get_mut(..records).context("too few projects")?, measured)).collect()
}

/// The sequencer and its journal in this process.
struct Bed {
    world: Arc<World>,
    single: Single<TimedLog>,
    marks: Arc<Mutex<Marks>>,
}

/// How long the stages of a batch took.
type Took = [Duration; STAGES.len()];

impl Bed {
    fn open(world: Arc<World>, settings: &Settings) -> anyhow::Result<Bed> {
        let key = keyfile::load(&settings.node_key_path())?;
        let clock = Arc::new(Clock::system(settings.clock.max_ahead_ms));
        let facts = Arc::new(believe(settings, &key, clock.clone())?);
        anyhow::ensure!(!fact_files(settings, &facts).is_empty(), "the settings name no fact file");
        let journal = Journal::open(JournalOptions {
            path: settings.data.join("journal"),
            node: key.public(),
            cluster: settings.cluster.clone(),
            snapshot_every: settings.journal.snapshot_every,
            // Appending writes and does not sync: the log below syncs, so that both are measured apart.
            durability: Durability::Interval(Duration::ZERO),
            medium: None,
            store: StoreLimits {
                cache_bytes: usize::try_from(settings.journal.cache_bytes)?,
                write_buffer_bytes: usize::try_from(settings.journal.write_buffer_bytes)?,
                open_files: i32::try_from(settings.journal.open_files)?,
                compacts: true,
            },
        })?;
        let recovered = journal.recover_tail()?;
        journal.enter(&Written::by_this_program())?;
        let marks = Arc::new(Mutex::new(Marks::default()));
        let log = TimedLog { journal: journal.clone(), marks: marks.clone() };
        let ports =
            Ports { clock: Arc::new(WallClock(clock)), facts, describe: Arc::new(Words), observer: Arc::new(Silent) };
        // The sequencer counts on a log that syncs each batch.
        let options = sequencer::Options { durability: Durability::Sync, ..options(settings, key) };
        let single = Single::new(options, ports, journal, recovered, log);
        Ok(Bed { world, single, marks })
    }

    /// Batches of one record of each of these projects.
    fn row(&mut self, heads: &mut [Head], measured: Duration) -> anyhow::Result<CommitRow> {
        let records = heads.len();
        let mut histograms = Vec::new();
        for _ in 0..=STAGES.len() {
            histograms.push(Histogram::<u64>::new(3)?);
        }
        // The first batches fill caches and do not count.
        self.chunk(heads)?;
        let began = Instant::now();
        let mut batches = 0;
        while batches == 0 || began.elapsed() < measured {
            for took in self.chunk(heads)? {
                let all: Duration = took.iter().sum();
                for (histogram, took) in histograms.iter_mut().zip(took.into_iter().chain([all])) {
                    histogram.record(u64::try_from(took.as_nanos())?.max(1))?;
                }
                batches += 1;
            }
        }
        let named = STAGES.into_iter().chain(["all"]).zip(&histograms);
        Ok(CommitRow { records, batches, stages: named.map(|(name, all)| stage_row(name, all, records)).collect() })
    }

    /// Some batches; their proposals are signed first.
    fn chunk(&mut self, heads: &mut [Head]) -> anyhow::Result<Vec<Took>> {
        let mut signed = Vec::with_capacity(heads.len());
        for head in heads {
            let (bodies, after) = story::chain(&self.world, head, SIGNED_AHEAD)?;
            *head = after;
            signed.push(bodies);
        }
        let of_step = |step: usize| signed.iter().filter_map(|bodies| bodies.get(step)).cloned().collect::<Vec<_>>();
        (0..SIGNED_AHEAD).map(|step| self.batch(&of_step(step))).collect()
    }

    fn batch(&mut self, bodies: &[Vec<u8>]) -> anyhow::Result<Took> {
        let began = Instant::now();
        let verified = bodies.iter().map(|body| verify(body, &Headers::default(), &self.world.cluster, Inputs::decode));
        let verified = verified.collect::<Result<Vec<_>, _>>().map_err(|refused| refusal(&refused))?;
        let verify_took = began.elapsed();
        let mut answers = Vec::with_capacity(bodies.len());
        for proposal in verified {
            answers.push(self.single.propose(proposal).map_err(|outcome| anyhow::anyhow!("{outcome:?}"))?);
        }
        let began = Instant::now();
        self.single.judge(false);
        let judge_took = began.elapsed();
        let began = Instant::now();
        anyhow::ensure!(self.single.commit(), "the sequencer handed no batch over");
        let ended = Instant::now();
        let Marks { records, appending, written, synced } =
            std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner));
        anyhow::ensure!(records == bodies.len(), "a batch has {records} records instead of {}", bodies.len());
        for mut answer in answers {
            match answer.try_recv().context("a proposal has no answer after its batch")? {
                Outcome::Accepted { .. } => {}
                Outcome::Refused(refused) => return Err(refusal(&refused.rejection)),
            }
        }
        let [appending, written, synced] = [appending, written, synced].map(|at| at.unwrap_or(began));
        Ok([verify_took, judge_took, appending - began, written - appending, synced - written, ended - synced])
    }
}

fn refusal(rejection: &Rejection) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", rejection.code, rejection.reasons.join("; "))
}

fn stage_row(name: &str, batches_ns: &Histogram<u64>, records: usize) -> StageRow {
    let each = |share: f64| Quantiles {
        p50_us: round(batches_ns.value_at_quantile(0.5) as f64 / 1e3 / share),
        p99_us: round(batches_ns.value_at_quantile(0.99) as f64 / 1e3 / share),
    };
    StageRow { stage: name.to_owned(), batch: each(1.0), transition: each(records.max(1) as f64) }
}

/// To hundredths: more digits are noise.
fn round(us: f64) -> f64 {
    (us * 100.0).round() / 100.0
}

/// Begin and end of a batch's write.
#[derive(Default)]
struct Marks {
    records: usize,
    appending: Option<Instant>,
    written: Option<Instant>,
    synced: Option<Instant>,
}

/// The journal as the committer's log, with the write apart from the sync.
struct TimedLog {
    journal: Journal,
    marks: Arc<Mutex<Marks>>,
}

impl Log for TimedLog {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let appending = Some(Instant::now());
        self.journal.append(batch)?;
        let written = Some(Instant::now());
        self.journal.sync()?;
        let synced = Some(Instant::now());
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) =
            Marks { records: batch.entries.len(), appending, written, synced };
        Ok(())
    }

    fn reopened(&mut self, journal: &Journal) {
        self.journal = journal.clone();
    }
}

/// The system clock.
struct WallClock(Arc<Clock>);

impl sequencer::Clock for WallClock {
    fn now_ms(&self) -> Result<u64, String> {
        let now = self.0.now();
        match now.safety {
            Safety::Safe => Ok(now.wall_ms),
            Safety::Unsafe { drift_ms } => Err(format!("the wall clock jumped by {drift_ms} ms")),
        }
    }
}

/// Decision records by their templates, as the daemon's.
struct Words;

impl sequencer::Describe for Words {
    fn describe(&self, record: &Record, inputs: &Json) -> Wording {
        swoosh_decisions::wording(record, inputs)
    }
}

/// Neither metrics nor log lines.
struct Silent;

impl sequencer::Observer for Silent {
    fn accepted(&self, _: &Record, _: Duration) {}
    fn refused(&self, _: &Proposal, _: &Rejection) {}
    fn repeated(&self, _: Transition) {}
    fn committed(&self, _: usize, _: Duration, _: u64) {}
    fn own_failed(&self, _: &ProjectName, _: Transition, _: &str) {}
    fn log_failed(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stage does some work, and the stages make up the batch.
    #[test]
    fn the_stages_of_real_batches_are_measured_apart() {
        let directory = tempfile::tempdir().unwrap();
        let world = Arc::new(World::new("info").unwrap());
        let rows = measure(&world, directory.path(), &[1, 3], Duration::ZERO).unwrap();
        assert_eq!(rows.iter().map(|row| row.records).collect::<Vec<_>>(), [1, 3]);
        for row in rows {
            assert_eq!(row.batches, SIGNED_AHEAD as u64);
            let names: Vec<_> = row.stages.iter().map(|stage| stage.stage.as_str()).collect();
            assert_eq!(names, ["verify", "judge", "build", "write", "sync", "publish", "all"]);
            assert!(row.stages.iter().all(|stage| stage.batch.p50_us > 0.0), "{row:?}");
            let (all, longest) = (row.stages[6].batch, row.stages.iter().map(|stage| stage.batch.p50_us));
            assert!(longest.fold(0.0, f64::max) <= all.p50_us && all.p50_us <= all.p99_us, "{row:?}");
        }
    }

    #[test]
    fn a_transition_costs_its_share_of_the_batch() {
        let mut batches_ns = Histogram::<u64>::new(3).unwrap();
        batches_ns.record(640_000).unwrap();
        let row = stage_row("judge", &batches_ns, 64);
        assert!((row.batch.p50_us - 640.0).abs() < 1.0 && (row.transition.p99_us - 10.0).abs() < 0.1, "{row:?}");
    }
}
