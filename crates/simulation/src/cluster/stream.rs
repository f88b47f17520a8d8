//! One connection for appends: it keeps the order. A lost message costs a resend; a cut holds everything up.

use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _, future};
use swoosh_cluster::messages::{Append, Appended};
use swoosh_cluster::ports::{AppendReplies, AppendRequests, PeerError};
use swoosh_cluster::types::MemberId;

use super::net::{Path, brief_append, unreachable};
use super::world::World;
use crate::runtime;

/// Messages in each direction.
const BOUND: usize = 64;
const RESEND_MS: u64 = 200;

pub(super) fn open(path: Path, requests: AppendRequests) -> AppendReplies {
    let (replies, receiver) = mpsc::channel(BOUND);
    // The wire belongs to no process. It ends when one of its ends is dropped.
    runtime::spawn_in(0, connect(path, requests, replies));
    receiver.boxed()
}

type Replies = mpsc::Sender<Result<Appended, PeerError>>;

async fn connect(path: Path, requests: AppendRequests, mut replies: Replies) {
    let Some((engine, process)) = path.world.reach(path.to, path.directory) else {
        // The asker may have gone.
        let _ = replies.send(Err(unreachable("no connection"))).await;
        return;
    };
    let (arrived, incoming) = mpsc::channel(BOUND);
    let (mut answers, outgoing) = mpsc::channel(BOUND);
    runtime::spawn_in(process, async move {
        let mut stream = engine.hear_stream(incoming);
        while let Some(Ok(appended)) = stream.next().await {
            if answers.send(appended).await.is_err() {
                return;
            }
        }
    });
    let there = Box::pin(carry_requests(path.clone(), requests, arrived, replies.clone()));
    let back = Box::pin(carry_answers(path, outgoing, replies));
    future::select(there, back).await;
}

/// Ends with the connection; after the last request it waits for the answers.
async fn carry_requests(
    path: Path,
    mut requests: AppendRequests,
    mut arrived: mpsc::Sender<Append>,
    mut replies: Replies,
) {
    while let Some(append) = requests.next().await {
        runtime::trace(|| format!("member {} streams to member {}: {}", path.from, path.to, brief_append(&append)));
        deliver(&path.world, path.from, path.to).await;
        if let Some(last) = append.rows.last().filter(|_| path.world.lock().refusing.contains(&path.to)) {
            let refusal = PeerError::Refused { last: last.at, why: "it refuses all rows".to_owned() };
            let _ = replies.send(Err(refusal)).await;
            return;
        }
        if arrived.send(append).await.is_err() {
            return;
        }
    }
    drop(arrived);
    future::pending::<()>().await;
}

async fn carry_answers(path: Path, mut answers: mpsc::Receiver<Appended>, mut replies: Replies) {
    while let Some(appended) = answers.next().await {
        deliver(&path.world, path.to, path.from).await;
        runtime::trace(|| format!("member {} answers the stream of member {}: {appended:?}", path.to, path.from));
        if replies.send(Ok(appended)).await.is_err() {
            return;
        }
    }
}

/// Returns when a message has arrived.
async fn deliver(world: &World, from: MemberId, to: MemberId) {
    loop {
        match world.flight_us(from, to) {
            Some(us) => {
                runtime::sleep_us(us).await;
                if !world.link(from, to).is_cut {
                    return;
                }
            }
            None => runtime::sleep_ms(RESEND_MS).await,
        }
    }
}
