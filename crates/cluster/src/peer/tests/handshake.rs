//! Who is refused, and with which reason.

use std::time::Duration;

use swoosh_types::cluster::{DirectoryId, MemberId};
use swoosh_types::hash::Hash;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Node, append, at, cluster, elected, eventually, heartbeat, patient, reply_to};
use crate::messages::{Appended, Reply};
use crate::peer::{DialError, Identity, NodeKey, Notice, Standing};
use crate::ports::{PeerError, Peers as _};
use crate::wire::{HelloRefusal, Purpose};

const MINUTE: Duration = Duration::from_secs(60);

async fn dial(from: &Node, to: &Node) -> Result<(), DialError> {
    from.way(&to.target).dial(Purpose::Control).await.map(drop)
}

/// The acceptor names the reason to the dialer, and notes it.
async fn assert_refused(from: &Node, to: &Node, expected: HelloRefusal) {
    let before = to.noticed(|notice| matches!(notice, Notice::Refused { why, .. } if *why == expected));
    let refused = dial(from, to).await;
    let address = to.target.member.address.clone();
    assert_eq!(refused, Err(DialError::RefusedByPeer { address, why: expected }));
    let is_refusal = |notice: &Notice| matches!(notice, Notice::Refused { why, .. } if *why == expected);
    eventually("the refusal is noted", || to.noticed(is_refusal) == before + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_differs_is_refused_with_its_reason() {
    let nodes = cluster(2, patient()).await;
    let sound = nodes[0].local.identity.lock().unwrap().clone();
    type Change = (fn(&mut Identity), HelloRefusal);
    let changes: [Change; 8] = [
        (|identity| identity.cluster = "other".parse().unwrap(), HelloRefusal::OtherCluster),
        (|identity| identity.incarnation = 1, HelloRefusal::OtherIncarnation),
        (|identity| identity.founded = Hash::of(b"other"), HelloRefusal::OtherIncarnation),
        (|identity| identity.member = MemberId(3), HelloRefusal::UnknownMember),
        (|identity| identity.member = MemberId(2), HelloRefusal::OtherMember),
        (|identity| identity.directory = DirectoryId([9; 16]), HelloRefusal::WrongDirectory),
        (|identity| (identity.versions.wire_least, identity.versions.wire_most) = (2, 3), HelloRefusal::TooNew),
        (|identity| (identity.versions.wire_least, identity.versions.wire_most) = (0, 0), HelloRefusal::TooOld),
    ];
    for (change, expected) in changes {
        nodes[0].set(|identity| {
            *identity = sound.clone();
            change(identity);
        });
        assert_refused(&nodes[0], &nodes[1], expected).await;
    }
    nodes[0].set(|identity| *identity = sound);
    assert_eq!(dial(&nodes[0], &nodes[1]).await, Ok(()), "the refusals leave no trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_refused_by_that_name() {
    let nodes = cluster(2, patient()).await;
    nodes[1].local.standing.lock().unwrap().insert(MemberId(1), Standing::Removed);
    assert_refused(&nodes[0], &nodes[1], HelloRefusal::Removed).await;
}

/// The number of a member with a key of one's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_with_another_key_than_the_members_is_refused() {
    let mut nodes = cluster(2, patient()).await;
    nodes[0].key = NodeKey::from_seed(&[77; 32]).unwrap();
    assert_refused(&nodes[0], &nodes[1], HelloRefusal::WrongKey).await;
}

/// Another process at the member's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_with_another_key_is_not_spoken_to() {
    let mut nodes = cluster(2, patient()).await;
    nodes[1].target.member.key = NodeKey::from_seed(&[77; 32]).unwrap().public();
    let (address, expected) = (nodes[1].target.member.address.clone(), nodes[1].target.member.key);
    assert_eq!(dial(&nodes[0], &nodes[1]).await, Err(DialError::WrongKey { address, expected }));
    assert_eq!(nodes[1].noticed(|notice| matches!(notice, Notice::Opened { .. })), 0);
    let asked = nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await;
    assert!(matches!(&asked, Err(PeerError::Unreachable(why)) if why.contains("another key")), "{asked:?}");
}

/// The acceptor's welcome is checked like a hello.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_with_another_directory_is_refused_by_the_dialer() {
    let nodes = cluster(2, patient()).await;
    nodes[1].set(|identity| identity.directory = DirectoryId([9; 16]));
    let (address, why) = (nodes[1].target.member.address.clone(), HelloRefusal::WrongDirectory);
    assert_eq!(dial(&nodes[0], &nodes[1]).await, Err(DialError::RefusedByUs { address, why }));
}

/// The engine counts what a member acknowledged: if its disk forgot it, committed rows are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_went_back_is_refused() {
    let nodes = cluster(2, patient()).await;
    let reply = nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await;
    assert_eq!(reply, Ok(Reply::Append(Appended::Upto(append(4, 0).previous))));
    let (address, why) = (nodes[1].target.member.address.clone(), HelloRefusal::RolledBack);
    let rolled_back = Err(DialError::RefusedByUs { address, why });
    let restarts = |number, ballot, last| {
        nodes[1].set(|identity| identity.boot.number = number);
        nodes[1].set(|identity| (identity.ballot, identity.last) = (ballot, last));
    };
    restarts(2, None, Some(at(2, 4)));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, rolled_back, "the vote is gone");
    restarts(2, Some(elected(1, 1)), Some(at(2, 4)));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, rolled_back, "the vote is older");
    restarts(2, Some(elected(2, 1)), Some(at(2, 3)));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, rolled_back, "acknowledged rows are gone");
    restarts(0, Some(elected(2, 1)), Some(at(2, 4)));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, rolled_back, "the boot number is older");
    restarts(2, Some(elected(3, 2)), Some(at(2, 3)));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, Ok(()), "a later leader may have cut the log");
    nodes[1].set(|identity| identity.boot.nonce = DirectoryId([8; 16]));
    assert_eq!(dial(&nodes[0], &nodes[1]).await, rolled_back, "two copies have one number");
    assert_eq!(nodes[0].memory.all()[&MemberId(2)].boot.number, 2);
}

/// Not TLS, TLS without a key, and messages before the hello.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "it plays a stranger")]
async fn a_stranger_gets_no_further_than_the_handshake() {
    let nodes = cluster(2, patient()).await;
    let mut tcp = TcpStream::connect(&nodes[1].target.member.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: n2\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(tcp.read_to_end(&mut answer).await);
    let is_unproved = |notice: &Notice| matches!(notice, Notice::Unproved { .. });
    eventually("the stranger is noted", || nodes[1].noticed(is_unproved) == 1).await;
    let config = nodes[0].key.client(nodes[1].target.member.key).unwrap();
    let tcp = TcpStream::connect(&nodes[1].target.member.address).await.unwrap();
    let name = crate::peer::tls::server_name().unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
    tls.write_all(&crate::wire::encode(&crate::wire::Message::Alive).unwrap()).await.unwrap();
    tls.flush().await.unwrap();
    let is_refusal = |notice: &Notice| matches!(notice, Notice::Refused { why: HelloRefusal::NoHello, .. });
    eventually("the message is refused", || nodes[1].noticed(is_refusal) == 1).await;
    assert_eq!(nodes[1].noticed(|notice| matches!(notice, Notice::Opened { .. })), 0);
    assert_eq!(nodes[0].network.ask(&nodes[1].target, heartbeat(), MINUTE).await, Ok(reply_to(&heartbeat())));
}
