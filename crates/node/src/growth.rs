//! Tasks that bound a node's growth: sweeps, checks after a start, pruning, exports.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::export::Rounds;
use swoosh_hybridcore::leave::{Leave, Stop};
use swoosh_journal::verify::{Finding, scrub};
use swoosh_journal::{PruneError, PruneReport, Retention, SWEEP_AT_ONCE, SweepReport};
use swoosh_platform::gate::NetworkGate;
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

/// Work between two pauses of a task that reads the whole journal.
const SCRUB_SLICE: Duration = Duration::from_millis(20);
/// Pauses beside callers, in multiples of the work.
const BUSY_PAUSES: u32 = 9;
/// Sweeps that one look makes at most.
const SWEEPS_AT_ONCE: usize = 16;

/// The way to the journal and to the metrics.
#[derive(Clone)]
pub struct Growth {
    handle: Handle,
    metrics: Arc<Metrics>,
    /// The gate for the command after an export, which may reach outside.
    gate: NetworkGate,
    /// The last record when the node started.
    started_at: u64,
    stopped: Arc<AtomicBool>,
}

impl Growth {
    /// To be made before the node takes its first proposal.
    pub fn new(handle: Handle, metrics: Arc<Metrics>, gate: NetworkGate) -> Growth {
        let started_at = handle.status().last_index;
        Growth { handle, metrics, gate, started_at, stopped: Arc::default() }
    }

    /// Lets whatever runs end soon: a node that stops waits for it.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Whether the node has not begun to stop.
    pub fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }

    /// Takes snapshots of projects whose records lie too far back. The committer does the same for projects
    /// in memory while it commits; these are the others.
    pub fn sweep(&self) {
        for _ in (0..SWEEPS_AT_ONCE).take_while(|_| self.goes_on()) {
            let journal = self.handle.journal();
            let old = journal.sweep_candidates(self.handle.options().sweep_every);
            let projects: Vec<_> = old.into_iter().map(|candidate| candidate.project).collect();
            let full = projects.len() == SWEEP_AT_ONCE;
            if projects.is_empty() || !self.swept(journal.sweep(&projects).map_err(|error| error.to_string())) || !full
            {
                return;
            }
        }
    }

    /// Tells what a sweep found; whether it worked.
    fn swept(&self, report: Result<SweepReport, String>) -> bool {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(error, "old records got no snapshots; it is tried again");
                return false;
            }
        };
        for warning in &report.warnings {
            self.metrics.snapshot_passed_over();
            tracing::warn!(project = %warning.project, index = warning.index, reason = warning.reason, "a snapshot is not used");
        }
        report.damaged.iter().for_each(|(project, error)| self.damaged(project, error));
        report.damaged.is_empty()
    }

    fn damaged(&self, project: &ProjectName, error: &dyn std::fmt::Display) {
        self.handle.found_damaged(project, &error.to_string());
    }

    /// Counts and loads all projects: a start checks only the chain, and watched projects must be in memory. Pauses
    /// after each project as [`Leisure`] says.
    pub fn after_start(&self) {
        let began = Instant::now();
        let (counted, (projects, hidden)) = {
            let journal = self.handle.journal();
            (journal.count_projects(self.started_at), journal.readable_projects())
        };
        hidden.iter().for_each(|error| self.handle.read_failed(None, error));
        self.metrics.add_projects(counted.unwrap_or(projects.len() as u64));
        let leisure = self.leisure();
        for project in &projects {
            if !self.goes_on() {
                return;
            }
            self.mend(project);
            // A project in memory was checked when it was loaded.
            if !self.handle.is_in_memory(project)
                && let Err(error) = self.handle.watch(project)
            {
                self.damaged(project, &error);
            }
            leisure.pause();
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.metrics.start_checked();
        tracing::info!(projects = projects.len(), took_ms, "checked what the start left");
        self.scrub();
    }

    /// Reads every stored row at the pace of [`Leisure`], and lists the damage.
    pub fn scrub(&self) {
        let began = Instant::now();
        let findings = scrub(&self.handle.journal(), &self.at_leisure());
        if self.goes_on() {
            // Damage of an earlier pass that this one did not find is gone.
            self.handle.forget_passed_damage();
        }
        findings.iter().for_each(|finding| list(&self.handle, finding));
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.goes_on() {
            self.metrics.scrubbed();
        }
        tracing::info!(findings = findings.len(), took_ms, "read every row of the journal");
    }

    /// Whether the node has not begun to stop. Pauses the caller after each [`SCRUB_SLICE`] of work as [`Leisure`] says.
    fn at_leisure(&self) -> impl Fn() -> bool + '_ {
        let leisure = self.leisure();
        move || {
            if leisure.worked() >= SCRUB_SLICE {
                leisure.pause();
            }
            self.goes_on()
        }
    }

    fn leisure(&self) -> Leisure<'_> {
        let records = self.handle.status().last_index;
        Leisure { handle: &self.handle, since: Cell::new(Instant::now()), records: Cell::new(records) }
    }

    /// Restores the two copies of a project's base, if its earlier records are pruned. One copy suffices to continue,
    /// but not for safety.
    fn mend(&self, project: &ProjectName) {
        match self.handle.journal().mend_base(project) {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(%project, "a copy of the project's base was missing or damaged; it was made again")
            }
            Err(error) => tracing::warn!(%project, %error, "the project's base could not be checked"),
        }
    }

    /// One round of exports.
    pub fn export(&self, rounds: &Rounds) {
        match rounds.run(&self.handle.journal(), &|| self.goes_on(), self) {
            Ok(Some(done)) => {
                self.metrics.exported(done.last_index);
                tracing::info!(files = done.files, last_index = done.last_index, "exported");
            }
            Ok(None) => {}
            Err(_) if !self.goes_on() => {}
            Err(error) => {
                self.metrics.export_failed();
                tracing::error!(error = format!("{error:#}"), "the export failed; the next round takes it up");
            }
        }
    }

    /// Lists the damage that pruning met, whose project is not known.
    fn prune_failed(&self, error: &PruneError) {
        if let PruneError::Read(error) = error {
            self.handle.read_failed(None, error);
        }
    }

    fn tell(&self) {
        let journal = self.handle.journal();
        let keys_aged = journal.keys_aged().unwrap_or_default();
        self.metrics.set_log(journal.first_index(), journal.replay_tail(), keys_aged);
    }
}

