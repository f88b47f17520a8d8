//! Directories of different sizes: start after SIGKILL, replay, memory, and the cost of a transition in each.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use super::daemon::Daemon;
use super::disk::{self, Disk};
use super::fill::{Size, fill};
use super::load::{self, Expect};
use super::report::{ColdStart, GrowthRow, Memory, ReplayRow, Report};
use super::{Bench, Part, remove, story, tell, tell_row, wake};
use swoosh_journal::Journal;
use swoosh_journal::replay::replay;
use swoosh_machine::head::Head;

/// Clients of the growth rows, and the most projects that each of them visits in turn.
const GROWTH_CLIENTS: usize = 8;
const GROWTH_PROJECTS: usize = 100;
/// Starts after SIGKILL.
const STARTS: usize = 3;
/// Records of each project where only the number of projects grows.
const FEW: u64 = story::LIFECYCLE + 2;
/// The smallest directory, which the goal compares the largest one with.
const SMALLEST: Size = Size { projects: 10, records: 100 };

impl Bench<'_> {
    /// Everything that depends on the size of a directory, from the smallest to the largest.
    pub(super) fn sizes(&self, report: &mut Report) -> anyhow::Result<()> {
        let (start, growth) = (self.wants(Part::Start), self.wants(Part::Growth));
        if growth {
            self.growth(report, SMALLEST)?;
            for size in self.steps() {
                self.growth(report, size)?;
            }
        }
        if start || growth {
            self.large(report, start, growth)?;
        }
        if self.wants(Part::Disk) {
            report.disk = Some(self.disk()?);
        }
        if self.wants(Part::Memory) {
            report.memory = Some(self.memory()?);
        }
        if growth {
            self.growth(report, self.largest())?;
        }
        Ok(())
    }

    /// Between the smallest and the largest: more projects of few records each, and more records in 1,000 projects.
    fn steps(&self) -> Vec<Size> {
        let few = |projects| Size { projects, records: FEW };
        let mut sizes = vec![few(10), few(1_000)];
        if !self.command.quick {
            sizes.extend([few(10_000), Size { projects: 1_000, records: 100 }]);
        }
        sizes
    }

    fn large_size(&self) -> Size {
        Size { projects: 1_000, records: if self.command.quick { 50 } else { 1_000 } }
    }

    fn largest(&self) -> Size {
        match (self.command.quick, self.command.full) {
            (true, _) => Size { projects: 5_000, records: FEW },
            (_, true) => Size { projects: 100_000, records: 100 },
            _ => Size { projects: 100_000, records: FEW },
        }
    }

    /// The directory of a million records: start after SIGKILL, growth, replay.
    fn large(&self, report: &mut Report, start: bool, growth: bool) -> anyhow::Result<()> {
        let size = self.large_size();
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
        load::run(&daemon, &requests, Expect::Fresh, std::time::Duration::from_secs(1))?;
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
        let size = self.large_size();
        let directory = self.scratch.join("disk");
        tell(&format!("disk: {} records are made", size.total()));
        let disk = disk::measure(&self.world, &directory, size)?;
        remove(&directory)?;
        Ok(disk)
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
        Ok(Memory { projects, empty_kib, evicted_kib, loaded_kib, bytes_each, evicted_bytes_each, estimated_each })
    }

    fn growth(&self, report: &mut Report, size: Size) -> anyhow::Result<()> {
        let directory = self.scratch.join("growth");
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
        // After a start the node loads every project and reads every row once; that is no part of a transition's cost.
        wake::until(daemon, "swoosh_scrubs_total", 1)?;
        let each = heads.len() / GROWTH_CLIENTS;
        let mut owned: Vec<_> = heads.chunks(each.max(1)).take(GROWTH_CLIENTS).map(<[_]>::to_vec).collect();
        let (load, _) = load::accepted(&self.world, daemon, &mut owned, self.measured(), None)?;
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
