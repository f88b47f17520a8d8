//! Metrics of the migration from WHOOSH.

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, gauge, gauges, keep, set};
use super::{
    MIGRATION_DIFFERING, MIGRATION_DIVERGENCES, MIGRATION_MODE, MIGRATION_PROPOSALS, MIGRATION_UNANSWERED,
    MIGRATION_UNKEYED,
};
use crate::types::migration::{DivergenceKind, MigrationMode, Routing};

/// How far a migration may be; the first stands for none.
const MODES: [&str; 5] = ["off", "shadow", "regions", "cutover", "bypass"];
/// Who decides.
const DECIDED: [&str; 2] = ["whoosh", "swoosh"];
/// Why WHOOSH gives no answer.
pub const CAUSES: [&str; 3] = ["unreachable", "timeout", "closed"];

/// The metrics of the migration.
pub struct Migration {
    modes: Box<[IntGauge]>,
    proposals: Box<[IntCounter]>,
    unkeyed: IntCounter,
    divergences: Box<[IntCounter]>,
    differing: IntGauge,
    unanswered: Box<[IntCounter]>,
}

impl Migration {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Migration> {
        let kinds = DivergenceKind::ALL.iter().map(|kind| kind.as_str());
        let migration = Migration {
            modes: gauges(registry, &MIGRATION_MODE, &MODES)?,
            proposals: counters(registry, &MIGRATION_PROPOSALS, DECIDED.into_iter())?,
            unkeyed: keep(registry, IntCounter::new(MIGRATION_UNKEYED.name, MIGRATION_UNKEYED.help)?)?,
            divergences: counters(registry, &MIGRATION_DIVERGENCES, kinds)?,
            differing: gauge(registry, &MIGRATION_DIFFERING)?,
            unanswered: counters(registry, &MIGRATION_UNANSWERED, CAUSES.into_iter())?,
        };
        migration.set_mode(None);
        Ok(migration)
    }

    fn set_mode(&self, mode: Option<MigrationMode>) {
        let name = mode.map_or("off", MigrationMode::as_str);
        MODES.iter().zip(&self.modes).for_each(|(known, gauge)| gauge.set((*known == name).into()));
    }

    /// Who decides what has changed, or was found at the start.
    pub fn routed(&self, routing: &Routing) {
        self.set_mode(Some(routing.mode));
    }

    /// A proposal of one of WHOOSH's clients came; SWOOSH decides it or WHOOSH does.
    pub fn proposal(&self, here: bool, has_key: bool) {
        self.proposals.get(usize::from(here)).into_iter().for_each(IntCounter::inc);
        if !has_key {
            self.unkeyed.inc();
        }
    }

    /// A difference was found.
    pub fn diverged(&self, kind: DivergenceKind) {
        let place = DivergenceKind::ALL.iter().position(|known| *known == kind);
        place.and_then(|place| self.divergences.get(place)).into_iter().for_each(IntCounter::inc);
    }

    /// So many projects differed when they were compared last.
    pub fn differing(&self, projects: u64) {
        set(&self.differing, projects);
    }

    /// WHOOSH gave no answer, for one of `CAUSES`.
    pub fn unanswered(&self, cause: &str) {
        let place = CAUSES.iter().position(|known| *known == cause);
        place.and_then(|place| self.unanswered.get(place)).into_iter().for_each(IntCounter::inc);
    }
}
