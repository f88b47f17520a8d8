//! Simulated clusters: the consensus engine, unchanged, over disks and links in memory.
//!
//! The members have no journal, sequencer or machine of SWOOSH yet: a batch is one line of text, and a state is the hash of all rows.
//! So these worlds test the engine, its adapter and the ports (`swoosh_cluster`), not the daemon.

mod disk;
mod instance;
mod memory;
mod net;
mod oracle;
mod reigns;
mod script;
mod stream;
#[cfg(test)]
mod tests;
mod transfer;
mod world;

pub use oracle::Counts;
pub use script::{Report, Script, run, trace};

/// A bug put in on purpose. The oracle must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A member acknowledges rows before they are on its disk.
    AckBeforeSync,
    /// A member gives its vote before it is on its disk.
    UnsyncedVote,
}
