//! Three members on tokio: real threads, a log whose writes end on a thread of its own, and messages by function calls.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use openraft_rt_tokio::TokioRuntime;
use swoosh_types::cluster::{
    Applied, Ballot, Body, Configuration, DirectoryId, LogEnds, Member, PlacedConfiguration, Row,
};
use swoosh_types::hash::Hash;
use swoosh_types::keys::SecretKey;

use super::*;
use crate::ports::*;

/// A log in memory. Each write waits in a queue for a thread, which calls its `Done`.
struct Log {
    rows: Mutex<BTreeMap<u64, Row>>,
    ballot: Mutex<Option<Ballot>>,
    applied: Mutex<Applied>,
    queue: Mutex<Sender<Done>>,
}

impl Log {
    fn of(founders: &Configuration) -> Arc<Log> {
        let (queue, writes): (Sender<Done>, Receiver<Done>) = channel();
        std::thread::spawn(move || writes.into_iter().for_each(|done| done(Ok(()))));
        let members = PlacedConfiguration { at: Some(BEGINNING), configuration: founders.clone() };
        Arc::new(Log {
            rows: Mutex::default(),
            ballot: Mutex::default(),
            applied: Mutex::new(Applied { at: Some(BEGINNING), members }),
            queue: Mutex::new(queue),
        })
    }

    fn write(&self, done: Done) {
        self.queue.lock().unwrap().send(done).unwrap();
    }
}

const BEGINNING: Position = Position { term: 1, index: 1 };

impl LogStore for Log {
    fn ends(&self) -> Result<LogEnds, StoreError> {
        let last = self.rows.lock().unwrap().values().next_back().map(|row| row.at);
        let ballot = *self.ballot.lock().unwrap();
        Ok(LogEnds { purged: Some(BEGINNING), last: last.or(Some(BEGINNING)), ballot, committed: None })
    }

    fn read(&self, from: u64, to: u64, _bytes: usize) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        let rows = self.rows.lock().unwrap().range(from..to).map(|(_, row)| row.clone()).collect();
        futures::future::ready(Ok(rows)).boxed()
    }

    fn append(&self, rows: Vec<Row>, done: Done) {
        self.rows.lock().unwrap().extend(rows.into_iter().map(|row| (row.at.index, row)));
        self.write(done);
    }

    fn vote(&self, ballot: Ballot, done: Done) {
        *self.ballot.lock().unwrap() = Some(ballot);
        self.write(done);
    }

    fn truncate(&self, last: Option<Position>, done: Done) {
        drop(self.rows.lock().unwrap().split_off(&last.map_or(0, |last| last.index + 1)));
        self.write(done);
    }

    fn purge(&self, _upto: Position, done: Done) {
        self.write(done);
    }

    fn note_committed(&self, _at: Position) {}
}

impl StateMachine for Log {
    fn applied(&self) -> Result<Applied, StoreError> {
        Ok(self.applied.lock().unwrap().clone())
    }

    fn apply(&self, rows: Vec<Committed>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut applied = self.applied.lock().unwrap();
        for Committed { row, .. } in rows {
            applied.at = Some(row.at);
            if let Body::Members(configuration) = row.body {
                applied.members = PlacedConfiguration { at: Some(row.at), configuration };
            }
        }
        futures::future::ready(Ok(())).boxed()
    }
}

type Engines = Mutex<BTreeMap<MemberId, Engine<TokioRuntime>>>;

struct Calls(Weak<Engines>);

impl Calls {
    fn engine(&self, to: &Target) -> Result<Engine<TokioRuntime>, PeerError> {
        let engines = self.0.upgrade();
        let engine = engines.and_then(|engines| engines.lock().unwrap().get(&to.id).cloned());
        engine.ok_or_else(|| PeerError::Unreachable("it is not there".to_owned()))
    }
}

