//! Every metric: name, labels, help. Handles are made for all labels at the start, so that counting hashes
//! no label, and a series is there, at zero, before its first event. `docs/metrics.md` is written from this list.

mod effects;
mod migration;
mod proposals;
mod register;
mod sources;
mod spans;
mod text;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

pub use migration::Migration;
use register::{counter, counters, gauge, gauges, histogram, histograms, keep, set};
pub use sources::{CONDITIONS, MEASURED_SOURCES, MOST_SOURCES, SourceStanding, Sources};
pub use spans::Spans;
use swoosh_types::names::{EffectName, GuardName, Region, Transition};
use swoosh_types::rejection::Code;
pub use world::{FactStanding, WindowStanding, World};

/// Media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric's name, its help and its label.
struct Name {
    name: &'static str,
    help: &'static str,
    label: &'static str,
}

const fn metric(name: &'static str, help: &'static str) -> Name {
    labelled(name, "", help)
}

const fn labelled(name: &'static str, label: &'static str, help: &'static str) -> Name {
    Name { name, help, label }
}

// The seven names that the requirements fix (docs/design.md#observability).
const TRANSITION: Name = labelled("swoosh_transition_total", "transition", "Transitions accepted.");
const GUARD_FAIL: Name = labelled("swoosh_guard_fail_total", "guard", "Failures of a guard.");
const LATENCY: Name = labelled(
    "swoosh_state_advance_latency_seconds",
    "region",
    "Time from the arrival of a proposal to the durable transition it became.",
);
const RETRY: Name = labelled("swoosh_retry_count", "transition", "Resubmissions of a known idempotency key.");
const QUARANTINE: Name = metric("swoosh_quarantine_total", "Projects put under quarantine.");
const RECOVERY: Name = metric("swoosh_recovery_time_seconds", "Duration of the recovery at the last start.");
const WAL_LAG: Name = metric("swoosh_wal_lag_records", "Records judged but not yet durable.");
// Those that operating a node needs beside them.
const UNCOMMITTED: Name = metric(
    "swoosh_uncommitted_age_seconds",
    "Age of the oldest record that is not yet durable, or of the journal work that the sequencer waits for.",
);
const REJECTION: Name = labelled("swoosh_rejection_total", "code", "Proposals and requests not accepted.");
const QUEUE: Name = metric("swoosh_queue_depth", "Queued proposals.");
const BATCH: Name = metric("swoosh_batch_records", "Records per commit.");
const COMMIT: Name = metric("swoosh_commit_seconds", "Duration of a commit, sync included.");
const WAL_LAST: Name = metric("swoosh_wal_last_index", "Index of the last durable record.");
const PROJECTS: Name = metric("swoosh_projects", "Projects that exist.");
const HEADS: Name = metric("swoosh_heads", "Projects in memory.");
const HEADS_BYTES: Name = metric("swoosh_heads_bytes", "Estimated bytes of the projects in memory.");
const EVICTIONS: Name = metric("swoosh_evictions_total", "Projects evicted from memory.");
const DAMAGED: Name = metric("swoosh_projects_damaged", "Projects with damaged rows in the journal.");
const DAMAGED_TABLES: Name =
    metric("swoosh_tables_damaged", "Tables of the journal with damaged rows of no known project.");
const BREACHES: Name =
    metric("swoosh_breaches_unrecorded", "Projects refused because a policy breach could not be recorded.");
const PASSED_OVER: Name =
    metric("swoosh_snapshots_passed_over_total", "Damaged snapshots that were replaced by an older one.");
const WAL_FIRST: Name = metric("swoosh_wal_first_index", "Index of the first record that is not pruned.");
const START_CHECKED: Name =
    metric("swoosh_start_checked", "1 once the node has loaded and checked every project that its start found.");
