//! The identities that act in a project, from the node's settings and from the project, and the voters among them.
//!
//! Version 1 of the chart let a project's identity replace that of the settings, so a project could take the settings'
//! operator its roles. From version 2 on the rights are the union, see [`Identities::get`].

use std::collections::{BTreeMap, BTreeSet};

use super::authority::approves_for;
use super::facts::{FactBody, FactSet};
use super::state::{Approval, Identity, State};
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;

/// Roles of a settings' identity that no project can take from it: those that control a project from outside.
const PLATFORM: [Role; 4] = [Role::Node, Role::Operator, Role::Human, Role::Reader];

/// The identities that count in a project at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Identities<'a> {
    state: &'a State,
    settings: Option<&'a GuardSettings>,
    at: Hlc,
}

impl<'a> Identities<'a> {
    /// Those of a project and of the settings.
    pub fn of(state: &'a State, settings: Option<&'a GuardSettings>, at: Hlc) -> Identities<'a> {
        Identities { state, settings, at }
    }

    /// The settings' grant of a key.
    pub(super) fn granted(&self, key: &PublicKey) -> Option<&'a IdentityGrant> {
        self.settings.and_then(|settings| settings.identities.get(key))
    }

    /// The identity behind a key. Where both the project and the settings name it, it holds the roles of both; a
    /// delegate of either gains nothing by the other. A key that the project revoked or rotated away keeps of the
    /// settings' roles those of the platform alone, so a project can bar a stolen voter or worker of the settings, and
    /// cannot lock out their operator.
    pub fn get(&self, key: &PublicKey) -> Option<Identity> {
        let own = self.state.boot.identities.get(key);
        match (own, self.granted(key)) {
            (None, grant) => grant.map(Identity::of),
            (Some(own), None) => Some(own.clone()),
            (Some(_), Some(grant)) if grant.roles.contains(&Role::Node) => Some(Identity::of(grant)),
            (Some(own), Some(_)) if !self.state.is_under(2) => Some(own.clone()),
            (Some(own), Some(grant)) => Some(self.joined(own, grant)),
        }
    }

    fn joined(&self, own: &Identity, grant: &IdentityGrant) -> Identity {
        let mut joined = Identity { succeeds: own.succeeds, ..Identity::of(grant) };
        if !own.counts(self.at) {
            joined.roles.retain(|role| PLATFORM.contains(role));
            return if joined.roles.is_empty() { own.clone() } else { joined };
        }
        if own.delegate.is_none() && grant.delegate.is_none() {
            joined.roles.extend(&own.roles);
        }
        joined
    }

    /// Why the vote of a key does not count; none where it does. Version 1 of the chart asked only whether the key is a
    /// delegate's.
    pub fn voter_fault(&self, key: &PublicKey) -> Option<String> {
        let identity = self.get(key);
        if identity.as_ref().is_some_and(|identity| identity.delegate.is_some()) {
            return Some(format!("{key} is a delegate, and a delegate never votes"));
        }
        if !self.state.is_under(2) {
            return None;
        }
        let Some(identity) = identity else { return Some(format!("{key} is not known to this project")) };
        if !identity.counts(self.at) {
            return Some(match identity.retires_at.filter(|_| !identity.revoked) {
                Some(end) => format!("{key} was rotated away at {end}"),
                None => format!("{key} is revoked"),
            });
        }
        (!identity.roles.contains(&Role::Voter)).then(|| format!("{key} does not hold the role voter"))
    }

    /// Whether a key is a delegate's that counts and approves for a seat by a grant of the settings.
    fn approves_by_grant(&self, delegate: &PublicKey, member: &PublicKey) -> bool {
        let Some(settings) = self.settings.filter(|_| self.state.is_under(2)) else { return false };
        let limited = self.granted(delegate).is_some_and(|grant| grant.delegate.is_some());
        let counts = limited && self.get(delegate).is_some_and(|identity| identity.counts(self.at));
        let is_seat = |seat: &PublicKey| self.state.member_behind(seat) == Some(*member);
        let (project, time) = (&self.state.meta.project, settings.outside(self.at));
        counts && approves_for(settings.grants.values(), (delegate, is_seat), (project, time))
    }

    /// The candidates that the ranking may seat.
    pub fn electorate(&self) -> BTreeSet<PublicKey> {
        let candidates = self.state.council.candidates.keys();
        let counts = |key: &&PublicKey| !self.state.is_under(2) || self.voter_fault(key).is_none();
        candidates.filter(counts).copied().collect()
    }

    /// The seats of the elected council, and who holds them now.
    pub fn seats(&self) -> Seats<'a> {
        let took_over = |(key, identity): (&PublicKey, &Identity)| identity.succeeds.map(|old| (old, *key));
        Seats { who: *self, successors: self.state.boot.identities.iter().filter_map(took_over).collect() }
    }
}

/// The candidates of a project that the ranking may seat now, by what is believed of the settings.
pub fn electorate(state: &State, facts: &FactSet, at: Hlc) -> BTreeSet<PublicKey> {
    let known = facts.get(FactKind::Settings, &state.meta.project).filter(|fact| fact.is_valid(at));
    let settings = known.and_then(|fact| match &fact.body {
        FactBody::Settings(settings) => Some(settings),
        FactBody::License(_)
        | FactBody::Windows(_)
        | FactBody::Tooling(_)
        | FactBody::Capacity(_)
        | FactBody::Health(_)
        | FactBody::Liveness(_)
        | FactBody::Policy(_) => None,
    });
    Identities::of(state, settings, at).electorate()
}

/// The seats of the elected council. A seat is named by the key that was elected, and held by the last key that took
/// its place by rotation.
#[derive(Clone, Debug)]
pub struct Seats<'a> {
    who: Identities<'a>,
    successors: BTreeMap<PublicKey, PublicKey>,
}

impl Seats<'_> {
    /// A key, and those that took its place, the first rotation first.
    pub fn line(&self, key: &PublicKey) -> impl Iterator<Item = PublicKey> {
        // Each rotation names a key that was not known before, so a line has no circle.
        let most = self.successors.len() + 1;
        std::iter::successors(Some(*key), |key| self.successors.get(key).copied()).take(most)
    }

    /// The key that holds the place of another.
    pub fn holder(&self, key: &PublicKey) -> PublicKey {
        self.line(key).last().unwrap_or(*key)
    }

    /// Why a seat does not count; none where it does.
    pub fn fault(&self, member: &PublicKey) -> Option<String> {
        self.who.voter_fault(&self.holder(member))
    }

    /// Why a member's approval does not count; none where it does. Both the seat and the key that signed must count: a
    /// member whose key was rotated away approves again with the new one. A delegate's approval counts while a grant maps it to
    /// the seat.
    pub fn approval_fault(&self, member: &PublicKey, approval: &Approval) -> Option<String> {
        let signer = approval.signer.unwrap_or(*member);
        self.fault(member)
            .or_else(|| self.who.voter_fault(&signer).filter(|_| !self.who.approves_by_grant(&signer, member)))
    }

    /// How many seats count. Seats that one key holds are one.
    pub fn counting(&self) -> u64 {
        let seats = self.who.state.council.members.keys().filter(|member| self.fault(member).is_none());
        seats.map(|member| self.holder(member)).collect::<BTreeSet<_>>().len() as u64
    }
}
