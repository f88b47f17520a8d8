//! A node: key, journal, facts, sequencer, in the order in which they need each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::broadcast;

use super::bundles;
use super::bus::Bus;
use super::clock::ClockDesk;
use super::doers::Doers;
use super::effects;
use super::exporters::{self, Exports, Work};
use super::migration;
use super::outside;
use super::ports::{ClockPort, DecisionPort, Questions, Watch};
use super::scrape::Scrape;
use super::traces;
use crate::logging;
use swoosh_effects::Runner;
use swoosh_facts::kaching::Keeper;
use swoosh_facts::{BuiltIn, FactFile, FactStore, FactTable, Speaker, Trust};
use swoosh_http::{
    AppState, EffectFilter, EffectsPage, ExportView, FactFilter, Gate, Happened, Limits, NodeInfo, Parts, Queries,
    SharedReaders,
};
use swoosh_journal::{
    self as journal, ChartError, Journal, JournalOptions, OpenError, ReadError, Recovered, StoreLimits, Written,
};
use swoosh_migration::Shim;
use swoosh_platform::clock::Clock;
use swoosh_platform::descriptors;
use swoosh_platform::gate::{self, GateKeeper, NetworkGate};
use swoosh_platform::keyfile::{self, LoadedKey};
use swoosh_platform::private;
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::{Handle, Memory, Options, Patience, Ports};
use swoosh_settings::{Durability, Settings};
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::{PublicKey, SecretKey};

/// A running node, without its HTTP server.
pub struct Node {
    key: PublicKey,
    handle: Handle,
    facts: Arc<FactTable>,
    speaker: Speaker,
    gate: NetworkGate,
    keeper: Option<GateKeeper>,
    license: Option<Keeper>,
    pushed: Arc<FactStore>,
    metrics: Arc<Metrics>,
    exports: Arc<Exports>,
    exporters: Vec<Work>,
    bus: Arc<Bus>,
    doers: Arc<Doers>,
    runner: Option<Runner>,
    shim: Option<Arc<Shim>>,
    traces: Option<traces::Sender>,
    clock: Arc<ClockDesk>,
}

/// Descriptors that are kept for everything but connections: the store may have 1,024 tables open.
const OTHER_DESCRIPTORS: u64 = 1_024 + 128;

impl Node {
    /// Opens, recovers and starts everything. Says on standard error what takes long.
    pub fn start(settings: &Settings) -> anyhow::Result<Node> {
        private::make_data_directory(&settings.data)
            .with_context(|| format!("cannot make the data directory {}", settings.data.display()))?;
        let secrets = Secrets::open(settings.secrets.file.as_deref(), settings.secrets.identity.as_deref())?;
        logging::keep_out(&secrets);
        let loaded = node_key(settings)?;
        if loaded.created {
            eprintln!("made a node key in {}", settings.node_key_path().display());
        }
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::new(Clock::system(settings.clock.max_ahead_ms));
        metrics.started(clock.now().wall_ms);
        let facts = Arc::new(believe(settings, &loaded.key, clock.clone())?);
        let speaker = Speaker::new(facts.clone(), loaded.key.clone()).counted(Arc::new(Questions(metrics.clone())));
        let license = outside::license_keeper(settings, &speaker, &secrets)?;
        let (journal, recovered) = open_journal(settings, &loaded.key, &metrics)?;
        let pushed = outside::restore(settings, &facts, recovered.last_timestamp)?;
        bundles::follow_log(&journal, &facts)?;
        let (bus, waiting) = (Bus::new(), traces::queue(settings, &metrics));
        let ports = Ports {
            clock: Arc::new(ClockPort(clock.clone())),
            facts: facts.clone(),
            describe: Arc::new(DecisionPort { points: effects::Points::from_environment()? }),
            observer: Arc::new(Watch { metrics: metrics.clone(), bus: bus.clone(), traces: waiting.clone() }),
        };
        let key = loaded.key.public();
        let (keeper, gate) = gate::closed("no license was found valid yet");
        let way_out = |waiting| traces::sender(settings, &secrets, (waiting, &metrics), &gate, key);
        let traces = waiting.as_ref().map(way_out).transpose()?.flatten();
        let handle = Handle::start(options(settings, loaded.key), ports, journal, recovered)?;
        pushed.follow_stamps(outside::last_stamp(&handle));
        let clock = Arc::new(ClockDesk::open(settings, clock, handle.clone(), speaker.clone())?);
        let (exports, exporters) = exporters::prepare(settings, &secrets, &handle, &gate)?;
        let (keeper, exports) = (Some(keeper), Arc::new(exports));
        let runner = None;
        let mut node = Node {
            key,
            handle,
            facts,
            speaker,
            gate,
            keeper,
            license,
            pushed,
            metrics,
            exports,
            exporters,
            bus,
            doers: Arc::new(Doers::new(&settings.effects)),
            runner,
            shim: None,
            traces,
            clock,
        };
        // Before any effect begins: it may be WHOOSH's.
        node.shim = migration::start(&node, settings, &secrets)?;
        node.runner = Some(effects::start(&node, settings, &secrets)?);
        Ok(node)
    }