const SCRUBS: Name = metric("swoosh_scrubs_total", "Completed passes over every row of the journal.");
const REPLAY_TAIL: Name = metric("swoosh_replay_tail_records", "Records that a start would check.");
const KEYS_AGED: Name = metric("swoosh_keys_aged_index", "Index of the last record whose idempotency key is pruned.");
const COPIES_LAST: Name = metric("swoosh_export_last_index", "Last record of the last export round.");
const COPIES_FAIL: Name = metric("swoosh_export_failures_total", "Failed export rounds.");
const BACKUP_LAST: Name = metric("swoosh_backup_last_index", "Last record of the node's last backup.");
const BACKUP_TIME: Name =
    metric("swoosh_backup_last_success_seconds", "Time of the last successful backup, since 1970; 0 before the first.");
const BACKUP_FAIL: Name = metric("swoosh_backup_failures_total", "Backups that failed.");
const FOLLOW_LAG: Name =
    metric("swoosh_follow_lag_records", "Records of the followed node that are missing here, by its last answer.");
const FOLLOW_BEHIND: Name =
    metric("swoosh_follow_lag_seconds", "Time since this follower was last complete; 0 on a node that follows none.");
const FOLLOW_CONNECTED: Name =
    metric("swoosh_follow_connected", "1 while the followed node answers, else 0; 0 without one.");
const GATE: Name = metric("swoosh_network_gate_open", "1 while the network gate is open, else 0.");
const LICENSE: Name = metric(
    "swoosh_license_until_seconds",
    "When the license and its grace expire, in seconds since 1970; 0 without a license.",
);
const EXPORT_LAG: Name =
    labelled("swoosh_decision_export_lag_records", "exporter", "Decision records that an exporter has not delivered.");
const EXPORT_POSITION: Name =
    labelled("swoosh_decision_export_position", "exporter", "Index of the last record that an exporter delivered.");
const EXPORT_FAILURES: Name =
    labelled("swoosh_decision_export_failures", "exporter", "Failures of an exporter since the start.");
const SYNC: Name = metric("swoosh_wal_sync_seconds", "Duration of a commit's write and sync.");
const WAL_FAILURES: Name = metric("swoosh_wal_failures_total", "Failed writes of the log.");
const MODE: Name = labelled("swoosh_mode", "mode", "1 for the present mode of the node, 0 for the others.");
const CLOCK_SAFE: Name = metric("swoosh_clock_safe", "1 while the wall clock can be trusted, else 0.");
const STARTED: Name = metric("swoosh_start_time_seconds", "When the node started, in seconds since 1970.");
const DISK_FREE: Name =
    metric("swoosh_disk_free_bytes", "Free bytes for the node on the file system of its data directory.");
const BLOCKED: Name = labelled("swoosh_projects_blocked", "by", "Blocked projects, by the block.");
// Facts about the outside world.
const LICENSE_LEFT: Name =
    metric("swoosh_license_left_seconds", "Time until the license and its grace expire; 0 without a license.");
const FACTS: Name = labelled("swoosh_facts", "kind", "Facts in the table.");
const FACTS_EXPIRED: Name = labelled("swoosh_facts_expired", "kind", "Expired facts in the table.");
const FACT_AGE: Name = labelled("swoosh_fact_age_seconds", "kind", "Age of the newest fact of a kind.");
const FACT_LEFT: Name = labelled(
    "swoosh_fact_left_seconds",
    "kind",
    "Remaining validity of the newest fact of a kind; negative after it expired.",
);
const WINDOW_OPEN: Name = labelled("swoosh_window_open", "class", "1 while a window of the class is open, else 0.");
const WINDOW_INDEX: Name = metric("swoosh_window_index", "Index of the current cycle of windows.");
const BEAT: Name = metric("swoosh_beat_index", "Beats since the schedule's epoch.");
const PRESSURE: Name = metric("swoosh_pressure_permille", "The tidal pressure, from 0 to 1000.");
const TOOLS: Name = labelled("swoosh_tool_servers", "state", "Probed MCP servers, by state.");
const ASKED: Name = labelled("swoosh_provider_requests_total", "provider", "Requests of a provider.");
const ASKED_IN_VAIN: Name = labelled("swoosh_provider_failures_total", "provider", "Failed requests of a provider.");
const ASKED_SECONDS: Name =
    labelled("swoosh_provider_request_seconds", "provider", "Duration of a provider's request.");
