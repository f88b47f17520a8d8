//! Peers that are silent, slow, broken or too fast.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::support::{Mood, append, cluster, eventually, heartbeat, patient, reply_to};
use crate::peer::connection::{Reader, Writer, write_queued};
use crate::peer::{ConnectionError, DialError, Limits, Notice};
use crate::ports::{PeerError, Peers as _};
use crate::wire::{MAX_FRAME, Message, Purpose, WireError, encode};

const MINUTE: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(200);

fn request(id: u64) -> Vec<u8> {
    encode(&Message::Request { id, request: heartbeat() }).unwrap()
}

fn assert_unreachable<T: std::fmt::Debug>(result: Result<T, PeerError>, why: &str) {
    match result {
        Err(PeerError::Unreachable(found)) if found.contains(why) => {}
        other => panic!("{other:?} does not say {why:?}"),
    }
}

/// A machine whose program hangs still accepts TCP connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_that_says_nothing_is_unreachable() {
    let limits = Limits { handshake: MOMENT, ..patient() };
    let mut nodes = cluster(2, limits).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    nodes[1].target.member.address = silent.local_addr().unwrap().to_string();
    let address = nodes[1].target.member.address.clone();
    assert_unreachable(nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await, "too long");
    let dialed = nodes[0].way(&nodes[1].target).dial(Purpose::Log).await.map(drop);
    assert_eq!(dialed, Err(DialError::Late { address }));
}

