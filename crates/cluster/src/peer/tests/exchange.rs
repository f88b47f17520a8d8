//! What members say to each other over sockets.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use swoosh_types::cluster::MemberId;
use tokio::net::TcpListener;

use super::support::{Mood, Node, append, at, cluster, elected, eventually, heartbeat, patient, reply_to, requests};
use crate::messages::{Append, Appended};
use crate::peer::{ConnectionError, Notice};
use crate::ports::{AppendReplies, PeerError, Peers as _};
use crate::wire::Purpose;

const MINUTE: Duration = Duration::from_secs(60);

fn stream(from: &Node, to: &Node, first: Append) -> (mpsc::Sender<Append>, AppendReplies) {
    let (mut requests, receiver) = mpsc::channel(64);
    requests.try_send(first).unwrap();
    (requests, from.network.stream(&to.target, receiver))
}

async fn exchange_all(from: &Node, to: &Node) {
    for request in requests() {
        let reply = from.network.ask(&to.target, request.clone(), MINUTE).await;
        assert_eq!(reply, Ok(reply_to(&request)));
        let heard = to.service.heard.requests.lock().unwrap().last().cloned();
        assert_eq!(heard, Some((from.target.id, request)));
    }
    let (mut requests, replies) = stream(from, to, append(4, 100));
    for index in 5..8 {
        requests.try_send(append(index, 100_000)).unwrap();
    }
    let replies: Vec<_> = replies.take(4).collect().await;
    assert_eq!(replies, [5, 6, 7, 8].map(|index| Ok(Appended::Upto(Some(at(2, index))))));
    let parts = vec![b"first".to_vec(), vec![9; 1 << 20], Vec::new()];
    *from.local.state.lock().unwrap() = parts.iter().cloned().map(Ok).collect();
    assert_eq!(from.network.send_state(&to.target, elected(2, 1)).await, Ok(elected(2, 1)));
    let heard = to.service.heard.states.lock().unwrap().last().cloned();
    assert_eq!(heard, Some((from.target.id, Ok(parts))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_exchange_all_messages() {
    let nodes = cluster(2, patient()).await;
    exchange_all(&nodes[0], &nodes[1]).await;
    exchange_all(&nodes[1], &nodes[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_exchange_all_messages_at_once() {
    let nodes = cluster(3, patient()).await;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        exchange_all(&nodes[from], &nodes[to]).await;
    }
    let asks = [(0, 2), (1, 0), (2, 1), (0, 1)]
        .map(|(from, to): (usize, usize)| nodes[from].network.ask(&nodes[to].target, heartbeat(), MINUTE));
    for reply in futures::future::join_all(asks).await {
        assert_eq!(reply, Ok(reply_to(&heartbeat())));
    }
}

/// Rows on their way must not delay a vote: each kind of traffic has its own connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_while_appends_hang() {
    let nodes = cluster(2, patient()).await;
    nodes[1].mood(Mood::Hangs);
    let (_requests, _replies) = stream(&nodes[0], &nodes[1], append(4, 1 << 20));
    eventually("the append arrives", || !nodes[1].service.heard.appends.lock().unwrap().is_empty()).await;
    nodes[1].mood(Mood::Answers);
    let reply = nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await;
    assert_eq!(reply, Ok(reply_to(&heartbeat())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_or_a_refusal_ends_a_stream() {
    let nodes = cluster(2, patient()).await;
    nodes[1].mood(Mood::Conflicts);
    let (_requests, replies) = stream(&nodes[0], &nodes[1], append(4, 10));
    assert_eq!(replies.collect::<Vec<_>>().await, [Ok(Appended::Conflict(at(2, 4)))]);
    nodes[1].mood(Mood::Refuses);
    let (_requests, replies) = stream(&nodes[0], &nodes[1], append(4, 10));
    let refused = PeerError::Refused { last: at(2, 5), why: "another state hash".to_owned() };
    assert_eq!(replies.collect::<Vec<_>>().await, [Err(refused)]);
}

/// Dropping the answers is the engine's way to end a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_answers_close_the_stream() {
    let nodes = cluster(2, patient()).await;
    nodes[1].mood(Mood::Hangs);
    let (_requests, replies) = stream(&nodes[0], &nodes[1], append(4, 10));
    eventually("the append arrives", || !nodes[1].service.heard.appends.lock().unwrap().is_empty()).await;
    drop(replies);
    let is_end = |notice: &Notice| matches!(notice, Notice::Ended { purpose: Purpose::Log, .. });
    eventually("the connection ends", || nodes[1].noticed(is_end) == 1).await;
    assert_eq!(nodes[1].service.heard.under_way.load(std::sync::atomic::Ordering::SeqCst), 0, "the work ends with it");
}

/// A receiver must never take a part of a state for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_breaks_off_is_never_whole_at_the_receiver() {
    let nodes = cluster(2, patient()).await;
    *nodes[0].local.state.lock().unwrap() = vec![Ok(b"first".to_vec()), Err("a read failed".to_owned())];
    let sent = nodes[0].network.send_state(&nodes[1].target, elected(2, 1)).await;
    assert!(matches!(&sent, Err(PeerError::Unreachable(why)) if why.contains("a read failed")), "{sent:?}");
    let is_end = |notice: &Notice| matches!(notice, Notice::Ended { purpose: Purpose::Bulk, .. });
    eventually("the connection ends", || nodes[1].noticed(is_end) == 1).await;
    let states = nodes[1].service.heard.states.lock().unwrap().clone();
    assert!(states.iter().all(|(_, parts)| parts.is_err()), "{states:?}");
}

/// The receiver refuses before it has read all: its disk is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_state_names_the_reason() {
    let nodes = cluster(2, patient()).await;
    *nodes[0].local.state.lock().unwrap() = vec![Ok(vec![1; 1 << 20]); 64];
    nodes[1].mood(Mood::Fails(3));
    let sent = nodes[0].network.send_state(&nodes[1].target, elected(2, 1)).await;
    assert_eq!(sent, Err(PeerError::Unreachable("aaa".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_restarted_is_reached_again() {
    let mut nodes = cluster(2, patient()).await;
    let request = heartbeat();
    assert!(nodes[0].network.ask(&nodes[1].target, request.clone(), MINUTE).await.is_ok());
    let listener = nodes[1].listener.take().unwrap();
    let address = listener.address();
    listener.stop().await;
    let down = nodes[0].network.ask(&nodes[1].target, request.clone(), MINUTE).await;
    assert!(matches!(down, Err(PeerError::Unreachable(_))), "{down:?}");
    let socket = TcpListener::bind(address).await.unwrap();
    nodes[1].set(|identity| identity.boot.number += 1);
    nodes[1].set(|identity| (identity.ballot, identity.last) = (Some(elected(2, 1)), Some(at(2, 4))));
    nodes[1].listen(socket);
    let mut answered = false;
    for _ in 0..6_000 {
        answered = nodes[0].network.ask(&nodes[1].target, request.clone(), MINUTE).await.is_ok();
        if answered {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answered, "the restarted member is not reached");
}

/// A member that stops answers what it has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_way_are_given_before_a_member_stops() {
    let mut limits = patient();
    limits.grace = MINUTE;
    let mut nodes = cluster(2, limits).await;
    let (release, released) = tokio::sync::watch::channel(false);
    let service = Arc::new(Slow(released));
    let listener = nodes[1].listener.take().unwrap();
    let address = listener.address();
    listener.stop().await;
    let socket = TcpListener::bind(address).await.unwrap();
    let (local, memory) = (nodes[1].local.clone(), nodes[1].memory.clone());
    let notices = Arc::new(|_| ());
    let listener =
        crate::peer::Listener::start(socket, &nodes[1].key, local, service.clone(), memory, limits, notices).unwrap();
    let ask = tokio::spawn(nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE));
    eventually("the request is under way", || release.receiver_count() > 1).await;
    let stopping = tokio::spawn(listener.stop());
    release.send_replace(true);
    assert_eq!(ask.await.unwrap(), Ok(reply_to(&heartbeat())));
    nodes[0].redial();
    stopping.await.unwrap();
}

/// A member that dials again has restarted, or its old connection is dead without anyone's knowledge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_replaces_the_older_one_of_the_same_kind() {
    let nodes = cluster(2, patient()).await;
    let way = nodes[0].way(&nodes[1].target);
    let mut older = way.dial(Purpose::Control).await.unwrap();
    let _newer = way.dial(Purpose::Control).await.unwrap();
    let _other = way.dial(Purpose::Log).await.unwrap();
    let why = older.reader.message(tokio::time::Instant::now() + MINUTE).await.unwrap_err();
    assert_eq!(why, ConnectionError::Closed(ConnectionError::Replaced.to_string()));
    let is_replaced = |notice: &Notice| matches!(notice, Notice::Ended { why: ConnectionError::Replaced, .. });
    drop(older);
    eventually("the older one ends", || nodes[1].noticed(is_replaced) == 1).await;
    assert_eq!(nodes[1].noticed(|notice| matches!(notice, Notice::Ended { .. })), 1);
}

/// A removed member must not vote over a connection from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_removed_member_are_closed() {
    let nodes = cluster(3, patient()).await;
    let mut removed = nodes[0].way(&nodes[1].target).dial(Purpose::Control).await.unwrap();
    assert!(nodes[2].network.ask(&nodes[1].target, heartbeat(), MINUTE).await.is_ok());
    let is_open = |notice: &Notice| matches!(notice, Notice::Opened { .. });
    eventually("both are open", || nodes[1].noticed(is_open) == 2).await;
    let mut why = Ok(());
    for _ in 0..600 {
        nodes[1].listener.as_ref().unwrap().retain(|id| id != MemberId(1));
        let soon = tokio::time::Instant::now() + Duration::from_millis(100);
        why = removed.reader.message(soon).await.map(drop);
        if why != Err(ConnectionError::Silent) {
            break;
        }
    }
    assert_eq!(why, Err(ConnectionError::Closed(ConnectionError::NoMember.to_string())));
    assert!(nodes[2].network.ask(&nodes[1].target, heartbeat(), MINUTE).await.is_ok());
    assert_eq!(nodes[1].noticed(is_open), 2, "the other member keeps its connection");
}

/// Answers when it is released.
struct Slow(tokio::sync::watch::Receiver<bool>);

impl crate::peer::Service for Slow {
    fn answer(
        &self,
        _from: MemberId,
        request: crate::messages::Request,
    ) -> futures::future::BoxFuture<'static, Result<crate::messages::Reply, PeerError>> {
        let mut released = self.0.clone();
        Box::pin(async move {
            let _ = released.wait_for(|released| *released).await;
            Ok(reply_to(&request))
        })
    }

    fn appends(&self, _from: MemberId, _requests: futures::stream::BoxStream<'static, Append>) -> AppendReplies {
        futures::stream::empty().boxed()
    }

    fn take_state(
        &self,
        _from: MemberId,
        ballot: swoosh_types::cluster::Ballot,
        _parts: futures::stream::BoxStream<'static, Result<Vec<u8>, PeerError>>,
    ) -> futures::future::BoxFuture<'static, Result<swoosh_types::cluster::Ballot, PeerError>> {
        Box::pin(std::future::ready(Ok(ballot)))
    }
}
