//! From which record on another version holds: of a project's statechart, of the policies, of their engine.
//!
//! The statechart's barrier is a record of its own (`Boot_ChartUpgraded`). A bundle of policies and the engine that asks
//! it change no state, so that nothing is migrated: their barrier is the first record that they judged, as it names both.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Journal;
use super::error::ReadError;
use swoosh_machine::chart::BootChartUpgraded;
use swoosh_types::canonical::from_slice;
use swoosh_types::fact::{Fact, PolicyBundle};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// A record from which another version holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Barrier {
    pub index: u64,
    /// When it was accepted.
    pub at: Hlc,
    #[serde(flatten)]
    pub change: VersionChange,
}

/// A barrier between two stretches of records. `from` is absent at the beginning of the log, or of its unpruned rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "version_of", rename_all = "snake_case")]
pub enum VersionChange {
    /// A project's statechart.
    Statechart {
        project: ProjectName,
        /// Its version before.
        from: u64,
        /// Its version from here on.
        to: u64,
        /// Hash of that chart.
        schema_hash: Hash,
    },
    /// A bundle of policies.
    Policies {
        /// The project; `None` where the barrier concerns all.
        #[serde(skip_serializing_if = "Option::is_none")]
        project: Option<ProjectName>,
        /// Serial of the bundle before.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
        /// Serial of the bundle that judges from here on.
        to: u64,
        /// sha256 of its text.
        hash: Hash,
    },
    /// The engine that asks the policies.
    PolicyEngine {
        /// Engine and version before.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Engine and version from here on.
        to: String,
    },
}

impl VersionChange {
    /// Whether a version came into force that is older than the one before, which no node lets happen.
    pub fn goes_back(&self) -> bool {
        match self {
            VersionChange::Statechart { from, to, .. } => to < from,
            VersionChange::Policies { from, to, .. } => from.is_some_and(|from| *to < from),
            VersionChange::PolicyEngine { .. } => false,
        }
    }
}

/// Project (`None` for all), serial and text hash of a policy bundle.
type Bundle = (Option<ProjectName>, u64, Hash);

struct Versions<'j> {
    journal: &'j Journal,
    engine: Option<String>,
    in_force: BTreeMap<Option<ProjectName>, (u64, Hash)>,
    /// Policy facts that were read: there are few, and many records name each.
    read: BTreeMap<Hash, Bundle>,
    found: Vec<Barrier>,
}

impl Journal {
    /// Every barrier of the log, in order. `progress` receives the last index now and then.
    pub fn barriers(&self, progress: &mut dyn FnMut(u64)) -> Result<Vec<Barrier>, ReadError> {
        let mut versions = Versions {
            journal: self,
            engine: None,
            in_force: BTreeMap::new(),
            read: BTreeMap::new(),
            found: Vec::new(),
        };
        for stored in self.records_from(self.first_index()) {
            let record = stored?.record;
            versions.see(&record)?;
            if record.index.is_multiple_of(4_096) {
                progress(record.index);
            }
        }
        Ok(versions.found)
    }
}

impl Versions<'_> {
    fn see(&mut self, record: &Record) -> Result<(), ReadError> {
        if self.engine.as_ref() != Some(&record.policy_engine) {
            let from = self.engine.replace(record.policy_engine.clone());
            self.note(record, VersionChange::PolicyEngine { from, to: record.policy_engine.clone() });
        }
        let judged = record.guard_outcomes.iter().filter(|outcome| outcome.guard == GuardName::Policy);
        for hash in judged.flat_map(|outcome| &outcome.facts) {
            let (project, serial, text) = self.bundle(record.index, hash)?;
            let before = self.in_force.insert(project.clone(), (serial, text));
            if before != Some((serial, text)) {
                let from = before.map(|(serial, _)| serial);
                self.note(record, VersionChange::Policies { project, from, to: serial, hash: text });
            }
        }
        if record.transition == Transition::BootChartUpgraded {
            let BootChartUpgraded { from_version, to_version, schema_hash } =
                self.object(record.index, &record.inputs_hash)?;
            let project = record.project.clone();
            let change = VersionChange::Statechart { project, from: from_version, to: to_version, schema_hash };
            self.note(record, change);
        }
        Ok(())
    }

    fn note(&mut self, record: &Record, change: VersionChange) {
        self.found.push(Barrier { index: record.index, at: record.timestamp, change });
    }

    fn bundle(&mut self, index: u64, hash: &Hash) -> Result<Bundle, ReadError> {
        if let Some(known) = self.read.get(hash) {
            return Ok(known.clone());
        }
        let fact: Fact = self.object(index, hash)?;
        let bundle: PolicyBundle = made_out(index, &fact.claim.body.canonical())?;
        let said = (fact.claim.project, bundle.serial, Hash::of(bundle.policies.as_bytes()));
        self.read.insert(*hash, said.clone());
        Ok(said)
    }

    fn object<T: serde::de::DeserializeOwned>(&self, index: u64, hash: &Hash) -> Result<T, ReadError> {
        let bytes = self.journal.object(hash)?.ok_or(ReadError::InputsMissing { index, hash: *hash })?;
        made_out(index, &bytes)
    }
}

fn made_out<T: serde::de::DeserializeOwned>(index: u64, bytes: &[u8]) -> Result<T, ReadError> {
    from_slice(bytes).map_err(|error| ReadError::Outline { index, what: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    #[test]
    fn a_version_goes_back_when_its_number_falls() {
        let policies = |from, to| VersionChange::Policies { project: None, from, to, hash: Hash::ZERO };
        assert!(policies(Some(7), 6).goes_back());
        assert!(![(None, 1), (Some(6), 7), (Some(7), 7)].iter().any(|(from, to)| policies(*from, *to).goes_back()));
        let chart = |from, to| {
            let project = "alpha".parse().unwrap();
            VersionChange::Statechart { project, from, to, schema_hash: Hash::ZERO }
        };
        assert!(chart(2, 1).goes_back() && !chart(1, 2).goes_back());
    }

    #[test]
    fn the_engine_is_listed_where_it_began_and_each_record_after_it_is_none() {
        let mut node = Node::new();
        node.commit(&["a", "b"]);
        node.commit(&["a"]);
        let found = node.journal.barriers(&mut |_| ()).unwrap();
        let engine = node.journal.record(1).unwrap().unwrap().record.policy_engine;
        let expected = VersionChange::PolicyEngine { from: None, to: engine };
        assert_eq!(found.iter().map(|one| (one.index, &one.change)).collect::<Vec<_>>(), [(1, &expected)]);
    }
}
