//! What was measured, as a document and as tables.

use std::fmt::Write as _;

use serde::Serialize;

use super::abuse::AbuseRow;
use super::disk::Disk;
use super::floor::Floor;
use super::hot::HotRow;
use super::load::LoadRow;
use super::peers::{PeerRow, find};

/// Everything of one run. What was skipped is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    pub machine: Machine,
    pub floor: Option<Floor>,
    pub accepted: Vec<LoadRow>,
    pub duplicates: Option<LoadRow>,
    pub hot: Option<HotRow>,
    pub abuse: Vec<AbuseRow>,
    pub peers: Vec<PeerRow>,
    pub replay: Option<ReplayRow>,
    pub cold_start: Option<ColdStart>,
    pub memory: Option<Memory>,
    pub growth: Vec<GrowthRow>,
    pub disk: Option<Disk>,
    pub goals: Vec<Goal>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Machine {
    pub cores: usize,
    pub processor: String,
    /// One-minute load average before the run: over 0.5 others are at work, and figures are noisy.
    pub load_before: String,
    /// How this program was compiled.
    pub debug_assertions: bool,
}

/// Reducing a whole log again.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReplayRow {
    pub records: u64,
    pub per_second: u64,
}

/// Starting after SIGKILL.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ColdStart {
    pub records: u64,
    pub projects: usize,
    /// Each start, from the process to the first `200` of `/health/ready`.
    pub took_ms: Vec<u64>,
}

impl ColdStart {
    /// The start in the middle.
    pub fn median_ms(&self) -> u64 {
        let mut sorted = self.took_ms.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}

/// Memory of idle projects.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Memory {
    pub projects: usize,
    /// Resident memory of a daemon without projects, in KiB.
    pub empty_kib: u64,
    /// With these projects on its disk and none loaded.
    pub evicted_kib: u64,
    /// With all of them loaded.
    pub loaded_kib: u64,
    /// What one in memory takes.
    pub bytes_each: u64,
    /// What one takes that is not in memory.
    pub evicted_bytes_each: u64,
    /// What the node itself estimates for one in memory.
    pub told_each: u64,
}

/// The same load on directories of different sizes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GrowthRow {
    pub projects: usize,
    pub records: u64,
    pub load: LoadRow,
}

/// One line of the goals (docs/performance.md).
#[derive(Clone, Debug, Serialize)]
pub(super) struct Goal {
    pub work: String,
    pub goal: String,
    pub measured: String,
    pub met: bool,
}

impl Report {
    fn at(&self, clients: usize) -> Option<&LoadRow> {
        self.accepted.iter().find(|row| row.clients == clients)
    }

    /// Compares what was measured with the goals; a goal whose figures are absent is left out.
    pub fn judge(&mut self) {
        let mut goals = Vec::new();
        for (peer, least) in [("etcd", 1.6), ("restate", 9.0)] {
            if let (Some(ours), Some(theirs)) = (self.at(64), find(&self.peers, peer, 64)) {
                let ratio = ours.per_second as f64 / theirs.per_second.max(1) as f64;
                let work = format!("accepted transitions/s, 64 clients, against {peer}");
                goals.push(goal(work, format!("≥ {least} ×"), format!("{ratio:.2} ×"), ratio >= least));
            }
        }
        if let (Some(ours), Some(theirs)) = (self.at(1), find(&self.peers, "etcd", 1)) {
            let ratio = ours.p50_us as f64 / theirs.p50_us.max(1) as f64;
            goals.push(goal("p50 of one client, against etcd", "≤ 1.3 ×", format!("{ratio:.2} ×"), ratio <= 1.3));
        }
        if let Some(twice) = &self.duplicates
            && let Some(once) = self.at(twice.clients)
        {
            let ratio = twice.per_second as f64 / once.per_second.max(1) as f64;
            goals.push(goal("duplicates answered, against accepted", "≥ 2 ×", format!("{ratio:.2} ×"), ratio >= 2.0));
        }
        if let Some(replay) = &self.replay {
            let met = replay.per_second >= 100_000;
            goals.push(goal("replay, every hash checked", "≥ 100000/s", format!("{}/s", replay.per_second), met));
        }
        if let Some(start) = &self.cold_start {
            let work = format!("start after SIGKILL, {} records, {} projects", start.records, start.projects);
            let limit_ms = 5_000;
            let measured = format!("{} ms", start.median_ms());
            goals.push(goal(work, format!("≤ {limit_ms} ms"), measured, start.median_ms() <= limit_ms));
        }
        if let Some(memory) = &self.memory {
            let met = memory.bytes_each <= 16 << 10;
            goals.push(goal("idle project in memory", "≤ 16384 B", format!("{} B", memory.bytes_each), met));
        }
        if let (Some(small), Some(large)) = (self.growth.first(), self.growth.last().filter(|_| self.growth.len() > 1))
        {
            let ratio = large.load.processor_us as f64 / small.load.processor_us.max(1) as f64;
            let work = format!(
                "processor time of a transition, {} projects and {} records against {} and {}",
                large.projects, large.records, small.projects, small.records
            );
            goals.push(goal(work, "≤ 1.3 ×", format!("{ratio:.2} ×"), ratio <= 1.3));
        }
        self.goals = goals;
    }

