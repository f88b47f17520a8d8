//! Requests with one answer: one connection for each member, opened with the first request.

use std::collections::BTreeMap;
use std::sync::Arc;

use swoosh_types::cluster::Ballot;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{ConnectionError, never, write_queued};
use super::dial::{Dialed, DialedReader, Way};
use super::{Limits, unreachable};
use crate::messages::{Reply, Request};
use crate::ports::PeerError;
use crate::wire::{Message, Purpose, encode};

/// A request on its way. The asker may have gone when it is sent.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Result<Reply, PeerError>>,
}

/// Requests without an answer, by the number of each.
#[derive(Default)]
struct Waiting {
    next: u64,
    answers: BTreeMap<u64, Answer>,
    /// When the oldest request since the last sign of life was sent.
    since: Option<Instant>,
}

struct Answer {
    leader: Option<Ballot>,
    sender: oneshot::Sender<Result<Reply, PeerError>>,
}

/// The sending end of the connection: a queue, and the task that writes it.
struct Sending {
    queue: mpsc::Sender<Vec<u8>>,
    writer: JoinHandle<Result<(), ConnectionError>>,
}

/// Serves the requests to one member until all senders are gone.
pub(super) async fn run(way: Arc<Way>, mut asks: mpsc::Receiver<Ask>) {
    while let Some(ask) = asks.recv().await {
        // The asker's time may have passed while an earlier attempt to connect was under way.
        if ask.answer.is_closed() {
            continue;
        }
        match way.dial(Purpose::Control).await {
            Ok(dialed) => serve(&way, dialed, ask, &mut asks).await,
            Err(error) => drop(ask.answer.send(Err(unreachable(error)))),
        }
    }
}

async fn serve(way: &Way, dialed: Dialed, first: Ask, asks: &mut mpsc::Receiver<Ask>) {
    let limits = way.shared.limits;
    let Dialed { mut reader, writer } = dialed;
    let (queue, queued) = mpsc::channel(limits.queued);
    let writer = tokio::spawn(write_queued(writer, queued, Some(limits.alive), limits.grace));
    let mut sending = Sending { queue, writer };
    let mut waiting = Waiting::default();
    waiting.send(first, &sending, &limits);
    let ended = exchange(way, &mut reader, &mut waiting, &mut sending, asks).await;
    let Some(why) = ended else { return };
    for answer in std::mem::take(&mut waiting.answers).into_values() {
        drop(answer.sender.send(Err(unreachable(format!("the connection ended: {why}")))));
    }
    sending.writer.abort();
}

/// Ends with the reason; without one once all askers are gone.
async fn exchange(
    way: &Way,
    reader: &mut DialedReader,
    waiting: &mut Waiting,
    sending: &mut Sending,
    asks: &mut mpsc::Receiver<Ask>,
) -> Option<ConnectionError> {
    let limits = &way.shared.limits;
    loop {
        let silent = waiting.since.map_or_else(never, |since| since + limits.silence);
        tokio::select! {
            ask = asks.recv() => waiting.send(ask?, sending, limits),
            message = reader.message(silent) => match message {
                Ok((Message::Reply { id, outcome }, _)) => waiting.answered(way, id, outcome.into()),
                Ok((Message::Alive, _)) => waiting.since = None,
                Ok(_) => return Some(ConnectionError::Unexpected),
                Err(error) => return Some(error),
            },
            written = &mut sending.writer => {
                return Some(written.ok().and_then(Result::err).unwrap_or(ConnectionError::Ended));
            }
        }
    }
}

impl Waiting {
    fn send(&mut self, ask: Ask, sending: &Sending, limits: &Limits) {
        self.answers.retain(|_, answer| !answer.sender.is_closed());
        if let Err(error) = self.try_send(&ask.request, sending, limits) {
            drop(ask.answer.send(Err(unreachable(error))));
            return;
        }
        let leader = match &ask.request {
            Request::Append(append) => Some(append.ballot),
            _ => None,
        };
        self.answers.insert(self.next, Answer { leader, sender: ask.answer });
        self.next += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn try_send(&self, request: &Request, sending: &Sending, limits: &Limits) -> Result<(), String> {
        if self.answers.len() >= limits.under_way {
            return Err(format!("{} requests have no answer yet", limits.under_way));
        }
        let message = Message::Request { id: self.next, request: request.clone() };
        let frame = encode(&message).map_err(|error| error.to_string())?;
        if frame.len() > limits.control_frame {
            return Err(format!("a request of {} bytes is over the bound of {}", frame.len(), limits.control_frame));
        }
        let full = |_| "the queue of requests is full, or the connection ended".to_owned();
        sending.queue.try_send(frame).map_err(full)
    }

    /// An answer that comes late or twice has no asker any more.
    fn answered(&mut self, way: &Way, id: u64, outcome: Result<Reply, PeerError>) {
        self.since = None;
        let Some(answer) = self.answers.remove(&id) else { return };
        if let Ok(reply) = &outcome {
            way.shared.memory.replied(way.target.id, answer.leader, reply);
        }
        drop(answer.sender.send(outcome.map_err(shortened)));
    }
}

/// Reasons of a peer go into log lines.
pub(super) fn shortened(error: PeerError) -> PeerError {
    match error {
        PeerError::Unreachable(why) => unreachable(why),
        PeerError::Refused { last, why } => PeerError::Refused { last, why: super::short(&why) },
    }
}
