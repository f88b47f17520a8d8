//! The license as the network gate sees it: open while a license is valid or in grace, closed otherwise.

use std::sync::Arc;
use std::time::Duration;

use super::table::{FactTable, FactsNow};
use swoosh_machine::facts::{FactBody, KnownFact};
use swoosh_platform::clock::{Now, Safety};
use swoosh_platform::gate::GateKeeper;
use swoosh_types::civil::rfc3339;
use swoosh_types::fact::{FactKind, GuardSettings};

/// Longest between two looks at the clock, which may have been set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether outside access is licensed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Until this moment, in milliseconds since 1970-01-01T00:00:00Z.
    Licensed {
        /// The last moment, grace included.
        until_ms: u64,
    },
    /// Not at all.
    Unlicensed { reason: String },
}

/// License state of the whole node: one valid license, for all projects or for one, allows outside access. Guards check
/// the license of each project.
pub fn standing(facts: &FactsNow, now: Now) -> Standing {
    let unlicensed = |reason: String| Standing::Unlicensed { reason };
    if let Safety::Unsafe { drift_ms } = now.safety {
        return unlicensed(format!("the wall clock jumped by {drift_ms} ms, so no license can be judged by it"));
    }
    let settings = facts.set().at(FactKind::Settings, None).map(|fact| &fact.body);
    let Some(FactBody::Settings(settings)) = settings else { return unlicensed("there is no settings fact".into()) };
    let licenses: Vec<_> = facts.set().iter().filter(|fact| fact.fact.claim.kind == FactKind::License).collect();
    let terms = licenses.iter().filter_map(|license| license.license_term(settings));
    let latest_ms = terms.map(|term| term.grace_until_ms).max();
    match latest_ms {
        Some(until_ms) if now.wall_ms <= until_ms => Standing::Licensed { until_ms },
        _ => unlicensed(licenses.last().map_or("there is no license fact".into(), |fact| why_not(fact, settings))),
    }
}

fn why_not(fact: &KnownFact, settings: &GuardSettings) -> String {
    match fact.license_term(settings) {
        Some(term) => format!("the license and its grace ran out at {}", rfc3339(term.grace_until_ms)),
        None => format!("the license does not cover the scope {}", settings.license_scope),
    }
}

/// Moves the gate according to the licenses in the table, forever. Run it in a task; aborting the task closes the gate.
pub async fn watch_license(table: Arc<FactTable>, keeper: GateKeeper) {
    let mut changes = table.changes();
    loop {
        let now = table.clock().now();
        let wait = match standing(&table.load(), now) {
            Standing::Licensed { until_ms } => {
                if keeper.open() {
                    tracing::info!(until = %rfc3339(until_ms), "the network gate is open");
                }
                // The first moment at which it counts no more.
                Duration::from_millis(until_ms.saturating_sub(now.wall_ms).saturating_add(1))
            }
            Standing::Unlicensed { reason } => {
                if keeper.close(&reason) {
                    tracing::warn!(%reason, "the network gate is closed: nothing but the license client goes outside");
                }
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait.min(LOOK_EVERY)) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use swoosh_types::hlc::Hlc;

    fn at(wall_ms: u64) -> Now {
        Now { wall_ms, monotonic_ms: 0, safety: Safety::Safe }
    }

    /// A table with settings (grace of a second) and nothing else.
    fn settled() -> FactTable {
        let table = table();
        table.insert(settings(1_000).sign(&cluster(), &node())).unwrap();
        table
    }

    #[test]
    fn a_license_counts_through_its_grace_and_not_a_millisecond_longer() {
        let table = settled();
        assert!(matches!(standing(&table.load(), at(NOW_MS)), Standing::Unlicensed { .. }));
        let mut short = license(&kaching(), NOW_MS);
        short.valid_until = Hlc::new(NOW_MS + 10_000, 0).unwrap();
        table.insert(short.sign(&cluster(), &kaching())).unwrap();
        let until_ms = NOW_MS + 11_000;
        assert_eq!(standing(&table.load(), at(NOW_MS)), Standing::Licensed { until_ms });
        assert_eq!(standing(&table.load(), at(until_ms)), Standing::Licensed { until_ms });
        let Standing::Unlicensed { reason } = standing(&table.load(), at(until_ms + 1)) else { panic!("licensed") };
        assert!(reason.starts_with("the license and its grace ran out"), "{reason}");
    }

    #[test]
    fn a_clock_that_jumped_and_a_license_for_something_else_keep_the_gate_closed() {
        let table = settled();
        table.insert(license(&kaching(), NOW_MS).sign(&cluster(), &kaching())).unwrap();
        let jumped = Now { safety: Safety::Unsafe { drift_ms: 9_000 }, ..at(NOW_MS) };
        assert!(matches!(standing(&table.load(), jumped), Standing::Unlicensed { .. }));
        let other = settled();
        let mut claim = license(&kaching(), NOW_MS);
        claim.body = swoosh_types::json::Json::parse(br#"{"id":"l-1","scopes":["other"]}"#).unwrap();
        other.insert(claim.sign(&cluster(), &kaching())).unwrap();
        let Standing::Unlicensed { reason } = standing(&other.load(), at(NOW_MS)) else { panic!("licensed") };
        assert!(reason.contains("scope swoosh"), "{reason}");
    }

    #[tokio::test]
    async fn the_gate_follows_the_table() {
        let table = Arc::new(settled());
        let (keeper, gate) = swoosh_platform::gate::closed("nothing yet");
        let watching = tokio::spawn(watch_license(table.clone(), keeper));
        assert!(!gate.is_open());
        table.insert(license(&kaching(), NOW_MS).sign(&cluster(), &kaching())).unwrap();
        let pass = gate.opened().await;
        let mut ended = license(&kaching(), NOW_MS + 1);
        ended.valid_until = Hlc::new(NOW_MS - 2_000, 0).unwrap();
        table.insert(ended.sign(&cluster(), &kaching())).unwrap();
        assert!(pass.closed().await.reason.contains("ran out"));
        watching.abort();
    }
}
