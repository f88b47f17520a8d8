//! Bytes that each column family wrote and holds, by RocksDB's own statistics.

use super::error::StorageError;
use super::{Journal, store::Store};

/// Bytes of one column family since the journal was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyBytes {
    pub family: &'static str,
    /// Written to tables from memory. RocksDB reports thousandths of a GiB.
    pub flushed: u64,
    /// Written by compactions. RocksDB reports hundredths of a GiB.
    pub compacted: u64,
    /// In the tables that there are now.
    pub tables: u64,
}

const GIB: f64 = (1_u64 << 30) as f64;

impl Journal {
    /// The bytes of every column family; empty for another store than RocksDB.
    pub fn family_bytes(&self) -> Result<Vec<FamilyBytes>, StorageError> {
        let Store::Rocks(db) = &self.0.db else { return Ok(Vec::new()) };
        let files = db.live_files()?;
        let mut families = Vec::new();
        for family in self.0.families() {
            let name = family.name();
            let handle = db.cf_handle(name).ok_or_else(|| StorageError(format!("no column family {name}")))?;
            let report = db.property_value_cf(handle, "rocksdb.cfstats-no-file-histogram")?.unwrap_or_default();
            let (flushed, written) = written(&report)
                .ok_or_else(|| StorageError(format!("RocksDB's statistics of {name} have another form")))?;
            let tables = files.iter().filter(|file| file.column_family_name == name).map(|file| file.size as u64);
            let compacted = written.saturating_sub(flushed);
            families.push(FamilyBytes { family: name, flushed, compacted, tables: tables.sum() });
        }
        Ok(families)
    }

    /// Writes memory to tables, and waits for the compactions that RocksDB begins by itself.
    pub fn settle_tables(&self) -> Result<(), StorageError> {
        let Store::Rocks(db) = &self.0.db else { return self.0.db.sync() };
        let mut options = rocksdb::WaitForCompactOptions::default();
        options.set_flush(true);
        Ok(db.wait_for_compact(&options)?)
    }

    /// Compacts every column family into one sorted run.
    pub fn compact(&self) -> Result<(), StorageError> {
        self.settle_tables()?;
        let Store::Rocks(db) = &self.0.db else { return Ok(()) };
        for handle in self.0.families().iter().filter_map(|family| db.cf_handle(family.name())) {
            db.compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
        }
        self.settle_tables()
    }
}

/// Bytes that flushes wrote, and bytes that flushes and compactions wrote, in RocksDB's report on a family.
fn written(report: &str) -> Option<(u64, u64)> {
    let gib = |begin: &str| {
        let rest = report.lines().find_map(|line| line.strip_prefix(begin))?;
        let number = rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?;
        Some((number.parse::<f64>().ok()? * GIB) as u64)
    };
    Some((gib("Flush(GB): cumulative ")?, gib("Cumulative compaction: ")?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Node;

    #[test]
    fn the_bytes_of_each_family_are_reported_and_compaction_loses_none() {
        let mut node = Node::new();
        (0..40).for_each(|_| drop(node.commit(&["a", "b", "c"])));
        let tables = |node: &Node, name: &str| {
            let bytes = node.journal.family_bytes().unwrap();
            bytes.iter().find(|found| found.family == name).unwrap().tables
        };
        assert_eq!(tables(&node, "wal"), 0, "all is in memory");
        node.journal.settle_tables().unwrap();
        assert!(tables(&node, "wal") > tables(&node, "idem") && tables(&node, "idem") > 0);
        node.journal.compact().unwrap();
        assert!(tables(&node, "wal") > 0 && tables(&node, "objects") > 0);
        assert!(crate::verify::verify(&node.journal, &mut |_| ()).is_good());
    }

    /// Flushed tables had another compression than compacted ones, so that every table of the log was written twice.
    #[test]
    fn tables_of_the_log_are_moved_and_never_written_again() {
        let mut node = Node::new();
        let tables = |node: &Node| -> BTreeSet<String> {
            let files = node.journal.0.db.inside().live_files().unwrap();
            files.into_iter().filter(|file| file.column_family_name == "wal").map(|file| file.name).collect()
        };
        let mut flushed = BTreeSet::new();
        for _ in 0..9 {
            node.commit(&["a", "b", "c"]);
            node.journal.settle_tables().unwrap();
            flushed.append(&mut tables(&node));
        }
        assert_eq!(flushed.len(), 9);
        assert_eq!(tables(&node), flushed);
    }

    #[test]
    fn the_report_of_rocksdb_is_read_and_another_form_is_refused() {
        let report = "Uptime(secs): 1.0 total\nFlush(GB): cumulative 1.500, interval 0.000\n\
            Cumulative compaction: 3.25 GB write, 4.00 MB/s write\n";
        assert_eq!(written(report), Some((3 << 29, 13 << 28)));
        assert_eq!(written("Flush(GB): cumulative 1.500"), None);
        assert_eq!(written("Flush(GB): cumulative x\nCumulative compaction: 1.00 GB"), None);
    }
}
