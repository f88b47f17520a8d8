//! A run: clients and proxy start, faults happen one after the other, everything is held against the log at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::caller::{Caller, Way, proven};
use super::check::{self, Checked};
use super::disk::Disk;
use super::faults::Fault;
use super::history::Log;
use super::outside::Outside;
use super::proxy::{Proxy, Upstream};
use super::site::Site;
use super::stage::{Episode, HEAL_PATIENCE, Stage};
use super::tally::{Tally, Violation};
use super::watch::{Watch, Watched};
use crate::bench::world::World;
use swoosh_hybridcore::leave::Leave as _;
use swoosh_journal::Journal;
use swoosh_testkit::random::Random;
use swoosh_types::text::ProjectName;

/// The folder of the clients' logs.
pub(super) const LOGS: &str = "clients";
/// The folder where a data directory is kept.
pub(super) const KEPT_DATA: &str = "data";
/// Accepted between two faults, at the least, while the faults that must happen happen.
const BREATH: u64 = 100;
/// The longest time for that; and how long load runs undisturbed between two faults later on.
const LONG_BREATH: Duration = Duration::from_secs(5);
/// How much longer than asked for a run may last until every fault has happened.
const PATIENCE_FACTOR: u64 = 3;
const MORE_PATIENCE: Duration = Duration::from_secs(300);
/// Interval of progress output on a terminal.
const TICK: Duration = Duration::from_millis(250);

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub seed: u64,
    pub seconds: u64,
    pub transitions: u64,
    pub clients: usize,
    /// How long each client waits after every proposal, in milliseconds.
    pub pace_ms: u64,
    pub times: Option<u64>,
    /// What can happen here; what cannot is left out.
    pub faults: Vec<Fault>,
    /// Alerting rules by which a Prometheus watches the node.
    pub rules: Option<PathBuf>,
}

impl Plan {
    /// How often a fault must happen.
    pub fn least(&self, fault: Fault) -> u64 {
        self.times.unwrap_or_else(|| fault.least())
    }
}

/// One fault and its effect.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub step: u64,
    #[serde(serialize_with = "by_name")]
    pub fault: Fault,
    pub fired: u64,
    #[serde(rename = "told")]
    pub detail: String,
    /// From the lifting of the fault to the first acceptance of a proposal sent later.
    pub healed_ms: Option<u64>,
    pub took_ms: u64,
    pub accepted: u64,
}

pub(super) fn by_name<S: serde::Serializer>(fault: &Fault, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(fault.name())
}

/// What a run came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub steps: Vec<Step>,
    pub seconds: u64,
    pub accepted: u64,
    pub repeated: u64,
    pub copied: u64,
    pub broken: u64,
    pub read: u64,
    pub refusals: BTreeMap<String, u64>,
    pub network: BTreeMap<Fault, u64>,
    pub checked: Checked,
    pub verified: Value,
    pub replayed: Value,
    pub watched: Option<Watched>,
    pub violations: Vec<Violation>,
    pub violation_count: u64,
}

/// The clients and what they need.
struct Crowd {
    runtime: tokio::runtime::Runtime,
    proxy: Arc<Proxy>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// Runs.
pub(super) fn run(plan: &Plan, folder: &Path, keep: bool) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(folder.join(LOGS))?;
    let began = Instant::now();
    let (mut stage, upstream) = open(plan, folder)?;
    stage.start()?;
    let crowd = Crowd::start(plan, folder, &stage, upstream)?;
    let watch = plan.rules.as_deref().map(|rules| Watch::start(folder, rules, crowd.address)).transpose()?;
    let mut steps = Vec::new();
    let acted = act(plan, &mut stage, began, &mut steps);
    let watched = watch.map(Watch::end).transpose()?;
    stage.tally.stop();
    if let Err(error) = acted.and_then(|()| crowd.end()) {
        stage.tally.violate("the-run-comes-to-its-end", "every step can be done", format!("{error:#}"));
    }
    let mut outcome = settle(plan, stage, steps, began, keep)?;
    outcome.watched = watched;
    Ok(outcome)
}