/// The pace of background work: half of one core while nothing is committed, a tenth of one beside callers.
struct Leisure<'g> {
    handle: &'g Handle,
    /// The end of the last pause.
    since: Cell<Instant>,
    /// The last record at that time.
    records: Cell<u64>,
}

impl Leisure<'_> {
    /// Time of work since the last pause.
    fn worked(&self) -> Duration {
        self.since.get().elapsed()
    }

    /// Pauses as long as the work since the last pause took, nine times as long if records were committed meanwhile.
    fn pause(&self) {
        let records = self.handle.status().last_index;
        let times = if records == self.records.replace(records) { 1 } else { BUSY_PAUSES };
        std::thread::sleep(self.worked() * times);
        self.since.set(Instant::now());
    }
}

/// Lists damage that a scrub found.
pub fn list(handle: &Handle, finding: &Finding) {
    match &finding.project {
        Some(project) => handle.found_damaged(project, &format!("in the table {}: {}", finding.table, finding.what)),
        None => handle.found_damaged_table(finding.table, &finding.what),
    }
}

impl Leave for Growth {
    fn stop(&self) -> Option<Stop> {
        if !self.goes_on() {
            return Some(Stop::Cancelled);
        }
        (!self.gate.is_open()).then_some(Stop::GateClosed)
    }
}

/// Limits of pruning, by the settings.
pub struct Pruning {
    growth: Growth,
    wal_ms: u64,
    wal_records: u64,
    exported_to: Option<String>,
    horizon_ms: u64,
}