// Losses of telemetry itself.
const LOG_DROPPED: Name =
    metric("swoosh_log_lines_dropped_total", "Log lines dropped because the reader of the log was too slow.");
const SPANS_SENT: Name = metric("swoosh_trace_spans_sent_total", "Spans that the trace collector accepted.");
const SPANS_DROPPED: Name =
    labelled("swoosh_trace_spans_dropped_total", "reason", "Spans that were not delivered to the trace collector.");
const SPANS_WAITING: Name = metric("swoosh_trace_spans_waiting", "Spans queued for the trace collector.");
const EFFECTS: Name = labelled("swoosh_effects", "phase", "Open effects that the node runs, by phase.");
const EFFECT_BEGUN: Name = labelled("swoosh_effect_attempts_total", "effect", "Started attempts at effects.");
const EFFECT_FAILED: Name = labelled("swoosh_effect_failures_total", "effect", "Failed attempts at effects.");
const OUTCOMES_DROPPED: Name = metric(
    "swoosh_outcomes_dropped_total",
    "Held outcomes dropped because their signer lost the right to report them.",
);
const BUILD: Name = labelled("swoosh_build_info", "version", "1, labelled with the version of the daemon.");

/// The exporters of decision records, as metrics and `/health` name them.
pub const EXPORTERS: [&str; 2] = ["jsonl", "bubble"];
/// Phases of open effects, as metrics and `/effects` name them.
pub const EFFECT_PHASES: [&str; 4] = ["waiting", "suspended", "running", "reporting"];
const CONNECTIONS: Name = metric("swoosh_connections", "Open connections.");
const TURNED_AWAY: Name =
    labelled("swoosh_connections_turned_away_total", "reason", "Connections refused or closed by the node.");
const CERTIFICATE: Name =
    metric("swoosh_tls_certificate_expires_seconds", "When the TLS certificate expires, since 1970; 0 without TLS.");

/// Modes of a node, as `/health` names them.
pub const MODES: [&str; 5] = ["accepting", "draining", "refusing", "read_only", "following"];

/// Reasons that block projects.
pub const BLOCKS: [&str; 5] = ["paused", "recovery", "license_grace", "license_expired", "quarantined"];

/// Providers of facts from outside.
pub const PROVIDERS: [&str; 6] = ["license", "backbeat", "mcp", "capacity", "health", "liveness"];

/// Why connections are refused or closed by the node.
pub const TURNED_AWAY_REASONS: [&str; 10] = [
    "node_full",
    "peer_full",
    "gave_way",
    "no_descriptor",
    "handshake",
    "first_byte",
    "headers",
    "idle",
    "write",
    "resets",
];

