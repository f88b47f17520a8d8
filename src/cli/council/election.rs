//! An election, as it follows from a project's state.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::machine::election;
use crate::machine::head::Head;
use crate::machine::state::Council;
use crate::types::council::member_set_hash;
use crate::types::hash::Hash;
use crate::types::inputs::{Members, RoleSpec, RoleSpecs, VoteBody};
use crate::types::keys::PublicKey;
use crate::types::names::{CouncilState, Region};
use crate::types::text::{Capability, ClusterId, Name, ProjectName};

/// A project's election.
pub(super) struct Election {
    pub cluster: ClusterId,
    pub project: ProjectName,
    pub head: Head,
    /// Candidates that may be seated and vote.
    pub electorate: BTreeSet<PublicKey>,
    /// The member set that the ranking proposes.
    pub members: Members,
}

/// A candidate's place for a role.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ranked {
    /// The role.
    pub role: Name,
    /// The place, from 1.
    pub rank: usize,
    /// The candidate.
    pub key: PublicKey,
    /// Capabilities of the role that the candidate lacks.
    pub lacks: Vec<Capability>,
}

impl Election {
    pub fn of(cluster: ClusterId, project: ProjectName, head: Head, electorate: BTreeSet<PublicKey>) -> Election {
        let members = election::propose(&head, &electorate);
        Election { cluster, project, head, electorate, members }
    }

    pub fn council(&self) -> &Council {
        &self.head.state().council
    }

    /// The council region's epoch, which votes are bound to.
    pub fn epoch(&self) -> u64 {
        self.head.state().epoch.of(Region::Council)
    }

    pub fn member_set_hash(&self) -> Hash {
        member_set_hash(&self.members)
    }

    pub fn vote_body(&self) -> VoteBody {
        VoteBody::new(&self.project, self.epoch(), &self.members)
    }

    pub fn votes_needed(&self) -> u64 {
        self.council().rules.quorum.votes_needed(self.council().candidates.len() as u64)
    }

    /// Every candidate's place for every role, whether or not another role takes them first.
    pub fn ranking(&self) -> Vec<Ranked> {
        self.council().roles.iter().flat_map(|(role, spec)| self.ranking_of(role, spec)).collect()
    }

    /// Lets the machine itself fill one seat of one role again and again, so that there is one formula.
    fn ranking_of(&self, role: &Name, spec: &RoleSpec) -> Vec<Ranked> {
        let mut ranked = Vec::new();
        let mut state = self.head.state().clone();
        let council = Arc::make_mut(&mut state.council);
        council.election_seed = Some(election::seed(&self.head));
        council.roles = RoleSpecs::from([(role.clone(), RoleSpec { seats: 1, ..spec.clone() })]);
        while let Some((&key, _)) = election::propose(&Head::of(state.clone()), &self.electorate).first_key_value() {
            let Some(can) = Arc::make_mut(&mut state.council).candidates.remove(&key) else { break };
            let lacks = spec.capabilities.difference(&can).cloned().collect();
            ranked.push(Ranked { role: role.clone(), rank: ranked.len() + 1, key, lacks });
        }
        ranked
    }

    /// Everything that follows from the state, as JSON.
    pub fn document(&self) -> Value {
        json!({
            "project": self.project,
            "cluster": self.cluster,
            "head": self.head.hash(),
            "phase": self.council().phase,
            "council_epoch": self.epoch(),
            "members": self.members,
            "member_set_hash": self.member_set_hash(),
            "candidates": self.council().candidates.len(),
            "electorate": self.electorate,
            "votes_needed": self.votes_needed(),
            "ranking": self.ranking(),
        })
    }
}

/// The next step towards an election.
pub(super) fn next_step(phase: CouncilState) -> &'static str {
    match phase {
        CouncilState::PlanRoles => "propose Council_ProfilesLoaded with the candidates first",
        CouncilState::Elect => "the election is open",
        CouncilState::ToolingSync | CouncilState::Ready => "Council_ReElect opens another election",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::machine::state::State;
    use crate::types::keys::SecretKey;

    pub fn key(n: u8) -> SecretKey {
        SecretKey::from_bytes(&[n; 32])
    }

    /// Five candidates. Two can lead; one leads, two review.
    pub fn election() -> Election {
        let project: ProjectName = "default".parse().unwrap();
        let mut state = State::genesis(&project);
        let council = Arc::make_mut(&mut state.council);
        council.phase = CouncilState::Elect;
        let can = |n: u8| if n <= 2 { ["lead".parse().unwrap()].into() } else { [].into() };
        council.candidates = (1..=5).map(|n| (key(n).public(), can(n))).collect();
        let needs = |capability: &str| [capability.parse().unwrap()].into();
        council.roles = [
            ("lead".parse().unwrap(), RoleSpec { capabilities: needs("lead"), seats: 1 }),
            ("review".parse().unwrap(), RoleSpec { capabilities: [].into(), seats: 2 }),
        ]
        .into();
        Arc::make_mut(&mut state.epoch).council = 3;
        let electorate = state.council.candidates.keys().copied().collect();
        Election::of("swoosh".parse().unwrap(), project, Head::of(state), electorate)
    }

    #[test]
    fn the_ranking_leads_to_the_members_that_the_machine_proposes() {
        let election = election();
        let (mut left, mut members) = (election.ranking(), Members::new());
        for (role, spec) in &election.council().roles {
            let seats = usize::try_from(spec.seats).unwrap();
            let free = left.iter().filter(|ranked| ranked.role == *role && !members.contains_key(&ranked.key));
            let elected: Vec<PublicKey> = free.take(seats).map(|ranked| ranked.key).collect();
            members.extend(elected.into_iter().map(|key| (key, role.clone())));
        }
        assert_eq!(members, election.members);
        left.retain(|ranked| ranked.role.as_str() == "lead");
        assert_eq!(left.len(), 5);
        assert!(left[..2].iter().all(|ranked| ranked.lacks.is_empty()));
        assert!(left[2..].iter().all(|ranked| ranked.lacks.len() == 1));
    }
}
