//! `swoosh bench`: measures what this machine does with SWOOSH, and with its peers beside it.

#![allow(clippy::disallowed_methods, reason = "it plays the callers of nodes, and starts those nodes itself")]

mod abuse;
mod daemon;
mod disk;
mod fill;
mod floor;
mod hot;
mod load;
mod peers;
mod report;
pub(crate) mod story;
mod wake;
pub(crate) mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use daemon::Daemon;
use disk::Disk;
use fill::{Size, fill, project};
use load::{Expect, LoadRow, Requests};
use report::{ColdStart, GrowthRow, Machine, Memory, ReplayRow, Report};
use swoosh_journal::Journal;
use swoosh_journal::replay::replay;
use swoosh_machine::head::Head;
use world::World;

/// What `swoosh bench` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Measure this machine",
    long_about = "Measure this machine.\n\nStarts daemons on temporary data directories and puts closed-loop load on \
        them over HTTP, with synced commits, signatures and decision records: one project for each client, \
        proposals signed ahead. Then duplicates, one hot project, honest clients \
        beside slow, idle and flooding ones, the start after SIGKILL, replay, memory, and \
        the same load on larger and larger directories. Where the peers' script is found, it runs the systems \
        that people would pick instead, and the tables show ratios: figures of one machine in one run, which is \
        all that can be compared.\n\nThe load generator shares the machine with what it measures. Close what else \
        runs; the report says how busy the machine was before.",
    after_help = "Examples:\n  swoosh bench --quick\n  swoosh bench --output bench.json --peers ../shared/peers\n  \
        swoosh bench --only load --clients 64 --rounds 3\n  swoosh bench --only abuse --seconds 8\n  swoosh bench --only disk"
)]
pub struct BenchCommand {
    /// Seconds that each load is measured, after one of warm-up
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// Client counts
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,
    /// How often the loads are measured; the middle one counts
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Smaller directories: about a minute and a half instead of a quarter of an hour
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Let the log grow to ten million records; takes 20 minutes and 20 GB more
    #[arg(long)]
    full: bool,
    /// Measure these alone
    #[arg(
        long,
        value_name = "PARTS",
        value_delimiter = ',',
        default_value = "floor,load,peers,abuse,start,memory,growth"
    )]
    only: Vec<Part>,
    /// Directory of the peers, which holds run.sh
    #[arg(long, value_name = "DIR", env = "PEERS_DIR", default_value = "../shared/peers")]
    peers: PathBuf,
    /// Where the temporary data directories are made; must be on the disk that is to be measured
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// What the daemons log at; the default is that of a node without settings
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What the machine can do at best
    Floor,
    /// Accepted transitions, duplicates, one hot project
    Load,
    /// etcd and Restate
    Peers,
    /// Honest clients while others dribble, hoard and flood
    Abuse,
    /// Start after SIGKILL, and replay
    Start,
    /// Memory of idle projects
    Memory,
    /// The same load on larger directories
    Growth,
    /// Bytes that flushes and compactions write, and bytes on the disk; takes minutes and 5 GB, and is not part of the default
    Disk,
}

/// Clients of the growth rows, and the most projects that each of them visits in turn.
const GROWTH_CLIENTS: usize = 8;
const GROWTH_PROJECTS: usize = 100;
/// Starts after SIGKILL.
const STARTS: usize = 3;

impl BenchCommand {
    /// Measures and prints.
    pub fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.clients.iter().all(|clients| (1..=10_000).contains(clients)),
            "--clients takes 1 to 10000"
        );
        let base = self.directory.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = tempfile::Builder::new().prefix("swoosh-bench-").tempdir_in(&base);
        let scratch = scratch.with_context(|| format!("cannot make a directory in {}", base.display()))?;
        let bench = Bench { world: Arc::new(World::new(&self.log_level)?), scratch: scratch.path(), command: &self };
        let mut report = Report { machine: machine(), ..Report::default() };
        bench.measure(&mut report)?;
        report.judge();
        let document = serde_json::to_string_pretty(&report)?;
        if let Some(path) = &self.output {
            std::fs::write(path, &document).with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!("{}", if json { document } else { report.text() });
        Ok(ExitCode::SUCCESS)
    }
}

