//! Metrics of the migration from WHOOSH.

use prometheus::{Gauge, IntCounter, IntGauge, Registry};

use super::register::{counters, gauge, gauges, keep, set};
use super::{Name, labelled, metric};
use swoosh_types::migration::{DivergenceKind, MigrationMode, Routing};

const MIGRATION_MODE: Name = labelled(
    "swoosh_migration_mode",
    "mode",
    "1 for the present mode of the migration, 0 for the others; off without one.",
);
const MIGRATION_PROPOSALS: Name =
    labelled("swoosh_migration_proposals_total", "decided", "Proposals of WHOOSH's clients, by the deciding system.");
const MIGRATION_UNKEYED: Name =
    metric("swoosh_migration_unkeyed_total", "Proposals of WHOOSH's clients without an idempotency key.");
const MIGRATION_INCOMPLETE: Name =
    labelled("swoosh_migration_incomplete_total", "member", "Proposals of WHOOSH's clients without this member.");
const MIGRATION_OTHER: Name =
    labelled("swoosh_migration_other_paths_total", "answer", "Requests on paths that SWOOSH does not know.");
const MIGRATION_DIVERGENCES: Name =
    labelled("swoosh_migration_divergences_total", "kind", "Differences found between WHOOSH and SWOOSH.");
const MIGRATION_DIFFERING: Name =
    metric("swoosh_migration_projects_differing", "Projects whose states differed at the last comparison.");
const MIGRATION_UNANSWERED: Name =
    labelled("swoosh_migration_upstream_failures_total", "cause", "Requests that WHOOSH did not answer.");

const GRANTS: Name =
    labelled("swoosh_migration_grants", "state", "Grants of the settings to clients of WHOOSH, by state.");
const GRANT_ENDS: Name = metric(
    "swoosh_migration_grant_ends_seconds",
    "When the first of the grants in force ends, in seconds since 1970; 0 without one.",
);

/// Modes of a migration; the first means none.
const MODES: [&str; 5] = ["off", "shadow", "regions", "cutover", "bypass"];
/// Deciding systems.
const DECIDED: [&str; 2] = ["whoosh", "swoosh"];
/// Members that producers are to send, as [`Migration::proposal`] takes them.
const MEMBERS: [&str; 3] = ["idem_key", "hlc", "window_id"];
/// Requests on paths that SWOOSH does not know.
const OTHER: [&str; 2] = ["passed", "refused"];
/// States of grants.
const GRANT_STATES: [&str; 2] = ["in_force", "ended"];
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
    grants: Box<[IntGauge]>,
    grant_ends: Gauge,
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
            grants: gauges(registry, &GRANTS, &GRANT_STATES)?,
            grant_ends: keep(registry, Gauge::new(GRANT_ENDS.name, GRANT_ENDS.help)?)?,
        };
        migration.set_mode(None);
        Ok(migration)
    }

    fn set_mode(&self, mode: Option<MigrationMode>) {
        let name = mode.map_or("off", MigrationMode::as_str);
        MODES.iter().zip(&self.modes).for_each(|(known, gauge)| gauge.set((*known == name).into()));
    }

    /// The routing changed, or was read at the start.
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

    /// Ends of the grants in the settings, in milliseconds since 1970, at a time.
    pub fn set_grants(&self, ends_ms: &[u64], now_ms: u64) {
        let in_force = ends_ms.iter().copied().filter(|end_ms| now_ms < *end_ms);
        let counts = [in_force.clone().count(), ends_ms.len() - in_force.clone().count()];
        self.grants.iter().zip(counts).for_each(|(gauge, grants)| set(gauge, grants as u64));
        self.grant_ends.set(in_force.min().unwrap_or_default() as f64 / 1_000.0);
    }

    /// WHOOSH gave no answer, for one of `CAUSES`.
    pub fn unanswered(&self, cause: &str) {
        let place = CAUSES.iter().position(|known| *known == cause);
        place.and_then(|place| self.unanswered.get(place)).into_iter().for_each(IntCounter::inc);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    /// A grant ended, and its caller was refused, before an operator could see that it would.
    #[test]
    fn grants_show_the_first_end_and_how_many_ended() {
        let metrics = Metrics::new();
        let shown = |ends_ms: &[u64]| {
            metrics.migration().set_grants(ends_ms, 5_000);
            String::from_utf8(metrics.render()).unwrap()
        };
        let holds = |text: &str, [in_force, ended, first]: [u64; 3]| {
            for line in [
                format!("swoosh_migration_grants{{state=\"in_force\"}} {in_force}\n"),
                format!("swoosh_migration_grants{{state=\"ended\"}} {ended}\n"),
                format!("swoosh_migration_grant_ends_seconds {first}\n"),
            ] {
                assert!(text.contains(&line), "{line}: {text}");
            }
        };
        // It does not count at its end any more.
        holds(&shown(&[9_000, 5_000, 7_000, 1]), [2, 2, 7]);
        holds(&shown(&[5_000]), [0, 1, 0]);
        holds(&shown(&[]), [0, 0, 0]);
    }
}
