//! The engine's network over [`Peers`].

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::{self, BoxFuture, Either};
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use swoosh_types::cluster::{Member, MemberId};

use super::config::{Types, Vote};
use super::convert;
use super::handles::Handle;
use super::machine::{Token, Tokens};
use super::messages;
use super::refusals::Refusals;
use super::stream::AppendStream;
use crate::Runtime;
use crate::messages::{Appended, Reply, Request};
use crate::ports::{PeerError, Peers, Target};

/// Makes a client for each member and kind of traffic.
pub(super) struct Clients<R: Runtime> {
    pub(super) peers: Arc<dyn Peers>,
    pub(super) refusals: Arc<Refusals<R>>,
    pub(super) handle: Handle,
}

pub(super) struct Client<R: Runtime> {
    target: Target,
    peers: Arc<dyn Peers>,
    refusals: Arc<Refusals<R>>,
    _handle: Handle,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> RaftNetworkFactory<Types<R>> for Clients<R> {
    type Network = Client<R>;

    async fn new_client(&mut self, target: MemberId, member: &Member) -> Client<R> {
        Client {
            target: Target { id: target, member: member.clone() },
            peers: self.peers.clone(),
            refusals: self.refusals.clone(),
            _handle: self.handle.clone(),
            runtime: PhantomData,
        }
    }
}

type Rpc<R, T> = Result<T, RPCError<Types<R>>>;

pub(super) fn unreachable<R: Runtime>(error: &PeerError) -> Unreachable<Types<R>> {
    Unreachable::new(&AnyError::new(error))
}

fn unexpected<R: Runtime>() -> RPCError<Types<R>> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error("the reply is of another kind than the request")))
}

impl<R: Runtime> Client<R> {
    async fn ask(&self, request: Request, option: &RPCOption) -> Rpc<R, Reply> {
        let reply = self.peers.ask(&self.target, request, option.soft_ttl()).await;
        reply.map_err(|error| RPCError::Unreachable(unreachable(&error)))
    }
}

impl<R: Runtime> RaftNetworkV2<Types<R>> for Client<R> {
    type SnapshotData = Token;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, AppendEntriesResponse<Types<R>>> {
        let append = messages::append(rpc);
        let last = append.last();
        match self.ask(Request::Append(append), &option).await? {
            Reply::Append(Appended::Upto(upto)) if upto == last => Ok(AppendEntriesResponse::Success),
            Reply::Append(Appended::Upto(upto)) => Ok(AppendEntriesResponse::PartialSuccess(upto.map(convert::log_id))),
            Reply::Append(Appended::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
            Reply::Append(Appended::Later(ballot)) => Ok(AppendEntriesResponse::HigherVote(convert::vote(ballot))),
            _ => Err(unexpected()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<R, BoxStream<'s, Rpc<R, StreamAppendResult<Types<R>>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + OptionalSend + Unpin + 'static,
    {
        // A follower with a slow disk answers late; silence for longer closes the stream.
        let silence = option.hard_ttl() * 2;
        let stream = AppendStream::new(self.target.clone(), self.peers.clone(), self.refusals.clone(), input, silence);
        let stream: BoxStream<'s, _> = Box::pin(stream);
        future::ready(Ok(stream)).boxed()
    }

    async fn vote(&mut self, rpc: VoteRequest<Types<R>>, option: RPCOption) -> Rpc<R, VoteResponse<Types<R>>> {
        match self.ask(Request::Vote(messages::vote_request(&rpc)), &option).await? {
            Reply::Vote(reply) => Ok(messages::engine_vote_reply(reply)),
            _ => Err(unexpected()),
        }
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<Types<R>>, option: RPCOption) -> Rpc<R, VoteResponse<Types<R>>> {
        match self.ask(Request::PreVote(messages::vote_request(&rpc)), &option).await? {
            Reply::PreVote(reply) => Ok(messages::engine_vote_reply(reply)),
            _ => Err(unexpected()),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, TransferLeaderResponse<Types<R>>> {
        match self.ask(Request::Transfer(messages::transfer_request(&rpc)), &option).await? {
            Reply::Transfer(outcome) => Ok(outcome.map_err(messages::engine_transfer_refusal)),
            _ => Err(unexpected()),
        }
    }

    /// The token says which state the engine believes to send. The port takes the present state: it is newer or the same.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        _token: Tokens,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<R>>, StreamingError<Types<R>>> {
        let transfer = self.peers.send_state(&self.target, convert::ballot(&vote));
        match future::select(transfer, Box::pin(cancel)).await {
            Either::Left((Ok(ballot), _)) => Ok(SnapshotResponse::new(convert::vote(ballot))),
            Either::Left((Err(error), _)) => Err(StreamingError::Unreachable(unreachable(&error))),
            Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }
}
