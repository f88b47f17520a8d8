//! Elections of a council, computed from a proven state. Nothing here is posted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::answers::StateView;
use super::draft::{Draft, DraftError};
use super::wait::{ProofError, proven};
use super::{Client, Identity};
use swoosh_types::canonical::CanonicalError;
use swoosh_types::council;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Members, RoleSpecs, Vote, VoteBody};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::text::{Capability, ClusterId, ProjectName};

/// The council that the state of a project elects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The head that the certificate must name.
    pub head: Hash,
    pub members: Members,
    /// What a vote signs.
    pub ballot: VoteBody,
}

/// The members of the council section that an election needs.
#[derive(Deserialize)]
struct Council {
    roles: RoleSpecs,
    candidates: BTreeMap<PublicKey, BTreeSet<Capability>>,
    #[serde(default)]
    election_seed: Option<Hash>,
}

#[derive(Deserialize)]
struct Epoch {
    council: u64,
}

impl Election {
    /// The election of a state that shows the sections council and epoch, among these candidates that may vote.
    /// An error where the state does not prove its sections.
    pub fn of(view: &StateView, electorate: &BTreeSet<PublicKey>) -> Result<Election, ProofError> {
        proven(view, &["council", "epoch"])?;
        let council: Council = section(view, "council")?;
        let epoch: Epoch = section(view, "epoch")?;
        let seed = council.election_seed.or_else(|| view.sections.get("council").copied());
        let seed = seed.ok_or_else(|| ProofError::Unproven(view.project.clone()))?;
        let members = council::rank(&seed, &council.roles, &council.candidates, electorate);
        let ballot = VoteBody::new(&view.project, epoch.council, &members);
        Ok(Election { head: view.hash, members, ballot })
    }

    /// A candidate's vote.
    pub fn vote(&self, cluster: &ClusterId, identity: &Identity) -> Result<Vote, CanonicalError> {
        self.ballot.sign(cluster, identity.key())
    }

    /// The certificate with these votes. It counts on the head of the election alone.
    pub fn certificate(&self, votes: &[Vote]) -> Result<Draft, DraftError> {
        let inputs = json!({
            "members": self.members, "member_set_hash": self.ballot.member_set_hash, "votes": votes,
        });
        let draft = Draft::new(Transition::CouncilQuorumCert, &inputs)?;
        Ok(draft.to(self.ballot.project.clone()).only_on_head(self.head))
    }
}

fn section<T: for<'a> Deserialize<'a>>(view: &StateView, name: &str) -> Result<T, ProofError> {
    let found = view.section(name).ok_or_else(|| ProofError::Unproven(view.project.clone()))?;
    T::deserialize(found).map_err(|error| ProofError::Form { name: name.to_owned(), detail: error.to_string() })
}

impl Client {
    /// The election that follows from the proven state of a project.
    pub async fn election(&self, project: &ProjectName) -> Result<Election, ProofError> {
        let electorate = self.transitions(project).await?.electorate;
        Election::of(&self.state(project, Some("council,epoch")).await?, &electorate)
    }
}
