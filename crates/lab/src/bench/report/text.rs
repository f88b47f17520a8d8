//! The tables of a report.

use std::fmt::{Result, Write as _};

use super::super::abuse::AbuseRow;
use super::super::commit::CommitRow;
use super::super::load::LoadRow;
use super::super::peers::PeerRow;
use super::super::rounds::{Figure, RatioRow, Spread};
use super::{ColdStart, Floor, GrowthRow, Memory, Report};

impl Report {
    /// The tables.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).unwrap_or_default();
        out
    }

    fn write(&self, out: &mut String) -> Result {
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
        self.write_commit(out)?;
        self.write_load(out)?;
        self.write_ratios(out)?;
        self.write_abuse(out)?;
        self.write_sizes(out)?;
        writeln!(out, "\n{:<88} {:>12} {:>22}", "goal", "must reach", "measured")?;
        for goal in &self.goals {
            let met = if goal.met { "met" } else { "NOT MET" };
            writeln!(out, "{:<88} {:>12} {:>22}  {met}", goal.work, goal.goal, goal.measured)?;
        }
        Ok(())
    }

    fn write_commit(&self, out: &mut String) -> Result {
        if self.commit.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<28} {:>8} {:>12} {:>12} {:>12} {:>12}",
            "batches in this process", "records", "p50 µs", "p99 µs", "p50 µs each", "p99 µs each"
        )?;
        for CommitRow { records, stages, .. } in &self.commit {
            for row in stages {
                write!(out, "{:<28} {records:>8} ", row.stage)?;
                write!(out, "{:>12.1} {:>12.1} ", row.batch.p50_us, row.batch.p99_us)?;
                writeln!(out, "{:>12.1} {:>12.1}", row.transition.p50_us, row.transition.p99_us)?;
            }
        }
        writeln!(
            out,
            "  one batch after the other in one thread, without HTTP, metrics and log lines; sync includes the watermark"
        )
    }

    fn write_load(&self, out: &mut String) -> Result {
        writeln!(
            out,
            "\n{:<28} {:>8} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10} {:>8}",
            "load over HTTP", "clients", "per s", "p50 µs", "p99 µs", "cpu µs", "× etcd", "× Restate", "× floor"
        )?;
        for row in &self.accepted {
            let ratio = |peer| {
                let found = self.ratio(peer, row.clients, Figure::Rate);
                found.map_or("-".to_owned(), |found| format!("{:.2}", found.ratio.median))
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
        self.write_hot(out)?;
        for row in self.peers.iter().filter(|row| row.peer != "verify") {
            let PeerRow { clients, per_second, p50_us, p99_us, .. } = row;
            writeln!(out, "{:<28} {clients:>8} {per_second:>10} {p50_us:>10} {p99_us:>10}", row.title())?;
        }
        for row in &self.accepted {
            let Some(batches) = &row.batches else { continue };
            writeln!(
                out,
                "  {} clients: {:.1} records in a batch, {} µs for its commit, {} µs of them for write and sync",
                row.clients, batches.records, batches.commit_us, batches.sync_us
            )?;
        }
        Ok(())
    }

    fn write_hot(&self, out: &mut String) -> Result {
        let Some(hot) = &self.hot else { return Ok(()) };
        let (clients, per_second) = (hot.clients, hot.accepted_per_second);
        write!(out, "{:<28} {clients:>8} {per_second:>10}", "one hot project (SDK)")?;
        write!(out, " {:>10} {:>10}", hot.p50_us, hot.p99_us)?;
        write!(out, "   {:.1} attempts each, {} to {} accepted a client", hot.attempts_each, hot.least, hot.most)?;
        writeln!(out, ", {} given up by {} clients", hot.given_up, hot.clients_given_up)
    }

    fn write_ratios(&self, out: &mut String) -> Result {
        if self.ratios.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{:<28} {:>8} {:>10} {:>10} {:>10} {:>10}",
            "against the peers", "clients", "figure", "median ×", "least ×", "most ×"
        )?;
        for RatioRow { peer, clients, figure, connections, ratio } in &self.ratios {
            let name = connections.map_or(peer.clone(), |shared| format!("{peer}, {shared} connections"));
            let figure = match figure {
                Figure::Rate => "rate",
                Figure::P50 => "p50",
                Figure::P99 => "p99",
            };
            let Spread { median, min, max, .. } = ratio;
            writeln!(out, "{name:<28} {clients:>8} {figure:>10} {median:>10.2} {min:>10.2} {max:>10.2}")?;
        }
        writeln!(out, "  of {} rounds; of etcd's two ways the better one for each figure", self.rounds.len())
    }

    fn write_abuse(&self, out: &mut String) -> Result {
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

    fn write_sizes(&self, out: &mut String) -> Result {
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

fn write_row(out: &mut String, name: &str, row: &LoadRow) -> Result {
    let LoadRow { clients, per_second, p50_us, p99_us, processor_us, .. } = row;
    write!(out, "{name:<28} {clients:>8} {per_second:>10} {p50_us:>10} {p99_us:>10} {processor_us:>8}")
}
