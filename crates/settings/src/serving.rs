//! Settings of the HTTP server. `config/swoosh.yaml` describes the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use swoosh_types::host::Host;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

section_http! {
    /// The HTTP server: deadlines and sizes.
    Http {
        observe: Option<SocketAddr> = None,
        allowed_hosts: BTreeSet<Host> = BTreeSet::new(),
    }
}

/// The console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Whether it is served.
    pub enabled: bool,
}

impl Default for Console {
    fn default() -> Console {
        Console { enabled: true }
    }
}

section_limits! {
    /// Limits of callers.
    Limits {}
}

section_tls! {
    /// TLS. Without a certificate the node speaks plain HTTP.
    Tls {
        certificate: Option<PathBuf> = None,
        key: Option<PathBuf> = None,
        client_ca: Option<PathBuf> = None,
        require_client_certificate: bool = false,
        client_names: BTreeSet<String> = BTreeSet::new(),
    }
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
