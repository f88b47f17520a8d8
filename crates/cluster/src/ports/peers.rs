//! The wire's side: messages to other members.

use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use swoosh_types::cluster::{Ballot, Member, MemberId, Position};

use crate::messages::{Append, Appended, Reply, Request};

/// A member to send to, and how the newest known configuration reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: MemberId,
    pub member: Member,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection, no answer in time, or not the member that was meant.
    #[error("the member cannot be reached: {0}")]
    Unreachable(String),
    /// The member is there and does not take these rows, for example because its state would differ. It still takes heartbeats.
    #[error("the member refuses the rows up to {last}: {why}")]
    Refused { last: Position, why: String },
}

/// Requests of one stream, in order. It may be read by any task.
pub type AppendRequests = mpsc::Receiver<Append>;

/// Answers of one stream, in the order of the requests. It ends after an error, [`Appended::Conflict`] or [`Appended::Later`].
pub type AppendReplies = BoxStream<'static, Result<Appended, PeerError>>;

/// Connections to other members. They prove identity, directory and boot before the first message: the engine has no guard of its own
/// against a member whose disk went back.
pub trait Peers: Send + Sync + 'static {
    /// Asks once. The answer may come late, twice or never; an unreachable member is an error, never a refused vote.
    fn ask(&self, to: &Target, request: Request, within: Duration) -> BoxFuture<'static, Result<Reply, PeerError>>;

    /// Opens a stream of appends. Called with the first request already in the channel. Dropping the replies closes the stream.
    fn stream(&self, to: &Target, requests: AppendRequests) -> AppendReplies;

    /// Sends this member's state, taken when it is sent, to a member behind the purged rows. The receiver stops its instance, switches
    /// its directory and starts another one. Returns the receiver's vote after it. Dropping the future cancels the transfer.
    fn send_state(&self, to: &Target, ballot: Ballot) -> BoxFuture<'static, Result<Ballot, PeerError>>;
}
