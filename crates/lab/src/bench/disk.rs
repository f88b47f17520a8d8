//! Bytes of each column family for a transition: written by flushes and compactions, and left on the disk.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fill::{Size, fill_and};
use super::world::World;
use swoosh_journal::FamilyBytes;

/// Bytes for each transition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DiskRow {
    pub family: String,
    /// Written from memory to tables.
    pub flushed: u64,
    /// Written by compactions that RocksDB began by itself.
    pub compacted: u64,
    /// On the disk once these were over.
    pub settled: u64,
    /// On the disk after every table was compacted with every other of its family.
    pub compact: u64,
}

/// Bytes of a directory of this size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Disk {
    pub projects: usize,
    pub records: u64,
    pub families: Vec<DiskRow>,
}

/// Fills a directory and asks RocksDB.
pub(super) fn measure(world: &Arc<World>, directory: &Path, size: Size) -> anyhow::Result<Disk> {
    let (_, (settled, compact)) = fill_and(world, directory, size, &[], |journal| {
        journal.settle_tables()?;
        let settled = journal.family_bytes()?;
        journal.compact()?;
        Ok((settled, journal.family_bytes()?))
    })?;
    let records = size.total();
    let each = |bytes: u64| (bytes + records / 2) / records.max(1);
    let row = |(settled, compact): (&FamilyBytes, &FamilyBytes)| DiskRow {
        family: settled.family.to_owned(),
        flushed: each(settled.flushed),
        compacted: each(settled.compacted),
        settled: each(settled.tables),
        compact: each(compact.tables),
    };
    Ok(Disk { projects: size.projects, records, families: settled.iter().zip(&compact).map(row).collect() })
}

impl Disk {
    /// A table with the sum of the families as its last row.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        let Disk { projects, records, families } = self;
        writeln!(out, "\nbytes of a transition, {records} records in {projects} projects")?;
        writeln!(
            out,
            "{:<12} {:>8} {:>10} {:>8} {:>14}",
            "family", "flushed", "compacted", "on disk", "all compacted"
        )?;
        let sum = |of: fn(&DiskRow) -> u64| families.iter().map(of).sum();
        let all = DiskRow {
            family: "all".to_owned(),
            flushed: sum(|row| row.flushed),
            compacted: sum(|row| row.compacted),
            settled: sum(|row| row.settled),
            compact: sum(|row| row.compact),
        };
        for row in families.iter().chain([&all]) {
            let DiskRow { family, flushed, compacted, settled, compact } = row;
            writeln!(out, "{family:<12} {flushed:>8} {compacted:>10} {settled:>8} {compact:>14}")?;
        }
        Ok(())
    }
}