/// The metrics of one node, in a registry of their own. Cheap to count with; shared by reference.
pub struct Metrics {
    registry: Registry,
    transitions: Box<[IntCounter]>,
    guard_fails: Box<[IntCounter]>,
    latencies: Box<[Histogram]>,
    retries: Box<[IntCounter]>,
    quarantines: IntCounter,
    recovery_seconds: Gauge,
    wal_lag: IntGauge,
    uncommitted: Gauge,
    rejections: BTreeMap<Code, IntCounter>,
    proposals: proposals::Proposals,
    queue_depth: IntGauge,
    batch_records: Histogram,
    commit_seconds: Histogram,
    wal_last_index: IntGauge,
    projects: IntGauge,
    heads: IntGauge,
    heads_bytes: IntGauge,
    evictions: IntCounter,
    damaged: IntGauge,
    damaged_tables: IntGauge,
    breaches: IntGauge,
    passed_over: IntCounter,
    wal_first_index: IntGauge,
    start_checked: IntGauge,
    scrubs: IntCounter,
    replay_tail: IntGauge,
    keys_aged: IntGauge,
    copies_last_index: IntGauge,
    copies_failures: IntCounter,
    backup_last_index: IntGauge,
    backup_time: IntGauge,
    backup_failures: IntCounter,
    follow_lag: IntGauge,
    follow_behind: Gauge,
    follow_connected: IntGauge,
    gate_open: IntGauge,
    license_until: IntGauge,
    export_lag: Box<[IntGauge]>,
    export_position: Box<[IntGauge]>,
    export_failures: Box<[IntGauge]>,
    effects: Box<[IntGauge]>,
    effects_begun: Box<[IntCounter]>,
    effects_failed: Box<[IntCounter]>,
    outcomes_dropped: IntCounter,
    connections: IntGauge,
    turned_away: BTreeMap<&'static str, IntCounter>,
    certificate_expires: IntGauge,
    sync_seconds: Histogram,
    wal_failures: IntCounter,
    modes: Box<[IntGauge]>,
    clock_safe: IntGauge,
    started: IntGauge,
    disk_free: IntGauge,
    blocked: Box<[IntGauge]>,
    log_dropped: IntCounter,
    spans: Spans,
    sources: Sources,
    world: World,
    migration: Migration,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Metrics at zero.
    ///
    /// # Panics
    /// Never: names, labels and buckets are fixed, and a test registers them all.
    #[expect(clippy::expect_used, reason = "names, labels and buckets are fixed; a test registers them all")]
    pub fn new() -> Metrics {
        let registry = Registry::new();
        build(&registry).and_then(|_| Metrics::register(registry)).expect("metric names are distinct and well formed")
    }

