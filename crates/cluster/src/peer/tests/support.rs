//! Members on loopback sockets, with services that note what they hear.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use swoosh_types::cluster::{Ballot, Batch, Body, DirectoryId, Member, MemberId, Position, Row};
use swoosh_types::hash::Hash;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::messages::{Append, Appended, Reply, Request, TransferRequest, VoteReply, VoteRequest};
use crate::peer::dial::{Shared, Way};
use crate::peer::{Identity, Limits, Listener, Local, Memory, Network, NodeKey, Notice, Service, Standing};
use crate::ports::{AppendReplies, PeerError, Target};
use crate::wire::{Boot, Versions};

pub(super) fn at(term: u64, index: u64) -> Position {
    Position { term, index }
}

pub(super) fn elected(term: u64, member: u64) -> Ballot {
    Ballot { term, member: MemberId(member), elected: true }
}

/// An append of one row after `index`, with so many bytes in it.
pub(super) fn append(index: u64, bytes: usize) -> Append {
    let (before, after) = (Hash::ZERO, Hash::of(&index.to_be_bytes()));
    let frames = vec![vec![7; bytes]];
    let batch = Batch { first: index, before, after, frames, objects: Vec::new(), notes: b"[]".to_vec() };
    let row = Row { at: at(2, index + 1), body: Body::Batch(Arc::new(batch)) };
    Append { ballot: elected(2, 1), previous: Some(at(2, index)), rows: vec![row], committed: Some(at(2, index)) }
}

pub(super) fn heartbeat() -> Request {
    Request::Append(Append { rows: Vec::new(), ..append(4, 0) })
}

pub(super) fn requests() -> [Request; 4] {
    let ballot = Ballot { elected: false, ..elected(3, 1) };
    let vote = VoteRequest { ballot, last: Some(at(2, 4)), is_transfer: false };
    let transfer = TransferRequest { from: elected(2, 1), to: MemberId(2), last: None };
    [heartbeat(), Request::Vote(vote), Request::PreVote(vote), Request::Transfer(transfer)]
}

pub(super) fn reply_to(request: &Request) -> Reply {
    let vote = |request: &VoteRequest| VoteReply { ballot: request.ballot, granted: true, last: None };
    match request {
        Request::Append(append) => Reply::Append(Appended::Upto(append.last())),
        Request::Vote(request) => Reply::Vote(vote(request)),
        Request::PreVote(request) => Reply::PreVote(vote(request)),
        Request::Transfer(_) => Reply::Transfer(Ok(())),
    }
}

/// Waits for a condition. A failure takes a minute; success takes as long as it takes.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within a minute");
}

pub(super) struct TestLocal {
    pub(super) identity: Mutex<Identity>,
    pub(super) standing: Mutex<BTreeMap<MemberId, Standing>>,
    pub(super) state: Mutex<Vec<Result<Vec<u8>, String>>>,
}

impl Local for TestLocal {
    fn identity(&self) -> Option<Identity> {
        Some(self.identity.lock().unwrap().clone())
    }

    fn standing(&self, id: MemberId) -> Standing {
        self.standing.lock().unwrap().get(&id).cloned().unwrap_or(Standing::Unknown)
    }

    fn state(&self) -> BoxStream<'static, Result<Vec<u8>, String>> {
        futures::stream::iter(self.state.lock().unwrap().clone()).boxed()
    }
}

/// How a service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Answers,
    /// Takes requests and appends, and never answers.
    Hangs,
    /// Never takes an append.
    Deaf,
    /// Fails with a reason of so many bytes.
    Fails(usize),
    /// Answers an append with a conflict.
    Conflicts,
    Refuses,
}

/// All parts of a state, or why it broke off.
type Parts = Result<Vec<Vec<u8>>, PeerError>;

#[derive(Default)]
pub(super) struct Heard {
    pub(super) requests: Mutex<Vec<(MemberId, Request)>>,
    pub(super) appends: Mutex<Vec<(MemberId, Append)>>,
    pub(super) states: Mutex<Vec<(MemberId, Parts)>>,
    /// Requests under way, and the most of them at once.
    pub(super) under_way: AtomicUsize,
    pub(super) most: AtomicUsize,
}

pub(super) struct TestService {
    pub(super) mood: Mutex<Mood>,
    pub(super) heard: Arc<Heard>,
}

struct UnderWay(Arc<Heard>);

