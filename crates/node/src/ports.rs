//! The sequencer's ports: the clock, the decision records, metrics and log.

use std::sync::Arc;
use std::time::Duration;

use super::bus::Bus;
use super::effects::Points;
use super::traces::way;
use swoosh_decisions as decisions;
use swoosh_facts::{Asked, Provider};
use swoosh_http::{Traffic, Turned};
use swoosh_journal::SnapshotWarning;
use swoosh_machine::chart;
use swoosh_platform::clock::{Clock, Safety};
use swoosh_sequencer as sequencer;
use swoosh_telemetry::log::{self, proposal_refused, request_refused, transition_accepted};
use swoosh_telemetry::metrics::Metrics;
use swoosh_telemetry::traces::Traces;
use swoosh_types::decision::Wording;
use swoosh_types::ids::EffectId;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::GuardName;
use swoosh_types::names::Transition;
use swoosh_types::proposal::Proposal;
use swoosh_types::record::Record;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// The system clock, as far as it can be trusted.
pub struct ClockPort(pub Arc<Clock>);

impl sequencer::Clock for ClockPort {
    fn now_ms(&self) -> Result<u64, String> {
        let now = self.0.now();
        match now.safety {
            Safety::Safe => Ok(now.wall_ms),
            Safety::Unsafe { drift_ms } => Err(format!(
                "the wall clock jumped by {drift_ms} ms against the monotonic one; set it right, or, where it is right now, \
                 run `swoosh clock accept` (runbooks/clock.md)"
            )),
        }
    }

    fn counted_ms(&self) -> u64 {
        self.0.now().counted_ms()
    }

    fn shown_ms(&self) -> u64 {
        self.0.now().wall_ms
    }
}

/// Decision records by their templates.
pub struct DecisionPort {
    /// For tests: where the pipeline panics.
    pub points: Points,
}

impl sequencer::Describe for DecisionPort {
    fn describe(&self, record: &Record, inputs: &Json) -> Wording {
        self.points.commits();
        decisions::wording(record, inputs)
    }
}

/// Metrics, log lines and spans of what the sequencer does.
pub struct Watch {
    pub metrics: Arc<Metrics>,
    pub bus: Arc<Bus>,
    /// Where spans are wanted.
    pub traces: Option<Arc<Traces>>,
}

/// Counts what providers ask outside.
pub struct Questions(pub Arc<Metrics>);

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Questions")
    }
}

impl Asked for Questions {
    fn asked(&self, provider: Provider, brought: bool, took: Duration) {
        self.0.world().asked(provider.as_str(), brought, took);
    }
}

impl sequencer::Observer for Watch {
    fn accepted(&self, record: &Record, took: Duration) {
        self.metrics.transition_accepted(record.transition, chart::spec(record.transition).region, took);
        transition_accepted(record);
        self.bus.accepted(record);
        if record.transition == Transition::BootConfigOk {
            // It comes once in the life of a project, and begins it.
            self.metrics.add_projects(1);
        }
    }

    fn traces(&self) -> bool {
        self.traces.is_some()
    }

    fn traced(&self, traced: sequencer::Traced) {
        if let Some(traces) = &self.traces {
            traces.put(way(traced));
        }
    }

    fn refused(&self, proposal: &Proposal, rejection: &Rejection) {
        self.metrics.rejected(rejection.code);
        let failed = rejection.guard_outcomes.iter().filter(|outcome| !outcome.ok).map(|outcome| outcome.guard);
        let mut guards: Vec<_> = rejection.guard().into_iter().chain(failed).collect();
        guards.sort_unstable();
        guards.dedup();
        guards.into_iter().for_each(|guard| self.metrics.guard_failed(guard));
        proposal_refused(proposal, rejection);
    }

    fn held(&self, project: &ProjectName) {
        self.bus.held(project);
    }

