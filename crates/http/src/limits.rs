//! Bounds on requests and connections; `config/swoosh.yaml` says what each is for.

/// Bounds on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of a body.
    pub body_limit_bytes: usize,
    /// Longest that a body may take to arrive, and an answer to be made, in milliseconds.
    pub request_timeout_ms: u64,
    /// Longest pause within a body, in milliseconds.
    pub body_pause_timeout_ms: u64,
    /// Longest that a new connection may stay silent, in milliseconds.
    pub first_byte_timeout_ms: u64,
    /// Longest that a request's head may take from its first byte, in milliseconds.
    pub header_timeout_ms: u64,
    /// Longest that a connection is kept between two requests, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Longest that a caller may take nothing of its answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// Longest that a TLS handshake may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// How often an HTTP/2 connection is asked whether it is there, in milliseconds.
    pub ping_interval_ms: u64,
    /// Longest that its answer to that may take, in milliseconds.
    pub ping_timeout_ms: u64,
    /// Requests that one HTTP/2 connection may have open.
    pub streams: u32,
    /// Requests that a connection may take back before they are answered.
    pub resets: u32,
    /// Longest that a shutdown waits for requests that were accepted, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Connections of all peers.
    pub connections: usize,
    /// Connections of one peer.
    pub connections_per_peer: usize,
    /// Requests of all peers that are being answered.
    pub requests: usize,
    /// Requests of one peer that are being answered.
    pub requests_per_peer: usize,
    /// Reads that are being answered; one peer gets half of them.
    pub reads: usize,
    /// Event streams and waiting polls of all peers; one peer gets half of them.
    pub listeners: usize,
    /// Memory for the bodies of all requests, in bytes; one peer gets half of it.
    pub body_memory_bytes: usize,
    /// Requests in a row that do not verify, of one peer.
    pub failures: u64,
    /// How many of them are forgiven each second.
    pub failures_forgiven_per_second: u64,
}

/// Bounds of the pause between two looks at all connections.
const LOOK_MS: std::ops::RangeInclusive<u64> = 5..=250;

impl Limits {
    /// The pause between two looks at the deadlines of connections, in milliseconds. A deadline is kept to twice that.
    pub(super) fn look_every_ms(&self) -> u64 {
        let stages = [self.first_byte_timeout_ms, self.header_timeout_ms, self.idle_timeout_ms, self.write_timeout_ms];
        let shortest = stages.into_iter().fold(self.request_timeout_ms, u64::min);
        (shortest / 20).clamp(*LOOK_MS.start(), *LOOK_MS.end())
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_limit_bytes: 256 << 10,
            request_timeout_ms: 10_000,
            body_pause_timeout_ms: 5_000,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            write_timeout_ms: 20_000,
            handshake_timeout_ms: 10_000,
            ping_interval_ms: 20_000,
            ping_timeout_ms: 10_000,
            streams: 128,
            resets: 64,
            drain_timeout_ms: 10_000,
            connections: 8_192,
            connections_per_peer: 1_024,
            requests: 8_192,
            requests_per_peer: 2_048,
            reads: 64,
            listeners: 256,
            body_memory_bytes: 64 << 20,
            failures: 256,
            failures_forgiven_per_second: 50,
        }
    }
}
