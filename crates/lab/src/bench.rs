//! `swoosh bench`: measures what this machine does with SWOOSH, and with its peers beside it.

#![allow(clippy::disallowed_methods, reason = "it plays the callers of nodes, and starts those nodes itself")]

mod abuse;
mod batches;
mod commit;
mod daemon;
mod disk;
mod draw;
mod fill;
mod floor;
mod hot;
mod load;
mod peers;
mod perf;
mod report;
mod rounds;
mod sizes;
pub(crate) mod story;
mod wake;
pub(crate) mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use daemon::Daemon;
use fill::{Size, fill, project};
use load::{Expect, LoadRow, Requests};
use peers::{PeerRow, Peers};
use report::{Machine, Report};
use rounds::Round;
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
        the same load on larger and larger directories. Where the peers' script is found, each round runs the systems \
        that people would pick instead after SWOOSH, etcd with a connection for each client and with shared ones. The tables \
        show ratios to etcd's better figure, their median and bounds over the rounds: figures of one machine in one \
        run, which is all that can be compared. `--only commit` measures the stages of a batch apart, in this process.\n\n\
        The load generator shares the machine with what it measures. Close what else \
        runs; the report says how busy the machine was before.",
    after_help = "Examples:\n  swoosh bench --quick\n  swoosh bench --output bench.json --peers ../shared/peers\n  \
        swoosh bench --only load --clients 64 --rounds 3\n  swoosh bench --only commit --clients 1,16,64 --seconds 4\n  \
        swoosh bench --only abuse --seconds 8\n  swoosh bench --only disk\n  swoosh bench --rounds 5 --seconds 6 --pictures docs/performance\n  \
        swoosh bench draw docs/performance/bench.json\n\n\
        The last but one measures everything and draws the pictures of docs/performance.md, in some 25 minutes with the peers; \
        the last one draws them again out of the report.",
    args_conflicts_with_subcommands = true
)]
pub struct BenchCommand {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    measure: Measure,
}

/// What it does instead of measuring.
#[derive(Debug, clap::Subcommand)]
enum Instead {
    /// Draw the pictures of a report again, without measuring
    Draw(DrawCommand),
}

/// What `swoosh bench draw` takes.
#[derive(Debug, clap::Args)]
struct DrawCommand {
    /// The JSON report of `--output` or `--pictures`
    #[arg(value_name = "REPORT")]
    report: PathBuf,
    /// Directory of the pictures; the default is that of the report
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

// Not a doc comment: clap would show it as the description of the command.
#[derive(Debug, clap::Args)]
struct Measure {
    /// Seconds that each load is measured, after one of warm-up
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// Client counts; of `commit`, records in a batch
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,
    /// How often SWOOSH and its peers are measured, in alternation
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
        default_value = "floor,commit,load,peers,abuse,start,memory,growth"
    )]
    only: Vec<Part>,
    /// Directory of the peers, which holds run.sh
    #[arg(long, value_name = "DIR", env = "PEERS_DIR", default_value = "../shared/peers")]
    peers: PathBuf,
    /// Connections that etcd's clients share in its second measurement of a round; 0 leaves that out
    #[arg(
        long,
        value_name = "COUNT",
        env = "ETCD_CONNECTIONS",
        default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=10_000)
    )]
    etcd_connections: usize,
    /// Where the temporary data directories are made; must be on the disk that is to be measured
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// What the daemons log at; the default is that of a node without settings
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// Write samples of the daemon under load to this file, by `perf record`; for one client count and one round (tools/flame.sh)
    #[arg(long, value_name = "FILE")]
    perf: Option<PathBuf>,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the report as bench.json, and its pictures, into this directory
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What the machine can do at best
    Floor,
    /// The stages of a batch apart, in this process
    Commit,
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

impl BenchCommand {
    /// Measures and prints, or draws a report again.
    pub fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        match self.instead {
            Some(Instead::Draw(command)) => command.run(json),
            None => self.measure.run(json),
        }
    }
}