impl Peers for Calls {
    fn ask(&self, to: &Target, request: Request, _within: Duration) -> BoxFuture<'static, Result<Reply, PeerError>> {
        let engine = self.engine(to);
        async move { engine?.hear(request).await.map_err(|ended| PeerError::Unreachable(ended.to_string())) }.boxed()
    }

    fn stream(&self, to: &Target, requests: AppendRequests) -> AppendReplies {
        match self.engine(to) {
            Ok(engine) => {
                let replies = engine.hear_stream(requests);
                replies.map(|reply| reply.map_err(|ended| PeerError::Unreachable(ended.to_string()))).boxed()
            }
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    fn send_state(&self, _to: &Target, _ballot: Ballot) -> BoxFuture<'static, Result<Ballot, PeerError>> {
        futures::future::ready(Err(PeerError::Unreachable("no state is sent here".to_owned()))).boxed()
    }
}

/// Keeps the present reign of each member.
struct Notes {
    me: MemberId,
    reigns: Arc<Mutex<BTreeMap<MemberId, Reign>>>,
}

impl Reigns for Notes {
    fn began(&self, reign: Reign, _barrier: Position) {
        self.reigns.lock().unwrap().insert(self.me, reign);
    }

    fn fell(&self, _reign: Reign, _why: FallReason) {
        self.reigns.lock().unwrap().remove(&self.me);
    }

    fn leader(&self, _leader: Option<MemberId>, _term: u64) {}

    fn members(&self, _members: PlacedConfiguration) {}

    fn ended(&self, _why: EndReason) {}
}

fn founders() -> Configuration {
    let member = |number: u8| Member {
        name: format!("n{number}"),
        key: SecretKey::from_bytes(&[number; 32]).public(),
        directory: DirectoryId([number; 16]),
        address: String::new(),
    };
    let members: BTreeMap<MemberId, Member> =
        (1..=3).map(|number| (MemberId(u64::from(number)), member(number))).collect();
    Configuration { voters: vec![members.keys().copied().collect()], members }
}

/// Waits for a condition, for at most two minutes.
async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..12_000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within two minutes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_on_real_threads_elect_commit_and_stop() {
    let (engines, reigns) = (Arc::new(Engines::default()), Arc::new(Mutex::default()));
    let logs: BTreeMap<MemberId, Arc<Log>> = (1..=3).map(|number| (MemberId(number), Log::of(&founders()))).collect();
    for (me, log) in &logs {
        let setup = Setup {
            me: *me,
            timing: Timing::default(),
            campaigns: true,
            log: log.clone(),
            machine: log.clone(),
            peers: Arc::new(Calls(Arc::downgrade(&engines))),
            reigns: Arc::new(Notes { me: *me, reigns: reigns.clone() }),
        };
        let engine = Engine::<TokioRuntime>::start(setup).await.unwrap();
        engines.lock().unwrap().insert(*me, engine);
    }
    // A busy machine may depose a leader at any time; then the next one is asked.
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 20 {
        let (leader, reign) =
            eventually(|| reigns.lock().unwrap().iter().map(|(id, reign)| (*id, *reign)).next()).await;
        let engine = engines.lock().unwrap()[&leader].clone();
        let (sender, settled) = oneshot::channel();
        let waiter = Box::new(move |end| drop(sender.send(end)));
        engine.submit(reign, Arc::new(batch()), waiter).await.unwrap();
        match settled.await.unwrap() {
            Settled::Applied(at) => acknowledged.push(at),
            _ => engine.abandon(reign),
        }
    }
    assert!(acknowledged.is_sorted(), "{acknowledged:?}");
    let last = acknowledged.last().copied();
    for log in logs.values() {
        eventually(|| (log.applied.lock().unwrap().at >= last).then_some(())).await;
    }
    let running = std::mem::take(&mut *engines.lock().unwrap());
    for engine in running.values() {
        engine.stop().await;
    }
    assert_eq!(*reigns.lock().unwrap(), BTreeMap::new(), "each reign falls before its instance has stopped");
}

fn batch() -> Batch {
    Batch {
        first: 1,
        before: Hash::ZERO,
        after: Hash::ZERO,
        frames: Vec::new(),
        objects: Vec::new(),
        notes: Vec::new(),
    }
}
