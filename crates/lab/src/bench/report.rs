//! The measured figures, as a document; `text` has its tables.

mod goals;
mod text;

use serde::{Deserialize, Serialize};

use super::abuse::AbuseRow;
use super::commit::CommitRow;
use super::disk::Disk;
use super::floor::Floor;
use super::hot::HotRow;
use super::load::LoadRow;
use super::peers::PeerRow;
use super::rounds::{self, Figure, RatioRow, Round};

/// Everything of one run. Parts that were skipped are absent. `bench draw` reads it again, also where an older program wrote it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    pub machine: Machine,
    pub floor: Option<Floor>,
    /// Batches of this process, stage by stage.
    pub commit: Vec<CommitRow>,
    /// Every row of every round. The next fields are the middle ones by rate.
    pub rounds: Vec<Round>,
    pub accepted: Vec<LoadRow>,
    pub duplicates: Option<LoadRow>,
    pub hot: Option<HotRow>,
    pub peers: Vec<PeerRow>,
    /// SWOOSH against its peers, round by round.
    pub ratios: Vec<RatioRow>,
    pub abuse: Vec<AbuseRow>,
    pub replay: Option<ReplayRow>,
    pub cold_start: Option<ColdStart>,
    pub memory: Option<Memory>,
    pub growth: Vec<GrowthRow>,
    pub disk: Option<Disk>,
    pub goals: Vec<Goal>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub cores: usize,
    pub processor: String,
    /// One-minute load average before the run: over 0.5 others are at work, and figures are noisy.
    pub load_before: String,
    /// How this program was compiled.
    pub debug_assertions: bool,
}

/// Reducing a whole log again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ReplayRow {
    pub records: u64,
    pub per_second: u64,
}

/// Starting after SIGKILL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ColdStart {
    pub records: u64,
    pub projects: usize,
    /// Each start, from the process to the first `200` of `/health/ready`.
    pub took_ms: Vec<u64>,
}

impl ColdStart {
    /// The start in the middle.
    pub fn median_ms(&self) -> u64 {
        rounds::middle(self.took_ms.iter(), |took_ms| *took_ms).unwrap_or(0)
    }
}

/// Memory of idle projects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    pub projects: usize,
    /// Resident memory of a daemon without projects, in KiB.
    pub empty_kib: u64,
    /// With these projects on its disk and none loaded.
    pub evicted_kib: u64,
    /// With all of them loaded.
    pub loaded_kib: u64,
    /// Bytes of one in memory.
    pub bytes_each: u64,
    /// Bytes of one that is not in memory.
    pub evicted_bytes_each: u64,
    /// Bytes of one in memory by the node's own estimate.
    #[serde(alias = "told_each")]
    pub estimated_each: u64,
}

/// The same load on directories of different sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GrowthRow {
    pub projects: usize,
    pub records: u64,
    pub load: LoadRow,
}

/// One line of the goals (docs/performance.md).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Goal {
    pub work: String,
    pub goal: String,
    pub measured: String,
    pub met: bool,
}

impl Report {
    /// Derives the middle rows, the ratios and the goals from what was measured.
    pub fn summarise(&mut self) {
        self.accepted = rounds::middle_accepted(&self.rounds);
        self.peers = rounds::middle_peers(&self.rounds);
        let rounds = &self.rounds;
        self.duplicates =
            rounds::middle(rounds.iter().filter_map(|round| round.duplicates.as_ref()), |row| row.per_second);
        let hot = rounds.iter().filter_map(|round| round.hot.as_ref());
        self.hot = rounds::middle(hot, |row| row.accepted_per_second);
        self.ratios = rounds::ratios(rounds);
        self.goals = self.judged();
    }

    /// The rounds. A report of an older program has the middle rows alone: they are its only round.
    pub fn all_rounds(&self) -> Vec<Round> {
        if !self.rounds.is_empty() {
            return self.rounds.clone();
        }
        let (accepted, peers) = (self.accepted.clone(), self.peers.clone());
        let (duplicates, hot) = (self.duplicates.clone(), self.hot.clone());
        vec![Round { accepted, duplicates, hot, peers }]
    }

    fn at(&self, clients: usize) -> Option<&LoadRow> {
        self.accepted.iter().find(|row| row.clients == clients)
    }

    fn ratio(&self, peer: &str, clients: usize, figure: Figure) -> Option<&RatioRow> {
        self.ratios.iter().find(|row| row.peer == peer && row.clients == clients && row.figure == figure)
    }
}