impl DrawCommand {
    fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let path = &self.report;
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no report of `swoosh bench`", path.display()))?;
        let directory = self.output.as_deref().unwrap_or_else(|| path.parent().unwrap_or(Path::new(".")));
        let written = draw::write(&report, directory)?;
        anyhow::ensure!(!written.is_empty(), "{} has neither rows of load nor of growth to draw", path.display());
        if json {
            println!("{}", serde_json::json!({ "pictures": written }));
        } else {
            written.iter().for_each(|path| println!("{}", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Measure {
    fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.clients.iter().all(|clients| (1..=10_000).contains(clients)),
            "--clients takes 1 to 10000"
        );
        anyhow::ensure!(
            self.perf.is_none() || (self.clients.len() == 1 && self.rounds == 1 && self.only == [Part::Load]),
            "--perf needs one client count, one round and `--only load`, because its file holds one recording"
        );
        if let Some(directory) = &self.pictures {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let base = self.directory.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = tempfile::Builder::new().prefix("swoosh-bench-").tempdir_in(&base);
        let scratch = scratch.with_context(|| format!("cannot make a directory in {}", base.display()))?;
        let bench = Bench { world: Arc::new(World::new(&self.log_level)?), scratch: scratch.path(), command: &self };
        let mut report = Report { machine: machine(), ..Report::default() };
        bench.measure(&mut report)?;
        report.summarise();
        let document = serde_json::to_string_pretty(&report)?;
        let beside_pictures = self.pictures.as_ref().map(|directory| directory.join("bench.json"));
        for path in self.output.iter().chain(&beside_pictures) {
            std::fs::write(path, &document).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(directory) = &self.pictures {
            draw::write(&report, directory)?;
        }
        println!("{}", if json { document } else { report.text() });
        Ok(ExitCode::SUCCESS)
    }
}

/// A run.
struct Bench<'b> {
    world: Arc<World>,
    scratch: &'b Path,
    command: &'b Measure,
}

impl Bench<'_> {
    fn wants(&self, part: Part) -> bool {
        self.command.only.contains(&part)
    }

    fn measured(&self) -> Duration {
        Duration::from_secs(self.command.seconds)
    }

    fn measure(&self, report: &mut Report) -> anyhow::Result<()> {
        if self.wants(Part::Floor) {
            tell("floor: signature checks, synced batches");
            report.floor = Some(floor::measure(&self.world, self.scratch, Duration::from_secs(2))?);
        }
        if self.wants(Part::Commit) {
            tell("commit: the stages of batches, in this process");
            let directory = self.scratch.join("commit");
            report.commit = commit::measure(&self.world, &directory, &self.command.clients, self.measured())?;
            remove(&directory)?;
        }
        if self.wants(Part::Load) || self.wants(Part::Peers) {
            for number in 1..=self.command.rounds {
                tell(&format!("round {number} of {}", self.command.rounds));
                report.rounds.push(self.round()?);
            }
        }
        if self.wants(Part::Abuse) {
            report.abuse = abuse::run(&self.world, self.scratch, self.measured())?;
        }
        self.sizes(report)
    }

    /// SWOOSH, then its peers.
    fn round(&self) -> anyhow::Result<Round> {
        let mut round = Round::default();
        if self.wants(Part::Load) {
            self.load(&mut round)?;
        }
        if self.wants(Part::Peers) {
            round.peers = self.peers()?;
        }
        Ok(round)
    }

    /// Each kind of caller on one daemon, one after the other. A further kind is one more step here.
    fn load(&self, round: &mut Round) -> anyhow::Result<()> {
        let clients = &self.command.clients;
        let directory = self.scratch.join("load");
        let projects = clients.iter().sum::<usize>() + 1;
        tell(&format!("load: {projects} projects are brought into the loop"));
        let size = Size { projects, records: story::LIFECYCLE };
        let heads = fill(&self.world, &directory, size, &(0..projects).collect::<Vec<_>>())?;
        let daemon = Daemon::start(&self.world.settings_file(&directory)?)?;
        let repeats = self.accepted(&daemon, heads, round)?;
        let (row, _) = load::run(&daemon, &repeats, Expect::Repeat, self.measured())?;
        tell_row("duplicates", &row);
        round.duplicates = Some(row);
        let crowd = clients.iter().copied().filter(|count| *count <= 64).max().unwrap_or(64);
        let row = hot::run(&self.world, daemon.address, &project(projects - 1)?, crowd, self.measured())?;
        tell(&format!(
            "one hot project: {} accepted/s, p99 {} µs, {:.1} attempts each, {} given up",
            row.accepted_per_second, row.p99_us, row.attempts_each, row.given_up
        ));
        round.hot = Some(row);
        daemon.kill();
        remove(&directory)
    }

    /// Accepted transitions of each client count. Returns the requests to send again as duplicates.
    fn accepted(&self, daemon: &Daemon, heads: Vec<Head>, round: &mut Round) -> anyhow::Result<Vec<Requests>> {
        let mut heads = heads.into_iter().map(|head| vec![head]);
        let mut repeats: Vec<Requests> = Vec::new();
        for &count in &self.command.clients {
            let mut owned: Vec<Vec<Head>> = heads.by_ref().take(count).collect();
            let perf = self.command.perf.as_deref();
            let (row, sent) = load::accepted(&self.world, daemon, &mut owned, self.measured(), perf)?;
            tell_row("accepted", &row);
            round.accepted.push(row);
            if count == 64 || repeats.is_empty() {
                repeats = sent;
            }
        }
        repeats.retain(|requests| !requests.is_empty());
        Ok(repeats)
    }

    fn peers(&self) -> anyhow::Result<Vec<PeerRow>> {
        let directory = &self.command.peers;
        if !directory.join("run.sh").is_file() {
            let shown = directory.display();
            tell(&format!("peers: skipped, there is no {shown}/run.sh; name their directory with --peers"));
            return Ok(Vec::new());
        }
        tell(
            "peers: built at the first run, which takes minutes (etcd: apt-get install etcd-server protobuf-compiler)",
        );
        let mut row = |row: &PeerRow| {
            tell(&format!("{}: {} clients, {}/s, p50 {} µs", row.title(), row.clients, row.per_second, row.p50_us));
        };
        let Measure { clients, seconds, etcd_connections, .. } = self.command;
        let (seconds, shared) = (*seconds, *etcd_connections);
        let rows = Peers { directory, scratch: self.scratch, clients, seconds, shared }.round(&mut row)?;
        for peer in ["etcd", "restate"].iter().filter(|peer| !rows.iter().any(|row| row.peer == **peer)) {
            tell(&format!("peers: {peer} gave no figures and is left out of the tables; the lines above say why"));
        }
        Ok(rows)
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
