//! The settings as types. `config/swoosh.yaml` describes the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::backup::Backup;
use super::effects::Effects;
use super::kaching::Kaching;
use super::migration::Migration;
use super::providers::{Backbeat, LivenessRules, Mcp, Polled};
use super::serving::{Console, Http, Limits, Readers, Tls};
use super::traces::Traces;
use swoosh_types::fact::FactKind;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::PublicKey;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::{Capability, ClusterId, Url};
use swoosh_types::url_prefix::UrlPrefix;

/// The settings of a node. Paths are absolute, or relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Part of every signed message.
    pub cluster: ClusterId,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The directory that holds everything the node keeps.
    pub data: PathBuf,
    /// The node's key file; see [`Settings::node_key_path`].
    pub node_key: Option<PathBuf>,
    /// The window schedule and its live source.
    pub backbeat: Backbeat,
    /// Keys that may propose in every project, with their roles.
    pub identities: BTreeMap<PublicKey, IdentityGrant>,
    /// The Cedar policies; see [`Settings::policy_bundle`].
    pub policies: Policies,
    /// Where facts come from.
    pub facts: Facts,
    /// How far clocks may be apart.
    pub clock: ClockBounds,
    pub license: LicenseRules,
    /// The license server.
    pub kaching: Kaching,
    /// Idempotency keys.
    pub idempotency: Idempotency,
    /// Repositories that projects may name.
    pub sources: SourceRules,
    /// Effects: their workers and options.
    pub effects: Effects,
    /// Probes of MCP servers.
    pub mcp: Mcp,
    /// The server that is polled for available resources.
    pub capacity: Polled,
    /// The server that is polled for the health of assets.
    pub health: Polled,
    /// When members count as gone, and who is polled for their pulses.
    pub liveness: LivenessRules,
    /// The write-ahead log and its store.
    pub journal: Journal,
    pub sequencer: Sequencer,
    /// Heads of projects in memory.
    pub heads: Heads,
    /// Retention of files on disk.
    pub retention: Retention,
    /// Copies of snapshots and records outside the data directory.
    pub exports: Exports,
    /// Backups of the whole data directory.
    pub backup: Backup,
    /// Decision Records and where they go.
    pub decisions: Decisions,
    /// Taking WHOOSH's place.
    pub migration: Migration,
    /// The secrets that other settings name as `secret:<name>`.
    pub secrets: SecretsFile,
    /// The HTTP server.
    pub http: Http,
    /// Pages in the browser.
    pub console: Console,
    /// Limits of callers.
    pub limits: Limits,
    pub tls: Tls,
    /// Readers that are limited to projects.
    pub readers: Readers,
    pub log: Log,
    /// Spans of accepted transitions.
    pub traces: Traces,
}

section_policies! {
    /// The Cedar policies.
    Policies { path: Option<PathBuf> = None, bundle: Option<PathBuf> = None }
}

/// Where facts come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// A JSON array of signed facts.
    pub file: Option<PathBuf>,
    /// Trusted sources of facts beside the node itself.
    pub sources: BTreeMap<FactKind, BTreeSet<PublicKey>>,
}

section_clock! {
    /// How far clocks may be apart.
    ClockBounds {}
}

section_license! {
    LicenseRules { scope: Capability = text("swoosh") }
}

section_idempotency! {
    /// Idempotency keys.
    Idempotency {}
}

/// Repositories that projects may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceRules {
    /// Schemes that sources may be fetched by.
    pub transports: BTreeSet<Capability>,
    /// Folders below which `file://` may lead.
    pub file_prefixes: BTreeSet<PathBuf>,
    /// References that may float, as `<url>#<ref>`.
    pub floating_refs: BTreeSet<String>,
    /// Credentials with the addresses that may receive them.
    pub credentials: Vec<SourceCredential>,
}

/// A token and the addresses that may receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCredential {
    /// The beginning of those addresses.
    pub url_prefix: UrlPrefix,
    /// The user that the token belongs to.
    #[serde(default = "git_user")]
    pub user: String,
    pub token: SecretRef,
}

fn git_user() -> String {
    "git".to_owned()
}

/// When commits are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Before every answer.
    #[default]
    Sync,
    /// Every [`Journal::interval_ms`]; answers wait for it.
    Interval,
}

section_journal! {
    /// The write-ahead log and its store.
    Journal { durability: Durability = Durability::Sync }
}

section_sequencer! {
    Sequencer {}
}

section_heads! {
    /// Heads of projects in memory.
    Heads {}
}

section_retention! {
    /// Retention of files on disk. 0 means without end.
    Retention {}
}

section_exports! {
    /// Copies of snapshots and records outside the data directory.
    Exports {
        directory: Option<PathBuf> = None,
        wal: bool = false,
        recipients: Vec<String> = Vec::new(),
        command: Vec<String> = Vec::new(),
    }
}

section_decisions! {
    /// Decision Records and where they go.
    Decisions {
        redaction: Option<PathBuf> = None,
        jsonl: Option<PathBuf> = None,
        bubble: Option<Url> = None,
        bubble_token: Option<SecretRef> = None,
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsFile {
    pub file: Option<PathBuf>,
    /// The identity that decrypts it.
    pub identity: Option<PathBuf>,
    /// Recipients beside the identity itself.
    pub recipients: Vec<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

section_log! {
    Log {
        level: String = "info".into(),
        format: LogFormat = LogFormat::Auto,
        file: Option<PathBuf> = None,
    }
}

#[expect(clippy::expect_used, reason = "the texts are names; every test that makes default settings keeps it true")]
fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a built-in default is of its type")
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cluster: text("swoosh"),
            listen: (Ipv4Addr::LOCALHOST, 7400).into(),
            data: "./data".into(),
            node_key: None,
            backbeat: Backbeat::default(),
            identities: BTreeMap::new(),
            policies: Policies::default(),
            facts: Facts::default(),
            clock: ClockBounds::default(),
            license: LicenseRules::default(),
            kaching: Kaching::default(),
            idempotency: Idempotency::default(),
            sources: SourceRules::default(),
            effects: Effects::default(),
            mcp: Mcp::default(),
            capacity: Polled::default(),
            health: Polled::default(),
            liveness: LivenessRules::default(),
            journal: Journal::default(),
            sequencer: Sequencer::default(),
            heads: Heads::default(),
            retention: Retention::default(),
            exports: Exports::default(),
            backup: Backup::default(),
            decisions: Decisions::default(),
            migration: Migration::default(),
            secrets: SecretsFile::default(),
            http: Http::default(),
            console: Console::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            readers: Readers::default(),
            log: Log::default(),
            traces: Traces::default(),
        }
    }
}

impl Default for SourceRules {
    fn default() -> SourceRules {
        let transports = ["https", "ssh"].map(text).into();
        let (file_prefixes, floating_refs) = (BTreeSet::new(), BTreeSet::new());
        SourceRules { transports, file_prefixes, floating_refs, credentials: Vec::new() }
    }
}
