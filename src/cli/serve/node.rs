//! A node: key, journal, facts, sequencer, in the order in which they need each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::ports::{ClockPort, DecisionPort, Watch};
use crate::facts::{BuiltIn, FactFile, FactTable, Trust};
use crate::ingress::{AppState, Limits, NodeInfo, Queries};
use crate::journal::{self, Journal, JournalOptions, Recovered, StoreLimits};
use crate::platform::clock::Clock;
use crate::platform::keyfile;
use crate::sequencer::{Handle, Memory, Options, Ports};
use crate::settings::{Durability, Settings};
use crate::telemetry::metrics::Metrics;
use crate::types::hlc::Hlc;
use crate::types::keys::{PublicKey, SecretKey};

/// A running node, without its HTTP server.
pub(in crate::cli) struct Node {
    key: PublicKey,
    handle: Handle,
    facts: Arc<FactTable>,
    metrics: Arc<Metrics>,
}

/// Longest that a request's headers may take to arrive, in milliseconds.
const HEADER_TIMEOUT_MS: u64 = 10_000;

impl Node {
    /// Opens, recovers and starts everything. Says on standard error what takes long.
    pub fn start(settings: &Settings) -> anyhow::Result<Node> {
        std::fs::create_dir_all(&settings.data)
            .with_context(|| format!("cannot make the data directory {}", settings.data.display()))?;
        let loaded = keyfile::load_or_create(&settings.node_key_path())?;
        if loaded.created {
            eprintln!("made a node key in {}", settings.node_key_path().display());
        }
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::new(Clock::system(settings.clock.max_ahead_ms));
        let facts = Arc::new(believe(settings, &loaded.key, clock.clone())?);
        let (journal, recovered) = open_journal(settings, &loaded.key, &metrics)?;
        let ports = Ports {
            clock: Arc::new(ClockPort(clock)),
            facts: facts.clone(),
            describe: Arc::new(DecisionPort),
            observer: Arc::new(Watch(metrics.clone())),
        };
        let key = loaded.key.public();
        let handle = Handle::start(options(settings, loaded.key), ports, journal, recovered)?;
        Ok(Node { key, handle, facts, metrics })
    }

    /// The node's public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The way to its sequencer.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Its fact table.
    pub fn facts(&self) -> &Arc<FactTable> {
        &self.facts
    }

    /// What the HTTP routes work on.
    pub fn app_state(&self, settings: &Settings) -> AppState {
        let (handle, metrics, facts) = (self.handle.clone(), self.metrics.clone(), self.facts.clone());
        AppState {
            handle: handle.clone(),
            meta: NodeInfo {
                cluster: settings.cluster.clone(),
                node: self.key,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            limits: limits(settings),
            queries: Arc::new(Shown { handle, metrics, facts }),
        }
    }
}

/// What the HTTP server allows.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        body_limit_bytes: settings.http.body_limit_bytes,
        request_timeout_ms: settings.http.request_timeout_ms,
        header_timeout_ms: HEADER_TIMEOUT_MS.min(settings.http.request_timeout_ms),
        drain_timeout_ms: settings.http.drain_timeout_ms,
    }
}

/// The fact table: the node's own facts, and those of the fact file.
fn believe(settings: &Settings, key: &SecretKey, clock: Arc<Clock>) -> anyhow::Result<FactTable> {
    let trust = Trust {
        cluster: settings.cluster.clone(),
        node: key.public(),
        sources: settings.facts.sources.clone(),
        max_ahead_ms: settings.clock.max_ahead_ms,
    };
    let table = FactTable::new(trust, clock);
    let built_in = BuiltIn {
        settings: settings.guard_settings(key.public()),
        windows: settings.schedule()?,
        policy: settings.policy_bundle()?,
    };
    table.insert_built_in(key, &built_in)?;
    Ok(table)
}

/// Reads the fact file once, so that the first proposals find its facts.
pub(in crate::cli) fn fact_file(settings: &Settings, table: &Arc<FactTable>) -> Option<FactFile> {
    let mut file = FactFile::new(settings.facts.file.clone()?, table.clone());
    if let Some(report) = file.poll() {
        report.problems.iter().for_each(|problem| eprintln!("facts: {problem}"));
    }
    Some(file)
}

fn durability(settings: &Settings) -> journal::Durability {
    match settings.journal.durability {
        Durability::Sync => journal::Durability::Sync,
        Durability::Interval => journal::Durability::Interval(Duration::from_millis(settings.journal.interval_ms)),
    }
}

fn open_journal(settings: &Settings, key: &SecretKey, metrics: &Metrics) -> anyhow::Result<(Journal, Recovered)> {
    let began = Instant::now();
    let journal = Journal::open(JournalOptions {
        path: settings.data.join("journal"),
        node: key.public(),
        cluster: settings.cluster.clone(),
        snapshot_every: settings.journal.snapshot_every,
        durability: durability(settings),
        store: StoreLimits {
            cache_bytes: usize::try_from(settings.journal.cache_bytes)?,
            write_buffer_bytes: usize::try_from(settings.journal.write_buffer_bytes)?,
            open_files: i32::try_from(settings.journal.open_files)?,
        },
    })?;
    let recovered = journal.recover_tail()?;
    let took = began.elapsed();
    metrics.recovered_in(took);
    metrics.set_wal_last_index(recovered.last_index);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(last_index = recovered.last_index, chained = recovered.chained, took_ms, "recovered");
    Ok((journal, recovered))
}

fn options(settings: &Settings, node_key: SecretKey) -> Options {
    Options {
        cluster: settings.cluster.clone(),
        node_key,
        queue: settings.sequencer.queue,
        batch_max: settings.sequencer.batch_max,
        memory: Memory {
            projects: settings.heads.memory_projects,
            bytes: settings.heads.memory_bytes,
            idle_rounds: super::upkeep::IDLE_ROUNDS,
        },
        sweep_every: settings.journal.sweep_every,
        durability: durability(settings),
    }
}

/// What the routes show and cannot know themselves.
struct Shown {
    handle: Handle,
    metrics: Arc<Metrics>,
    facts: Arc<FactTable>,
}

impl Queries for Shown {
    fn metrics(&self) -> Vec<u8> {
        let status = self.handle.status();
        self.metrics.set_queue_depth(status.queue as u64);
        self.metrics.set_wal_lag(status.wal_lag);
        self.metrics.set_heads(status.heads as u64, status.heads_bytes as u64);
        self.metrics.render()
    }

    fn facts(&self) -> serde_json::Value {
        serde_json::to_value(self.facts.describe()).unwrap_or_default()
    }

    fn last_snapshot_hlc(&self) -> Option<Hlc> {
        self.handle.status().last_snapshot
    }

    fn wal_lag(&self) -> u64 {
        self.handle.status().wal_lag
    }
}