    /// Its clock, as an operator sees and corrects it.
    pub fn clock(&self) -> &Arc<ClockDesk> {
        &self.clock
    }

    /// The node's public key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The way to its sequencer.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn facts(&self) -> &Arc<FactTable> {
        &self.facts
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The voice of its providers.
    pub fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// The gate of its providers, exporters and effects.
    pub fn gate(&self) -> &NetworkGate {
        &self.gate
    }

    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    pub fn doers(&self) -> &Arc<Doers> {
        &self.doers
    }

    /// The shim, if the settings name WHOOSH.
    pub fn shim(&self) -> Option<Arc<Shim>> {
        self.shim.clone()
    }

    /// The runner of effects, if the node performs them.
    pub fn runner(&self) -> Option<Runner> {
        self.runner.clone()
    }

    /// Hands over what moves the gate; there is one.
    pub fn take_keeper(&mut self) -> Option<GateKeeper> {
        self.keeper.take()
    }

    /// Hands over what fetches the license, where the settings name a server.
    pub fn take_license(&mut self) -> Option<Keeper> {
        self.license.take()
    }

    /// Hands over the work of the exporters; there is one of each.
    pub fn take_exporters(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.exporters)
    }

    /// Hands over what sends spans, where the settings name a collector.
    pub fn take_traces(&mut self) -> Option<traces::Sender> {
        self.traces.take()
    }

    /// The state of the HTTP routes.
    pub fn app_state(&self, settings: &Settings, readers: SharedReaders) -> AppState {
        let (facts, gate, exports) = (self.facts.clone(), self.gate.clone(), self.exports.clone());
        let metrics = self.metrics.clone();
        let (handle, bus) = (self.handle.clone(), self.bus.clone());
        let scrape = Scrape {
            handle: handle.clone(),
            metrics: metrics.clone(),
            facts: facts.clone(),
            gate: gate.clone(),
            exports: exports.clone(),
            bus: bus.clone(),
        };
        let shown = Shown { handle, facts, gate, exports, scrape, bus, doers: self.doers.clone() };
        let limits = limits(settings);
        AppState::from(Parts {
            handle: self.handle.clone(),
            meta: NodeInfo {
                cluster: settings.cluster.clone(),
                node: self.key,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            limits,
            gate: Gate::new(limits, Arc::new(Watch { metrics, bus: self.bus.clone(), traces: None })),
            queries: Arc::new(shown),
            console: settings.console.enabled,
            intake: Arc::new(outside::StoreIntake(self.pushed.clone())),
            readers,
            migration: self.shim().map(migration::routes),
        })
    }
}

