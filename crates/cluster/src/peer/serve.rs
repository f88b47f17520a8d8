//! What is read from a proved connection, and how much of it at once.

use std::sync::Arc;

use futures::channel::mpsc as parts;
use futures::{SinkExt as _, StreamExt as _};
use swoosh_types::cluster::MemberId;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::connection::{ConnectionError, never, write_queued};
use super::listen::{Accepted, AcceptedReader, AcceptedWriter, Ending};
use super::state::Sum;
use super::{Limits, Service, unreachable};
use crate::messages::{Appended, Request};
use crate::ports::PeerError;
use crate::wire::{Message, Purpose, encode};

/// Serves a connection until it ends, and says why it did.
pub(super) async fn serve(
    accepted: Accepted,
    service: &dyn Service,
    limits: &Limits,
    ending: Ending,
) -> ConnectionError {
    let Accepted { from, purpose, mut reader, writer } = accepted;
    let why = match purpose {
        Purpose::Control => requests(from, &mut reader, writer, service, limits, ending).await,
        Purpose::Log => appends(from, &mut reader, writer, service, limits, ending).await,
        Purpose::Bulk => state(from, &mut reader, writer, service, limits, ending).await,
    };
    if !matches!(why, ConnectionError::Ended | ConnectionError::CutOff | ConnectionError::Broken(_)) {
        reader.drain(limits.grace).await;
    }
    why
}

async fn requests(
    from: MemberId,
    reader: &mut AcceptedReader,
    writer: AcceptedWriter,
    service: &dyn Service,
    limits: &Limits,
    mut ending: Ending,
) -> ConnectionError {
    let (queue, queued) = mpsc::channel(limits.under_way);
    let mut writing = tokio::spawn(write_queued(writer, queued, None, limits.grace));
    let under_way = Arc::new(Semaphore::new(limits.under_way));
    let mut answering = JoinSet::new();
    let why = loop {
        let next = tokio::select! {
            why = ending.wait() => break why,
            written = &mut writing => {
                answering.shutdown().await;
                return written.ok().and_then(Result::err).unwrap_or(ConnectionError::Ended);
            }
            next = next_request(reader, &under_way, limits) => next,
        };
        let (id, request, permit) = match next {
            Ok(next) => next,
            Err(why) => break why,
        };
        let (answer, queue, within) = (service.answer(from, request), queue.clone(), limits.answer);
        answering.spawn(async move {
            let late = |_| Err(unreachable(format!("no answer within {within:?}")));
            let outcome = timeout(within, answer).await.unwrap_or_else(late).into();
            // An answer over the bounds cannot be; without one the dialer stops waiting by itself.
            if let Ok(frame) = encode(&Message::Reply { id, outcome }) {
                drop(queue.send(frame).await);
            }
            drop(permit);
        });
        while answering.try_join_next().is_some() {}
    };
    if matches!(why, ConnectionError::Stopping | ConnectionError::Ended) {
        drop(timeout(limits.grace, async { while answering.join_next().await.is_some() {} }).await);
    }
    answering.shutdown().await;
    if let Ok(frame) = encode(&Message::Close { why: super::short(&why.to_string()) }) {
        drop(queue.try_send(frame));
    }
    drop(queue);
    drop(timeout(limits.grace * 2, writing).await);
    why
}

/// Waits for room first: a dialer that asks faster than it is answered is not read any further.
async fn next_request(
    reader: &mut AcceptedReader,
    under_way: &Arc<Semaphore>,
    limits: &Limits,
) -> Result<(u64, Request, tokio::sync::OwnedSemaphorePermit), ConnectionError> {
    let permit = under_way.clone().acquire_owned().await.map_err(|_| ConnectionError::Stopping)?;
    loop {
        match reader.message(Instant::now() + limits.idle).await? {
            (Message::Request { id, request }, _) => return Ok((id, request, permit)),
            (Message::Alive, _) => {}
            _ => return Err(ConnectionError::Unexpected),
        }
    }
}

