//! The engine's messages from ours, and back.

use std::io;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::config::Types;
use super::convert::{ballot, entries, log_id, position, row, vote};
use crate::Runtime;
use crate::messages::{Append, Appended, TransferRefusal, TransferRequest, VoteReply};

pub(super) fn append<R: Runtime>(rpc: AppendEntriesRequest<Types<R>>) -> Append {
    Append {
        ballot: ballot(&rpc.vote),
        previous: rpc.prev_log_id.as_ref().map(position),
        rows: rpc.entries.into_iter().map(row).collect(),
        committed: rpc.leader_commit.as_ref().map(position),
    }
}

pub(super) fn engine_append<R: Runtime>(append: Append) -> io::Result<AppendEntriesRequest<Types<R>>> {
    Ok(AppendEntriesRequest {
        vote: vote(append.ballot),
        prev_log_id: append.previous.map(log_id),
        entries: entries(append.rows)?,
        leader_commit: append.committed.map(log_id),
    })
}

pub(super) fn appended<R: Runtime>(result: StreamAppendResult<Types<R>>) -> Appended {
    match result {
        Ok(upto) => Appended::Upto(upto.as_ref().map(position)),
        Err(StreamAppendError::Conflict(at)) => Appended::Conflict(position(&at)),
        Err(StreamAppendError::HigherVote(vote)) => Appended::Later(ballot(&vote)),
    }
}

pub(super) fn engine_appended<R: Runtime>(appended: Appended) -> StreamAppendResult<Types<R>> {
    match appended {
        Appended::Upto(upto) => Ok(upto.map(log_id)),
        Appended::Conflict(at) => Err(StreamAppendError::Conflict(log_id(at))),
        Appended::Later(ballot) => Err(StreamAppendError::HigherVote(vote(ballot))),
    }
}

pub(super) fn vote_request<R: Runtime>(rpc: &VoteRequest<Types<R>>) -> crate::messages::VoteRequest {
    crate::messages::VoteRequest {
        ballot: ballot(&rpc.vote),
        last: rpc.last_log_id.as_ref().map(position),
        is_transfer: rpc.leadership_transfer,
    }
}

pub(super) fn engine_vote_request<R: Runtime>(request: crate::messages::VoteRequest) -> VoteRequest<Types<R>> {
    let mut rpc = VoteRequest::new(vote(request.ballot), request.last.map(log_id));
    rpc.leadership_transfer = request.is_transfer;
    rpc
}

pub(super) fn vote_reply<R: Runtime>(response: &VoteResponse<Types<R>>) -> VoteReply {
    VoteReply {
        ballot: ballot(&response.vote),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(position),
    }
}

pub(super) fn engine_vote_reply<R: Runtime>(reply: VoteReply) -> VoteResponse<Types<R>> {
    VoteResponse::new(vote(reply.ballot), reply.last.map(log_id), reply.granted)
}

pub(super) fn transfer_request<R: Runtime>(rpc: &TransferLeaderRequest<Types<R>>) -> TransferRequest {
    TransferRequest { from: ballot(rpc.from_leader()), to: *rpc.to_node_id(), last: rpc.last_log_id().map(position) }
}

pub(super) fn engine_transfer_request<R: Runtime>(request: TransferRequest) -> TransferLeaderRequest<Types<R>> {
    TransferLeaderRequest::new(vote(request.from), request.to, request.last.map(log_id))
}

pub(super) fn transfer_outcome<R: Runtime>(response: TransferLeaderResponse<Types<R>>) -> Result<(), TransferRefusal> {
    response.map_err(|refusal| match refusal {
        TransferLeaderError::VoteChanged { expected, actual } => {
            TransferRefusal::VoteChanged { expected: ballot(&expected), actual: ballot(&actual) }
        }
        TransferLeaderError::LogNotFlushed { expected, actual } => {
            TransferRefusal::Behind { expected: expected.as_ref().map(position), actual: actual.as_ref().map(position) }
        }
    })
}

pub(super) fn engine_transfer_refusal<R: Runtime>(refusal: TransferRefusal) -> TransferLeaderError<Types<R>> {
    match refusal {
        TransferRefusal::VoteChanged { expected, actual } => {
            TransferLeaderError::VoteChanged { expected: vote(expected), actual: vote(actual) }
        }
        TransferRefusal::Behind { expected, actual } => {
            TransferLeaderError::LogNotFlushed { expected: expected.map(log_id), actual: actual.map(log_id) }
        }
    }
}
