//! Those who do the harm: on a thread of their own, from addresses of their own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bench::story;
use crate::bench::world::World;
use swoosh_machine::head::Head;
use swoosh_testkit::http;

/// Idle connections that are aimed at.
pub(super) const IDLE: usize = 10_000;
/// How many of them one address has, below what a peer may have.
const IDLE_EACH: usize = 500;
/// Connections that dribble heads.
const SLOW: usize = 1_000;
/// Connections that flood.
const FLOOD: usize = 64;
/// Different requests that a flood sends round and round.
const VARIETY: usize = 512;

/// What is done to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abuse {
    Slowloris,
    Idle,
    BadSignatures,
    HotProject,
}

impl Abuse {
    pub const ALL: [Abuse; 4] = [Abuse::Slowloris, Abuse::Idle, Abuse::BadSignatures, Abuse::HotProject];

    pub fn name(self) -> &'static str {
        match self {
            Abuse::Slowloris => "slowloris",
            Abuse::Idle => "idle connections",
            Abuse::BadSignatures => "bad signatures",
            Abuse::HotProject => "one hot project",
        }
    }
}

/// Answers to the attack.
#[derive(Default)]
struct Tally {
    statuses: Mutex<BTreeMap<u16, u64>>,
    open: AtomicU64,
    cut: AtomicU64,
}

impl Tally {
    fn answered(&self, status: u16) {
        *self.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    fn cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// An attack that goes on until it is ended.
pub(super) struct Attack {
    abuse: Abuse,
    stop: CancellationToken,
    tally: Arc<Tally>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// What every attacker knows.
#[derive(Clone)]
struct Ground {
    node: SocketAddr,
    tally: Arc<Tally>,
    requests: Arc<Vec<Vec<u8>>>,
}

impl Attack {
    /// Begins; returns when all connections that are held open are.
    pub fn begin(abuse: Abuse, world: &World, node: SocketAddr, hot: &Head, idle: usize) -> anyhow::Result<Attack> {
        let requests = Arc::new(requests(abuse, world, hot)?);
        let (stop, tally) = (CancellationToken::new(), Arc::new(Tally::default()));
        let ground = Ground { node, tally: tally.clone(), requests };
        let (stopped, (ready, begun)) = (stop.clone(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut attackers = JoinSet::new();
                let sent = send(abuse, &ground, idle, &mut attackers).await;
                // The receiver is gone if the measurement failed.
                let _ = ready.send(sent);
                stopped.cancelled().await;
                attackers.shutdown().await;
            });
            Ok(())
        });
        begun.recv().context("the attackers did not begin")??;
        Ok(Attack { abuse, stop, tally, thread: Some(thread) })
    }

    /// Stops the attack and describes the answers to it.
    pub fn end(mut self) -> anyhow::Result<String> {
        self.stop.cancel();
        let thread = self.thread.take().context("it ended already")?;
        thread.join().ok().context("an attacker panicked")??;
        let (open, cut) = (self.tally.open.load(Ordering::Relaxed), self.tally.cut.load(Ordering::Relaxed));
        let statuses = self.tally.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let answers: Vec<String> = statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        Ok(match self.abuse {
            Abuse::Slowloris => format!("{SLOW} connections dribble heads; {cut} were cut off and came again"),
            Abuse::Idle => format!("{open} connections, asked once and idle since; {cut} could not be held"),
            Abuse::BadSignatures | Abuse::HotProject => {
                format!("{FLOOD} connections, closed loop; answers: {}", answers.join(", "))
            }
        })
    }
}

/// What floods send. Of the hot project, every proposal names a head that never comes.
fn requests(abuse: Abuse, world: &World, hot: &Head) -> anyhow::Result<Vec<Vec<u8>>> {
    if !matches!(abuse, Abuse::BadSignatures | Abuse::HotProject) {
        return Ok(Vec::new());
    }
    let (mut bodies, _) = story::chain(world, hot, VARIETY)?;
    bodies.remove(0);
    if abuse == Abuse::BadSignatures {
        bodies.iter_mut().try_for_each(forge)?;
    }
    Ok(bodies.iter().map(|body| http::proposal(body, &[])).collect())
}

/// Replaces the signature with a well-formed one by an unknown key.
fn forge(body: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut document: serde_json::Value = serde_json::from_slice(body)?;
    let forged = swoosh_types::keys::SecretKey::from_bytes(&[3; 32]).sign(b"something else");
    document["signature"] = forged.to_string().into();
    *body = serde_json::to_vec(&document)?;
    Ok(())
}

async fn send(abuse: Abuse, ground: &Ground, idle: usize, attackers: &mut JoinSet<()>) -> anyhow::Result<()> {
    match abuse {
        Abuse::Slowloris => (0..SLOW).for_each(|n| {
            attackers.spawn(dribble(ground.clone(), peer(1, n / 250)));
        }),
        Abuse::Idle => hoard(ground, idle, attackers).await?,
        Abuse::BadSignatures | Abuse::HotProject => (0..FLOOD).for_each(|n| {
            attackers.spawn(flood(ground.clone(), peer(2, 0), n));
        }),
    }
    Ok(())
}

/// An address that is not the honest clients'.
fn peer(group: u8, n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, group, u8::try_from(n).unwrap_or(u8::MAX), 1)
}

/// Asks once each, and then says nothing more.
async fn hoard(ground: &Ground, idle: usize, attackers: &mut JoinSet<()>) -> anyhow::Result<()> {
    for n in 0..idle {
        let mut connection = http::connect(ground.node, Some(peer(3, n / IDLE_EACH))).await?;
        match http::exchange(&mut connection, &http::get("/health/live")).await {
            Ok(_) => ground.tally.open.fetch_add(1, Ordering::Relaxed),
            Err(_) => ground.tally.cut.fetch_add(1, Ordering::Relaxed),
        };
        attackers.spawn(async move {
            std::future::pending::<()>().await;
            drop(connection);
        });
    }
    Ok(())
}

async fn dribble(ground: Ground, peer: Ipv4Addr) {
    loop {
        if let Ok(mut stream) = http::connect(ground.node, Some(peer)).await {
            let mut sent = stream.write_all(b"POST /transition HTTP/1.1\r\nhost: localhost\r\n").await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                sent = stream.write_all(b"x: y\r\n").await;
            }
            ground.tally.cut();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn flood(ground: Ground, peer: Ipv4Addr, first: usize) {
    let mut requests = ground.requests.iter().cycle().skip(first * ground.requests.len() / FLOOD);
    loop {
        let Ok(mut connection) = http::connect(ground.node, Some(peer)).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while let Some(request) = requests.next()
            && let Ok(answer) = http::exchange(&mut connection, request).await
        {
            ground.tally.answered(answer.status());
        }
        ground.tally.cut();
    }
}
