//! Connections between members: mutual TLS 1.3 that proves the node keys, a handshake that proves directory and boot, and bounds on
//! all that a peer can ask for. docs/cluster-wire.md has the rules; the daemon does not use this module yet.
//!
//! A member dials each other member up to three times: for requests with one answer, for rows, and for a state, so that a vote never
//! waits behind rows. [`Network`] is the dialing side and implements [`crate::ports::Peers`]. [`Listener`] is the accepting side; it
//! calls a [`Service`]. Both run on tokio: the simulation has links of its own.

mod admission;
mod backoff;
mod connection;
mod control;
mod dial;
mod limits;
mod listen;
mod network;
mod rows;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod tls;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use swoosh_types::cluster::{Ballot, DirectoryId, Member, MemberId, Position};
use swoosh_types::hash::Hash;
use swoosh_types::text::ClusterId;

pub use admission::{Acknowledged, Memory, Seen};
pub use connection::ConnectionError;
pub use dial::DialError;
pub use limits::Limits;
pub use listen::{ListenError, Listener, Notice, Notices};
pub use network::Network;
pub use tls::{KeyError, NodeKey};

use crate::messages::{Append, Reply, Request};
use crate::ports::{AppendReplies, PeerError};
use crate::wire::{Boot, Versions};

/// Who this member is, and the state of its directory now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub incarnation: u64,
    /// The chain's link at the beginning of the incarnation.
    pub founded: Hash,
    pub member: MemberId,
    pub directory: DirectoryId,
    pub boot: Boot,
    /// The vote and the end of the log on disk.
    pub ballot: Option<Ballot>,
    pub last: Option<Position>,
    pub versions: Versions,
}

/// What the newest known configuration says of a member's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Member(Member),
    /// It was a member. Numbers are never used again.
    Removed,
    Unknown,
}

/// What connections ask their own member. The methods must not block.
pub trait Local: Send + Sync + 'static {
    /// Asked for each handshake. None while the member cannot take part, for example while it stops.
    fn identity(&self) -> Option<Identity>;

    fn standing(&self, id: MemberId) -> Standing;

    /// The parts of this member's state, as it is when they are read; each of at most [`Limits::part`] bytes.
    fn state(&self) -> BoxStream<'static, Result<Vec<u8>, String>>;
}

/// What a member does with the messages of others, whose identity is proved. Dropping a future or stream cancels the work.
pub trait Service: Send + Sync + 'static {
    fn answer(&self, from: MemberId, request: Request) -> BoxFuture<'static, Result<Reply, PeerError>>;

    /// Answers in the order of the requests. The connection closes after an error, a conflict or a later vote.
    fn appends(&self, from: MemberId, requests: BoxStream<'static, Append>) -> AppendReplies;

    /// Takes a state and returns this member's vote after it. The parts are whole only if the stream ends without an error.
    fn take_state(
        &self,
        from: MemberId,
        ballot: Ballot,
        parts: BoxStream<'static, Result<Vec<u8>, PeerError>>,
    ) -> BoxFuture<'static, Result<Ballot, PeerError>>;
}

/// A text for a peer or a log line, cut to a bound.
fn short(text: &str) -> String {
    const MOST: usize = 300;
    text.chars().take(MOST).collect()
}

fn unreachable(why: impl ToString) -> PeerError {
    PeerError::Unreachable(short(&why.to_string()))
}
