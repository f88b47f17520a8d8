//! The node keys that may seal the records of a directory.
//!
//! A node that runs alone seals with its own key. The leaders of a cluster seal each with theirs, so a member knows the key of every
//! member that ever was in an applied configuration: the records that a removed member sealed stay.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::{MutexGuard, PoisonError};

use super::error::OpenError;
use super::layout::{Family, meta};
use super::open::parsed;
use super::store::{Column, Place, Store, WriteBatch};
use super::{Inner, Journal};
use swoosh_types::cluster::Configuration;
use swoosh_types::keys::PublicKey;

/// Keys of members, as the directory keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster(BTreeSet<PublicKey>);

impl Roster {
    /// The roster of a directory; empty where the node runs alone.
    pub(super) fn read(db: &Store, place: &Place) -> Result<Roster, OpenError> {
        Ok(parsed(db, place, meta::SEALERS)?.unwrap_or_default())
    }

    /// Adds the members of a configuration; whether there were new ones.
    pub(super) fn admit(&mut self, configuration: &Configuration) -> bool {
        let before = self.0.len();
        self.0.extend(configuration.members.values().map(|member| member.key));
        self.0.len() > before
    }

    pub(super) fn with(mut self, key: PublicKey) -> Roster {
        self.0.insert(key);
        self
    }

    pub(super) fn stage(&self, rows: &mut WriteBatch, column: Column<'_>) {
        rows.put_cf(column, meta::SEALERS, self.to_string());
    }
}

impl Display for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.0.iter().enumerate() {
            write!(f, "{}{key}", if position == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Roster {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Roster, &'static str> {
        let keys = text.split(' ').filter(|part| !part.is_empty()).map(str::parse);
        keys.collect::<Result<_, _>>().map(Roster).map_err(|_| "not keys of nodes")
    }
}

impl Journal {
    /// Whether the node of this key may seal records here: this node, and of a member's directory each member that ever was.
    pub fn seals(&self, node: &PublicKey) -> bool {
        self.0.seals(node)
    }

    /// Lets the members of a configuration seal, from here on and until the journal is closed. An applied configuration does so by
    /// itself and for good.
    pub fn admit_sealers(&self, configuration: &Configuration) {
        self.0.roster().admit(configuration);
    }
}

impl Inner {
    pub(super) fn seals(&self, node: &PublicKey) -> bool {
        *node == self.identity.node || self.roster().0.contains(node)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        // Each change is one call.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits the members of an applied configuration, and stages the roster with it.
    pub(super) fn stage_sealers(&self, rows: &mut WriteBatch, configuration: &Configuration) {
        let mut roster = self.roster();
        roster.admit(configuration);
        roster.stage(rows, self.family(Family::Meta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::keys::SecretKey;

    #[test]
    fn a_roster_is_read_back_as_written_and_anything_else_is_refused() {
        let key = |seed| SecretKey::from_bytes(&[seed; 32]).public();
        for roster in [Roster::default(), Roster::default().with(key(1)), Roster::default().with(key(1)).with(key(2))] {
            assert_eq!(roster.to_string().parse(), Ok(roster));
        }
        assert!("node".parse::<Roster>().is_err());
    }
}
