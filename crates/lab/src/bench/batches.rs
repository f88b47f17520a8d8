//! The daemon's batches under load, by its own metrics: their number, their size, and the mean time of a commit and of its sync.

use serde::{Deserialize, Serialize};

use super::daemon::Daemon;
use super::wake;

/// Means over a load, its second of warm-up included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batches {
    /// Records in a batch.
    pub records: f64,
    /// From the begin of a commit until its callers are answered.
    pub commit_us: u64,
    /// Write and sync of a batch, the watermark included.
    pub sync_us: u64,
}

/// Count and sum of a histogram.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    count: f64,
    sum: f64,
}

impl Total {
    fn read(text: &str, name: &str) -> anyhow::Result<Total> {
        let number = |end: &str| anyhow::Ok(wake::value(text, &format!("{name}_{end}"))?.parse()?);
        Ok(Total { count: number("count")?, sum: number("sum")? })
    }

    /// The mean of what came since.
    fn mean_since(self, before: Total) -> Option<f64> {
        let count = self.count - before.count;
        (count > 0.0).then(|| (self.sum - before.sum) / count)
    }
}

/// The histograms at a moment.
pub(super) struct Counted {
    records: Total,
    commit_seconds: Total,
    sync_seconds: Total,
}

impl Counted {
    pub fn read(daemon: &Daemon) -> anyhow::Result<Counted> {
        Counted::of(&wake::metrics(daemon)?)
    }

    fn of(text: &str) -> anyhow::Result<Counted> {
        Ok(Counted {
            records: Total::read(text, "swoosh_batch_records")?,
            commit_seconds: Total::read(text, "swoosh_commit_seconds")?,
            sync_seconds: Total::read(text, "swoosh_wal_sync_seconds")?,
        })
    }

    /// The batches between two moments; `None` if there was none.
    pub fn since(&self, before: &Counted) -> Option<Batches> {
        let us = |seconds: f64| (seconds * 1e6).round() as u64;
        Some(Batches {
            records: self.records.mean_since(before.records)?,
            commit_us: us(self.commit_seconds.mean_since(before.commit_seconds)?),
            sync_us: us(self.sync_seconds.mean_since(before.sync_seconds)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(batches: u64, records: u64, seconds: f64) -> String {
        ["swoosh_batch_records", "swoosh_commit_seconds", "swoosh_wal_sync_seconds"]
            .iter()
            .zip([records as f64, seconds, seconds / 2.0])
            .map(|(name, sum)| format!("{name}_bucket{{le=\"1\"}} 3\n{name}_sum {sum}\n{name}_count {batches}\n"))
            .collect()
    }

    #[test]
    fn only_the_batches_between_two_readings_count() {
        let (before, after) = (Counted::of(&text(10, 10, 1.0)).unwrap(), Counted::of(&text(30, 410, 1.04)).unwrap());
        let Batches { records, commit_us, sync_us } = after.since(&before).unwrap();
        assert_eq!((records, commit_us, sync_us), (20.0, 2_000, 1_000));
        assert!(before.since(&before).is_none());
    }
}