    fn held_dropped(&self, id: &EffectId, brought_by: &PublicKey, reason: &str) {
        self.metrics.outcome_dropped();
        tracing::warn!(%id, %brought_by, reason,
            "an outcome that was kept is dropped: who brought it may no longer do so; the effect stays open");
        self.bus.held_dropped(id, brought_by, reason);
    }

    fn repeated(&self, transition: Transition) {
        self.metrics.retried(transition);
    }

    fn committed(&self, records: usize, took: Duration, last_index: u64) {
        self.metrics.committed(records as u64, took, last_index);
    }

    fn synced(&self, took: Duration) {
        self.metrics.synced(took);
    }

    fn own_failed(&self, project: &ProjectName, transition: Transition, reason: &str) {
        tracing::error!(%project, %transition, reason, "a proposal of the node's own could not be built");
    }

    fn quarantine_failed(&self, project: &ProjectName, reason: &str) {
        tracing::error!(%project, reason, runbook = "runbooks/quarantine-release.md",
            "a policy breach could not be recorded; the project is refused until it is");
    }

    fn breaches_unrecorded(&self, count: usize) {
        self.metrics.set_breaches_unrecorded(count as u64);
    }

    fn upgraded(&self, project: &ProjectName, from_version: u64, to_version: u64) {
        tracing::info!(%project, from_version, to_version, "the project goes over to this program's statechart");
    }

    fn project_damaged(&self, project: &ProjectName, reason: &str) {
        tracing::error!(%project, reason, runbook = "runbooks/corrupt-journal.md",
            "a project's rows are damaged; what reads them fails, the others go on");
    }

    fn table_damaged(&self, table: &str, reason: &str) {
        tracing::error!(
            table,
            reason,
            runbook = "runbooks/corrupt-journal.md",
            "a table of the journal is damaged; reads of the damaged rows fail"
        );
    }

    fn snapshot_passed_over(&self, warning: &SnapshotWarning) {
        self.metrics.snapshot_passed_over();
        tracing::warn!(project = %warning.project, index = warning.index, reason = warning.reason, "a snapshot is not used");
    }

    fn evicted(&self, heads: usize) {
        self.metrics.evicted(heads as u64);
    }

    fn log_failed(&self, reason: &str) {
        self.metrics.wal_failed();
        tracing::error!(
            reason,
            runbook = "runbooks/recovery.md",
            "the log cannot be written; nothing is accepted any more"
        );
    }

    fn log_mended(&self, last_index: u64) {
        tracing::warn!(last_index, "the log can be written again; proposals are accepted");
    }

    fn thread_panicked(&self, thread: &'static str) {
        let runbook = "runbooks/recovery.md";
        tracing::error!(thread, runbook, "a thread of the pipeline panicked; the process aborts");
        eprintln!("the {thread} thread panicked, so the process aborts; {runbook} says where to look");
        log::close();
    }
}

impl Traffic for Watch {
    fn open(&self, connections: usize) {
        self.metrics.set_connections(connections as u64);
    }

    fn listens(&self, came: bool) {
        self.metrics.listens(came);
    }

    fn turned_away(&self, why: Turned) {
        self.metrics.turned_away(why.as_str());
    }

    fn shed(&self, code: Code) {
        self.metrics.rejected(code);
    }

    fn proposed(&self, refused: Option<Code>) {
        self.metrics.proposed(refused);
    }

    fn unverified(&self, guard: GuardName, rejection: &Rejection) {
        self.metrics.rejected(rejection.code);
        self.metrics.guard_failed(guard);
        request_refused(guard, rejection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_telemetry::metrics::{PROVIDERS, TURNED_AWAY_REASONS};

    #[test]
    fn every_reason_to_close_a_connection_is_counted_under_its_name() {
        assert_eq!(Turned::ALL.map(Turned::as_str), TURNED_AWAY_REASONS);
    }

    #[test]
    fn every_provider_is_counted_under_its_name() {
        assert_eq!(Provider::ALL.map(Provider::as_str), PROVIDERS);
    }
}
