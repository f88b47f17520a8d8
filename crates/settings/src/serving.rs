//! Settings of the HTTP server. `config/swoosh.yaml` describes the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use swoosh_types::host::Host;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

/// The HTTP server: deadlines and sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// A second address, which answers health and metrics alone.
    pub observe: Option<SocketAddr>,
    /// Names that requests may name the node by, beside those of loopback.
    pub allowed_hosts: BTreeSet<Host>,
    /// The largest body that is read, in bytes.
    pub body_limit_bytes: usize,
    /// How long a body may take to arrive, and an answer to be made, in milliseconds.
    pub request_timeout_ms: u64,
    /// The longest pause within a body, in milliseconds.
    pub body_pause_timeout_ms: u64,
    /// How long a new connection may stay silent, in milliseconds.
    pub first_byte_timeout_ms: u64,
    /// How long a request's head may take, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a connection is kept between two requests, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long a caller may take none of its answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How often an HTTP/2 connection is asked whether it is there, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long its answer to that may take, in milliseconds.
    pub ping_timeout_ms: u64,
    /// Requests that one HTTP/2 connection may have open.
    pub streams: u32,
    /// Requests that a connection may take back.
    pub resets: u32,
    /// How long a stop waits for requests under way, in milliseconds.
    pub drain_timeout_ms: u64,
}

/// Limits of callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections of all peers.
    pub connections: usize,
    /// Connections of one peer.
    pub connections_per_peer: usize,
    /// Requests of all peers that are being answered.
    pub requests: usize,
    /// Requests of one peer that are being answered.
    pub requests_per_peer: usize,
    /// Reads that are being answered.
    pub reads: usize,
    /// Event streams and waiting polls.
    pub listeners: usize,
    /// Memory for the bodies of all requests, in bytes.
    pub body_memory_bytes: usize,
    /// Proposals in a row that do not verify.
    pub failures: u64,
    /// How many of them are forgiven each second.
    pub failures_forgiven_per_second: u64,
}

/// TLS. Without a certificate the node speaks plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The node's certificate chain, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// Authorities of client certificates, in PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether every connection needs a client certificate.
    pub require_client_certificate: bool,
    /// Names of client certificates that are allowed; all where there are none.
    pub client_names: BTreeSet<String>,
    /// How long a handshake may take, in milliseconds.
    pub handshake_timeout_ms: u64,
}

/// Readers that are limited to projects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Readers {
    /// By the identity that signs the read.
    pub identities: BTreeMap<PublicKey, BTreeSet<ProjectName>>,
    /// By a name of the client certificate.
    pub certificates: BTreeMap<String, BTreeSet<ProjectName>>,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            observe: None,
            allowed_hosts: BTreeSet::new(),
            body_limit_bytes: 262_144,
            request_timeout_ms: 10_000,
            body_pause_timeout_ms: 5_000,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            write_timeout_ms: 20_000,
            ping_interval_ms: 20_000,
            ping_timeout_ms: 10_000,
            streams: 128,
            resets: 64,
            drain_timeout_ms: 10_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
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

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            certificate: None,
            key: None,
            client_ca: None,
            require_client_certificate: false,
            client_names: BTreeSet::new(),
            handshake_timeout_ms: 10_000,
        }
    }
}
