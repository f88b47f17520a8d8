//! The dialing end of one stream of appends: a connection of its own, answers in the order of the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::SinkExt as _;
use futures::StreamExt as _;
use futures::channel::mpsc;
use swoosh_types::cluster::Ballot;
use tokio::time::timeout;

use super::connection::{ConnectionError, never};
use super::control::shortened;
use super::dial::{Dialed, DialedReader, DialedWriter, Way};
use super::unreachable;
use crate::messages::Appended;
use crate::ports::{AppendRequests, PeerError};
use crate::wire::{Message, Outcome, Purpose};

type Replies = mpsc::Sender<Result<Appended, PeerError>>;

/// The votes under which the unanswered appends were sent.
type Sent = Arc<Mutex<VecDeque<Ballot>>>;

/// Runs until the stream is over. It is dropped with the replies.
pub(super) async fn run(way: Arc<Way>, mut requests: AppendRequests, mut replies: Replies) {
    let dialed = match way.dial(Purpose::Log).await {
        Ok(dialed) => dialed,
        Err(error) => return drop(replies.send(Err(unreachable(error))).await),
    };
    let Dialed { mut reader, mut writer } = dialed;
    let sent = Sent::default();
    let alive = way.shared.limits.alive;
    let ended = {
        let writing = write(&mut writer, &mut requests, &sent, alive);
        let reading = read(&way, &mut reader, &mut replies, &sent);
        tokio::pin!(writing, reading);
        tokio::select! {
            error = &mut writing => Some(error),
            ended = &mut reading => ended,
        }
    };
    if let Some(error) = ended {
        drop(replies.send(Err(unreachable(format!("the connection ended: {error}")))).await);
    }
    writer.close("the stream is over", way.shared.limits.grace).await;
}

/// Ends with an error alone: after the last request, answers are still to come.
async fn write(
    writer: &mut DialedWriter,
    requests: &mut AppendRequests,
    sent: &Sent,
    alive: Duration,
) -> ConnectionError {
    loop {
        let written = match timeout(alive, requests.next()).await {
            Ok(Some(append)) => {
                lock(sent).push_back(append.ballot);
                writer.message(&Message::Append(append)).await
            }
            Ok(None) => return std::future::pending().await,
            Err(_) => writer.message(&Message::Alive).await,
        };
        if let Err(error) = written {
            return error;
        }
    }
}

/// Ends without an error where the stream is over in order, or its reader is gone.
async fn read(way: &Way, reader: &mut DialedReader, replies: &mut Replies, sent: &Sent) -> Option<ConnectionError> {
    loop {
        let outcome = match reader.message(never()).await {
            Ok((Message::Appended(outcome), _)) => outcome,
            Ok((Message::Alive, _)) => continue,
            Ok(_) => return Some(ConnectionError::Unexpected),
            Err(error) => return Some(error),
        };
        let Some(leader) = lock(sent).pop_front() else { return Some(ConnectionError::Unexpected) };
        if let Outcome::Done(appended) = &outcome {
            way.shared.memory.appended(way.target.id, leader, appended);
        }
        let is_last = !matches!(outcome, Outcome::Done(Appended::Upto(_)));
        let reply = Result::from(outcome).map_err(shortened);
        if replies.send(reply).await.is_err() || is_last {
            return None;
        }
    }
}

fn lock(sent: &Sent) -> std::sync::MutexGuard<'_, VecDeque<Ballot>> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}