    /// The tables.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).unwrap_or_default();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let machine = &self.machine;
        writeln!(
            out,
            "\n{} cores, {}; load average before: {}",
            machine.cores, machine.processor, machine.load_before
        )?;
        if machine.debug_assertions {
            writeln!(out, "this program was built with debug assertions")?;
        }
        if let Some(floor) = &self.floor {
            writeln!(out, "\nfloor")?;
            writeln!(out, "  signature checks on one core            {:>9}/s", floor.verify_per_second)?;
            writeln!(out, "  synced RocksDB batches of one record    {:>9}/s", floor.synced_batches_of_1_per_second)?;
            writeln!(out, "  synced RocksDB batches of 64 records    {:>9}/s", floor.synced_batches_of_64_per_second)?;
        }
        self.write_load(out)?;
        self.write_abuse(out)?;
        self.write_sizes(out)?;
        writeln!(out, "\n{:<88} {:>12} {:>12}", "goal", "must reach", "measured")?;
        for goal in &self.goals {
            let met = if goal.met { "met" } else { "NOT MET" };
            writeln!(out, "{:<88} {:>12} {:>12}  {met}", goal.work, goal.goal, goal.measured)?;
        }
        Ok(())
    }

    fn write_load(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "\n{:<28} {:>8} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10} {:>8}",
            "load over HTTP", "clients", "per s", "p50 µs", "p99 µs", "cpu µs", "× etcd", "× Restate", "× floor"
        )?;
        for row in &self.accepted {
            let ratio = |peer| {
                let per = |peer: &PeerRow| row.per_second as f64 / peer.per_second.max(1) as f64;
                find(&self.peers, peer, row.clients).map_or("-".to_owned(), |peer| format!("{:.2}", per(peer)))
            };
            write_row(out, "accepted, synced, signed", row)?;
            let share = |floor: &Floor| format!("{:.2}", row.per_second as f64 / floor.per_second(row.clients));
            let floor = self.floor.as_ref().map_or("-".to_owned(), share);
            writeln!(out, " {:>8} {:>10} {floor:>8}", ratio("etcd"), ratio("restate"))?;
        }
        if let Some(row) = &self.duplicates {
            write_row(out, "duplicates", row)?;
            writeln!(out)?;
        }
        if let Some(hot) = &self.hot {
            let (clients, per_second) = (hot.clients, hot.accepted_per_second);
            write!(out, "{:<28} {clients:>8} {per_second:>10}", "one hot project (SDK)")?;
            write!(out, " {:>10} {:>10}", hot.p50_us, hot.p99_us)?;
            writeln!(out, "   {:.1} attempts each, {} given up", hot.attempts_each, hot.given_up)?;
        }
        for row in self.peers.iter().filter(|row| row.peer != "verify") {
            let PeerRow { peer, clients, per_second, p50_us, p99_us } = row;
            writeln!(out, "{peer:<28} {clients:>8} {per_second:>10} {p50_us:>10} {p99_us:>10}")?;
        }
        Ok(())
    }

    fn write_abuse(&self, out: &mut String) -> std::fmt::Result {
        let Some(first) = self.abuse.first() else { return Ok(()) };
        writeln!(
            out,
            "\n{:<18} {:>8} {:>10} {:>8} {:>8} {:>10}",
            "abuse", "per s", "p99 µs", "alone", "p99 µs", "× alone"
        )?;
        for AbuseRow { abuse, detail, alone, honest } in &self.abuse {
            let share = honest.per_second as f64 / alone.per_second.max(1) as f64;
            write!(out, "{abuse:<18} {:>8} {:>10} ", honest.per_second, honest.p99_us)?;
            writeln!(out, "{:>8} {:>8} {share:>10.2}   {detail}", alone.per_second, alone.p99_us)?;
        }
        let clients = first.honest.clients;
        writeln!(out, "  of {clients} honest clients, each with a project of its own; alone is measured right before")
    }

    fn write_sizes(&self, out: &mut String) -> std::fmt::Result {
        if let Some(replay) = &self.replay {
            writeln!(out, "\nreplay of {} records: {}/s", replay.records, replay.per_second)?;
        }
        if let Some(start) = &self.cold_start {
            let ColdStart { records, projects, took_ms } = start;
            writeln!(out, "start after SIGKILL, {records} records in {projects} projects: {took_ms:?} ms")?;
        }
        if let Some(memory) = &self.memory {
            let Memory { projects, evicted_kib, loaded_kib, bytes_each, .. } = memory;
            writeln!(
                out,
                "memory of {projects} idle projects: {loaded_kib} KiB against {evicted_kib} KiB, {bytes_each} bytes each; \
                 not in memory {} bytes each",
                memory.evicted_bytes_each
            )?;
        }
        for GrowthRow { projects, records, load } in &self.growth {
            let LoadRow { clients, per_second, p50_us, processor_us, .. } = load;
            writeln!(
                out,
                "{projects:>7} projects, {records:>9} records: {per_second}/s with {clients} clients, p50 {p50_us} µs, \
                 {processor_us} µs of processor each"
            )?;
        }
        self.disk.iter().try_for_each(|disk| disk.write(out))
    }
}

fn write_row(out: &mut String, name: &str, row: &LoadRow) -> std::fmt::Result {
    let LoadRow { clients, per_second, p50_us, p99_us, processor_us, .. } = row;
    write!(out, "{name:<28} {clients:>8} {per_second:>10} {p50_us:>10} {p99_us:>10} {processor_us:>8}")
}

fn goal(work: impl Into<String>, goal: impl Into<String>, measured: String, met: bool) -> Goal {
    Goal { work: work.into(), goal: goal.into(), measured, met }
}