fn open(plan: &Plan, folder: &Path) -> anyhow::Result<(Stage, Upstream)> {
    let mut world = World::new("info")?;
    let outside = Outside::start(folder)?;
    world.server_url = outside.mcp.url();
    let world = Arc::new(world);
    let (disk, upstream) = (Disk::open(folder)?, Upstream::default());
    let site = Site::new(folder, &disk.root().join("data"), &world, &outside, upstream.clone())?;
    outside.say_capacity(&world, 8)?;
    let (tally, random) = (Arc::new(Tally::new(plan.seed)), Random::of(plan.seed, 1));
    Ok((Stage { world, site, disk, outside, tally, random, node: None }, upstream))
}

impl Crowd {
    fn start(plan: &Plan, folder: &Path, stage: &Stage, upstream: Upstream) -> anyhow::Result<Crowd> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let log = Log::create(&folder.join(LOGS).join("proxy.jsonl"))?;
        let (tally, random) = (stage.tally.clone(), Random::of(plan.seed, 2));
        let starting = Proxy::start(upstream, &plan.faults, random, tally, log);
        let (proxy, address) = runtime.block_on(starting)?;
        let mut tasks = Vec::new();
        for number in 0..plan.clients {
            let log = Arc::new(Log::create(&folder.join(LOGS).join(format!("client-{number:03}.jsonl")))?);
            let random = Random::of(plan.seed, 1_000 + number as u64);
            let what = (number, way(number), project(number, plan.clients)?);
            let mut caller = Caller::new(stage.world.clone(), stage.tally.clone(), log, random, address, what)?;
            caller.pause = Duration::from_millis(plan.pace_ms);
            tasks.push(runtime.spawn(caller.run()));
        }
        Ok(Crowd { runtime, proxy, address, tasks })
    }

    /// Waits until every client knows the fate of what it sent.
    fn end(self) -> anyhow::Result<()> {
        let Crowd { runtime, proxy, tasks, .. } = self;
        let ends = async {
            for task in tasks {
                task.await.context("a client panicked")??;
            }
            anyhow::Ok(())
        };
        let waited = runtime.block_on(async { tokio::time::timeout(HEAL_PATIENCE, ends).await });
        waited.context("the clients did not come to an end")??;
        // Copies that are still under way are heard of no more.
        runtime.shutdown_timeout(Duration::from_secs(1));
        proxy.flush()
    }
}

/// Every fourth client asks for tools and capacity again and again.
fn way(number: usize) -> Way {
    if number % 4 == 1 { Way::Churn } else { Way::Loop }
}

/// Each has a project of its own; of four and more, the last one competes for the first one's.
fn project(number: usize, clients: usize) -> anyhow::Result<ProjectName> {
    let owned = if clients >= 4 && number + 1 == clients { 0 } else { number };
    Ok(format!("chaos-{owned:03}").parse()?)
}

