//! Votes in files, and the certificate that enough of them make.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::election::Election;
use crate::types::hash::Hash;
use crate::types::inputs::Vote;
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::text::ProjectName;
use swoosh_terminal::failure::Usage;

/// A vote and its subject, so that a stale one can be distinguished from a forged one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ballot {
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<ProjectName>,
    /// The council's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    council_epoch: Option<u64>,
    /// Hash of the member set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member_set_hash: Option<Hash>,
    /// The candidate.
    voter: PublicKey,
    /// Over project, epoch and hash.
    signature: Signature,
}

impl Ballot {
    /// A candidate's vote for the member set that the election proposes.
    pub fn cast(election: &Election, key: &SecretKey) -> anyhow::Result<Ballot> {
        let voter = key.public();
        anyhow::ensure!(
            election.electorate.contains(&voter),
            "{voter} is no candidate of project {} who may vote, so its vote would not count",
            election.project
        );
        let body = election.vote_body();
        Ok(Ballot {
            project: Some(election.project.clone()),
            council_epoch: Some(body.council_epoch),
            member_set_hash: Some(body.member_set_hash),
            voter,
            signature: body.sign(&election.cluster, key)?.signature,
        })
    }

    /// Refuses a vote that does not count.
    fn check(&self, election: &Election) -> anyhow::Result<Vote> {
        let (body, voter) = (election.vote_body(), self.voter);
        let project = self.project.as_ref().unwrap_or(&body.project);
        anyhow::ensure!(*project == body.project, "the vote of {voter} is for project {project}, not {}", body.project);
        let epoch = self.council_epoch.unwrap_or(body.council_epoch);
        anyhow::ensure!(
            epoch == body.council_epoch,
            "the vote of {voter} is for council epoch {epoch}, which is {} now; it must vote again",
            body.council_epoch
        );
        let members = self.member_set_hash.unwrap_or(body.member_set_hash);
        anyhow::ensure!(
            members == body.member_set_hash,
            "the vote of {voter} is for another member set, {members}; `swoosh council propose` shows {}",
            body.member_set_hash
        );
        anyhow::ensure!(
            election.electorate.contains(&voter),
            "{voter} is no candidate who may vote; leave its vote out"
        );
        let vote = Vote { voter, signature: self.signature };
        anyhow::ensure!(
            body.verify(&election.cluster, &vote),
            "the vote of {voter} does not verify; it must vote again"
        );
        Ok(vote)
    }
}

/// The inputs of Council_QuorumCert. A candidate that votes twice counts once.
pub(super) fn certify(election: &Election, ballots: &[Ballot]) -> anyhow::Result<Value> {
    let votes = ballots.iter().map(|ballot| ballot.check(election)).collect::<anyhow::Result<Vec<Vote>>>()?;
    let mut seen = BTreeSet::new();
    let votes: Vec<Vote> = votes.into_iter().filter(|vote| seen.insert(vote.voter)).collect();
    let needed = election.votes_needed();
    if (votes.len() as u64) < needed {
        let few = format!("{} of {needed} votes: no quorum yet", votes.len());
        let advice = "collect votes of more candidates with `swoosh council vote`";
        return Err(Usage(format!("{few}; give at least {needed} votes; {advice}")).into());
    }
    Ok(json!({"members": election.members, "member_set_hash": election.member_set_hash(), "votes": votes}))
}

#[cfg(test)]
mod tests {
    use super::super::election::tests::{election, key};
    use super::*;
    use crate::machine::chart::Inputs;
    use crate::types::names::Transition;

    fn ballots(election: &Election, voters: &[u8]) -> Vec<Ballot> {
        voters.iter().map(|&n| Ballot::cast(election, &key(n)).unwrap()).collect()
    }

    #[test]
    fn a_quorum_of_votes_makes_the_inputs_of_a_certificate() {
        let election = election();
        let inputs = certify(&election, &ballots(&election, &[1, 2, 3, 3])).unwrap();
        assert_eq!(inputs["votes"].as_array().unwrap().len(), 3);
        let canonical = crate::types::canonical::canonical_bytes(&inputs);
        assert!(Inputs::decode(Transition::CouncilQuorumCert, &canonical).is_ok());
    }

    #[test]
    fn strangers_forgeries_stale_votes_and_too_few_are_refused() {
        let election = election();
        assert!(Ballot::cast(&election, &key(9)).unwrap_err().to_string().contains("no candidate"));
        let refused = |ballots: &[Ballot]| certify(&election, ballots).unwrap_err().to_string();
        assert!(refused(&ballots(&election, &[1, 2, 2])).starts_with("2 of 3 votes"));
        let good = ballots(&election, &[1, 2, 3]);
        let with = |change: fn(&mut Ballot)| {
            let mut ballots = good.clone();
            change(&mut ballots[0]);
            refused(&ballots)
        };
        assert!(with(|ballot| ballot.council_epoch = Some(2)).contains("must vote again"));
        assert!(with(|ballot| ballot.member_set_hash = Some(Hash::ZERO)).contains("another member set"));
        assert!(with(|ballot| ballot.project = Some("other".parse().unwrap())).contains("project other"));
        assert!(with(|ballot| ballot.voter = key(4).public()).contains("does not verify"));
    }
}
