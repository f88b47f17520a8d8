//! Counters of connections, and of requests refused before they are read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use swoosh_types::names::GuardName;
use swoosh_types::rejection::{Code, Rejection};

/// Why a connection was refused or closed by the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Turned {
    /// All connections were busy and their number at its limit.
    NodeFull,
    /// The peer had as many as it may.
    PeerFull,
    /// It waited for nothing and another one needed its place.
    GaveWay,
    /// The operating system had no descriptor for it.
    NoDescriptor,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// It said nothing.
    FirstByte,
    /// A request's head took too long.
    Headers,
    /// It was not used any more.
    Idle,
    /// The caller did not take its answer.
    Write,
    /// It took back too many requests.
    Resets,
}

impl Turned {
    /// All of them, in the order of their numbers.
    pub const ALL: [Turned; 10] = [
        Turned::NodeFull,
        Turned::PeerFull,
        Turned::GaveWay,
        Turned::NoDescriptor,
        Turned::Handshake,
        Turned::FirstByte,
        Turned::Headers,
        Turned::Idle,
        Turned::Write,
        Turned::Resets,
    ];

    /// Whether it is the deadline of a stage.
    pub(super) fn is_deadline(self) -> bool {
        matches!(self, Turned::FirstByte | Turned::Headers | Turned::Idle | Turned::Write)
    }

    /// The word that metrics and log lines use.
    pub fn as_str(self) -> &'static str {
        match self {
            Turned::NodeFull => "node_full",
            Turned::PeerFull => "peer_full",
            Turned::GaveWay => "gave_way",
            Turned::NoDescriptor => "no_descriptor",
            Turned::Handshake => "handshake",
            Turned::FirstByte => "first_byte",
            Turned::Headers => "headers",
            Turned::Idle => "idle",
            Turned::Write => "write",
            Turned::Resets => "resets",
        }
    }
}

/// Counts traffic. Must not block.
pub trait Traffic: Send + Sync {
    /// This many connections are open.
    fn open(&self, connections: usize);
    /// A caller began to listen, or ended it.
    fn listens(&self, came: bool);
    /// A connection was refused or closed by the node.
    fn turned_away(&self, why: Turned);
    /// A request was answered with this code before anything looked at what it asks.
    fn shed(&self, code: Code);
    /// A caller's proposal that verified was accepted, or refused with this code.
    fn proposed(&self, refused: Option<Code>);
    /// A request that should have been a proposal was refused before its signature was found to be good.
    fn unverified(&self, guard: GuardName, rejection: &Rejection);
}

/// Lets one log line a second through and counts the others, so that a flood does not flood the log.
#[derive(Debug)]
pub(super) struct Hush {
    born: Instant,
    next_ms: AtomicU64,
    held_back: AtomicU64,
}

const HUSH: Duration = Duration::from_secs(1);

impl Hush {
    pub fn new() -> Hush {
        Hush { born: Instant::now(), next_ms: AtomicU64::new(0), held_back: AtomicU64::new(0) }
    }

    /// How many lines were held back since the last one, if one may be written now.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(millis(self.born.elapsed()))
    }

    fn pass_at(&self, now_ms: u64) -> Option<u64> {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let mine = now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(next_ms, now_ms + millis(HUSH), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_order_agree_and_words_differ() {
        for (n, why) in Turned::ALL.iter().enumerate() {
            assert_eq!(*why as usize, n);
            assert_eq!(Turned::ALL.iter().filter(|other| other.as_str() == why.as_str()).count(), 1);
        }
    }

    #[test]
    fn one_line_a_second_passes_and_tells_how_many_did_not() {
        let hush = Hush::new();
        assert_eq!(hush.pass_at(0), Some(0));
        assert!((0..5).all(|_| hush.pass_at(999).is_none()));
        assert_eq!(hush.pass_at(1000), Some(5));
        assert_eq!(hush.pass_at(1001), None);
    }
}