async fn appends(
    from: MemberId,
    reader: &mut AcceptedReader,
    mut writer: AcceptedWriter,
    service: &dyn Service,
    limits: &Limits,
    mut ending: Ending,
) -> ConnectionError {
    let (requests, given) = parts::channel(0);
    let mut replies = service.appends(from, given.boxed());
    let (permits, mut taken) = mpsc::channel(limits.under_way);
    let reading = read_appends(reader, requests, permits, limits);
    let writing = async {
        while let Some(reply) = replies.next().await {
            let is_last = !matches!(reply, Ok(Appended::Upto(_)));
            writer.message(&Message::Appended(reply.into())).await?;
            drop(taken.try_recv());
            if is_last {
                break;
            }
        }
        Err::<(), _>(ConnectionError::Closed("the stream is over".to_owned()))
    };
    let why = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
        why = ending.wait() => Err(why),
    };
    let why = why.err().unwrap_or(ConnectionError::Ended);
    writer.close(&why.to_string(), limits.grace).await;
    why
}

/// Reads appends as far as the window allows.
async fn read_appends(
    reader: &mut AcceptedReader,
    mut requests: parts::Sender<crate::messages::Append>,
    permits: mpsc::Sender<tokio::sync::OwnedSemaphorePermit>,
    limits: &Limits,
) -> Result<(), ConnectionError> {
    let window = Arc::new(Semaphore::new(limits.window));
    loop {
        let (message, bytes) = reader.message(Instant::now() + limits.idle).await?;
        let append = match message {
            Message::Append(append) => append,
            Message::Alive => continue,
            _ => return Err(ConnectionError::Unexpected),
        };
        let bytes = u32::try_from(bytes.min(limits.window)).unwrap_or(u32::MAX);
        let permit = window.clone().acquire_many_owned(bytes).await.map_err(|_| ConnectionError::Stopping)?;
        let over = || ConnectionError::Closed("the stream is over".to_owned());
        permits.send(permit).await.map_err(|_| over())?;
        if requests.send(append).await.is_err() {
            // The answers are over; the last one is still being written.
            std::future::pending::<()>().await;
        }
    }
}

async fn state(
    from: MemberId,
    reader: &mut AcceptedReader,
    mut writer: AcceptedWriter,
    service: &dyn Service,
    limits: &Limits,
    mut ending: Ending,
) -> ConnectionError {
    let first = tokio::select! {
        why = ending.wait() => Err(why),
        first = reader.message(Instant::now() + limits.idle) => first,
    };
    let ballot = match first {
        Ok((Message::State { ballot }, _)) => ballot,
        Ok(_) => return close(writer, ConnectionError::Unexpected, limits).await,
        Err(why) => return close(writer, why, limits).await,
    };
    let (parts, given) = parts::channel(0);
    let taking = service.take_state(from, ballot, given.boxed());
    let why = tokio::select! {
        why = ending.wait() => why,
        why = read_parts(reader, parts, limits) => why,
        taken = taking => {
            let taken = Message::StateTaken(taken.into());
            let sent = writer.message(&taken).await;
            sent.err().unwrap_or(ConnectionError::Closed("the transfer is over".to_owned()))
        }
    };
    close(writer, why, limits).await
}

async fn close(writer: AcceptedWriter, why: ConnectionError, limits: &Limits) -> ConnectionError {
    writer.close(&why.to_string(), limits.grace).await;
    why
}

/// Passes the parts on. The end of the stream means that all arrived; otherwise an error is its last item. Ends with an error alone.
async fn read_parts(
    reader: &mut AcceptedReader,
    mut parts: parts::Sender<Result<Vec<u8>, PeerError>>,
    limits: &Limits,
) -> ConnectionError {
    match read_until_end(reader, &mut parts, limits).await {
        Ok(()) => drop(parts),
        Err(error) => {
            drop(parts.send(Err(unreachable(&error))).await);
            return error;
        }
    }
    // The dialer waits for the vote; if it leaves, the work is not needed any more.
    loop {
        match reader.message(never()).await {
            Ok((Message::Alive, _)) => {}
            Ok(_) => return ConnectionError::Unexpected,
            Err(error) => return error,
        }
    }
}

async fn read_until_end(
    reader: &mut AcceptedReader,
    parts: &mut parts::Sender<Result<Vec<u8>, PeerError>>,
    limits: &Limits,
) -> Result<(), ConnectionError> {
    let mut sum = Sum::default();
    loop {
        let part = match reader.message(Instant::now() + limits.idle).await?.0 {
            Message::Part(part) => part,
            Message::StateEnd { parts, bytes, hash } if sum == (Sum { parts, bytes, hash }) => return Ok(()),
            Message::Alive => continue,
            _ => return Err(ConnectionError::Unexpected),
        };
        sum.add(&part);
        if parts.send(Ok(part)).await.is_err() {
            // The receiver has its answer already.
            std::future::pending::<()>().await;
        }
    }
}
