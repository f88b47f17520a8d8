//! Identities that may propose to a project, and the rotations of their keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::State;
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::{Delegation, IdentityGrant};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;
use swoosh_types::text::Name;

/// An identity of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub name: Name,
    pub roles: BTreeSet<Role>,
    /// Whether it may no longer propose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// Whether it acts for others only, and how far that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegation>,
    /// From when it may no longer propose: another key took over, and both count until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Hlc>,
    /// The key whose place it took by rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeds: Option<PublicKey>,
}

impl Identity {
    /// The identity that a grant gives.
    pub fn of(grant: &IdentityGrant) -> Identity {
        let IdentityGrant { name, roles, delegate } = grant.clone();
        Identity { name, roles, revoked: false, delegate, retires_at: None, succeeds: None }
    }

    /// Whether it may still propose at a moment.
    pub fn counts(&self, at: Hlc) -> bool {
        !self.revoked && self.retires_at.is_none_or(|end| at < end)
    }
}

impl State {
    /// The elected member of a key: the key itself, or the member whose key it replaced.
    pub fn member_behind(&self, key: &PublicKey) -> Option<PublicKey> {
        let before = |key: &PublicKey| self.boot.identities.get(key).and_then(|identity| identity.succeeds);
        // Each rotation names a new key, so there are no more steps than identities.
        let line = std::iter::successors(Some(*key), before).take(self.boot.identities.len() + 1);
        line.into_iter().find(|key| self.council.members.contains_key(key))
    }
}
