//! What the machine can do at best: the cost below which no signed, durable design gets.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::world::World;
use swoosh_journal::{Batch, Durability, Journal, JournalOptions, Write};
use swoosh_types::hash::Hash;
use swoosh_types::keys::SecretKey;

/// Bytes that an accepted transition writes, about: record, decision, receipt, inputs.
const RECORD_BYTES: usize = 4 << 10;

/// The floor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Floor {
    /// Strict ed25519 checks of 1 KiB on one core.
    pub verify_per_second: u64,
    /// Synced RocksDB batches of one write of 4 KiB.
    pub synced_batches_of_1_per_second: u64,
    /// Synced RocksDB batches of 64 writes of 4 KiB.
    pub synced_batches_of_64_per_second: u64,
}

impl Floor {
    /// What nothing could be faster than with so many clients, each of which waits for its answer: one core's
    /// signature checks, and a synced batch of what all of them sent, of 64 writes at most.
    pub fn per_second(&self, clients: usize) -> f64 {
        let us = |batches_per_second: u64| 1e6 / batches_per_second.max(1) as f64;
        let (of_1, of_64) = (us(self.synced_batches_of_1_per_second), us(self.synced_batches_of_64_per_second));
        let size = clients.clamp(1, 64) as f64;
        let batch_us = of_1 + (of_64 - of_1) * (size - 1.0) / 63.0;
        (size * 1e6 / batch_us).min(self.verify_per_second as f64)
    }
}

/// Measures it, in a directory of its own.
pub(super) fn measure(world: &World, directory: &Path, measured: Duration) -> anyhow::Result<Floor> {
    let key = SecretKey::from_bytes(&[7; 32]);
    let (public, message) = (key.public(), vec![1_u8; 1024]);
    let signature = key.sign(&message);
    let verify_per_second = rate(measured, || {
        anyhow::ensure!(public.verify(&message, &signature), "the floor's own signature does not verify");
        Ok(())
    })?;
    let journal = Journal::open(JournalOptions {
        path: directory.join("floor"),
        node: public,
        cluster: world.cluster.clone(),
        snapshot_every: 1_000,
        durability: Durability::Sync,
        store: swoosh_journal::StoreLimits::default(),
        medium: None,
    })?;
    journal.recover()?;
    let mut written = 0;
    let mut batches = |size: u64| {
        rate(measured, || {
            let mut batch = Batch::default();
            for _ in 0..size {
                written += 1;
                let hash = Hash::of(&u64::to_be_bytes(written));
                batch.writes.push(Write::Object { hash, bytes: hash.as_bytes().repeat(RECORD_BYTES / 32) });
            }
            Ok(journal.append(&batch)?)
        })
    };
    Ok(Floor {
        verify_per_second,
        synced_batches_of_1_per_second: batches(1)?,
        synced_batches_of_64_per_second: batches(64)?,
    })
}

/// How often a second something can be done.
fn rate(measured: Duration, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let (began, mut done) = (Instant::now(), 0_u64);
    while began.elapsed() < measured {
        work()?;
        done += 1;
    }
    Ok((done as f64 / began.elapsed().as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_of_a_few_clients_lies_between_those_of_one_and_of_a_full_batch() {
        let floor = Floor {
            verify_per_second: 1_000_000,
            synced_batches_of_1_per_second: 4_000,
            synced_batches_of_64_per_second: 800,
        };
        assert!((floor.per_second(1) - 4_000.0).abs() < 1.0);
        assert!((floor.per_second(64) - 51_200.0).abs() < 1.0);
        assert!((floor.per_second(256) - 51_200.0).abs() < 1.0);
        assert!((4_000.0..51_200.0).contains(&floor.per_second(16)));
        assert!((Floor { verify_per_second: 100, ..floor }.per_second(64) - 100.0).abs() < 1.0);
    }
}
