//! Who may ask something now: bounded in all and for each peer, so that one caller's flood leaves the others
//! their service.
//!
//! A proposal passes here before its body is read, a read before it takes a thread. What fails to verify
//! is charged to the peer it came from; the signer that it names may be anybody's and is never charged.

mod failures;
mod shares;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::{Answer, Fault};
use super::traffic::Hush;
use super::{Caller, Limits, Peer, Traffic};
use crate::types::rejection::Code;
use failures::{Failures, ONE};
use shares::{Share, Shares};

/// Longest that a read waits for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// How long a peer with too many failures waits for its refusal. Being slow with it is what bounds how often
/// it can ask.
const PENALTY: Duration = Duration::from_secs(1);
/// Refusals that are held back together; further ones are not held back.
const PENALTIES: usize = 8_192;
/// Proposals that verify and are refused all the same, of which so many count as one failure.
const REFUSALS_PER_FAILURE: u64 = 32;
/// Requests that a peer may have under way before its refusals are held back.
const BRISK: usize = 8;
/// How much later a refusal is given for each further request under way, in milliseconds: whoever proposes again
/// as soon as it is refused gets about 500 refusals a second, on however many connections.
const HOLD_MS: usize = 2;
/// Longest that a refusal is held back for that.
const MOST_HELD_MS: usize = 1_000;
/// Bytes of a body that cost as much to look at as a signature, about.
const BYTES_PER_CHARGE: usize = 8 << 10;

/// Counts what is under way and decides what more may begin.
pub struct Gate {
    limits: Limits,
    traffic: Arc<dyn Traffic>,
    requests: Arc<Semaphore>,
    by_peer: Arc<Shares<Peer>>,
    /// Of `by_peer`, those that listen to `/events`: they keep the node busy with nothing.
    listening: Arc<Shares<Peer>>,
    reads: Arc<Semaphore>,
    reads_by_peer: Arc<Shares<Peer>>,
    memory: Arc<Shares<Option<Peer>>>,
    failures: Mutex<Failures>,
    penalties: Semaphore,
    hush: Hush,
}

/// What a request holds until its answer is on its way.
pub(super) struct Admitted {
    _request: OwnedSemaphorePermit,
    _of_peer: Share<Peer>,
    listening: Option<Share<Peer>>,
    _read: Option<(OwnedSemaphorePermit, Share<Peer>)>,
}

/// The memory that a body takes, until this is dropped.
pub(super) struct Memory {
    of_peer: Share<Option<Peer>>,
    of_all: Share<Option<Peer>>,
}

