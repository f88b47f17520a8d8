//! The time that a record is stamped with, and whether the node may stamp at all.
//!
//! Stamps only rise. After a clock was ahead once, the last stamp lies ahead of the wall clock, and a caller with a
//! right clock is too far behind it. Then the node says `clock_unsafe` until the wall clock has caught up, or until an
//! operator accepts a lead: stamps run ahead of the wall clock by it, and facts, windows and callers are judged at the
//! stamp less the lead. The lead is part of the `settings` fact, so replay judges the same.

use super::handle::{Handle, Shared};
use super::retry::NODE_MS;
use swoosh_machine::facts::{FactBody, FactSet};
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// Why the node may not stamp.
pub(super) struct Untrusted {
    pub reason: String,
    /// How long that lasts at most if nothing is done, in milliseconds; `None` where nothing but the clock can say.
    pub wait_ms: Option<u64>,
}

impl From<String> for Untrusted {
    fn from(reason: String) -> Untrusted {
        Untrusted { reason, wait_ms: None }
    }
}

/// The settings that hold for a project, or for the node where none is named.
fn settings<'f>(facts: &'f FactSet, project: Option<&ProjectName>) -> Option<&'f GuardSettings> {
    let fact = match project {
        Some(project) => facts.get(FactKind::Settings, project),
        None => facts.at(FactKind::Settings, None),
    };
    match fact.map(|fact| &fact.body) {
        Some(FactBody::Settings(settings)) => Some(settings),
        _ => None,
    }
}

impl Shared {
    /// The stamp after `stamped`, by the wall clock and the lead; why not, where the clock cannot be trusted.
    pub fn next_stamp(&self, facts: &FactSet, project: Option<&ProjectName>, stamped: Hlc) -> Result<Hlc, Untrusted> {
        let wall_ms = self.ports.clock.now_ms()?;
        let settings = settings(facts, project);
        let now_ms = wall_ms.saturating_add(settings.map_or(0, |settings| settings.lead_ms));
        let ahead_ms = stamped.physical_ms().saturating_sub(now_ms);
        if let Some(settings) = settings.filter(|settings| ahead_ms > settings.max_behind_ms) {
            return Err(too_far_ahead(stamped, ahead_ms, settings.max_behind_ms));
        }
        stamped.tick(now_ms).map_err(|why| why.to_string().into())
    }

    /// The stamp that the next record of no project in particular would get.
    pub fn next_stamp_now(&self) -> Result<Hlc, Untrusted> {
        let judged = *self.stamped_mut();
        self.next_stamp(self.ports.facts.facts().set(), None, judged)
    }

    /// How long a caller waits that was refused before it was judged, in milliseconds.
    pub fn unjudged_wait_ms(&self, code: Code) -> u64 {
        let untrusted = (code == Code::ClockUnsafe).then(|| self.next_stamp_now().err()).flatten();
        untrusted.and_then(|why| why.wait_ms).unwrap_or(NODE_MS)
    }

    /// How far the last stamp is ahead of the wall clock, in milliseconds; 0 where it is not.
    pub fn ahead_ms(&self) -> Result<u64, String> {
        let wall_ms = self.ports.clock.now_ms()?;
        let judged_ms = self.stamped_mut().physical_ms();
        Ok(judged_ms.saturating_sub(wall_ms))
    }
}

impl Handle {
    /// The stamp that a record would get now: the wall clock, and the lead where one is accepted.
    pub fn log_time(&self) -> Hlc {
        self.shared.next_stamp_now().unwrap_or_else(|_| self.now())
    }

    /// How far the last stamp is ahead of the wall clock, in milliseconds.
    pub fn ahead_ms(&self) -> Result<u64, String> {
        self.shared.ahead_ms()
    }
}

fn too_far_ahead(stamped: Hlc, ahead_ms: u64, max_behind_ms: u64) -> Untrusted {
    let wait_ms = ahead_ms - max_behind_ms;
    let reason = format!(
        "the last record is stamped {stamped}, {ahead_ms} ms ahead of the wall clock, which was ahead when it was \
         written or is behind now. Proposals are accepted again in {wait_ms} ms, or once an operator runs `swoosh \
         clock accept`; see runbooks/clock.md"
    );
    Untrusted { reason, wait_ms: Some(wait_ms) }
}
