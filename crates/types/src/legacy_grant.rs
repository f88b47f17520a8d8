//! Grants to unsigned callers of WHOOSH: roles that a delegate alone never holds, for named projects and op classes, until
//! a time.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::hlc::Hlc;
use super::inputs::MAX_DELEGATED_PROJECTS;
use super::keys::PublicKey;
use super::names::{OpClass, Role, Transition};
use super::text::{Name, ProjectName};

/// Roles that a grant may give.
pub const GRANTABLE: [Role; 3] = [Role::Operator, Role::Voter, Role::Human];

/// Most grants that the settings may hold.
pub const MAX_GRANTS: usize = 64;

/// Transitions that no grant allows: an identity that a caller granted would outlast its grant.
pub const NEVER_GRANTED: [Transition; 3] =
    [Transition::BootIdentityGranted, Transition::BootIdentityRevoked, Transition::BootIdentityRotated];

/// Rights of a WHOOSH caller under its delegate's signature, within the delegate's own limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyGrant {
    /// The caller's name in `migration.callers`, which the evidence of its proposals gives.
    pub caller: Name,
    /// The key of the delegate that signs for it.
    pub delegate: PublicKey,
    /// Roles that the caller acts in.
    pub roles: BTreeSet<Role>,
    /// Projects that it acts in.
    pub projects: BTreeSet<ProjectName>,
    /// Classes of transitions that it may propose.
    pub op_classes: BTreeSet<OpClass>,
    /// End of the grant; it does not count at this time any more. Settings may leave the logical part (`#0`) out.
    #[serde(deserialize_with = "end")]
    pub until: Hlc,
    /// The elected member for whose seat the caller approves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<PublicKey>,
}

impl LegacyGrant {
    /// Faults of the grant alone, in words; none if it may be given.
    pub fn faults(&self) -> Vec<String> {
        let approves = self.roles.contains(&Role::Voter) && self.op_classes.contains(&OpClass::Execution);
        let too_many = self.projects.len() > MAX_DELEGATED_PROJECTS;
        let mut faults = vec![
            (self.roles.is_empty(), "roles: name at least one of operator, voter and human".to_owned()),
            (self.projects.is_empty(), "projects: name each project; a grant never counts for all of them".to_owned()),
            (too_many, format!("projects: {MAX_DELEGATED_PROJECTS} is the most; write a second grant")),
            (self.op_classes.is_empty(), "op_classes: name at least one, such as control".to_owned()),
            (
                approves && self.seat.is_none(),
                "seat: a voter in op class execution approves for one elected member; name the member's key".to_owned(),
            ),
            (
                !approves && self.seat.is_some(),
                "seat: only role voter with op class execution approves; take the seat out".to_owned(),
            ),
            (self.seat == Some(self.delegate), "seat: the delegate is no member; name the member's own key".to_owned()),
        ];
        for role in self.roles.iter().filter(|role| !GRANTABLE.contains(role)) {
            faults.push((true, format!("roles: {role} cannot be granted; use operator, voter or human")));
        }
        if let Some(weakness) = self.seat.and_then(|seat| seat.weakness()) {
            faults.push((true, format!("seat: it {weakness}; name a key of `swoosh keygen`")));
        }
        faults.into_iter().filter_map(|(wrong, fault)| wrong.then_some(fault)).collect()
    }

    /// Why two grants cannot stand side by side; none if they can. One caller has one seat in a project, and one seat
    /// belongs to one caller.
    pub fn conflict(&self, other: &LegacyGrant) -> Option<String> {
        let (Some(seat), Some(its_seat)) = (self.seat, other.seat) else { return self.shared_delegate(other) };
        let project = self.projects.intersection(&other.projects).next();
        match project {
            Some(project) if self.caller == other.caller && seat != its_seat => {
                Some(format!("{} has two seats in project {project}; a caller approves for one", self.caller))
            }
            Some(project) if self.caller != other.caller && seat == its_seat => {
                Some(format!("{} and {} share a seat in project {project}; give it to one", self.caller, other.caller))
            }
            _ => self.shared_delegate(other),
        }
    }

    fn shared_delegate(&self, other: &LegacyGrant) -> Option<String> {
        (self.delegate == other.delegate && self.caller != other.caller).then(|| {
            format!("{} and {} share the delegate {}; give each its own key", self.caller, other.caller, self.delegate)
        })
    }

    /// Whether it covers transitions of a class in a project.
    pub fn covers(&self, project: &ProjectName, class: OpClass) -> bool {
        self.projects.contains(project) && self.op_classes.contains(&class)
    }

    /// Whether it counts at a time.
    pub fn counts(&self, time: Hlc) -> bool {
        time < self.until
    }
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hlc, D::Error> {
    let text = String::deserialize(deserializer)?;
    let whole = if text.contains('#') { text.clone() } else { format!("{text}#0") };
    whole.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        D::Error::custom(format!("until: {shown:?} is no time; write 2026-12-31T00:00:00Z"))
    })
}