/// Limits of the HTTP server.
pub fn limits(settings: &Settings) -> Limits {
    let (http, limits, tls) = (&settings.http, &settings.limits, &settings.tls);
    Limits {
        body_limit_bytes: http.body_limit_bytes,
        request_timeout_ms: http.request_timeout_ms,
        body_pause_timeout_ms: http.body_pause_timeout_ms,
        first_byte_timeout_ms: http.first_byte_timeout_ms,
        header_timeout_ms: http.header_timeout_ms,
        idle_timeout_ms: http.idle_timeout_ms,
        write_timeout_ms: http.write_timeout_ms,
        handshake_timeout_ms: tls.handshake_timeout_ms,
        ping_interval_ms: http.ping_interval_ms,
        ping_timeout_ms: http.ping_timeout_ms,
        streams: http.streams,
        resets: http.resets,
        drain_timeout_ms: http.drain_timeout_ms,
        connections: connections(limits.connections, descriptors::limit()),
        connections_per_peer: limits.connections_per_peer,
        requests: limits.requests,
        requests_per_peer: limits.requests_per_peer,
        reads: limits.reads,
        listeners: limits.listeners,
        body_memory_bytes: limits.body_memory_bytes,
        failures: limits.failures,
        failures_forgiven_per_second: limits.failures_forgiven_per_second,
    }
}

/// As many connections as were asked for and the process may open; where it may open little, half of that.
fn connections(asked: usize, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else { return asked };
    let room = open_files.saturating_sub(OTHER_DESCRIPTORS).max(open_files / 2);
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
    if room < asked {
        tracing::warn!(
            asked,
            room,
            open_files,
            "limits.connections is cut down: the open-files limit leaves less room"
        );
    }
    room.min(asked)
}

/// The node's key, made where there is nothing yet. Beside a log that is there a new key would never fit, and a directory
/// that follows another node is left as it is.
fn node_key(settings: &Settings) -> anyhow::Result<LoadedKey> {
    let (path, journal) = (settings.node_key_path(), settings.data.join("journal"));
    if !path.exists() && journal.join("CURRENT").is_file() {
        let held = Journal::open_read_only(&journal)?;
        if let Some(primary) = held.follows() {
            return Err(OpenError::Following { path: journal, primary: primary.to_owned() }.into());
        }
        let (node, key) = (held.identity().node, path.display());
        anyhow::bail!(
            "the log in {} is of node {node}, and its key is not in {key}; put it back from a backup",
            journal.display()
        );
    }
    let loaded = keyfile::load_or_create(&path)?;
    if let Some(fault) = settings.published_fault(&loaded.key.public()) {
        anyhow::bail!("{}: {fault}", path.display());
    }
    Ok(loaded)
}

/// The fact table: the node's own facts, and those of the fact file.
pub fn believe(settings: &Settings, key: &SecretKey, clock: Arc<Clock>) -> anyhow::Result<FactTable> {
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
    bundles::restore(settings, &table)?;
    Ok(table)
}

/// Reads the fact file and the policy bundle once, so that the first proposals find their facts.
pub fn fact_files(settings: &Settings, table: &Arc<FactTable>) -> Vec<FactFile> {
    let named = [("facts", &settings.facts.file), ("policies.bundle", &settings.policies.bundle)];
    let read = |(key, path): (&str, &Option<PathBuf>)| {
        let mut file = FactFile::new(path.clone()?, table.clone());
        let problems = file.poll().map(|report| report.problems).unwrap_or_default();
        problems.iter().for_each(|problem| eprintln!("{key}: {problem}"));
        Some(file)
    };
    named.into_iter().filter_map(read).collect()
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
        medium: None,
        store: StoreLimits {
            cache_bytes: usize::try_from(settings.journal.cache_bytes)?,
            write_buffer_bytes: usize::try_from(settings.journal.write_buffer_bytes)?,
            open_files: i32::try_from(settings.journal.open_files)?,
            compacts: true,
        },
    })?;
    let recovered = journal.recover_tail()?;
    enter(&journal)?;
    index_rows(&journal);
    for accepted in journal.acceptances()? {
        let (at, last, promised, reason) = (accepted.at, accepted.last, accepted.promised, accepted.reason);
        tracing::warn!(%at, last, promised, reason, "records of this journal were lost, and the loss was accepted");
    }
    let took = began.elapsed();
    metrics.recovered_in(took);
    metrics.set_wal_last_index(recovered.last_index);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(last_index = recovered.last_index, chained = recovered.chained, took_ms, "recovered");
    Ok((journal, recovered))
}

