//! Failed and refused requests by peer and by signer, and how those over their allowance are handled.
//!
//! A peer whose requests fail to verify too often is *suspect*, with all callers that share its address. Its writes are verified one at
//! a time, because known signers may be among them; failing ones are answered 429, late. Its reads are served.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Gate;
use super::failures::{Failures, ONE};
use super::places::{Place, Places};
use crate::fault::{Answer, Fault};
use crate::{Limits, Peer};
use swoosh_types::keys::PublicKey;
use swoosh_types::rejection::Code;

/// Delay of a refusal of a suspect peer. It bounds how often the peer can ask.
const PENALTY: Duration = Duration::from_secs(1);
/// Refusals that are held back together, and connections under TLS; further ones are not held back.
const PENALTIES: usize = 8_192;
/// Longest that a request of a suspect peer waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// Proposals that verify and are refused all the same, of which so many count as one failure.
const REFUSALS_PER_FAILURE: u64 = 32;
/// Bytes of a body that cost as much to look at as a signature, about.
const BYTES_PER_CHARGE: usize = 8 << 10;
/// A failed TLS handshake costs about as much as so many signatures.
const HANDSHAKE: u64 = 5;

/// The buckets of failures, and the pace of suspect peers.
pub(super) struct Suspects {
    peers: Mutex<Failures<Peer>>,
    /// Of known signers at each peer: a signer does not pay for requests that a thief of its key sends from elsewhere.
    signers: Mutex<Failures<(Peer, PublicKey)>>,
    handshakes: Mutex<Failures<Peer>>,
    turns: Places,
    /// Of signed reads, which cost a signature alone: they do not wait behind writes.
    reads: Places,
    /// Of look-ups in the journal, whether a key is known.
    look_ups: Places,
    penalties: Places,
}

impl Suspects {
    pub fn new(limits: &Limits) -> Suspects {
        let Limits { failures, failures_forgiven_per_second: forgiven, .. } = *limits;
        let lanes = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        // Those that wait for their refusals leave other requests of their peer half of its share.
        let held_back = (limits.requests_per_peer / 2).clamp(1, PENALTIES / 2);
        Suspects {
            peers: Mutex::new(Failures::new(failures, forgiven)),
            signers: Mutex::new(Failures::new(failures, forgiven)),
            handshakes: Mutex::new(Failures::new(failures, forgiven)),
            turns: Places::with(lanes, 1),
            reads: Places::with(lanes, 1),
            look_ups: Places::with(lanes, 1),
            penalties: Places::with(PENALTIES, held_back),
        }
    }
}

fn lock<T>(failures: &Mutex<T>) -> MutexGuard<'_, T> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// A request of this peer did not verify.
    pub(crate) fn charge(&self, peer: Peer, bytes: usize) {
        let cost = 1 + (bytes / BYTES_PER_CHARGE) as u64;
        lock(&self.suspects.peers).charge(peer, cost * ONE, Instant::now());
    }

    /// A request of a known signer verified and was refused. Others behind the same address do not pay for it.
    pub(crate) fn charge_refusal(&self, peer: Peer, signer: PublicKey) {
        lock(&self.suspects.signers).charge((peer, signer), ONE / REFUSALS_PER_FAILURE, Instant::now());
    }

    /// A request was signed by a key that was revoked.
    pub(crate) fn charge_revoked(&self, peer: Peer, signer: PublicKey) {
        lock(&self.suspects.signers).charge((peer, signer), ONE, Instant::now());
    }

    /// A TLS handshake of this peer failed.
    pub(crate) fn charge_handshake(&self, peer: Peer) {
        lock(&self.suspects.handshakes).charge(peer, HANDSHAKE * ONE, Instant::now());
    }

    /// Whether a peer is over its allowance, so that its writes are verified one at a time.
    pub(crate) fn is_suspect(&self, peer: Peer) -> bool {
        lock(&self.suspects.peers).wait_ms(peer, Instant::now()).is_some()
    }

    /// The turn of a suspect peer, held while one of its writes is verified. Others need none.
    pub(crate) async fn turn(&self, peer: Peer) -> Answer<Option<Place>> {
        if self.is_suspect(peer) { self.in_turn(&self.suspects.turns, peer).await.map(Some) } else { Ok(None) }
    }

    /// The turn of a signed read of a suspect peer. Others need none.
    pub(crate) async fn read_turn(&self, peer: Peer) -> Answer<Option<Place>> {
        if self.is_suspect(peer) { self.in_turn(&self.suspects.reads, peer).await.map(Some) } else { Ok(None) }
    }

    /// The place of a look-up for a suspect peer, held until the journal was read.
    pub(crate) async fn look_up(&self, peer: Peer) -> Answer<Place> {
        self.in_turn(&self.suspects.look_ups, peer).await
    }

    async fn in_turn(&self, turns: &Places, peer: Peer) -> Answer<Place> {
        match turns.wait(peer, TURN_PATIENCE).await {
            Ok(turn) => Ok(turn),
            Err(_) => Err(self.shut_out(peer).await),
        }
    }

    /// Refuses a suspect peer, and is slow about it.
    pub(crate) async fn shut_out(&self, peer: Peer) -> Fault {
        let wait_ms = lock(&self.suspects.peers).wait_ms(peer, Instant::now()).unwrap_or(1);
        let reason = format!("too many requests of {peer} did not verify; send again in {wait_ms} ms");
        self.penalise(peer, reason, wait_ms).await
    }

    /// How long a signer has to wait that had too many requests refused, sent from this peer.
    pub(crate) fn owes(&self, peer: Peer, signer: PublicKey) -> Option<u64> {
        lock(&self.suspects.signers).wait_ms((peer, signer), Instant::now())
    }

    /// Refuses that signer, and is slow about it.
    pub(crate) async fn refuse_signer(&self, peer: Peer, signer: PublicKey, wait_ms: u64) -> Fault {
        let reason = format!("too many requests of {signer} from {peer} were refused; send again in {wait_ms} ms");
        self.penalise(peer, reason, wait_ms).await
    }

    async fn penalise(&self, peer: Peer, reason: String, wait_ms: u64) -> Fault {
        let fault = self.shed(Code::TooManyRequests, reason).after_ms(wait_ms);
        if let Ok(_held) = self.suspects.penalties.take(peer) {
            tokio::time::sleep(PENALTY).await;
        }
        fault
    }

    /// Delays the handshakes of a peer of which too many failed. Each costs a signature of the node.
    pub(crate) async fn pace_handshake(&self, peer: Peer) {
        if lock(&self.suspects.handshakes).wait_ms(peer, Instant::now()).is_some() {
            tokio::time::sleep(PENALTY).await;
        }
    }
}
