//! Metrics of the migration from WHOOSH.

use prometheus::{IntCounter, IntGauge, Registry};

use super::register::{counters, gauge, gauges, keep, set};
use super::{
    MIGRATION_DIFFERING, MIGRATION_DIVERGENCES, MIGRATION_INCOMPLETE, MIGRATION_MODE, MIGRATION_OTHER,
    MIGRATION_PROPOSALS, MIGRATION_UNANSWERED, MIGRATION_UNKEYED,
};
use crate::types::migration::{DivergenceKind, MigrationMode, Routing};

/// How far a migration may be; the first stands for none.
const MODES: [&str; 5] = ["off", "shadow", "regions", "cutover", "bypass"];
/// Who decides.
const DECIDED: [&str; 2] = ["whoosh", "swoosh"];
/// Members that producers are to send, as [`Migration::proposal`] takes them.
const MEMBERS: [&str; 3] = ["idem_key", "hlc", "window_id"];
/// Requests on paths that SWOOSH does not know.
const OTHER: [&str; 2] = ["passed", "refused"];
/// Why WHOOSH gives no answer.
pub const CAUSES: [&str; 3] = ["unreachable", "timeout", "closed"];

/// The metrics of the migration.
pub struct Migration {
    modes: Box<[IntGauge]>,
    proposals: Box<[IntCounter]>,
    unkeyed: IntCounter,
    incomplete: Box<[IntCounter]>,
    other: Box<[IntCounter]>,
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
            incomplete: counters(registry, &MIGRATION_INCOMPLETE, MEMBERS.into_iter())?,
            other: counters(registry, &MIGRATION_OTHER, OTHER.into_iter())?,
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

    /// A proposal of one of WHOOSH's clients came; SWOOSH decides it or WHOOSH does. It brought these of `idem_key`, `hlc` and
    /// `window_id`.
    pub fn proposal(&self, here: bool, brought: [bool; 3]) {
        self.proposals.get(usize::from(here)).into_iter().for_each(IntCounter::inc);
        if !brought[0] {
            self.unkeyed.inc();
        }
        self.incomplete.iter().zip(brought).filter(|(_, brought)| !brought).for_each(|(counter, _)| counter.inc());
    }

    /// A request came on a path that SWOOSH does not know.
    pub fn other_path(&self, passed: bool) {
        self.other.get(usize::from(!passed)).into_iter().for_each(IntCounter::inc);
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