/// A run.
struct Bench<'b> {
    world: Arc<World>,
    scratch: &'b Path,
    command: &'b BenchCommand,
}

impl Bench<'_> {
    fn measure(&self, report: &mut Report) -> anyhow::Result<()> {
        let wants = |part| self.command.only.contains(&part);
        if wants(Part::Floor) {
            tell("floor: signature checks, synced batches");
            report.floor = Some(floor::measure(&self.world, self.scratch, Duration::from_secs(2))?);
        }
        for _ in 0..self.command.rounds {
            if wants(Part::Load) {
                self.load(report)?;
            }
            if wants(Part::Peers) {
                self.peers(report)?;
            }
        }
        middle(&mut report.accepted);
        if wants(Part::Abuse) {
            report.abuse = abuse::run(&self.world, self.scratch, self.measured())?;
        }
        if wants(Part::Growth) {
            self.growth(report, "growth-small", Size { projects: 10, records: 100 })?;
        }
        if wants(Part::Start) || wants(Part::Growth) {
            self.large(report, wants(Part::Start), wants(Part::Growth))?;
        }
        if wants(Part::Disk) {
            report.disk = Some(self.disk()?);
        }
        if wants(Part::Memory) {
            report.memory = Some(self.memory()?);
        }
        if wants(Part::Growth) {
            self.growth(report, "growth-large", self.largest())?;
        }
        Ok(())
    }

    fn measured(&self) -> Duration {
        Duration::from_secs(self.command.seconds)
    }

    fn load(&self, report: &mut Report) -> anyhow::Result<()> {
        let clients = &self.command.clients;
        let directory = self.scratch.join("load");
        let projects = clients.iter().sum::<usize>() + 1;
        tell(&format!("load: {projects} projects are brought into the loop"));
        let size = Size { projects, records: story::LIFECYCLE };
        let heads = fill(&self.world, &directory, size, &(0..projects).collect::<Vec<_>>())?;
        let daemon = Daemon::start(&self.world.settings_file(&directory)?)?;
        let mut heads = heads.into_iter().map(|head| vec![head]);
        let mut repeats: Vec<Requests> = Vec::new();
        for &count in clients {
            let mut owned: Vec<Vec<Head>> = heads.by_ref().take(count).collect();
            let (row, sent) = load::accepted(&self.world, &daemon, &mut owned, self.measured())?;
            tell_row("accepted", &row);
            report.accepted.push(row);
            if count == 64 || repeats.is_empty() {
                repeats = sent;
            }
        }
        repeats.retain(|requests| !requests.is_empty());
        let (row, _) = load::run(&daemon, &repeats, Expect::Repeat, self.measured())?;
        tell_row("duplicates", &row);
        report.duplicates = Some(row);
        let crowd = clients.iter().copied().filter(|count| *count <= 64).max().unwrap_or(64);
        let row = hot::run(&self.world, daemon.address, &project(projects - 1)?, crowd, self.measured())?;
        tell(&format!(
            "one hot project: {} accepted/s, {:.1} attempts each",
            row.accepted_per_second, row.attempts_each
        ));
        report.hot = Some(row);
        daemon.kill();
        remove(&directory)
    }

    fn peers(&self, report: &mut Report) -> anyhow::Result<()> {
        let peers = &self.command.peers;
        if !peers.join("run.sh").is_file() {
            tell(&format!("peers: skipped, there is no {}/run.sh; name their directory with --peers", peers.display()));
            return Ok(());
        }
        tell(
            "peers: built at the first run, which takes minutes (etcd: apt-get install etcd-server protobuf-compiler)",
        );
        let mut row = |row: &peers::PeerRow| {
            tell(&format!("{}: {} clients, {}/s, p50 {} µs", row.peer, row.clients, row.per_second, row.p50_us));
        };
        let rows = peers::run(peers, self.scratch, &self.command.clients, self.command.seconds, &mut row)?;
        for peer in ["etcd", "restate"].iter().filter(|peer| !rows.iter().any(|row| row.peer == **peer)) {
            tell(&format!("peers: {peer} is not installed and is left out of the tables"));
        }
        report.peers.extend(rows);
        Ok(())
    }

    /// The directory of a million records: start after SIGKILL, growth, replay.
    fn large(&self, report: &mut Report, start: bool, growth: bool) -> anyhow::Result<()> {
        let size = self.million();
        let directory = self.scratch.join("large");
        let began = Instant::now();
        tell(&format!("start: {} records are made", size.total()));
        // The last projects are moved on before the kill, so growth must not count on their heads.
        let visited: Vec<_> = (0..(GROWTH_CLIENTS * GROWTH_PROJECTS)).collect();
        let last: Vec<_> = (size.projects - 64..size.projects).collect();
        let heads = fill(&self.world, &directory, size, &[visited, last].concat())?;
        tell(&format!("start: made in {} s", began.elapsed().as_secs()));
        let (visited, last) = heads.split_at(GROWTH_CLIENTS * GROWTH_PROJECTS);
        let settings = self.world.settings_file(&directory)?;
        if start {
            report.cold_start = Some(self.cold_start(&settings, size, last)?);
        }
        if growth {
            let daemon = Daemon::start(&settings)?;
            self.growth_row(report, &daemon, size, visited.to_vec())?;
            daemon.kill();
        }
        if start {
            report.replay = Some(replay_all(&directory)?);
        }
        remove(&directory)
    }

    fn cold_start(&self, settings: &Path, size: Size, heads: &[Head]) -> anyhow::Result<ColdStart> {
        let mut owned: Vec<_> = heads.iter().map(|head| vec![head.clone()]).collect();
        let requests = load::sign_ahead(&self.world, &mut owned, 200)?;
        let mut daemon = Daemon::start(settings)?;
        load::run(&daemon, &requests, Expect::Fresh, Duration::from_secs(1))?;
        let mut took_ms = Vec::new();
        for _ in 0..STARTS {
            daemon.kill();
            daemon = Daemon::start(settings)?;
            took_ms.push(u64::try_from(daemon.ready_after.as_millis())?);
        }
        tell(&format!("start after SIGKILL: {took_ms:?} ms"));
        Ok(ColdStart { records: size.total(), projects: size.projects, took_ms })
    }

    fn disk(&self) -> anyhow::Result<Disk> {
        let size = self.million();
        let directory = self.scratch.join("disk");
        tell(&format!("disk: {} records are made", size.total()));
        let disk = disk::measure(&self.world, &directory, size)?;
        remove(&directory)?;
        Ok(disk)
    }

    /// A million records, in the long run.
    fn million(&self) -> Size {
        Size { projects: 1_000, records: if self.command.quick { 50 } else { 1_000 } }
    }

    fn memory(&self) -> anyhow::Result<Memory> {
        let projects = if self.command.quick { 2_000 } else { 10_000 };
        tell(&format!("memory: {projects} projects are made"));
        let (empty, loaded) = (self.scratch.join("empty"), self.scratch.join("loaded"));
        fill(&self.world, &loaded, Size { projects, records: story::LIFECYCLE }, &[])?;
        std::fs::create_dir_all(&empty)?;
        let resident = |directory: &Path| {
            let daemon = Daemon::start(&self.world.frugal_settings_file(directory)?)?;
            wake::all(&self.world, &daemon, 0)?;
            daemon.resident_kib()
        };
        // The first start reads from the log, the second one finds a settled directory.
        resident(&loaded)?;
        let empty_kib = resident(&empty)?;
        let daemon = Daemon::start(&self.world.frugal_settings_file(&loaded)?)?;
        let evicted_kib = daemon.resident_kib()?;
        wake::all(&self.world, &daemon, projects)?;
        let loaded_kib = daemon.resident_kib()?;
        let estimated = wake::metric(&daemon, "swoosh_heads_bytes")?;
        daemon.kill();
        remove(&loaded)?;
        let each = |more_kib: u64, less_kib: u64| more_kib.saturating_sub(less_kib) * 1_024 / projects as u64;
        let (bytes_each, evicted_bytes_each) = (each(loaded_kib, evicted_kib), each(evicted_kib, empty_kib));
        let estimated_each = estimated / projects as u64;
        tell(&format!(
            "memory: {bytes_each} bytes for each project in memory ({estimated_each} by the node's own estimate), \
            {evicted_bytes_each} for one that is not"
        ));
        Ok(Memory {
            projects,
            empty_kib,
            evicted_kib,
            loaded_kib,
            bytes_each,
            evicted_bytes_each,
            told_each: estimated_each,
        })
    }

    fn largest(&self) -> Size {
        match (self.command.quick, self.command.full) {
            (true, _) => Size { projects: 5_000, records: story::LIFECYCLE + 2 },
            (_, true) => Size { projects: 100_000, records: 100 },
            _ => Size { projects: 100_000, records: story::LIFECYCLE + 2 },
        }
    }

    fn growth(&self, report: &mut Report, name: &str, size: Size) -> anyhow::Result<()> {
        let directory = self.scratch.join(name);
        tell(&format!("growth: {} records in {} projects are made", size.total(), size.projects));
        let visited = size.projects.min(GROWTH_CLIENTS * GROWTH_PROJECTS);
        // From all over the directory.
        let ask: Vec<_> = (0..visited).map(|n| n * (size.projects / visited)).collect();
        let heads = fill(&self.world, &directory, size, &ask)?;
        let daemon = Daemon::start(&self.world.settings_file(&directory)?)?;
        tell(&format!("growth: the node was ready after {} ms", daemon.ready_after.as_millis()));
        self.growth_row(report, &daemon, size, heads)?;
        daemon.kill();
        remove(&directory)
    }

    fn growth_row(&self, report: &mut Report, daemon: &Daemon, size: Size, heads: Vec<Head>) -> anyhow::Result<()> {
        // After a start the node loads every project once; that is no part of a transition's cost.
        wake::until(daemon, "swoosh_start_checked", 1)?;
        let each = heads.len() / GROWTH_CLIENTS;
        let mut owned: Vec<_> = heads.chunks(each.max(1)).take(GROWTH_CLIENTS).map(<[_]>::to_vec).collect();
        let (load, _) = load::accepted(&self.world, daemon, &mut owned, self.measured())?;
        tell_row(&format!("growth, {} projects, {} records", size.projects, size.total()), &load);
        report.growth.push(GrowthRow { projects: size.projects, records: size.total(), load });
        Ok(())
    }
}

