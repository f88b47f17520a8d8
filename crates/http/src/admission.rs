//! Admission of requests: bounded in all and for each peer, so that one caller's flood does not starve the others.
//!
//! A request passes here before its body is read. A read takes a place for as long as its work lasts, also when its asker
//! is gone; a listener takes one for as long as it waits. A request that fails to verify is charged to the peer it came
//! from; the signer that it names may be anybody's and is never charged.

mod failures;
mod lines;
mod places;
mod shares;
mod suspects;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::routes;
use super::serve::Patience;
use super::traffic::Hush;
use super::turns::Turns;
use super::{Caller, Limits, Peer, Traffic};
use lines::{Lines, Part};
pub(super) use places::{Lack, Place, Places};
use shares::{Share, Shares};
use suspects::Suspects;
use swoosh_types::rejection::Code;

/// Longest that a read, a push, or an answer's memory is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Facts that are pushed at once; one peer gets half of them.
const PUSHES: usize = 4;
/// Requests for health and metrics that a peer may have under way. They have no other bound.
const OPEN_PER_PEER: usize = 256;
/// Requests that a peer may have under way before its refusals are held back.
const BRISK: usize = 8;
/// Extra delay of a refusal for each further request under way, in milliseconds. A peer that retries at once gets about
/// 500 refusals a second, on any number of connections.
const HOLD_MS: usize = 2;
/// Longest that a refusal is held back for that.
const MOST_HELD_MS: usize = 1_000;
/// Memory of answers that their callers have not taken yet, in bytes; one peer gets half of it.
const ANSWER_BYTES: usize = 128 << 20;
/// An answer up to this size needs none of it: as much waits with the operating system.
const SMALL_ANSWER_BYTES: usize = 64 << 10;

/// Counts what is under way and decides what more may begin.
pub struct Gate {
    limits: Limits,
    traffic: Arc<dyn Traffic>,
    requests: Arc<Semaphore>,
    by_peer: Arc<Shares<Peer>>,
    /// Of requests for health and metrics.
    open_by_peer: Arc<Shares<Peer>>,
    reads: Places,
    /// Of event streams and of polls that wait. They keep the node busy with nothing.
    listeners: Places,
    pushes: Places,
    /// Of dry runs, which are not charged where they would be accepted.
    trials: Places,
    /// Of callers whose head was stale.
    turns: Arc<Turns>,
    memory: Arc<Shares<Option<Peer>>>,
    /// Memory of answers, by peer and in all.
    answers: (Arc<Lines>, Arc<Semaphore>),
    suspects: Suspects,
    hush: Hush,
}

/// Resources that a request holds until its answer is written.
pub(super) struct Admitted {
    _request: Option<OwnedSemaphorePermit>,
    _of_peer: Share<Peer>,
    answer: Mutex<Option<(Part, OwnedSemaphorePermit)>>,
}

/// The memory that a body takes, until this is dropped.
pub(super) struct Memory {
    of_peer: Share<Option<Peer>>,
    of_all: Share<Option<Peer>>,
}

/// The place of a listener, until this is dropped.
pub(super) struct Listening {
    _place: Place,
    traffic: Arc<dyn Traffic>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.traffic.listens(false);
    }
}

/// Keeps what a request holds with its answer until that is written.
#[derive(Clone)]
pub(super) struct Kept(Arc<Admitted>);