/// A request has its own deadline; a connection on which answers are missing is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_never_answers_is_dialed_again() {
    let limits = Limits { silence: MOMENT, ..patient() };
    let nodes = cluster(2, limits).await;
    nodes[1].mood(Mood::Hangs);
    let asked = nodes[0].network.ask(&nodes[1].target, heartbeat(), Duration::from_millis(1)).await;
    assert_unreachable(asked, "");
    assert_unreachable(nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await, "nothing arrived in time");
    let opened = |notice: &Notice| matches!(notice, Notice::Opened { purpose: Purpose::Control, .. });
    eventually("the connection is there", || nodes[1].noticed(opened) >= 1).await;
    nodes[1].mood(Mood::Answers);
    let mut answered = false;
    for _ in 0..600 {
        answered = nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await.is_ok();
        if answered {
            break;
        }
    }
    assert!(answered, "another connection serves");
    assert!(nodes[1].noticed(opened) >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_that_says_nothing_is_closed() {
    let limits = Limits { idle: MOMENT, ..patient() };
    let nodes = cluster(2, limits).await;
    let way = nodes[0].way(&nodes[1].target);
    for purpose in [Purpose::Control, Purpose::Log, Purpose::Bulk] {
        let mut dialed = way.dial(purpose).await.unwrap();
        let closed = dialed.reader.message(Instant::now() + MINUTE).await.unwrap_err();
        assert_eq!(closed, ConnectionError::Closed(ConnectionError::Silent.to_string()), "{purpose}");
    }
}

/// An idle log is no dead one.
#[tokio::test]
async fn a_dialer_with_nothing_to_say_shows_that_it_is_alive() {
    let (near, far) = tokio::io::duplex(1 << 10);
    let (queue, queued) = tokio::sync::mpsc::channel(1);
    tokio::spawn(write_queued(Writer::new(near, MINUTE), queued, Some(Duration::from_millis(1)), MINUTE));
    let mut reader = Reader::new(far, MAX_FRAME, MINUTE);
    for _ in 0..3 {
        assert_eq!(reader.message(Instant::now() + MINUTE).await.unwrap().0, Message::Alive);
    }
    drop(queue);
    while reader.message(Instant::now() + MINUTE).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_of_life_are_no_messages() {
    let nodes = cluster(2, patient()).await;
    let way = nodes[0].way(&nodes[1].target);
    let mut control = way.dial(Purpose::Control).await.unwrap();
    let mut log = way.dial(Purpose::Log).await.unwrap();
    for dialed in [&mut control, &mut log] {
        dialed.writer.message(&Message::Alive).await.unwrap();
        dialed.writer.message(&Message::Alive).await.unwrap();
    }
    control.writer.frame(&request(7)).await.unwrap();
    log.writer.message(&Message::Append(append(4, 10))).await.unwrap();
    let answer = control.reader.message(Instant::now() + MINUTE).await.unwrap().0;
    assert!(matches!(answer, Message::Reply { id: 7, .. }), "{answer:?}");
    let answer = log.reader.message(Instant::now() + MINUTE).await.unwrap().0;
    assert!(matches!(answer, Message::Appended(_)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_off_inside_of_a_frame_is_noted_as_such() {
    let nodes = cluster(2, patient()).await;
    let frame = request(1);
    let mut dialed = nodes[0].way(&nodes[1].target).dial(Purpose::Control).await.unwrap();
    dialed.writer.frame(&frame[..frame.len() - 1]).await.unwrap();
    dialed.writer.end(MINUTE).await;
    let is_cut = |notice: &Notice| matches!(notice, Notice::Ended { why: ConnectionError::CutOff, .. });
    eventually("the end is noted", || nodes[1].noticed(is_cut) == 1).await;
    assert!(nodes[1].service.heard.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_never_ends_is_closed() {
    let limits = Limits { frame: MOMENT, ..patient() };
    let nodes = cluster(2, limits).await;
    let mut dialed = nodes[0].way(&nodes[1].target).dial(Purpose::Control).await.unwrap();
    dialed.writer.frame(&request(1)[..9]).await.unwrap();
    let closed = dialed.reader.message(Instant::now() + MINUTE).await.unwrap_err();
    assert_eq!(closed, ConnectionError::Closed(ConnectionError::SlowFrame(MOMENT).to_string()));
}

/// Bytes of another wire, lengths over the bound, messages of another kind of connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_not_of_this_wire_closes_the_connection_with_the_reason() {
    let nodes = cluster(2, patient()).await;
    let way = nodes[0].way(&nodes[1].target);
    let too_long =
        |most: usize| ConnectionError::Wire(WireError::FrameTooLong { bytes: u32::MAX.into(), most: most as u64 });
    let mut later = request(1);
    later[4] = 9;
    let version = ConnectionError::Wire(WireError::Version { found: 9, expected: 1 });
    let part = encode(&Message::Part(vec![1])).unwrap();
    let cases = [
        (Purpose::Control, vec![0xff; 64], too_long(patient().control_frame)),
        (Purpose::Log, vec![0xff; 64], too_long(MAX_FRAME)),
        (Purpose::Control, later, version),
        (Purpose::Control, part.clone(), ConnectionError::Unexpected),
        (Purpose::Log, request(1), ConnectionError::Unexpected),
        (Purpose::Bulk, part, ConnectionError::Unexpected),
    ];
    for (purpose, frame, why) in cases {
        let mut dialed = way.dial(purpose).await.unwrap();
        dialed.writer.frame(&frame).await.unwrap();
        let closed = dialed.reader.message(Instant::now() + MINUTE).await.unwrap_err();
        assert_eq!(closed, ConnectionError::Closed(crate::peer::short(&why.to_string())));
        drop(dialed);
        let is_this = |notice: &Notice| matches!(notice, Notice::Ended { why: found, .. } if *found == why);
        eventually("the end is noted", || nodes[1].noticed(is_this) >= 1).await;
    }
    assert_eq!(nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await, Ok(reply_to(&heartbeat())));
}

/// Requests that hang must not use up the memory of the member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_is_read_no_further_than_the_bound() {
    let limits = Limits { under_way: 8, ..patient() };
    let nodes = cluster(2, limits).await;
    nodes[1].mood(Mood::Hangs);
    let mut dialed = nodes[0].way(&nodes[1].target).dial(Purpose::Control).await.unwrap();
    let heard = nodes[1].service.heard.clone();
    for id in 0..500 {
        dialed.writer.frame(&request(id)).await.unwrap();
    }
    eventually("the bound is reached", || heard.under_way.load(Ordering::SeqCst) == 8).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(heard.most.load(Ordering::SeqCst), 8);
    drop(dialed);
}

/// The dialing side has the same bound: askers are refused, and do not pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn askers_beyond_the_bound_are_refused_at_once() {
    let limits = Limits { under_way: 4, queued: 4, ..patient() };
    let nodes = cluster(2, limits).await;
    nodes[1].mood(Mood::Hangs);
    let mut asks: futures::stream::FuturesUnordered<_> =
        (0..50).map(|_| nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE)).collect();
    for _ in 0..42 {
        let refused = asks.next().await.unwrap();
        let Err(PeerError::Unreachable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("wait") || why.contains("no answer yet") || why.contains("queue"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "it plays a stranger")]
async fn connections_without_a_hello_have_a_bound_and_a_deadline() {
    let limits = Limits { unproved: 2, handshake: Duration::from_secs(3), ..patient() };
    let nodes = cluster(2, limits).await;
    let address = &nodes[1].target.member.address;
    let is_crowded = |notice: &Notice| matches!(notice, Notice::Crowded { .. });
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(address).await.unwrap());
    }
    eventually("further ones are closed", || nodes[1].noticed(is_crowded) >= 1).await;
    let is_unproved = |notice: &Notice| matches!(notice, Notice::Unproved { .. });
    eventually("the first ones are closed", || nodes[1].noticed(is_unproved) >= 2).await;
    drop(strangers);
    let mut answered = false;
    for _ in 0..6_000 {
        answered = nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await.is_ok();
        if answered {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answered, "a member is served after them");
}

/// A dialer that sends requests and reads no answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_that_reads_no_answers_is_closed() {
    let limits = Limits { frame: MOMENT, ..patient() };
    let nodes = cluster(2, limits).await;
    nodes[1].mood(Mood::Fails(500_000));
    let mut dialed = nodes[0].way(&nodes[1].target).dial(Purpose::Control).await.unwrap();
    let is_slow = |notice: &Notice| matches!(notice, Notice::Ended { why: ConnectionError::SlowReader(_), .. });
    for id in 0..10_000 {
        if nodes[1].noticed(is_slow) == 1 || dialed.writer.frame(&request(id)).await.is_err() {
            break;
        }
    }
    eventually("the slow reader is closed", || nodes[1].noticed(is_slow) == 1).await;
    assert!(nodes[1].service.heard.most.load(Ordering::SeqCst) <= limits.under_way);
}

/// A follower whose disk hangs takes no more rows. The leader's memory must not fill with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_for_a_member_that_takes_none_end_the_stream() {
    let limits = Limits { frame: MOMENT, window: 2 << 20, ..patient() };
    let nodes = cluster(2, limits).await;
    nodes[1].mood(Mood::Deaf);
    let (mut requests, receiver) = mpsc::channel(64);
    for index in 4..36 {
        requests.try_send(append(index, 1 << 20)).unwrap();
    }
    let mut replies = nodes[0].network.stream(&nodes[1].target, receiver);
    let Some(Err(PeerError::Unreachable(why))) = replies.next().await else { panic!("an append is answered") };
    // A busy machine may find the present frame too slow first.
    assert!(why.contains("read nothing") || why.contains("not whole"), "{why}");
    assert!(nodes[1].service.heard.appends.lock().unwrap().is_empty());
}

/// Appends without an answer are bounded by number and by bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_without_an_answer_are_bounded_at_the_receiver() {
    for (limits, bytes, most) in
        [(Limits { under_way: 4, ..patient() }, 10, 6), (Limits { window: 300_000, ..patient() }, 100_000, 3)]
    {
        let nodes = cluster(2, limits).await;
        nodes[1].mood(Mood::Hangs);
        let (mut requests, receiver) = mpsc::channel(64);
        for index in 4..40 {
            requests.try_send(append(index, bytes)).unwrap();
        }
        let _replies = nodes[0].network.stream(&nodes[1].target, receiver);
        let heard = nodes[1].service.heard.clone();
        eventually("rows arrive", || heard.under_way.load(Ordering::SeqCst) >= 2).await;
        tokio::time::sleep(MOMENT).await;
        assert!(heard.most.load(Ordering::SeqCst) <= most, "{}", heard.most.load(Ordering::SeqCst));
    }
}