    fn register(registry: Registry) -> prometheus::Result<Metrics> {
        let transitions = Transition::ALL.iter().map(|transition| transition.as_str());
        let guards = GuardName::ALL.iter().map(|guard| guard.as_str());
        let regions = Region::ALL.iter().map(|region| region.as_str());
        let effects = EffectName::ALL.iter().map(|effect| effect.as_str());
        // From 100 µs to 13 s, and from 1 record to 16,384.
        let (seconds, records) = (exponential_buckets(0.000_1, 2.0, 18)?, exponential_buckets(1.0, 2.0, 15)?);
        Ok(Metrics {
            transitions: counters(&registry, &TRANSITION, transitions.clone())?,
            guard_fails: counters(&registry, &GUARD_FAIL, guards)?,
            latencies: histograms(&registry, &LATENCY, seconds.clone(), regions)?,
            retries: counters(&registry, &RETRY, transitions)?,
            quarantines: counter(&registry, &QUARANTINE)?,
            recovery_seconds: keep(&registry, Gauge::new(RECOVERY.name, RECOVERY.help)?)?,
            wal_lag: gauge(&registry, &WAL_LAG)?,
            uncommitted: keep(&registry, Gauge::new(UNCOMMITTED.name, UNCOMMITTED.help)?)?,
            rejections: rejections(&registry)?,
            proposals: proposals::Proposals::new(&registry)?,
            queue_depth: gauge(&registry, &QUEUE)?,
            batch_records: histogram(&registry, &BATCH, records)?,
            commit_seconds: histogram(&registry, &COMMIT, seconds)?,
            wal_last_index: gauge(&registry, &WAL_LAST)?,
            projects: gauge(&registry, &PROJECTS)?,
            heads: gauge(&registry, &HEADS)?,
            heads_bytes: gauge(&registry, &HEADS_BYTES)?,
            evictions: counter(&registry, &EVICTIONS)?,
            damaged: gauge(&registry, &DAMAGED)?,
            damaged_tables: gauge(&registry, &DAMAGED_TABLES)?,
            breaches: gauge(&registry, &BREACHES)?,
            passed_over: counter(&registry, &PASSED_OVER)?,
            wal_first_index: gauge(&registry, &WAL_FIRST)?,
            start_checked: gauge(&registry, &START_CHECKED)?,
            scrubs: counter(&registry, &SCRUBS)?,
            replay_tail: gauge(&registry, &REPLAY_TAIL)?,
            keys_aged: gauge(&registry, &KEYS_AGED)?,
            copies_last_index: gauge(&registry, &COPIES_LAST)?,
            copies_failures: counter(&registry, &COPIES_FAIL)?,
            backup_last_index: gauge(&registry, &BACKUP_LAST)?,
            backup_time: gauge(&registry, &BACKUP_TIME)?,
            backup_failures: counter(&registry, &BACKUP_FAIL)?,
            follow_lag: gauge(&registry, &FOLLOW_LAG)?,
            follow_behind: keep(&registry, Gauge::new(FOLLOW_BEHIND.name, FOLLOW_BEHIND.help)?)?,
            follow_connected: gauge(&registry, &FOLLOW_CONNECTED)?,
            gate_open: gauge(&registry, &GATE)?,
            license_until: gauge(&registry, &LICENSE)?,
            export_lag: gauges(&registry, &EXPORT_LAG, &EXPORTERS)?,
            export_position: gauges(&registry, &EXPORT_POSITION, &EXPORTERS)?,
            export_failures: gauges(&registry, &EXPORT_FAILURES, &EXPORTERS)?,
            effects: gauges(&registry, &EFFECTS, &EFFECT_PHASES)?,
            effects_begun: counters(&registry, &EFFECT_BEGUN, effects.clone())?,
            effects_failed: counters(&registry, &EFFECT_FAILED, effects)?,
            outcomes_dropped: counter(&registry, &OUTCOMES_DROPPED)?,
            connections: gauge(&registry, &CONNECTIONS)?,
            turned_away: turned_away(&registry)?,
            certificate_expires: gauge(&registry, &CERTIFICATE)?,
            sync_seconds: histogram(&registry, &SYNC, exponential_buckets(0.000_1, 2.0, 18)?)?,
            wal_failures: counter(&registry, &WAL_FAILURES)?,
            modes: gauges(&registry, &MODE, &MODES)?,
            clock_safe: gauge(&registry, &CLOCK_SAFE)?,
            started: gauge(&registry, &STARTED)?,
            disk_free: gauge(&registry, &DISK_FREE)?,
            blocked: gauges(&registry, &BLOCKED, &BLOCKS)?,
            log_dropped: counter(&registry, &LOG_DROPPED)?,
            spans: Spans::register(&registry)?,
            sources: Sources::register(&registry)?,
            world: World::register(&registry)?,
            migration: Migration::register(&registry)?,
            registry,
        })
    }

    /// A transition was accepted and is durable, this long after its proposal arrived.
    pub fn transition_accepted(&self, transition: Transition, region: Region, latency: Duration) {
        if let Some(counter) = self.transitions.get(transition as usize) {
            counter.inc();
        }
        if let Some(histogram) = self.latencies.get(region as usize) {
            histogram.observe(latency.as_secs_f64());
        }
        if transition == Transition::PolicyQuarantine || transition == Transition::IngestionPolicyViolation {
            self.quarantines.inc();
        }
    }

    /// A guard did not let a proposal pass.
    pub fn guard_failed(&self, guard: GuardName) {
        if let Some(counter) = self.guard_fails.get(guard as usize) {
            counter.inc();
        }
    }

    /// A known idempotency key was sent again.
    pub fn retried(&self, transition: Transition) {
        if let Some(counter) = self.retries.get(transition as usize) {
            counter.inc();
        }
    }

