//! The adapter onto openraft. No other module names it.
//!
//! An [`Engine`] is one instance on one directory. An instance that ended is never used again: another one starts from the disk. The
//! engine's assertions panic on a corrupt log; the instance then ends as [`EndReason::Panicked`].

mod config;
mod convert;
mod handles;
mod log;
mod machine;
mod members;
mod messages;
mod network;
mod refusals;
mod stream;
mod submit;
pub mod testing;
#[cfg(test)]
mod threads_tests;
mod timing;
mod view;
mod watch;

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use openraft_rt::WatchReceiver as _;
use swoosh_types::cluster::{Batch, MemberId, PlacedConfiguration, Position};

pub use members::ChangeError;
pub use timing::{Timing, TimingError};

use crate::Runtime;
use crate::messages::{Append, Appended, Reply, Request};
use crate::ports::{EndReason, LogStore, Peers, Reign, Reigns, StateMachine, SubmitError, Waiter};
use config::{Content, Types};
use handles::AllGone;
use machine::Machine;
use refusals::Refusals;
use submit::Gate;
use view::Views;
use watch::{Asked, Asking, Known, Watch};

type Raft<R> = openraft::Raft<Types<R>, Machine>;

/// What an instance needs.
pub struct Setup {
    pub me: MemberId,
    pub timing: Timing,
    /// Off for a member that must not lead, for example because its clock is wrong. It votes and follows.
    pub campaigns: bool,
    pub log: Arc<dyn LogStore>,
    pub machine: Arc<dyn StateMachine>,
    pub peers: Arc<dyn Peers>,
    pub reigns: Arc<dyn Reigns>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Timing(#[from] TimingError),
    #[error("the log cannot be read at a start: {0}")]
    Storage(String),
}

/// The instance has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance has ended")]
pub struct Ended;

/// Whether a submission is in this member's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    Appended,
    /// Refused before it was appended; the waiter knows why.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("this member does not lead")]
    NotLeader,
    #[error("member {0} is no other voter")]
    NotVoter(MemberId),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this member does not lead")]
    NotLeader { leader: Option<MemberId> },
    #[error("no majority answers")]
    NoQuorum,
    #[error("the instance has ended")]
    Ended,
}

/// One running instance. Clones share it.
pub struct Engine<R: Runtime> {
    raft: Raft<R>,
    me: MemberId,
    asking: Asking<R>,
    gate: Arc<Gate<R>>,
    gone: AllGone,
}

impl<R: Runtime> Clone for Engine<R> {
    fn clone(&self) -> Self {
        Engine {
            raft: self.raft.clone(),
            me: self.me,
            asking: self.asking.clone(),
            gate: self.gate.clone(),
            gone: self.gone.clone(),
        }
    }
}

impl<R: Runtime> Engine<R> {
    /// Starts an instance on what the log and the state machine hold. Its tasks run on the runtime that this is called on.
    pub async fn start(setup: Setup) -> Result<Engine<R>, StartError> {
        let config = Arc::new(setup.timing.config()?);
        let (handle, gone) = handles::handles();
        let refusals = Arc::new(Refusals::new());
        let clients = network::Clients { peers: setup.peers, refusals: refusals.clone(), handle: handle.clone() };
        let log = log::Log::<R>::new(setup.log, handle.clone());
        let machine = Machine::new(setup.machine, handle.clone());
        let raft = Raft::<R>::build(setup.me, config, clients, log, machine).await;
        let raft = raft.map_err(|error| StartError::Storage(error.to_string()))?;
        raft.runtime_config().elect(setup.campaigns);
        raft.run();
        let (sender, asked) = <R::Watch as openraft_rt::Watch>::channel(Asked::default());
        let (asking, gate) = (Asking(sender), Arc::new(Gate::new()));
        drop(R::spawn(supervise(raft.clone(), asking.clone())));
        let watch = Watch {
            me: setup.me,
            timing: setup.timing,
            reigns: setup.reigns,
            refusals,
            gate: gate.clone(),
            _handle: handle,
            views: Views::of(&raft, setup.me),
            asked,
            asking: asking.clone(),
            known: Known::default(),
            last: Reign { term: 0, epoch: 0 },
            raft: raft.clone(),
        };
        drop(R::spawn(watch.run()));
        Ok(Engine { raft, me: setup.me, asking, gate, gone })
    }

    /// Submits a batch of a reign. Returns when it is in this member's log or refused; the next one may be submitted then, not before.
    /// `waiter` is called once, in any case. A batch of a reign that is over is refused.
    pub async fn submit(&self, reign: Reign, batch: Arc<Batch>, waiter: Waiter) -> Result<Submission, SubmitError> {
        let appended = self.gate.submit(&self.raft, reign, Content::Batch(batch), waiter).await?;
        let Some(appended) = appended else { return Ok(Submission::Refused) };
        Ok(match appended.await {
            Ok(()) => Submission::Appended,
            Err(_) => Submission::Refused,
        })
    }

    /// Ends a reign, after a submission was refused or lost. If the member still leads, another reign begins with a barrier of its own.
    pub fn abandon(&self, reign: Reign) {
        self.asking.abandon(reign);
    }