impl UnderWay {
    fn begin(heard: &Arc<Heard>) -> UnderWay {
        let now = heard.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        heard.most.fetch_max(now, Ordering::SeqCst);
        UnderWay(heard.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for TestService {
    fn answer(&self, from: MemberId, request: Request) -> BoxFuture<'static, Result<Reply, PeerError>> {
        let (mood, under_way) = (self.mood.lock().unwrap().clone(), UnderWay::begin(&self.heard));
        self.heard.requests.lock().unwrap().push((from, request.clone()));
        async move {
            let _under_way = under_way;
            match mood {
                Mood::Hangs | Mood::Deaf => std::future::pending().await,
                Mood::Fails(bytes) => Err(PeerError::Unreachable("a".repeat(bytes))),
                _ => Ok(reply_to(&request)),
            }
        }
        .boxed()
    }

    fn appends(&self, from: MemberId, requests: BoxStream<'static, Append>) -> AppendReplies {
        let (mood, heard) = (self.mood.lock().unwrap().clone(), self.heard.clone());
        if mood == Mood::Deaf {
            return futures::stream::once(std::future::pending()).chain(requests.map(|_| unreachable!())).boxed();
        }
        let answer = move |append: Append| {
            let (mood, heard, under_way) = (mood.clone(), heard.clone(), UnderWay::begin(&heard));
            heard.appends.lock().unwrap().push((from, append.clone()));
            async move {
                let _under_way = under_way;
                match mood {
                    Mood::Hangs => std::future::pending().await,
                    Mood::Conflicts => Ok(Appended::Conflict(append.previous.unwrap())),
                    Mood::Refuses => {
                        Err(PeerError::Refused { last: append.last().unwrap(), why: "another state hash".to_owned() })
                    }
                    _ => Ok(Appended::Upto(append.last())),
                }
            }
        };
        requests.map(answer).buffered(1_000).boxed()
    }

    fn take_state(
        &self,
        from: MemberId,
        ballot: Ballot,
        parts: BoxStream<'static, Result<Vec<u8>, PeerError>>,
    ) -> BoxFuture<'static, Result<Ballot, PeerError>> {
        let (heard, mood) = (self.heard.clone(), self.mood.lock().unwrap().clone());
        async move {
            if let Mood::Fails(bytes) = mood {
                return Err(PeerError::Unreachable("a".repeat(bytes)));
            }
            let parts: Vec<_> = parts.collect().await;
            let parts: Result<Vec<_>, _> = parts.into_iter().collect();
            heard.states.lock().unwrap().push((from, parts.clone()));
            parts.map(|_| ballot)
        }
        .boxed()
    }
}

pub(super) struct Node {
    pub(super) target: Target,
    pub(super) key: NodeKey,
    pub(super) local: Arc<TestLocal>,
    pub(super) service: Arc<TestService>,
    pub(super) memory: Arc<Memory>,
    pub(super) limits: Limits,
    pub(super) network: Network,
    pub(super) notices: Arc<Mutex<Vec<Notice>>>,
    pub(super) listener: Option<Listener>,
}

fn identity(number: u64) -> Identity {
    Identity {
        cluster: "test".parse().unwrap(),
        incarnation: 0,
        founded: Hash::ZERO,
        member: MemberId(number),
        directory: DirectoryId([number as u8; 16]),
        boot: Boot { number: 1, nonce: DirectoryId([number as u8; 16]) },
        ballot: None,
        last: None,
        versions: Versions { wire_least: 1, wire_most: 1, chart: 2, format: 4 },
    }
}

/// Short waits after failures; the deadlines are those of a real member, which a busy machine does not reach.
pub(super) fn patient() -> Limits {
    let backoff = Duration::from_millis(1);
    Limits {
        connect: Duration::from_secs(60),
        handshake: Duration::from_secs(60),
        backoff,
        backoff_most: backoff,
        ..Limits::default()
    }
}

pub(super) async fn cluster(count: u64, limits: Limits) -> Vec<Node> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let member = |number: u64, socket: &TcpListener| Member {
        name: format!("n{number}"),
        key: NodeKey::from_seed(&[number as u8; 32]).unwrap().public(),
        directory: identity(number).directory,
        address: socket.local_addr().unwrap().to_string(),
    };
    let members: Vec<Member> = (1..).zip(&sockets).map(|(number, socket)| member(number, socket)).collect();
    let standing: BTreeMap<_, _> =
        (1..).zip(&members).map(|(number, member)| (MemberId(number), Standing::Member(member.clone()))).collect();
    let mut nodes = Vec::new();
    for ((number, socket), member) in (1..).zip(sockets).zip(members) {
        let (key, target) = (NodeKey::from_seed(&[number as u8; 32]).unwrap(), Target { id: MemberId(number), member });
        let local = Arc::new(TestLocal {
            identity: Mutex::new(identity(number)),
            standing: Mutex::new(standing.clone()),
            state: Mutex::default(),
        });
        let service = Arc::new(TestService { mood: Mutex::new(Mood::Answers), heard: Arc::default() });
        let memory = Arc::new(Memory::default());
        let network = Network::new(Handle::current(), key.clone(), local.clone(), memory.clone(), limits);
        let (notices, listener) = (Arc::default(), None);
        let mut node = Node { target, key, local, service, memory, limits, network, notices, listener };
        node.listen(socket);
        nodes.push(node);
    }
    nodes
}

impl Node {
    pub(super) fn listen(&mut self, socket: TcpListener) {
        let notices = self.notices.clone();
        let note = Arc::new(move |notice| notices.lock().unwrap().push(notice));
        let (local, service, memory) = (self.local.clone(), self.service.clone(), self.memory.clone());
        let listener = Listener::start(socket, &self.key, local, service, memory, self.limits, note);
        self.listener = Some(listener.unwrap());
    }

    pub(super) fn noticed(&self, is: impl Fn(&Notice) -> bool) -> usize {
        self.notices.lock().unwrap().iter().filter(|notice| is(notice)).count()
    }

    /// A way to another member, for connections on which a test writes any bytes.
    pub(super) fn way(&self, to: &Target) -> Way {
        let (local, memory) = (self.local.clone(), self.memory.clone());
        let shared = Shared { key: self.key.clone(), local, memory, limits: self.limits };
        Way::new(to.clone(), Arc::new(shared))
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Identity)) {
        change(&mut self.local.identity.lock().unwrap());
    }

    pub(super) fn mood(&self, mood: Mood) {
        *self.service.mood.lock().unwrap() = mood;
    }

    /// Forgets connections and their back-off, like another process of the same directory.
    pub(super) fn redial(&mut self) {
        let (key, local, memory) = (self.key.clone(), self.local.clone(), self.memory.clone());
        self.network = Network::new(Handle::current(), key, local, memory, self.limits);
    }
}
