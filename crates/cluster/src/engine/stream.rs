//! One stream of appends to one follower: requests in order, answers in order, a bounded number under way.
//!
//! The engine holds a lock while it waits in the stream of requests, and its back-off sleeps there. So that stream is read only while
//! the stream of answers is read, and the connection is opened for the first request, not before. A stream that failed without a
//! request would be opened again at once, without end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use openraft::errors::RPCError;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};

use super::config::Types;
use super::messages;
use super::network::unreachable;
use super::refusals::Refusals;
use crate::Runtime;
use crate::messages::Appended;
use crate::ports::{AppendReplies, PeerError, Peers, Target};

/// Requests without an answer.
const UNDER_WAY: usize = 64;

pub(super) struct AppendStream<R: Runtime, S> {
    target: Target,
    peers: Arc<dyn Peers>,
    refusals: Arc<Refusals<R>>,
    input: S,
    input_ended: bool,
    wire: Option<Wire>,
    under_way: usize,
    silence: Duration,
    deadline: Option<Pin<Box<R::Sleep>>>,
    is_over: bool,
}

struct Wire {
    requests: mpsc::Sender<crate::messages::Append>,
    replies: AppendReplies,
}

type Item<R> = Result<StreamAppendResult<Types<R>>, RPCError<Types<R>>>;

impl<R: Runtime, S> AppendStream<R, S>
where
    S: Stream<Item = AppendEntriesRequest<Types<R>>> + Unpin,
{
    pub(super) fn new(
        target: Target,
        peers: Arc<dyn Peers>,
        refusals: Arc<Refusals<R>>,
        input: S,
        silence: Duration,
    ) -> Self {
        AppendStream {
            target,
            peers,
            refusals,
            input,
            input_ended: false,
            wire: None,
            under_way: 0,
            silence,
            deadline: None,
            is_over: false,
        }
    }

    /// Sends what the engine has, up to the bound.
    fn send_requests(&mut self, cx: &mut Context<'_>) -> Result<(), PeerError> {
        while !self.input_ended && self.under_way < UNDER_WAY {
            match self.input.poll_next_unpin(cx) {
                Poll::Ready(Some(rpc)) => self.send(messages::append(rpc))?,
                Poll::Ready(None) => self.input_ended = true,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn send(&mut self, append: crate::messages::Append) -> Result<(), PeerError> {
        self.under_way += 1;
        let Some(wire) = &mut self.wire else {
            // The bound is that of the requests under way, so that sending never waits.
            let (mut requests, receiver) = mpsc::channel(UNDER_WAY);
            let sent = requests.try_send(append);
            let replies = self.peers.stream(&self.target, receiver);
            self.wire = Some(Wire { requests, replies });
            return sent.map_err(|_| closed());
        };
        wire.requests.try_send(append).map_err(|_| closed())
    }

    fn next_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Appended, PeerError>> {
        let Some(wire) = &mut self.wire else { return Poll::Pending };
        wire.replies.poll_next_unpin(cx).map(|reply| reply.unwrap_or_else(|| Err(closed())))
    }

    /// Whether an answer is overdue.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        if self.under_way == 0 {
            self.deadline = None;
            return false;
        }
        let silence = self.silence;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(R::sleep(silence)));
        deadline.as_mut().poll(cx).is_ready()
    }

    fn took(&mut self, appended: Appended) -> Item<R> {
        self.under_way = self.under_way.saturating_sub(1);
        self.deadline = None;
        match &appended {
            Appended::Upto(upto) => self.refusals.took(self.target.id, *upto),
            Appended::Conflict(_) | Appended::Later(_) => self.is_over = true,
        }
        Ok(messages::engine_appended(appended))
    }

    fn failed(&mut self, error: &PeerError) -> Item<R> {
        self.is_over = true;
        self.wire = None;
        if let PeerError::Refused { last, .. } = error {
            self.refusals.refused(self.target.id, *last);
        }
        Err(RPCError::Unreachable(unreachable(error)))
    }
}

fn closed() -> PeerError {
    PeerError::Unreachable("the connection is closed".to_owned())
}

impl<R: Runtime, S> Stream for AppendStream<R, S>
where
    S: Stream<Item = AppendEntriesRequest<Types<R>>> + Unpin,
    R::Sleep: Sized,
{
    type Item = Item<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item<R>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        if let Err(error) = this.send_requests(cx) {
            return Poll::Ready(Some(this.failed(&error)));
        }
        if this.input_ended && this.under_way == 0 {
            return Poll::Ready(None);
        }
        match this.next_reply(cx) {
            Poll::Ready(Ok(appended)) => return Poll::Ready(Some(this.took(appended))),
            Poll::Ready(Err(error)) => return Poll::Ready(Some(this.failed(&error))),
            Poll::Pending => {}
        }
        if this.is_silent(cx) {
            let error = PeerError::Unreachable("no answer in time".to_owned());
            return Poll::Ready(Some(this.failed(&error)));
        }
        Poll::Pending
    }
}

impl<R: Runtime, S> Unpin for AppendStream<R, S> {}