impl Pruning {
    pub fn new(growth: Growth, settings: &Settings) -> Pruning {
        let exports = &settings.exports;
        let exported_to = exports.directory.as_ref().filter(|_| exports.wal).map(|path| path.display().to_string());
        let (retention, horizon_ms) = (&settings.retention, settings.idempotency.horizon_ms);
        growth.tell();
        Pruning { growth, wal_ms: retention.wal_ms, wal_records: retention.wal_records, exported_to, horizon_ms }
    }

    /// One round: keys behind the horizon, receipts of an older format, snapshots beside the newest ones, records, objects.
    pub fn round(&self) {
        self.keys();
        self.receipts();
        self.snapshots();
        if self.wal_ms > 0 || self.wal_records > 0 {
            self.records();
        }
        self.growth.tell();
    }

    /// Prunes keys whose records are older than the horizon, by the stamps of the log. Floors are persisted before
    /// a key goes, and the sequencer refuses keys below them, so that no pruned key runs again.
    fn keys(&self) {
        let journal = self.growth.handle.journal();
        let at = journal.last_timestamp().ok();
        let reached =
            |project: &ProjectName| at.and_then(|at| self.growth.handle.reached_beat(project, at)).unwrap_or(0);
        match journal.prune_keys(self.horizon_ms, &reached, &|| self.growth.goes_on()) {
            Ok(report) if report.keys == 0 && report.ahead == 0 => {}
            Ok(PruneReport { aged, keys, ahead }) => tracing::info!(aged, keys, ahead, "pruned idempotency keys"),
            Err(error) => {
                self.growth.prune_failed(&error);
                tracing::warn!(%error, "idempotency keys could not be pruned");
            }
        }
    }

    /// Replaces receipts that older programs stored beside keys. Later rounds find none.
    fn receipts(&self) {
        match self.growth.handle.journal().index_receipts(&self.growth.at_leisure()) {
            Ok(0) => {}
            Ok(replaced) => tracing::info!(replaced, "receipts are rebuilt from their records from now on"),
            Err(error) => {
                self.growth.prune_failed(&error);
                tracing::warn!(%error, "receipts of an older format could not be replaced");
            }
        }
    }

    fn snapshots(&self) {
        match self.growth.handle.journal().thin_snapshots() {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old snapshots"),
            Err(error) => {
                self.growth.prune_failed(&error);
                tracing::warn!(%error, "old snapshots could not be removed");
            }
        }
    }

    fn records(&self) {
        // Records stay at least for the horizon of keys, even with a shorter retention.
        let kept_ms = self.wal_ms.max(self.horizon_ms);
        let journal = self.growth.handle.journal();
        // A wall clock that is ahead must not make young records old.
        let last = match journal.last_timestamp() {
            Ok(last) => last,
            Err(error) => return tracing::warn!(%error, "records could not be pruned"),
        };
        let since = Hlc::new(last.physical_ms().saturating_sub(kept_ms), 0).unwrap_or_default();
        let wanted = Retention { records: self.wal_records, since, exported_to: self.exported_to.clone() };
        let goes_on = || self.growth.goes_on();
        let pruned = journal.prune_wal(&wanted, &goes_on).and_then(|report| {
            let objects = if report.records > 0 { journal.collect_objects(&goes_on)?.collected } else { 0 };
            Ok((report, objects))
        });
        match pruned {
            Ok((report, _)) if report.records == 0 => {}
            Ok((report, objects)) => {
                let (first_index, records, bases) = (report.first_index, report.records, report.bases);
                tracing::info!(first_index, records, bases, objects, "pruned records");
            }
            Err(PruneError::Project { project, source }) => self.growth.damaged(&project, &source),
            Err(error) => {
                self.growth.prune_failed(&error);
                tracing::warn!(%error, "records could not be pruned");
            }
        }
    }
}