/// Enters that this program writes here from now on, unless a program with a newer statechart did before. Projects go
/// over one by one, each with a record of its own.
fn enter(journal: &Journal) -> Result<(), ChartError> {
    let own = Written::by_this_program();
    let Some(held) = journal.enter(&own)? else { return Ok(()) };
    if held.chart_version != own.chart_version {
        let (from_version, to_version) = (held.chart_version, own.chart_version);
        tracing::warn!(from_version, to_version, "projects go over to a newer statechart; there is no way back");
    }
    if held.policy_engine != own.policy_engine {
        let (from, to) = (held.policy_engine, own.policy_engine);
        tracing::warn!(
            from,
            to,
            "another policy engine judges from here on; `swoosh replay --reguard` tells where it differs"
        );
    }
    Ok(())
}

/// A directory that lacks the rows of open effects and of projects that are held up gets them now. A node that cannot do
/// that serves all the same.
fn index_rows(journal: &Journal) {
    match journal.index_rows() {
        Ok(damaged) => damaged.iter().for_each(|(project, error)| {
            tracing::error!(%project, %error, "its open effects and blocks are not known; see runbooks/corrupt-journal.md");
        }),
        Err(error) => tracing::error!(%error, "open effects cannot be listed; the next start tries it again"),
    }
}

pub fn options(settings: &Settings, node_key: SecretKey) -> Options {
    Options {
        cluster: settings.cluster.clone(),
        node_key,
        queue: settings.sequencer.queue,
        project_queue: settings.sequencer.project_queue,
        batch_max: settings.sequencer.batch_max,
        memory: Memory {
            projects: settings.heads.memory_projects,
            bytes: settings.heads.memory_bytes,
            idle_rounds: super::upkeep::IDLE_ROUNDS,
        },
        sweep_every: settings.journal.sweep_every,
        durability: durability(settings),
        patience: Patience {
            stall: Duration::from_millis(settings.sequencer.stall_ms),
            silence: Duration::from_millis(settings.sequencer.silence_ms),
        },
        external: settings.effects.external(),
    }
}

/// Data that the routes show and do not know themselves.
struct Shown {
    handle: Handle,
    facts: Arc<FactTable>,
    gate: NetworkGate,
    exports: Arc<Exports>,
    scrape: Scrape,
    bus: Arc<Bus>,
    doers: Arc<Doers>,
}

impl Queries for Shown {
    fn metrics(&self, may_show: &dyn Fn(&str) -> bool) -> Vec<u8> {
        self.scrape.render(may_show)
    }

    fn effects(&self, filter: &EffectFilter) -> Result<EffectsPage, ReadError> {
        effects::page(&self.handle, &self.doers, &self.bus, filter)
    }

    fn events(&self) -> broadcast::Receiver<Arc<Happened>> {
        self.bus.listen()
    }

    fn exports(&self) -> Vec<ExportView> {
        self.exports.views()
    }

    fn facts(&self, filter: &FactFilter) -> serde_json::Value {
        outside::facts_document(&self.facts, &self.gate, filter)
    }

    fn last_snapshot_hlc(&self) -> Option<Hlc> {
        self.handle.status().last_snapshot
    }

    fn wal_lag(&self) -> u64 {
        self.handle.status().wal_lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_store_its_descriptors() {
        assert_eq!(connections(8_192, None), 8_192);
        assert_eq!(connections(8_192, Some(65_536)), 8_192);
        assert_eq!(connections(8_192, Some(4_096)), 4_096 - 1_152);
        assert_eq!(connections(8_192, Some(1_024)), 512);
        assert_eq!(connections(8_192, Some(0)), 1);
    }
}
