//! The programs that wrote to a directory: the versions of their statechart and policy engine.
//!
//! They are written before the first record of a newer chart, so that an older program is refused at its start and
//! not at a record that it cannot reduce.

use super::store::WriteBatch;
use serde::{Deserialize, Serialize};

use super::error::{AppendError, ReadError, StorageError};
use super::layout::{Family, meta};
use super::{Journal, Mode};
use swoosh_machine::{policy, upgrade};
use swoosh_types::canonical::{canonical_bytes, from_canonical};
use swoosh_types::hash::Hash;

/// A statechart and a policy engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The statechart's version.
    pub chart_version: u64,
    pub schema_hash: Hash,
    /// The policy engine and its version.
    pub policy_engine: String,
}

/// Why a program must not write to a directory.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The directory is of a newer chart.
    #[error(
        "the data directory is under statechart version {found}, and this program has version {known}: a project never goes \
         back. Run the newer program again, or restore a backup from before the upgrade (docs/upgrade.md)"
    )]
    Newer {
        /// The directory's version.
        found: u64,
        /// This program's.
        known: u64,
    },
    /// Two charts under one number.
    #[error(
        "the data directory is under another statechart version {version} ({found}) than this program's ({known}): one of \
         the two was never released. Run the program that wrote it, or begin a new data directory (docs/upgrade.md)"
    )]
    Other {
        /// The version of both.
        version: u64,
        /// The directory's schema hash.
        found: Hash,
        /// This program's.
        known: Hash,
    },
    /// The stored versions cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It takes no writes.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the data directory cannot be written: {0}")]
    Write(#[from] StorageError),
}

impl Written {
    /// The versions of this program.
    pub fn by_this_program() -> Written {
        let upgrade::Chart { version: chart_version, schema_hash } = upgrade::PRESENT;
        Written { chart_version, schema_hash, policy_engine: policy::engine_version().to_owned() }
    }

    /// Whether this program may go on from there.
    fn check(&self, own: &Written) -> Result<(), ChartError> {
        let (found, known) = (self.chart_version, own.chart_version);
        if found > known {
            return Err(ChartError::Newer { found, known });
        }
        if found == known && self.schema_hash != own.schema_hash {
            let (found, known) = (self.schema_hash, own.schema_hash);
            return Err(ChartError::Other { version: self.chart_version, found, known });
        }
        Ok(())
    }
}

impl Journal {
    /// Under what the directory was written last; none where no program said so yet.
    pub fn written(&self) -> Result<Option<Written>, ReadError> {
        let Some(bytes) = self.0.get(Family::Meta, meta::WRITTEN)? else { return Ok(None) };
        let mangled = |error| StorageError(format!("meta/written is mangled: {error}"));
        Ok(Some(from_canonical(&bytes).map_err(mangled)?))
    }

    /// Enters that a program writes to the directory from here on, unless it must not. Gives what was there before.
    pub fn enter(&self, own: &Written) -> Result<Option<Written>, ChartError> {
        let held = self.written()?;
        held.iter().try_for_each(|held| held.check(own))?;
        if held.as_ref() != Some(own) {
            if matches!(self.0.mode, Mode::ReadOnly) {
                return Err(AppendError::ReadOnly.into());
            }
            let mut rows = WriteBatch::default();
            rows.put_cf(self.0.family(Family::Meta), meta::WRITTEN, canonical_bytes(own));
            self.0.or_stop(self.0.write(rows, true))?;
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    fn own(chart_version: u64, schema: &[u8], engine: &str) -> Written {
        Written { chart_version, schema_hash: Hash::of(schema), policy_engine: engine.to_owned() }
    }

    #[test]
    fn a_directory_remembers_who_wrote_to_it_and_goes_only_forward() {
        let node = Node::new();
        let journal = &node.journal;
        assert_eq!(journal.written().unwrap(), None);
        assert_eq!(journal.enter(&own(1, b"one", "cedar-4")).unwrap(), None);
        assert_eq!(journal.enter(&own(1, b"one", "cedar-5")).unwrap(), Some(own(1, b"one", "cedar-4")));
        assert_eq!(journal.enter(&own(2, b"two", "cedar-5")).unwrap(), Some(own(1, b"one", "cedar-5")));
        let node = node.reopen();
        let back = node.journal.enter(&own(1, b"one", "cedar-5")).unwrap_err();
        assert!(matches!(back, ChartError::Newer { found: 2, known: 1 }), "{back}");
        let other = node.journal.enter(&own(2, b"another two", "cedar-5")).unwrap_err();
        assert!(matches!(other, ChartError::Other { version: 2, .. }), "{other}");
        assert_eq!(node.journal.written().unwrap(), Some(own(2, b"two", "cedar-5")), "a refusal changes nothing");
    }
}
