use std::time::Duration;

use crate::wire::{MAX_FRAME, Purpose};

/// Bounds in time, number and bytes of each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for a TCP connection.
    pub connect: Duration,
    /// Longest TLS handshake and exchange of hellos together.
    pub handshake: Duration,
    /// Longest time for one frame, from its first byte to its last, in either direction.
    pub frame: Duration,
    /// Longest wait for an answer on a connection on which nothing else arrives. The connection is closed then.
    pub silence: Duration,
    /// A dialer that has nothing to send shows after this time that it is alive.
    pub alive: Duration,
    /// An acceptor closes a connection on which nothing arrives for this long.
    pub idle: Duration,
    /// Longest work on one request. The dialer usually asks for less.
    pub answer: Duration,
    /// Longest wait for the vote after the last part of a state.
    pub take_state: Duration,
    /// Answers under way have this long when the member stops.
    pub grace: Duration,
    /// Wait after a failed attempt to connect. It doubles up to `backoff_most`; the half of it is random.
    pub backoff: Duration,
    pub backoff_most: Duration,
    /// Requests of one member that wait for a connection.
    pub queued: usize,
    /// Requests, or appends, of one connection without an answer. The acceptor reads no further beyond it.
    pub under_way: usize,
    /// Bytes of appends of one connection without an answer.
    pub window: usize,
    /// Bytes of a frame on a control connection: votes, heartbeats, their answers.
    pub control_frame: usize,
    /// Bytes of one part of a state.
    pub part: usize,
    /// Connections that have not proved yet who dials.
    pub unproved: usize,
    /// Members that one member dials.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
        Limits {
            connect: seconds(3),
            handshake: seconds(5),
            frame: seconds(30),
            silence: seconds(10),
            alive: seconds(15),
            idle: seconds(60),
            answer: seconds(30),
            take_state: seconds(600),
            grace: seconds(1),
            backoff: millis(50),
            backoff_most: seconds(1),
            queued: 64,
            under_way: 64,
            window: 32 << 20,
            control_frame: 1 << 20,
            part: 1 << 20,
            unproved: 32,
            members: 32,
        }
    }
}

impl Limits {
    /// The longest frame of a connection. Answers are short on all three.
    pub(super) fn frame_of(&self, purpose: Purpose) -> usize {
        const HEADER_ROOM: usize = 64 << 10;
        match purpose {
            Purpose::Control => self.control_frame,
            Purpose::Log => MAX_FRAME,
            Purpose::Bulk => self.part + HEADER_ROOM,
        }
    }
}