    /// A proposal or a request was not accepted.
    pub fn rejected(&self, code: Code) {
        if let Some(counter) = self.rejections.get(&code) {
            counter.inc();
        }
    }

    /// The start took this long to recover.
    pub fn recovered_in(&self, took: Duration) {
        self.recovery_seconds.set(took.as_secs_f64());
    }

    /// This many records are judged but not durable yet; the oldest work of the pipeline is of this age.
    pub fn set_wal_lag(&self, records: u64, oldest: Duration) {
        set(&self.wal_lag, records);
        self.uncommitted.set(oldest.as_secs_f64());
    }

    /// This many proposals wait for the sequencer.
    pub fn set_queue_depth(&self, proposals: u64) {
        set(&self.queue_depth, proposals);
    }

    /// A commit of this many records took this long; the last of them has this index.
    pub fn committed(&self, records: u64, took: Duration, last_index: u64) {
        self.batch_records.observe(records as f64);
        self.commit_seconds.observe(took.as_secs_f64());
        set(&self.wal_last_index, last_index);
    }

    /// The last durable record has this index.
    pub fn set_wal_last_index(&self, index: u64) {
        set(&self.wal_last_index, index);
    }

    /// This many more projects exist.
    pub fn add_projects(&self, projects: u64) {
        self.projects.add(i64::try_from(projects).unwrap_or(i64::MAX));
    }

    /// This many projects are in memory, and take about so many bytes.
    pub fn set_heads(&self, heads: u64, bytes: u64) {
        set(&self.heads, heads);
        set(&self.heads_bytes, bytes);
    }

    /// Projects left memory.
    pub fn evicted(&self, heads: u64) {
        self.evictions.inc_by(heads);
    }

    /// So many projects are known to be damaged, and so many tables where the project is not known.
    pub fn set_damaged(&self, projects: u64, tables: u64) {
        set(&self.damaged, projects);
        set(&self.damaged_tables, tables);
    }

    /// So many projects have a breach that could not be recorded.
    pub fn set_breaches_unrecorded(&self, projects: u64) {
        set(&self.breaches, projects);
    }

    /// A damaged snapshot was passed over.
    pub fn snapshot_passed_over(&self) {
        self.passed_over.inc();
    }

    /// The log begins at this record, a start would check so many, and keys below this beat are pruned.
    pub fn set_log(&self, first_index: u64, replay_tail: u64, keys_aged: u64) {
        set(&self.wal_first_index, first_index);
        set(&self.replay_tail, replay_tail);
        set(&self.keys_aged, keys_aged);
    }

    /// Every project that the start found was loaded and checked.
    pub fn start_checked(&self) {
        self.start_checked.set(1);
    }

    /// Every row of the journal was read once more.
    pub fn scrubbed(&self) {
        self.scrubs.inc();
    }

    /// A round of exports ended at this record.
    pub fn exported(&self, last_index: u64) {
        set(&self.copies_last_index, last_index);
    }

    /// A round of exports failed.
    pub fn export_failed(&self) {
        self.copies_failures.inc();
    }

    /// A backup up to this record was done at this time, in milliseconds since 1970.
    pub fn backed_up(&self, last_index: u64, at_ms: u64) {
        set(&self.backup_last_index, last_index);
        set(&self.backup_time, at_ms / 1_000);
    }

    pub fn backup_failed(&self) {
        self.backup_failures.inc();
    }

    /// Whether the node that is followed answers, how many of its records are not here, and since when.
    pub fn set_follow(&self, connected: bool, lag: u64, behind: Duration) {
        set(&self.follow_connected, connected.into());
        set(&self.follow_lag, lag);
        self.follow_behind.set(behind.as_secs_f64());
    }

    /// The license counts until this moment, grace included, in milliseconds since 1970; or none does.
    pub fn set_licensed(&self, gate_open: bool, until_ms: Option<u64>) {
        set(&self.gate_open, gate_open.into());
        set(&self.license_until, until_ms.unwrap_or_default() / 1_000);
    }