/// Keeps what a request holds with its answer until that is written.
#[derive(Clone)]
pub(super) struct Kept(#[expect(dead_code, reason = "what is kept is let go by being dropped")] Arc<Admitted>);

impl Gate {
    /// A gate with nothing under way.
    pub fn new(limits: Limits, traffic: Arc<dyn Traffic>) -> Arc<Gate> {
        Arc::new(Gate {
            limits,
            traffic,
            requests: Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS))),
            by_peer: Shares::new(),
            listening: Shares::new(),
            reads: Arc::new(Semaphore::new(limits.reads.min(Semaphore::MAX_PERMITS))),
            reads_by_peer: Shares::new(),
            memory: Shares::new(),
            failures: Mutex::new(Failures::new(limits.failures, limits.failures_forgiven_per_second)),
            penalties: Semaphore::new(PENALTIES),
            hush: Hush::new(),
        })
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whoever counts.
    pub fn traffic(&self) -> &Arc<dyn Traffic> {
        &self.traffic
    }

    /// A request of this peer did not verify, or wasted as much as one that does not.
    pub(super) fn charge(&self, peer: Peer, bytes: usize) {
        let cost = 1 + (bytes / BYTES_PER_CHARGE) as u64;
        self.failures().charge(peer, cost * ONE, Instant::now());
    }

    /// A proposal of this peer verified and was refused.
    pub(super) fn charge_refusal(&self, peer: Peer) {
        self.failures().charge(peer, ONE / REFUSALS_PER_FAILURE, Instant::now());
    }

    /// Delays a refusal the more, the more requests of the peer are under way: those who flood the node with proposals
    /// that it must refuse wait for each other, and the others do not wait for them. Streams of events do not count.
    pub(super) async fn hold_back(&self, peer: Peer) {
        let hold_ms = self.hold_ms(peer);
        if hold_ms > 0 {
            tokio::time::sleep(Duration::from_millis(hold_ms)).await;
        }
    }

    fn hold_ms(&self, peer: Peer) -> u64 {
        hold_ms(self.by_peer.amount(peer).saturating_sub(self.listening.amount(peer)))
    }

    /// What was admitted is a stream of events.
    fn listens(&self, admitted: &mut Admitted, peer: Peer) {
        admitted.listening = self.listening.take(peer, 1, usize::MAX);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for a body of this peer; none of it is taken yet.
    pub(super) fn memory(&self, peer: Peer) -> Memory {
        Memory { of_peer: self.memory.none(Some(peer)), of_all: self.memory.none(None) }
    }

    /// Takes memory for a part of a body.
    pub(super) fn reserve(&self, memory: &mut Memory, bytes: usize) -> Answer<()> {
        // Even where little memory is set, one body fits.
        let (all, one) = (self.limits.body_memory_bytes, self.limits.body_limit_bytes);
        if !memory.of_peer.grow(bytes, (all / 2).max(one)) {
            return Err(self.shed(Code::TooManyRequests, "the bodies of this peer take all the memory it may have"));
        }
        if !memory.of_all.grow(bytes, all.max(one)) {
            return Err(self.shed(Code::Overloaded, "bodies take all the memory that there is for them"));
        }
        Ok(())
    }

    /// Refuses because there is too much to do, and counts that.
    fn shed(&self, code: Code, reason: impl Into<String>) -> Fault {
        let reason = reason.into();
        self.traffic.shed(code);
        if let Some(held_back) = self.hush.pass() {
            tracing::warn!(%code, reason, held_back, "requests are turned away");
        }
        Fault::new(code, reason)
    }

    async fn admit(&self, caller: Caller, is_read: bool) -> Answer<Admitted> {
        self.check_failures(caller.peer).await?;
        let of_peer = self.by_peer.take(caller.peer, 1, self.limits.requests_per_peer).ok_or_else(|| {
            let reason = format!("{} requests of this peer are under way already", self.limits.requests_per_peer);
            self.shed(Code::TooManyRequests, reason)
        })?;
        let request = self.requests.clone().try_acquire_owned().map_err(|_| {
            self.shed(Code::Overloaded, format!("{} requests are under way already", self.limits.requests))
        })?;
        let read = if is_read { Some(self.admit_read(caller.peer).await?) } else { None };
        Ok(Admitted { _request: request, _of_peer: of_peer, listening: None, _read: read })
    }

    async fn admit_read(&self, peer: Peer) -> Answer<(OwnedSemaphorePermit, Share<Peer>)> {
        let most = self.limits.reads.div_ceil(2);
        let turn = async {
            let share = self.reads_by_peer.wait(peer, most).await;
            self.reads.clone().acquire_owned().await.ok().map(|permit| (permit, share))
        };
        match tokio::time::timeout(READ_PATIENCE, turn).await {
            Ok(Some(admitted)) => Ok(admitted),
            _ => Err(self.shed(Code::Overloaded, format!("{} reads are under way already", self.limits.reads))),
        }
    }

    /// Refuses a peer with too many failures, and is slow about it.
    async fn check_failures(&self, peer: Peer) -> Answer<()> {
        let Some(wait_ms) = self.failures().wait_ms(peer, Instant::now()) else { return Ok(()) };
        let reason = format!("too many proposals of {peer} did not verify or were refused; send again in {wait_ms} ms");
        let fault = self.shed(Code::TooManyRequests, reason).after_ms(wait_ms);
        if let Ok(_held) = self.penalties.try_acquire() {
            tokio::time::sleep(PENALTY).await;
        }
        Err(fault)
    }

    /// Whether a peer has so many failures that nothing of it is looked at.
    pub(super) fn is_shut_out(&self, peer: Peer) -> bool {
        self.failures().wait_ms(peer, Instant::now()).is_some()
    }
}

/// Lets a request in, or answers why not. How the node is can always be asked.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if is_always_open(request.uri().path()) {
        return next.run(request).await;
    }
    let caller = request.extensions().get::<Caller>().copied().unwrap_or_default();
    // A dry run takes a thread and leaves no trace, as reads do.
    let is_dry = request.uri().query().is_some_and(|query| query.contains("dry_run"));
    // Whoever listens holds no thread, and would hold the place of a read for hours.
    let listens = request.uri().path() == "/events";
    let is_read = is_dry || (!listens && matches!(*request.method(), Method::GET | Method::HEAD));
    match gate.admit(caller, is_read).await {
        Ok(mut admitted) => {
            if listens {
                gate.listens(&mut admitted, caller.peer);
            }
            let mut response = next.run(request).await;
            response.extensions_mut().insert(Kept(Arc::new(admitted)));
            response
        }
        Err(fault) => fault.into_response(),
    }
}

fn hold_ms(under_way: usize) -> u64 {
    (under_way.saturating_sub(BRISK) * HOLD_MS).min(MOST_HELD_MS) as u64
}

fn is_always_open(path: &str) -> bool {
    matches!(path, "/health" | "/health/live" | "/health/ready" | "/metrics")
}

#[cfg(test)]
mod tests;
