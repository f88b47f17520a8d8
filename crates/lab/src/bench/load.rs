//! Closed-loop load: every client owns its projects and posts the next proposal when the last is answered.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::batches::{Batches, Counted};
use super::daemon::Daemon;
use super::perf::Recording;
use super::story;
use super::world::World;
use swoosh_machine::head::Head;
use swoosh_testkit::http;

/// How long load runs before it counts.
pub(super) const WARM: Duration = Duration::from_secs(1);

/// How long the trial before a load lasts at most.
const TRIAL: Duration = Duration::from_secs(1);

/// What a load came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LoadRow {
    pub clients: usize,
    /// Seconds that count.
    pub seconds: f64,
    pub per_second: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    /// Processor time of the daemon for each answer.
    pub processor_us: u64,
    /// The daemon's batches meanwhile, by its own metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<Batches>,
}

/// What a client is to send: whole requests, in order.
pub(super) type Requests = Vec<Vec<u8>>;

/// How the answers must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Accepted now; every request is sent once.
    Fresh,
    /// Accepted before; the requests are sent round and round.
    Repeat,
}

/// The clients' common clock and count.
struct Meter {
    start: Instant,
    end: Instant,
    /// When the first client ran out of requests.
    dry: Cell<Option<Instant>>,
    latency_us: RefCell<Histogram<u64>>,
}

impl Meter {
    fn is_over(&self) -> bool {
        self.dry.get().is_some() || Instant::now() >= self.end
    }

    fn note(&self, began: Instant) -> anyhow::Result<()> {
        if began >= self.start {
            let took = u64::try_from(began.elapsed().as_micros())?;
            self.latency_us.borrow_mut().record(took.max(1))?;
        }
        Ok(())
    }
}

/// Runs the clients. Returns the row, and how many requests of each client were answered.
pub(super) fn run(
    daemon: &Daemon,
    clients: &[Requests],
    expect: Expect,
    measured: Duration,
) -> anyhow::Result<(LoadRow, Vec<usize>)> {
    let before = daemon.processor_time()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut connections = Vec::with_capacity(clients.len());
        for _ in clients {
            connections.push(http::connect(daemon.address, None).await?);
        }
        let start = Instant::now() + WARM;
        let meter = Rc::new(Meter {
            start,
            end: start + measured,
            dry: Cell::new(None),
            latency_us: RefCell::new(Histogram::new(3)?),
        });
        let run_one = |(connection, requests)| client(connection, requests, expect, &meter);
        let answered = futures::future::try_join_all(connections.into_iter().zip(clients).map(run_one)).await?;
        let end = meter.dry.get().unwrap_or(meter.end);
        let seconds = end.saturating_duration_since(meter.start).as_secs_f64();
        let latency = meter.latency_us.borrow();
        let per_second = if seconds > 0.0 { (latency.len() as f64 / seconds) as u64 } else { 0 };
        let (p50_us, p99_us) = (latency.value_at_quantile(0.5), latency.value_at_quantile(0.99));
        let spent = daemon.processor_time()?.saturating_sub(before).as_micros();
        let processor_us = u64::try_from(spent)? / (answered.iter().sum::<usize>() as u64).max(1);
        let clients = clients.len();
        Ok((LoadRow { clients, seconds, per_second, p50_us, p99_us, processor_us, batches: None }, answered))
    })
}

async fn client(
    mut connection: TcpStream,
    requests: &Requests,
    expect: Expect,
    meter: &Meter,
) -> anyhow::Result<usize> {
    let mut answered = 0;
    while !meter.is_over() {
        let position = if expect == Expect::Repeat { answered % requests.len().max(1) } else { answered };
        let Some(request) = requests.get(position) else {
            meter.dry.set(meter.dry.get().or(Some(Instant::now())));
            break;
        };
        let began = Instant::now();
        let answer = http::exchange(&mut connection, request).await?;
        let replayed = answer.header("idempotency-replayed").is_some();
        if answer.status() != 202 || replayed != (expect == Expect::Repeat) {
            let (status, text) = (answer.status(), answer.text());
            anyhow::bail!("status {status} to request {position}, which is not the answer expected: {text}");
        }
        meter.note(began)?;
        answered += 1;
    }
    Ok(answered)
}