    /// Transfers the leadership to another voter: the reign falls, then that voter campaigns. If it does not lead in time, the instance
    /// ends ([`EndReason::TransferStuck`]).
    pub fn transfer(&self, to: MemberId) -> Result<(), TransferError> {
        let view = Views::of(&self.raft, self.me).now();
        if !view.leads {
            return Err(TransferError::NotLeader);
        }
        if to == self.me || !view.members.configuration.is_voter(to) {
            return Err(TransferError::NotVoter(to));
        }
        self.asking.transfer(view.term, to);
        Ok(())
    }

    /// Whether this member may campaign from now on.
    pub fn set_campaigns(&self, campaigns: bool) {
        self.raft.runtime_config().elect(campaigns);
    }

    /// Campaigns now, without waiting for the election timeout.
    pub async fn campaign(&self) -> Result<(), Ended> {
        self.raft.trigger().elect(false).await.map_err(|_| Ended)
    }

    /// Asks for a purge of the log up to an index, at most up to the applied row. It happens later: a leader waits for rows that are on
    /// their way to a follower.
    pub async fn purge(&self, upto: u64) -> Result<(), Ended> {
        // Rows that no snapshot covers stay, without an error. A snapshot is a token, so it is there in a moment.
        self.raft.trigger().snapshot().await.map_err(|_| Ended)?;
        let mut data = self.raft.data_metrics();
        let index = |at: &Option<config::LogId>| at.as_ref().map_or(0, config::LogId::index);
        let upto = upto.min(index(&data.borrow_watched().last_applied));
        while index(&data.borrow_watched().snapshot) < upto {
            data.changed().await.map_err(|_| Ended)?;
        }
        self.raft.trigger().purge_log(upto).await.map_err(|_| Ended)
    }

    /// Returns once this member's applied state covers all answers that were given before the call: a read of it is linearizable. Rounds
    /// of callers at the same time are shared. Without a quorum it fails after one lease.
    pub async fn read_position(&self) -> Result<Position, ReadError> {
        use openraft::errors::{LinearizableReadError, RaftError};
        let position = self.raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await;
        position.map(|at| convert::position(at.log_id())).map_err(|error| match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                ReadError::NotLeader { leader: forward.leader_id }
            }
            RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => ReadError::NoQuorum,
            RaftError::Fatal(_) => ReadError::Ended,
        })
    }

    /// The newest configuration in this member's log.
    pub fn members(&self) -> PlacedConfiguration {
        convert::placed(&self.raft.server_metrics().borrow_watched().membership_config)
    }

    /// Answers a request of another member, whose identity the wire has proved.
    pub async fn hear(&self, request: Request) -> Result<Reply, Ended> {
        match request {
            Request::Append(append) => self.hear_append(append).await,
            Request::Vote(request) => {
                let reply = self.raft.vote(messages::engine_vote_request(request)).await.map_err(|_| Ended)?;
                Ok(Reply::Vote(messages::vote_reply(&reply)))
            }
            Request::PreVote(request) => {
                let reply = self.raft.pre_vote(messages::engine_vote_request(request)).await.map_err(|_| Ended)?;
                Ok(Reply::PreVote(messages::vote_reply(&reply)))
            }
            Request::Transfer(request) => {
                let request = messages::engine_transfer_request(request);
                let outcome = self.raft.handle_transfer_leader(request).await.map_err(|_| Ended)?;
                Ok(Reply::Transfer(messages::transfer_outcome::<R>(outcome)))
            }
        }
    }

    async fn hear_append(&self, append: Append) -> Result<Reply, Ended> {
        let (previous, last) = (append.previous, append.last());
        let append = messages::engine_append::<R>(append).map_err(|_| Ended)?;
        let response = self.raft.append_entries(append).await.map_err(|_| Ended)?;
        let result = response.into_stream_result(previous.map(convert::log_id), last.map(convert::log_id));
        Ok(Reply::Append(messages::appended::<R>(result)))
    }

    /// Answers a stream of appends in order. It ends after a conflict, a later vote, or the end of the instance.
    pub fn hear_stream(
        &self,
        requests: impl Stream<Item = Append> + Send + 'static,
    ) -> BoxStream<'static, Result<Appended, Ended>> {
        // A configuration that cannot be read ends the stream: the sender's log is damaged, or the wire's decoder is wrong.
        let requests =
            requests.map(messages::engine_append::<R>).take_while(|append| std::future::ready(append.is_ok()));
        let requests = requests.filter_map(|append| std::future::ready(append.ok()));
        let replies = self.raft.stream_append(requests);
        Box::pin(replies.map(|reply| reply.map(messages::appended::<R>).map_err(|_| Ended)))
    }

    /// Ends the instance. When this returns, no handle of it is alive: nothing is read or applied any more, and the directory may be
    /// switched once the log's queue is empty.
    pub async fn stop(&self) {
        self.asking.end(EndReason::Stopped);
        // The core's task may have panicked; it has ended then, too.
        drop(self.raft.shutdown().await);
        self.gone.clone().wait().await;
    }
}

/// Notes the end of an instance that ends by itself.
async fn supervise<R: Runtime>(raft: Raft<R>, asking: Asking<R>) {
    let why = view::ended(&raft).await;
    asking.end(why);
}