    /// An exporter of decision records, one of [`EXPORTERS`], is so far, with so many records waiting for it, after so
    /// many failures.
    pub fn set_export(&self, exporter: &str, position: u64, lag: u64, failures: u64) {
        let Some(place) = EXPORTERS.iter().position(|name| *name == exporter) else { return };
        let each = [(&self.export_position, position), (&self.export_lag, lag), (&self.export_failures, failures)];
        for (gauges, value) in each {
            if let Some(gauge) = gauges.get(place) {
                set(gauge, value);
            }
        }
    }

    /// This many connections are open.
    pub fn set_connections(&self, connections: u64) {
        set(&self.connections, connections);
    }

    /// A connection was refused or closed by the node, for one of [`TURNED_AWAY_REASONS`].
    pub fn turned_away(&self, reason: &str) {
        if let Some(counter) = self.turned_away.get(reason) {
            counter.inc();
        }
    }

    /// The TLS certificate is valid until then, in milliseconds since 1970.
    pub fn set_certificate_expires(&self, until_ms: u64) {
        set(&self.certificate_expires, until_ms / 1_000);
    }

    /// A commit took this long to be written and synced.
    pub fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// The log could not be written.
    pub fn wal_failed(&self) {
        self.wal_failures.inc();
    }

    /// Sets the mode, one of [`MODES`], and whether the clock can be trusted.
    pub fn set_mode(&self, mode: &str, clock_safe: bool) {
        MODES.iter().zip(&self.modes).for_each(|(name, gauge)| gauge.set((*name == mode).into()));
        self.clock_safe.set(clock_safe.into());
    }

    /// The node started at this moment, in milliseconds since 1970.
    pub fn started(&self, at_ms: u64) {
        set(&self.started, at_ms / 1_000);
    }

    /// So many bytes are free for the data directory.
    pub fn set_disk_free(&self, bytes: u64) {
        set(&self.disk_free, bytes);
    }

    /// So many projects are held up, in the order of [`BLOCKS`].
    pub fn set_blocked(&self, projects: [u64; BLOCKS.len()]) {
        self.blocked.iter().zip(projects).for_each(|(gauge, projects)| set(gauge, projects));
    }

    /// So many log lines found no room since the start.
    pub fn set_log_dropped(&self, lines: u64) {
        self.log_dropped.inc_by(lines.saturating_sub(self.log_dropped.get()));
    }

    pub fn migration(&self) -> &Migration {
        &self.migration
    }

    /// Counters of spans.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Metrics of facts about the outside world.
    pub fn world(&self) -> &World {
        &self.world
    }
}

fn build(registry: &Registry) -> prometheus::Result<()> {
    let options = Opts::new(BUILD.name, BUILD.help).const_label(BUILD.label, env!("CARGO_PKG_VERSION"));
    keep(registry, IntGauge::with_opts(options)?).map(|gauge| gauge.set(1))
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn turned_away(registry: &Registry) -> prometheus::Result<BTreeMap<&'static str, IntCounter>> {
    let counters = counters(registry, &TURNED_AWAY, TURNED_AWAY_REASONS.into_iter())?;
    Ok(TURNED_AWAY_REASONS.into_iter().zip(counters).collect())
}

fn rejections(registry: &Registry) -> prometheus::Result<BTreeMap<Code, IntCounter>> {
    let vec = IntCounterVec::new(Opts::new(REJECTION.name, REJECTION.help), &[REJECTION.label])?;
    let vec = keep(registry, vec)?;
    let codes = Code::PLAIN.iter().copied().chain(GuardName::ALL.iter().copied().map(Code::Guard));
    codes.map(|code| Ok((code, vec.get_metric_with_label_values(&[code.to_string()])?))).collect()
}

#[cfg(test)]
mod tests;