impl Gate {
    /// A gate with nothing under way.
    pub fn new(limits: Limits, traffic: Arc<dyn Traffic>) -> Arc<Gate> {
        Arc::new(Gate {
            limits,
            traffic,
            requests: Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS))),
            by_peer: Shares::new(),
            open_by_peer: Shares::new(),
            reads: Places::new(limits.reads),
            listeners: Places::new(limits.listeners),
            pushes: Places::new(PUSHES),
            trials: Places::new(limits.reads),
            turns: Turns::new(limits.listeners),
            memory: Shares::new(),
            answers: (Lines::new(ANSWER_BYTES / 2), Arc::new(Semaphore::new(ANSWER_BYTES))),
            suspects: Suspects::new(&limits),
            hush: Hush::new(),
        })
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters of traffic.
    pub fn traffic(&self) -> &Arc<dyn Traffic> {
        &self.traffic
    }

    /// Delays a refusal the more, the more requests of the peer are under way: those who flood the node with proposals
    /// that it must refuse wait for each other, and the others do not wait for them. Listeners and callers in line do not count.
    pub(super) async fn hold_back(&self, peer: Peer) {
        let hold_ms = self.hold_ms(peer);
        if hold_ms > 0 {
            tokio::time::sleep(Duration::from_millis(hold_ms)).await;
        }
    }

    fn hold_ms(&self, peer: Peer) -> u64 {
        let waiting = self.listeners.amount(peer) + self.turns.amount(peer);
        hold_ms(self.by_peer.amount(peer).saturating_sub(waiting))
    }

    /// The lines of callers whose head was stale.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// A place for a read, to be kept until its work ends.
    pub(super) async fn read_place(&self, peer: Peer) -> Answer<Place> {
        self.reads.wait(peer, PATIENCE).await.map_err(|lack| self.full(lack, "reads"))
    }

    /// A place for a listener, to be kept while it waits.
    pub(super) fn listen(&self, peer: Peer) -> Answer<Listening> {
        let place = self.listeners.take(peer).map_err(|lack| match lack {
            Lack::OfPeer(most) => {
                let reason =
                    format!("{most} callers of this peer listen already; close some, or raise limits.listeners");
                self.shed(Code::TooManyRequests, reason)
            }
            Lack::OfAll(all) => self.shed(Code::Overloaded, format!("{all} callers listen already")),
        })?;
        self.traffic.listens(true);
        Ok(Listening { _place: place, traffic: self.traffic.clone() })
    }

    /// A place for a dry run, to be kept until it is judged.
    pub(super) async fn trial_place(&self, peer: Peer) -> Answer<Place> {
        self.trials.wait(peer, PATIENCE).await.map_err(|lack| self.full(lack, "dry runs"))
    }

    /// A place for pushing a fact, to be kept until it is durable.
    pub(super) async fn push_place(&self, peer: Peer) -> Answer<Place> {
        self.pushes.wait(peer, PATIENCE).await.map_err(|lack| self.full(lack, "pushes of facts"))
    }

    /// Refuses because these are under way already: the peer's share, or all.
    fn full(&self, lack: Lack, of_what: &str) -> Fault {
        match lack {
            Lack::OfPeer(most) => {
                self.shed(Code::TooManyRequests, format!("{most} {of_what} of this peer are under way already"))
            }
            Lack::OfAll(all) => self.shed(Code::Overloaded, format!("{all} {of_what} are under way already")),
        }
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

    /// Takes memory for an answer, until it is written. A caller that does not take its answers keeps no read from others.
    pub(super) async fn reserve_answer(&self, asker: &Asker, bytes: usize) -> Answer<()> {
        let Some(Kept(admitted)) = asker.kept().filter(|_| bytes > SMALL_ANSWER_BYTES) else { return Ok(()) };
        let until = Instant::now() + PATIENCE;
        let (by_peer, of_all) = &self.answers;
        let part = timeout_at(until, by_peer.wait(asker.peer(), bytes)).await.ok().flatten().ok_or_else(|| {
            self.shed(
                Code::TooManyRequests,
                "untaken answers of this peer fill the memory that it may have for answers",
            )
        })?;
        // One answer fits always.
        let amount = u32::try_from(bytes.min(ANSWER_BYTES)).unwrap_or(u32::MAX);
        let permit = timeout_at(until, of_all.clone().acquire_many_owned(amount)).await.ok().and_then(Result::ok);
        let permit = permit
            .ok_or_else(|| self.shed(Code::Overloaded, "untaken answers fill the memory reserved for answers"))?;
        *admitted.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((part, permit));
        Ok(())
    }

    /// An asker with a request under way.
    #[cfg(test)]
    pub(super) fn asker(&self, caller: Caller) -> Asker {
        Asker::new(caller, Kept(Arc::new(self.admit(caller).ok().unwrap())), Patience::default())
    }

    #[cfg(test)]
    pub(super) fn under_way(&self, peer: Peer) -> usize {
        self.by_peer.amount(peer)
    }

    #[cfg(test)]
    pub(super) fn free_reads(&self) -> usize {
        self.reads.free()
    }

    #[cfg(test)]
    pub(super) fn free_trials(&self) -> usize {
        self.trials.free()
    }

    /// Refuses because there is too much to do, and counts that.
    pub(super) fn shed(&self, code: Code, reason: impl Into<String>) -> Fault {
        let reason = reason.into();
        self.traffic.shed(code);
        if let Some(held_back) = self.hush.pass() {
            tracing::warn!(%code, reason, held_back, "requests are turned away");
        }
        Fault::new(code, reason)
    }

    /// Admits a request for health or metrics, also while the node has as many other requests as it may.
    fn admit_open(&self, caller: Caller) -> Answer<Admitted> {
        let of_peer = self.open_by_peer.take(caller.peer, 1, OPEN_PER_PEER).ok_or_else(|| {
            let reason = format!("{OPEN_PER_PEER} requests of this peer for health and metrics are under way already");
            self.shed(Code::TooManyRequests, reason)
        })?;
        Ok(Admitted { _request: None, _of_peer: of_peer, answer: Mutex::new(None) })
    }

    fn admit(&self, caller: Caller) -> Answer<Admitted> {
        let of_peer = self.by_peer.take(caller.peer, 1, self.limits.requests_per_peer).ok_or_else(|| {
            let reason = format!("{} requests of this peer are under way already", self.limits.requests_per_peer);
            self.shed(Code::TooManyRequests, reason)
        })?;
        let request = self.requests.clone().try_acquire_owned().map_err(|_| {
            self.shed(Code::Overloaded, format!("{} requests are under way already", self.limits.requests))
        })?;
        Ok(Admitted { _request: Some(request), _of_peer: of_peer, answer: Mutex::new(None) })
    }
}

/// Admits a request, or answers the reason. Health and metrics have a bound of their own.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied().unwrap_or_default();
    let path = request.uri().path();
    let admitted = if routes::is_probed(path) { gate.admit_open(caller) } else { gate.admit(caller) };
    if let (Err(fault), "/transition" | "/transitions", &Method::POST) = (&admitted, path, request.method()) {
        gate.traffic.proposed(Some(fault.code()));
    }
    match admitted {
        Ok(admitted) => {
            let kept = Kept(Arc::new(admitted));
            let patience = request.extensions_mut().remove::<Patience>().unwrap_or_default();
            request.extensions_mut().insert(Asker::new(caller, kept.clone(), patience));
            let mut response = next.run(request).await;
            response.extensions_mut().insert(kept);
            response
        }
        Err(fault) => fault.into_response(),
    }
}

fn hold_ms(under_way: usize) -> u64 {
    (under_way.saturating_sub(BRISK) * HOLD_MS).min(MOST_HELD_MS) as u64
}

#[cfg(test)]
mod tests;
