//! From one version of the statechart to the next: a barrier in a project's records.
//!
//! A project is under one version of the chart, which its state names. A program with a newer one proposes
//! `Boot_ChartUpgraded` before anything else, signed as the node; the record is the barrier, and reducing it migrates
//! the state. Records before it are of the older version. To change the chart, enter the old one in [`PAST`], write
//! the step from it in `migrate`, and make reducers with a changed meaning read the state's version.

use std::borrow::Cow;
use std::sync::Arc;

use super::chart::{self, BootChartUpgraded, spec};
use super::head::Head;
use super::judge;
use super::state::{Meta, State};
use swoosh_types::hash::Hash;
use swoosh_types::names::Transition;

/// A version of the statechart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its number, rising from release to release.
    pub version: u64,
    /// Hash of it without its prose.
    pub schema_hash: Hash,
}

/// This program's.
pub const PRESENT: Chart = Chart { version: chart::VERSION, schema_hash: chart::SCHEMA_HASH };

/// Released versions before this one, whose records this program replays from their beginning.
pub const PAST: &[Chart] = &[Chart { version: 1, schema_hash: Hash::from_bytes(VERSION_1) }];

/// Schema hash of version 1.
#[rustfmt::skip]
const VERSION_1: [u8; 32] = [
    0xa1, 0x7a, 0x2b, 0x56, 0x71, 0x06, 0x68, 0x25, 0x0d, 0x8d, 0x16, 0x51, 0x62, 0x13, 0x0d, 0xa0,
    0x59, 0xba, 0xab, 0x79, 0x40, 0x9d, 0xfa, 0xa7, 0x88, 0xa6, 0x1c, 0xc7, 0x06, 0x36, 0xd8, 0xb5,
];

/// The inputs of the barrier that a project needs: it passes every block, and only a project that does not exist or has
/// ended goes without.
pub fn barrier(state: &State) -> Option<BootChartUpgraded> {
    let meta = &state.meta;
    if meta.chart_version >= PRESENT.version {
        return None;
    }
    judge::enabled(state, spec(Transition::BootChartUpgraded)).ok()?;
    let Chart { version: to_version, schema_hash } = PRESENT;
    Some(BootChartUpgraded { from_version: meta.chart_version, to_version, schema_hash })
}

/// Puts a state under a newer version. The reducer of the barrier migrates the parts that changed.
pub(super) fn migrate(next: &mut State, to: Chart) {
    let meta = Arc::make_mut(&mut next.meta);
    meta.chart_version = to.version;
    meta.schema_hash = to.schema_hash;
}

/// The head before a project's first record: the empty state under the chart of that record. Any other head is
/// returned unchanged.
pub fn begun<'a>(head: &'a Head, pre: &Hash) -> Cow<'a, Head> {
    if head.hash() == *pre || head.state().hlc_last.is_some() {
        return Cow::Borrowed(head);
    }
    let under = |chart: &Chart| {
        let mut state = head.state().clone();
        let project = state.meta.project.clone();
        state.meta = Arc::new(Meta { project, chart_version: chart.version, schema_hash: chart.schema_hash });
        Head::of(state)
    };
    PAST.iter().map(under).find(|older| older.hash() == *pre).map_or(Cow::Borrowed(head), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LicenseStatus;
    use swoosh_types::names::{BootState, ControlState, PolicyState};

    fn older() -> State {
        let mut state = State::genesis(&"default".parse().unwrap());
        Arc::make_mut(&mut state.boot).phase = BootState::Licensed;
        let meta = Arc::make_mut(&mut state.meta);
        (meta.chart_version, meta.schema_hash) = (PRESENT.version - 1, Hash::of(b"an older chart"));
        state
    }

    #[test]
    fn a_project_of_an_older_chart_needs_a_barrier_and_one_of_this_program_s_none() {
        let mut state = older();
        let inputs = barrier(&state).unwrap();
        assert_eq!((inputs.from_version, inputs.to_version), (PRESENT.version - 1, PRESENT.version));
        assert_eq!(inputs.schema_hash, PRESENT.schema_hash);
        migrate(&mut state, PRESENT);
        assert_eq!(barrier(&state), None);
        Arc::make_mut(&mut state.meta).chart_version = PRESENT.version + 1;
        assert_eq!(barrier(&state), None);
    }

    #[test]
    fn nothing_that_blocks_a_project_keeps_it_from_the_rules_of_a_newer_chart() {
        let mut paused = older();
        Arc::make_mut(&mut paused.control).paused = true;
        let mut recovering = older();
        Arc::make_mut(&mut recovering.control).recovery = true;
        let mut expired = older();
        Arc::make_mut(&mut expired.control).license = LicenseStatus::Expired;
        let mut quarantined = older();
        Arc::make_mut(&mut quarantined.policy).phase = PolicyState::Quarantined;
        for state in [paused, recovering, expired, quarantined] {
            assert!(barrier(&state).is_some());
        }
    }

    #[test]
    fn a_project_that_does_not_exist_or_has_ended_needs_no_barrier() {
        let mut unborn = older();
        Arc::make_mut(&mut unborn.boot).phase = BootState::Uninitialized;
        let mut ended = older();
        Arc::make_mut(&mut ended.control).phase = ControlState::Terminated;
        for state in [unborn, ended] {
            assert_eq!(barrier(&state), None);
        }
    }

    #[test]
    fn a_migration_changes_what_the_chart_is_and_nothing_else() {
        let before = older();
        let mut after = before.clone();
        migrate(&mut after, PRESENT);
        let back = State { meta: before.meta.clone(), ..after.clone() };
        assert_eq!(back, before);
        assert_eq!((after.meta.chart_version, after.meta.schema_hash), (PRESENT.version, PRESENT.schema_hash));
    }

    #[test]
    fn a_head_that_something_happened_to_is_as_it_is() {
        let head = Head::genesis(&"default".parse().unwrap());
        assert_eq!(*begun(&head, &head.hash()), head);
        assert_eq!(*begun(&head, &Hash::of(b"of no chart")), head);
    }
}
