//! The proxy between the clients and the node: it duplicates, reorders, drops and delays requests, by chance from
//! the seed.
//!
//! It reads whole requests, so that what it does to one does not break the next. A copy goes to the node on a
//! connection of its own, at once or long after the first answer; what is answered to it goes into the proxy's own
//! log, because it must be the same receipt.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::faults::Fault;
use super::history::{Event, Log};
use super::tally::Tally;
use swoosh_testkit::http::{self, Message};
use swoosh_testkit::random::Random;

/// How often each fault happens, in thousandths of proposals.
const DUPLICATED: u64 = 40;
const REORDERED: u64 = 30;
const DROPPED: u64 = 15;
const DELAYED: u64 = 20;
/// The longest delay, and how long a request is held back at most until another one passes it.
const DELAY_MS: u64 = 40;
const HOLD_MS: u64 = 100;
/// The longest time after which a copy is sent.
const LATE_MS: u64 = 3_000;
/// How long a copy waits for its answer.
const COPY_PATIENCE: Duration = Duration::from_secs(10);

/// Where the node listens now; none while it does not.
pub(super) type Upstream = Arc<Mutex<Option<SocketAddr>>>;

/// What is done to one request.
#[derive(Debug, Default)]
struct Plan {
    copy_after_ms: Option<u64>,
    hold: bool,
    lose_request: bool,
    lose_answer: bool,
    delay_request_ms: u64,
    delay_answer_ms: u64,
}

/// A proxy at work.
pub(super) struct Proxy {
    upstream: Upstream,
    faults: Vec<Fault>,
    random: Mutex<Random>,
    passed: AtomicU64,
    tally: Arc<Tally>,
    log: Log,
}

impl Proxy {
    /// Starts on a free port; runs as long as the runtime.
    pub async fn start(
        upstream: Upstream,
        faults: &[Fault],
        random: Random,
        tally: Arc<Tally>,
        log: Log,
    ) -> std::io::Result<(Arc<Proxy>, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (random, passed) = (Mutex::new(random), AtomicU64::new(0));
        let proxy = Arc::new(Proxy { upstream, faults: faults.to_vec(), random, passed, tally, log });
        let serving = proxy.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(serving.clone().serve(stream))),
                    // Out of descriptors, say; they come back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok((proxy, address))
    }

    /// Brings what was heard of copies to the log.
    pub fn flush(&self) -> anyhow::Result<()> {
        self.log.flush()
    }

    async fn serve(self: Arc<Proxy>, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let mut node = None;
        // Whatever breaks, breaks the client's connection, as it would without a proxy.
        while let Ok(Some(request)) = http::read(&mut client).await {
            let Some(answer) = self.pass(&mut node, request).await else { return };
            if client.write_all(answer.bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Brings a request to the node, and its answer back; none where one of them is lost.
    async fn pass(self: &Arc<Proxy>, node: &mut Option<TcpStream>, request: Message) -> Option<Message> {
        let plan = if request.is_post() { self.plan() } else { Plan::default() };
        if let Some(after_ms) = plan.copy_after_ms {
            tokio::spawn(self.clone().copy(request.clone(), after_ms));
        }
        if plan.lose_request {
            self.tally.disturb(Fault::Drop);
            return None;
        }
        if plan.hold {
            self.hold_back().await;
        }
        self.delay(plan.delay_request_ms).await;
        let stream = match node {
            Some(stream) => stream,
            None => node.insert(self.connect().await?),
        };
        self.passed.fetch_add(1, Ordering::Relaxed);
        let answer = http::exchange(stream, request.bytes()).await.ok()?;
        self.delay(plan.delay_answer_ms).await;
        if plan.lose_answer {
            self.tally.disturb(Fault::Drop);
            return None;
        }
        Some(answer)
    }

    fn plan(&self) -> Plan {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chance = |fault: Fault, permille| self.faults.contains(&fault) && random.happens(permille, 1_000);
        let (copied, hold) = (chance(Fault::Duplicate, DUPLICATED), chance(Fault::Reorder, REORDERED));
        let (lost, delayed) = (chance(Fault::Drop, DROPPED), chance(Fault::Delay, DELAYED));
        let (on_the_way_there, late) = (random.happens(500, 1_000), random.happens(500, 1_000));
        let delay_ms = if delayed { random.between(1, DELAY_MS) } else { 0 };
        Plan {
            copy_after_ms: copied.then(|| if late { random.between(1, LATE_MS) } else { 0 }),
            hold,
            lose_request: lost && on_the_way_there,
            lose_answer: lost && !on_the_way_there,
            delay_request_ms: if on_the_way_there { delay_ms } else { 0 },
            delay_answer_ms: if on_the_way_there { 0 } else { delay_ms },
        }
    }

    async fn connect(&self) -> Option<TcpStream> {
        let address = (*self.upstream.lock().unwrap_or_else(PoisonError::into_inner))?;
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    }

    async fn delay(&self, delay_ms: u64) {
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            self.tally.disturb(Fault::Delay);
        }
    }

    /// Waits until another request has passed this one.
    async fn hold_back(&self) {
        let before = self.passed.load(Ordering::Relaxed);
        for _ in 0..HOLD_MS {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.passed.load(Ordering::Relaxed) > before {
                return self.tally.disturb(Fault::Reorder);
            }
        }
    }

    async fn copy(self: Arc<Proxy>, request: Message, after_ms: u64) {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        let Some(mut node) = self.connect().await else { return };
        self.tally.disturb(Fault::Duplicate);
        let exchanged = tokio::time::timeout(COPY_PATIENCE, http::exchange(&mut node, request.bytes())).await;
        let Ok(Ok(answer)) = exchanged else { return };
        if answer.status() == 202 {
            self.tally.copied.fetch_add(1, Ordering::Relaxed);
            let receipt = answer.text();
            if let Err(error) = self.log.note(&Event::Receipt { receipt }) {
                self.tally.violate("logs-are-kept", "every receipt is written down", error.to_string());
            }
        }
    }
}
