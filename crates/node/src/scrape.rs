//! Metrics that are measured only when they are requested.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::bus::Bus;
use super::exporters::Exports;
use swoosh_effects::Phase;
use swoosh_facts::{FactTable, Standing, standing};
use swoosh_machine::facts::{FactBody, KnownFact};
use swoosh_platform::clock::{Now, Safety};
use swoosh_platform::gate::NetworkGate;
use swoosh_sequencer::{Handle, Mode};
use swoosh_telemetry::log;
use swoosh_telemetry::metrics::{FactStanding, Metrics, WindowStanding};
use swoosh_types::fact::FactKind;
use swoosh_types::names::WindowClass;

/// The parts of a node that are measured.
pub struct Scrape {
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    pub facts: Arc<FactTable>,
    pub gate: NetworkGate,
    pub exports: Arc<Exports>,
    pub bus: Arc<Bus>,
}

impl Scrape {
    /// Measures, and writes all metrics but those of projects that may not be shown.
    pub fn render(&self, may_show: &dyn Fn(&str) -> bool) -> Vec<u8> {
        sequencer(&self.handle, &self.metrics);
        self.license();
        self.facts();
        self.grants();
        self.projects();
        self.effects();
        self.exports.measure(&self.metrics);
        self.metrics.set_log_dropped(log::dropped());
        self.metrics.render_for(may_show)
    }

    fn license(&self) {
        let now = self.facts.clock().now();
        let until_ms = match standing(&self.facts.load(), now) {
            Standing::Licensed { until_ms } => Some(until_ms),
            Standing::Unlicensed { .. } => None,
        };
        self.metrics.set_licensed(self.gate.is_open(), until_ms);
        self.metrics.world().set_license_left(until_ms.unwrap_or_default().saturating_sub(now.wall_ms));
    }

    fn facts(&self) {
        let (facts, now) = (self.facts.facts(), self.facts.clock().now());
        let world = self.metrics.world();
        let mut kinds: BTreeMap<FactKind, FactStanding> = BTreeMap::new();
        for known in facts.set().iter() {
            add(kinds.entry(known.fact.claim.kind).or_default(), known, now.wall_ms);
        }
        for &kind in FactKind::ALL {
            world.set_facts(kind, kinds.remove(&kind).unwrap_or_default(), now.wall_ms);
        }
        let body = |kind| facts.set().at(kind, None).map(|known| &known.body);
        if let Some(FactBody::Tooling(tooling)) = body(FactKind::Tooling) {
            let up = tooling.servers.values().filter(|status| status.reachable).count() as u64;
            world.set_tools(up, tooling.servers.len() as u64 - up);
        }
        world.set_windows(self.windows(body(FactKind::Windows), now).as_ref());
    }

    /// Ends of the grants to callers of WHOOSH, by the clock that guards compare them with.
    fn grants(&self) {
        let facts = self.facts.facts();
        let body = facts.set().at(FactKind::Settings, None).map(|known| &known.body);
        let Some(FactBody::Settings(settings)) = body else { return };
        let ends_ms: Vec<u64> = settings.grants.values().map(|grant| grant.until.physical_ms()).collect();
        let now = settings.outside(self.handle.now());
        self.metrics.migration().set_grants(&ends_ms, now.physical_ms());
    }

    /// State of the schedule for all projects; `None` while the clock cannot be trusted.
    fn windows(&self, body: Option<&FactBody>, now: Now) -> Option<WindowStanding> {
        let (Some(FactBody::Windows(schedule)), Safety::Safe) = (body, now.safety) else { return None };
        let at = self.handle.now();
        let (position, pressure_permille) = (schedule.position(at), schedule.pressure(at));
        let open = WindowClass::ALL.iter().copied().filter(|&class| schedule.is_open(class, at)).collect();
        Some(WindowStanding { beat: position.beat, cycle: position.cycle, pressure_permille, open })
    }

    fn effects(&self) {
        if let Some(runner) = self.bus.runner() {
            let counts = runner.board().count();
            let count = |phase| counts.get(&phase).copied().unwrap_or(0);
            Phase::OPEN.iter().for_each(|phase| self.metrics.set_effects(phase.as_str(), count(*phase)));
        }
    }

    /// Counts blocked projects, in memory or not.
    fn projects(&self) {
        self.metrics.set_blocked(self.handle.journal().blocked());
    }
}

/// Measures what a node and a follower have in common.
pub fn sequencer(handle: &Handle, metrics: &Metrics) {
    let status = handle.status();
    metrics.set_queue_depth(status.queue as u64);
    metrics.set_wal_lag(status.wal_lag, status.busy);
    metrics.set_heads(status.heads as u64, status.heads_bytes as u64);
    metrics.set_damaged(status.damage.projects.len() as u64, status.damage.tables.len() as u64);
    metrics.set_mode(mode(&status.mode), status.clock_unsafe.is_none());
}

/// Measures the room where the data directory is. Not for a scrape: on a disk that does not answer this waits.
pub fn disk_free(metrics: &Metrics, data: &Path) {
    if let Ok(disk) = rustix::fs::statvfs(data) {
        metrics.set_disk_free(disk.f_bavail.saturating_mul(disk.f_frsize));
    }
}

fn add(standing: &mut FactStanding, known: &KnownFact, now_ms: u64) {
    let (observed_ms, until_ms) = (known.fact.claim.observed_at.physical_ms(), known.fact.believed_until_ms());
    standing.held += 1;
    standing.expired += u64::from(until_ms < now_ms);
    if standing.observed_ms.is_none_or(|newest| newest < observed_ms) {
        (standing.observed_ms, standing.until_ms) = (Some(observed_ms), until_ms);
    }
}

/// The sequencer's mode, as the metrics name it.
fn mode(mode: &Mode) -> &'static str {
    match mode {
        Mode::Accepting => "accepting",
        Mode::Draining => "draining",
        Mode::Refusing(_) => "refusing",
        Mode::ReadOnly(_) => "read_only",
        Mode::Following(_) => "following",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_machine::blocks::Block;
    use swoosh_telemetry::metrics::{BLOCKS, MODES};

    #[test]
    fn everything_that_holds_projects_up_has_its_metric() {
        assert_eq!(Block::ALL.map(Block::as_str), BLOCKS);
    }

    #[test]
    fn every_mode_has_its_metric() {
        let modes = [
            Mode::Accepting,
            Mode::Draining,
            Mode::Refusing(String::new()),
            Mode::ReadOnly(String::new()),
            Mode::Following(String::new()),
        ];
        assert_eq!(modes.each_ref().map(mode), MODES);
    }
}
