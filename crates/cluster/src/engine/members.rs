//! Changes of members.

use std::collections::BTreeSet;

use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use swoosh_types::cluster::{Member, MemberId, Position};

use super::Engine;
use super::config::Types;
use super::convert;
use crate::Runtime;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("this member does not lead")]
    NotLeader { leader: Option<MemberId> },
    /// Another change is under way, a voter is no member, or no voter would be left.
    #[error("the change is refused: {0}")]
    Refused(String),
    /// The change was appended, and its fate is not known: the next leader finishes or replaces it.
    #[error("the outcome of the change is unknown")]
    Unknown,
}

type Outcome<R> = Result<ClientWriteResponse<Types<R>>, RaftError<Types<R>, ClientWriteError<Types<R>>>>;

fn change<R: Runtime>(outcome: Outcome<R>) -> Result<Position, ChangeError> {
    let error = match outcome {
        Ok(response) => return Ok(convert::position(&response.log_id)),
        Err(error) => error,
    };
    Err(match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ChangeError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => ChangeError::Refused(error.to_string()),
        RaftError::APIError(ClientWriteError::PreconditionFailed(error)) => ChangeError::Refused(error.to_string()),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) | RaftError::Fatal(_) => ChangeError::Unknown,
    })
}

impl<R: Runtime> Engine<R> {
    /// Adds a member without a vote. It gets the log, or this member's state. Its number must never have been used.
    pub async fn add_learner(&self, id: MemberId, member: Member) -> Result<Position, ChangeError> {
        change::<R>(self.raft.add_learner(id, member, false).await)
    }

    /// Makes these members the voters: through a joint configuration, whose both majorities must agree. Removed voters are no members
    /// any more. All of them must be members before.
    pub async fn set_voters(&self, voters: BTreeSet<MemberId>) -> Result<Position, ChangeError> {
        change::<R>(self.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await)
    }

    /// Removes a learner.
    pub async fn remove_learner(&self, id: MemberId) -> Result<Position, ChangeError> {
        change::<R>(self.raft.change_membership(ChangeMembers::RemoveNodes([id].into()), true).await)
    }

    /// Replaces what is known of a member, such as its address. Its key and directory must stay: two members under one number could
    /// both vote.
    pub async fn update_member(&self, id: MemberId, member: Member) -> Result<Position, ChangeError> {
        let known = self.members().configuration.members.remove(&id);
        if known.is_none_or(|known| known.key != member.key || known.directory != member.directory) {
            return Err(ChangeError::Refused(format!("member {id} has another key or directory")));
        }
        change::<R>(self.raft.change_membership(ChangeMembers::SetNodes([(id, member)].into()), true).await)
    }
}