fn replay_all(directory: &Path) -> anyhow::Result<ReplayRow> {
    let journal = Journal::open_read_only(directory.join("data").join("journal"))?;
    let began = Instant::now();
    let report = replay(&journal, &mut |_| {}, None);
    if let Some(fault) = report.fault {
        return Err(fault).context("the log that was just written does not replay");
    }
    let per_second = (report.replayed as f64 / began.elapsed().as_secs_f64()) as u64;
    tell(&format!("replay: {} records, {per_second}/s", report.replayed));
    Ok(ReplayRow { records: report.replayed, per_second })
}

/// Of several rounds the row in the middle, for each client count.
fn middle(rows: &mut Vec<LoadRow>) {
    let all = std::mem::take(rows);
    for row in &all {
        if rows.iter().all(|kept| kept.clients != row.clients) {
            let mut same: Vec<_> = all.iter().filter(|other| other.clients == row.clients).collect();
            same.sort_by_key(|other| other.per_second);
            rows.extend(same.get(same.len() / 2).map(|row| (*row).clone()));
        }
    }
}

fn machine() -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: processor.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
        load_before: read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned(),
        debug_assertions: cfg!(debug_assertions),
    }
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

fn tell(line: &str) {
    eprintln!("{line}");
}

fn tell_row(name: &str, row: &LoadRow) {
    let LoadRow { clients, per_second, p50_us, p99_us, processor_us, .. } = row;
    tell(&format!(
        "{name}: {clients} clients, {per_second}/s, p50 {p50_us} µs, p99 {p99_us} µs; {processor_us} µs of processor each"
    ));
}
