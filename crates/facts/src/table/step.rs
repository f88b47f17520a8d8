//! How far the serial of a policy bundle may go at once.

use super::{Checked, FactRefusal, FactTable};
use swoosh_machine::facts::FactBody;
use swoosh_types::fact::FactKind;

/// How far a bundle's serial may be above the one before it. Serials may be times in milliseconds, and 4,096 steps are
/// left below the largest number that there is.
const MOST_STEP: u64 = 1 << 41;

impl FactTable {
    /// A bundle of others stays within one step of the bundle that it follows: serials only rise, so the highest one
    /// that there is would be the last bundle for ever. The node's settings may go further.
    pub(super) fn check_step(&self, checked: Checked) -> Result<Checked, FactRefusal> {
        let Checked::Known(known) = &checked else { return Ok(checked) };
        let (FactBody::Policy(new), claim) = (&known.body, &known.fact.claim) else { return Ok(checked) };
        let facts = self.load();
        let held = match &claim.project {
            Some(project) => facts.set().get(FactKind::Policy, project),
            None => facts.set().at(FactKind::Policy, None),
        };
        let held = match held.map(|held| &held.body) {
            Some(FactBody::Policy(held)) => held.serial(),
            _ => 0,
        };
        let (found, most) = (new.serial(), held.saturating_add(MOST_STEP));
        if claim.source != self.trust.node && found > most {
            return Err(FactRefusal::Step { found, held, most });
        }
        Ok(checked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixture::*;
    use crate::table::Trust;

    /// One typing error, or one use of a stolen key, made the highest serial the last bundle for ever.
    #[test]
    fn a_serial_that_would_leave_no_room_is_refused_and_one_that_was_held_before_is_held_again() {
        let sources = [(FactKind::Policy, [kaching().public()].into())].into();
        let trust = Trust { cluster: cluster(), node: node().public(), sources, max_ahead_ms: 5_000 };
        let table = FactTable::new(trust, Arc::new(swoosh_platform::clock::Clock::new(Box::new(Still), 5_000)));
        let bundle = |serial, at_ms| {
            let mut claim = policy(serial, "permit (principal, action, resource);", at_ms);
            claim.source = kaching().public();
            claim.sign(&cluster(), &kaching())
        };
        assert!(matches!(table.insert(bundle((1 << 53) - 1, NOW_MS)), Err(FactRefusal::Step { held: 0, .. })));
        let of_time = 1_760_832_000_000;
        table.insert(bundle(of_time, NOW_MS)).unwrap();
        assert!(matches!(table.weigh(&bundle(of_time + MOST_STEP + 1, NOW_MS + 1)), Err(FactRefusal::Step { .. })));
        table.insert(bundle(of_time + MOST_STEP, NOW_MS + 1)).unwrap();
        table.insert_kept(bundle((1 << 53) - 1, NOW_MS + 2)).unwrap();
    }
}