/// The faults, one after the other: first those that must happen, in an order by chance, then any.
fn act(plan: &Plan, stage: &mut Stage, began: Instant, steps: &mut Vec<Step>) -> anyhow::Result<()> {
    // Process 1 of a namespace is deaf to an interrupt that it does not listen for.
    let leave = swoosh_terminal::interrupt::leave();
    let mut fired = BTreeMap::<Fault, u64>::new();
    let playable: Vec<Fault> = plan.faults.iter().copied().filter(|fault| !fault.is_network()).collect();
    let mut order = random_order(plan, &playable, &mut stage.random);
    let limit = Duration::from_secs(plan.seconds * PATIENCE_FACTOR) + MORE_PATIENCE;
    stage.breathe(BREATH, HEAL_PATIENCE);
    loop {
        let missing: Vec<Fault> = playable
            .iter()
            .copied()
            .filter(|fault| fired.get(fault).copied().unwrap_or(0) < plan.least(*fault))
            .collect();
        let is_over = began.elapsed() >= Duration::from_secs(plan.seconds) && stage.accepted() >= plan.transitions;
        let network =
            plan.faults.iter().all(|fault| !fault.is_network() || stage.tally.disturbed(*fault) >= plan.least(*fault));
        if leave.stop().is_some()
            || (missing.is_empty() && is_over && network)
            || began.elapsed() > limit
            || stage.tally.violations().1 > 0
        {
            return Ok(());
        }
        while order.last().is_some_and(|fault| !missing.contains(fault)) {
            order.pop();
        }
        let fault = order.pop().or_else(|| missing.first().copied()).or_else(|| again(&playable, &mut stage.random));
        if let Some(fault) = fault {
            let step = play(stage, fault, steps.len() as u64 + 1, began)?;
            *fired.entry(fault).or_default() += step.fired;
            steps.push(step);
        }
        if missing.is_empty() {
            std::thread::sleep(LONG_BREATH);
        } else {
            stage.breathe(BREATH, LONG_BREATH);
        }
    }
}

fn random_order(plan: &Plan, playable: &[Fault], random: &mut Random) -> Vec<Fault> {
    let times = |fault: &Fault| std::iter::repeat_n(*fault, usize::try_from(plan.least(*fault)).unwrap_or(1));
    let mut order: Vec<Fault> = playable.iter().flat_map(times).collect();
    random.shuffle(&mut order);
    order
}

/// What happens when everything has happened often enough: whatever does not look over the whole log.
fn again(playable: &[Fault], random: &mut Random) -> Option<Fault> {
    let quick = |fault: &Fault| {
        !matches!(fault, Fault::TornLog | Fault::FlippedTable | Fault::FlippedWatermark | Fault::DirectoryRollback)
    };
    let quick: Vec<Fault> = playable.iter().copied().filter(quick).collect();
    random.choose(&quick).copied()
}