/// Signs `steps` requests ahead for each client, in turn for the projects it owns; the heads move along.
pub(super) fn sign_ahead(world: &World, owned: &mut [Vec<Head>], steps: usize) -> anyhow::Result<Vec<Requests>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = owned.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let sign = |share: &mut [Vec<Head>]| {
            share.iter_mut().map(|heads| sign_for_one(world, heads, steps)).collect::<anyhow::Result<Vec<_>>>()
        };
        let running: Vec<_> = owned.chunks_mut(share).map(|share| scope.spawn(move || sign(share))).collect();
        let mut all = Vec::new();
        for thread in running {
            all.extend(thread.join().ok().context("a signing thread panicked")??);
        }
        Ok(all)
    })
}

fn sign_for_one(world: &World, heads: &mut [Head], steps: usize) -> anyhow::Result<Requests> {
    let turns = heads.len().max(1);
    let mut chains = Vec::with_capacity(turns);
    for head in heads.iter_mut() {
        let (bodies, after) = story::chain(world, head, steps.div_ceil(turns))?;
        *head = after;
        chains.push(bodies.into_iter());
    }
    let mut requests = Vec::with_capacity(steps);
    while requests.len() < steps {
        for chain in &mut chains {
            requests.extend(chain.next().map(|body| http::proposal(&body, &[])));
        }
        if chains.iter().all(|chain| chain.len() == 0) {
            break;
        }
    }
    Ok(requests)
}

/// Measures accepted transitions: a short trial says how many requests the measurement needs. `perf` is the file that samples of the
/// daemon are written to.
pub(super) fn accepted(
    world: &World,
    daemon: &Daemon,
    owned: &mut [Vec<Head>],
    measured: Duration,
    perf: Option<&Path>,
) -> anyhow::Result<(LoadRow, Vec<Requests>)> {
    let clients = owned.len().max(1);
    let mut requests = sign_ahead(world, owned, 6_000_usize.div_ceil(clients).clamp(50, 1_500))?;
    let began = Instant::now();
    let answered = trial(daemon.address, &requests)?;
    let rate = answered.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64();
    let wanted = rate * (WARM + measured).as_secs_f64() * 1.5 / clients as f64;
    let more = sign_ahead(world, owned, wanted as usize + 50)?;
    for ((requests, answered), more) in requests.iter_mut().zip(answered).zip(more) {
        requests.drain(..answered);
        requests.extend(more);
    }
    let recording = perf.map(|file| Recording::begin(file, daemon.process(), WARM + measured)).transpose()?;
    let before = Counted::read(daemon)?;
    let (mut row, answered) = run(daemon, &requests, Expect::Fresh, measured)?;
    row.batches = Counted::read(daemon)?.since(&before);
    if let Some(recording) = recording {
        recording.end()?;
    }
    let sent = requests.into_iter().zip(answered).map(|(mut requests, answered)| {
        requests.truncate(answered);
        requests
    });
    Ok((row, sent.collect()))
}

/// Sends requests for a moment, fewer where they run out. Returns how many of each client were answered.
fn trial(address: SocketAddr, clients: &[Requests]) -> anyhow::Result<Vec<usize>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = Instant::now() + TRIAL;
    runtime.block_on(async {
        let all = clients.iter().map(|requests| async move {
            let mut connection = http::connect(address, None).await?;
            let mut answered = 0;
            for request in requests {
                if answered > 0 && Instant::now() >= end {
                    break;
                }
                let answer = http::exchange(&mut connection, request).await?;
                anyhow::ensure!(answer.status() == 202, "status {}: {}", answer.status(), answer.text());
                answered += 1;
            }
            anyhow::Ok(answered)
        });
        futures::future::try_join_all(all).await
    })
}
