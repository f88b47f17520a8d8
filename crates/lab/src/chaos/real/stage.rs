//! What an episode works with: the node, its disk, the world outside, and what the clients came to.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::disk::Disk;
use super::faults::Fault;
use super::outside::Outside;
use super::site::{Node, Refused, Site, eventually, start_limit};
use super::tally::Tally;
use crate::bench::world::World;
use swoosh_testkit::random::Random;
use swoosh_types::names::Transition;

/// How long a node may take to accept again after a fault.
pub(super) const HEAL_PATIENCE: Duration = Duration::from_secs(90);
/// How long a fault may take to be felt.
pub(super) const FELT_PATIENCE: Duration = Duration::from_secs(45);

/// Everything.
pub(super) struct Stage {
    pub world: Arc<World>,
    pub site: Site,
    pub disk: Disk,
    pub outside: Outside,
    pub tally: Arc<Tally>,
    pub random: Random,
    /// None while it is down.
    pub node: Option<Node>,
}

/// What became of an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Episode {
    /// How often the fault happened; 0 where it was not felt.
    pub fired: u64,
    /// Describes the fault and the reaction of the node.
    pub detail: String,
}

impl Episode {
    /// It happened once.
    pub fn once(detail: impl Into<String>) -> Episode {
        Episode { fired: 1, detail: detail.into() }
    }

    /// It was not felt.
    pub fn unfelt(detail: impl Into<String>) -> Episode {
        Episode { fired: 0, detail: detail.into() }
    }
}

impl Stage {
    /// The running node.
    pub fn node(&self) -> anyhow::Result<&Node> {
        self.node.as_ref().context("the node is down")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(node) = self.node.take() {
            node.kill();
        }
    }

    /// Starts the node, which must come up: nothing is wrong with what it finds.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.start_with(&[])
    }

    /// The same with more in its environment.
    pub fn start_with(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        match self.site.start(environment)? {
            Ok(node) => {
                node.publish();
                self.node = Some(node);
                Ok(())
            }
            Err(refused) => {
                self.tally.violate("starts", "the node starts where nothing is wrong", refused.to_string());
                anyhow::bail!("the node does not start any more: {refused}")
            }
        }
    }

    /// A start on damaged files, which may be refused. The node serves no client.
    pub fn start_behind_closed_doors(&self) -> anyhow::Result<Result<Node, Refused>> {
        self.site.start(&[])
    }

    /// SIGKILL and a start; from then on the heal counts.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.tally.lift(None);
        self.kill();
        self.start()
    }

    /// What an operator does with a node that needs a restart; one that goes on by itself is left alone.
    pub fn restart_if_read_only(&mut self) -> anyhow::Result<&'static str> {
        let mut mode = String::new();
        let node = self.node()?;
        eventually(start_limit(), || {
            mode = node.health()["mode"].as_str().unwrap_or_default().to_owned();
            mode == "read_only" || (mode == "accepting" && node.is_ready())
        });
        if mode == "accepting" {
            return Ok("it went on by itself");
        }
        self.kill();
        self.start()?;
        Ok("it asked for a restart and got one")
    }

    /// Waits until so many more proposals are accepted.
    pub fn breathe(&mut self, accepted: u64, patience: Duration) -> bool {
        let wanted = self.accepted() + accepted;
        eventually(patience, || self.accepted() >= wanted)
    }

    /// Accepted so far.
    pub fn accepted(&self) -> u64 {
        self.tally.accepted.load(Ordering::Relaxed)
    }

    /// Lets time pass, by chance between two bounds.
    pub fn linger(&mut self, low_ms: u64, high_ms: u64) -> u64 {
        let wait_ms = self.random.between(low_ms, high_ms);
        std::thread::sleep(Duration::from_millis(wait_ms));
        wait_ms
    }

    /// Lifts the fault; the first acceptance of this transition, or of any, is the heal.
    pub fn lift(&self, transition: Option<Transition>) {
        self.tally.lift(transition);
    }

    /// Waits until proposals are refused with one of these codes more often than so far.
    pub fn until_refused(&self, codes: &[&str], before: u64) -> bool {
        eventually(FELT_PATIENCE, || self.tally.refused(codes) > before)
    }

    /// A name for a side copy or a note beside the data.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.disk.root().join(name)
    }

    /// Runs an episode.
    pub fn play(&mut self, fault: Fault) -> anyhow::Result<(Episode, Option<Duration>, Duration)> {
        let began = Instant::now();
        let episode = super::episodes::play(self, fault)?;
        let healed = self.tally.heal(HEAL_PATIENCE);
        if healed.is_none() {
            let expected = format!("a proposal is accepted within {HEAL_PATIENCE:?} after {fault}");
            let health = self.node.as_ref().map(|node| node.health().to_string()).unwrap_or_default();
            self.tally.violate("heals", expected, format!("none was; {}; the node says {health}", episode.detail));
        }
        Ok((episode, healed, began.elapsed()))
    }
}