fn play(stage: &mut Stage, fault: Fault, number: u64, began: Instant) -> anyhow::Result<Step> {
    stage.tally.step.store(number, Ordering::Relaxed);
    let tally = stage.tally.clone();
    let shown = Progress::show(move || {
        let accepted = tally.accepted.load(Ordering::Relaxed);
        format!("{:>5} s  step {number:>3}  {fault:<18} {accepted:>9} accepted", began.elapsed().as_secs())
    });
    let played = stage.play(fault);
    drop(shown);
    let (Episode { fired, detail }, healed, took) = played.with_context(|| format!("step {number}, {fault}"))?;
    let step = Step {
        step: number,
        fault,
        fired,
        detail,
        healed_ms: healed.map(milliseconds),
        took_ms: milliseconds(took),
        accepted: stage.accepted(),
    };
    let healed = step.healed_ms.map_or_else(|| "never healed".to_owned(), |ms| format!("healed after {ms} ms"));
    let felt = if step.fired == 0 { "not felt: " } else { "" };
    eprintln!("{:>5} s  step {number:>3}  {fault:<18} {felt}{}; {healed}", began.elapsed().as_secs(), step.detail);
    Ok(step)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The last heads are read from the node, then it is killed, and everything is held against its log.
fn settle(plan: &Plan, mut stage: Stage, steps: Vec<Step>, began: Instant, keep: bool) -> anyhow::Result<Outcome> {
    let seconds = began.elapsed().as_secs();
    let served = served_heads(&stage, plan.clients);
    stage.kill();
    eprintln!("holding the clients' logs against the log");
    let checked = check_history(plan, &stage)?;
    let (verified, replayed) = (tool(&stage, &["wal", "verify"])?, tool(&stage, &["replay", "--reguard"])?);
    agree(&stage.tally, &checked, &served, &verified, &replayed);
    let (mut violations, mut violation_count) = stage.tally.violations();
    violations.extend(checked.violations.iter().cloned());
    violation_count += checked.violation_count;
    if keep || violation_count > 0 {
        keep_data(&stage)?;
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let network = plan.faults.iter().filter(|fault| fault.is_network());
    let tally = &stage.tally;
    Ok(Outcome {
        steps,
        seconds,
        accepted: count(&tally.accepted),
        repeated: count(&tally.repeated),
        copied: count(&tally.copied),
        broken: count(&tally.broken),
        read: count(&tally.read),
        refusals: tally.refusals(),
        network: network.map(|fault| (*fault, tally.disturbed(*fault))).collect(),
        checked,
        verified,
        replayed,
        watched: None,
        violations,
        violation_count,
    })
}

/// The heads that the node shows at the end.
fn served_heads(stage: &Stage, clients: usize) -> BTreeMap<ProjectName, swoosh_types::hash::Hash> {
    let mut heads = BTreeMap::new();
    for number in 0..clients {
        let (Ok(project), Some(node)) = (project(number, clients), &stage.node) else { continue };
        let Ok((200, body)) = node.get(&format!("/state?project={project}")) else { continue };
        match proven(&body) {
            Ok((head, _)) => drop(heads.insert(project, head.hash())),
            Err(error) => {
                stage.tally.violate("reads-prove-themselves", "a state that hashes to its head", error.to_string());
            }
        }
    }
    heads
}

fn check_history(plan: &Plan, stage: &Stage) -> anyhow::Result<Checked> {
    let journal = Journal::open_read_only(stage.site.journal()).context("the log cannot be opened at the end")?;
    check::check(&journal, &stage.site.folder.join(LOGS), plan.seed)
}

fn tool(stage: &Stage, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = stage.site.tool(arguments)?;
    let name = arguments.join(" ");
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("swoosh {name}: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    if said["ok"] != true {
        stage.tally.violate("tools-find-the-log-whole", format!("swoosh {name} finds nothing"), said.to_string());
    }
    Ok(said)
}

/// Checker, node, verification and replay tell the same end.
fn agree(
    tally: &Tally,
    checked: &Checked,
    served: &BTreeMap<ProjectName, swoosh_types::hash::Hash>,
    verified: &Value,
    replayed: &Value,
) {
    let (last, chain) = checked.last.map_or((0, String::new()), |(last, chain)| (last, chain.to_string()));
    for (who, said) in [("wal verify", verified), ("replay", replayed)] {
        if said["last_index"] != last || said["last_chain"] != chain {
            let expected = format!("the log ends at record {last} with {chain}");
            let found = format!("{who}: record {} with {}", said["last_index"], said["last_chain"]);
            tally.violate("tools-agree", expected, found);
        }
    }
    for (project, head) in &checked.heads {
        let replays_to = &replayed["heads"][project.as_str()]["hash"];
        if replays_to != &Value::from(head.to_string()) {
            tally.violate("tools-agree", format!("{project} replays to {head}"), replays_to.to_string());
        }
        if let Some(shown) = served.get(project).filter(|shown| *shown != head) {
            tally.violate(
                "reads-are-of-the-log",
                format!("{project} is at {head}"),
                format!("the node showed {shown}"),
            );
        }
    }
}

/// The data directory, where it outlives the run.
fn keep_data(stage: &Stage) -> anyhow::Result<()> {
    let kept = stage.site.folder.join(KEPT_DATA);
    if kept.exists() {
        std::fs::remove_dir_all(&kept)?;
    }
    super::episodes::copy(&stage.site.data, &kept)
}

/// A line on the terminal that says where the run is.
struct Progress {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Progress {
    fn show(line: impl Fn() -> String + Send + 'static) -> Progress {
        use std::io::IsTerminal as _;
        if !std::io::stderr().is_terminal() {
            return Progress { stop: None, thread: None };
        }
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                eprint!("\r\x1b[K{}", line());
            }
            eprint!("\r\x1b[K");
        });
        Progress { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
